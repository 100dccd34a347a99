//! Kubernetes objects and reviews to and from files. **Invariant**: knows model only; bad input is named, never dropped.
