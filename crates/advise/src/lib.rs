//! From edges and a review to policies and their certificate. **Invariant**: pure; proves with `ringfence-policy`.
