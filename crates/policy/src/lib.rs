//! `NetworkPolicies` compiled and judged. **Invariant**: pure; knows model only.
