//! The API as its clients meet it: over a connection, from a real store that holds the example.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere")]

mod broken_input;
mod certificate;
mod codes;
mod edges;
mod example;
mod hosts;
mod observers;
mod openapi;
mod policies;
mod reviews;
mod server;
