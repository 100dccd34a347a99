//! Agents that enrol at the real server over real TLS, deliver with what they got, and renew it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere")]

mod lifetime;
mod site;
mod token;
