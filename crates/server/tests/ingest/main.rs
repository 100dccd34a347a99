//! Agents over real gRPC into the real store, and everything that can go wrong between them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod agent;
mod faults;
mod hosts;
mod kill;
mod logs;
mod observers;
mod relay;
mod relay_kill;
mod relay_tls;
mod server;
mod soak;
mod stalled;
mod storm;
