//! The programs against real connections, in network namespaces made for the test. Needs root; without, or on a kernel
//! that permits no programs, every test says that it was skipped. On CI's machines as root that is a failure.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod counting;
mod load;
mod namespace;
mod protocols;
mod restart;
mod traffic;
