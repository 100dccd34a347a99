//! Kubernetes objects and reviews to and from files. **Invariant**: knows model only; bad input is named, never dropped.

mod block;
mod de;
mod document;
mod fault;
mod json;
#[cfg(feature = "live")]
pub mod live;
pub mod manifest;
mod node;
mod object;
mod port;
pub mod read;
pub mod record;
pub mod review;
mod source;
mod strings;
mod yaml;
