//! A server that listens: who gets in, over what, and what nobody gets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail anywhere"
)]

mod archive;
mod client;
mod clock;
mod gate;
mod idle;
mod limits;
mod provider;
mod running;
mod tls;
