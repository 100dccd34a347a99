//! The stream survives what lies between agent and server: a server that is away or slow, and packets that are lost.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere")]

mod away;
mod double;
mod lossy;
mod slow;
