//! What existed when. **Invariant**: pure; knows model only; a terminated pod never resolves.
