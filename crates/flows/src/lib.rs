//! Flow formats in, edges out. **Invariant**: memory does not grow with the log; knows model only.
