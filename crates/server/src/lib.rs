//! The server: live clusters, flow ingest, one API. The same libraries as the command line, over a store.
//!
//! **Invariant**: adds freshness, not different logic: what a scope comes out as is decided in `advise` alone.

pub mod app;
pub mod auth;
pub mod cluster;
pub mod config;
pub mod event;
pub mod principal;
pub mod problem;
pub mod shutdown;

pub use app::App;
