//! Doubles of the systems that Ringfence talks to, for tests: they speak the real protocols over loopback.

pub mod api_server;
pub mod authority;
mod encrypted;
pub mod relay;

pub use api_server::ApiServer;
pub use authority::Authority;
pub use encrypted::Encrypted;
pub use relay::Relay;
