//! A server that listens: who gets in, over what, and what nobody gets.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod archive;
mod client;
mod gate;
mod limits;
mod provider;
mod running;
mod tls;
