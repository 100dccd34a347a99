//! The engine against the specification: tables, and a slow evaluator that is easy to check by eye.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agree;
mod cluster;
mod conformance;
mod explain;
mod generated;
mod lint;
mod oracle;
mod placement;
mod points;
mod truth;
mod update;
mod upstream;
