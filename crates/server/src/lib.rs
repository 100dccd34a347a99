//! The server: live clusters, flow ingest, one API. The same libraries as the command line, over a store.
//!
//! **Invariant**: adds freshness, not different logic: what a scope comes out as is decided in `advise` alone.

pub mod api;
pub mod app;
pub mod archive;
pub mod auth;
mod chain;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod enrol;
pub mod event;
pub mod health;
pub mod http;
pub mod ingest;
pub mod metrics;
pub mod principal;
pub mod problem;
pub mod reload;
pub mod review;
pub mod serve;
pub mod shutdown;
pub mod tls;
pub mod ui;
pub mod watch;

pub use app::App;
