//! The gRPC contracts: between agents and the server, and the parts of Hubble Relay's and of container runtimes' that
//! are used.
//!
//! **Invariant**: only what goes over the wire; what it means is for the two sides to know.

/// Between agents and the server. `proto/ringfence/agent/v1/agent.proto` explains it.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod agent {
    tonic::include_proto!("ringfence.agent.v1");

    /// The version of the protocol that these types are of.
    pub const PROTOCOL_VERSION: u32 = 1;
}

/// How agents come by their certificates. `proto/ringfence/enrol/v1/enrol.proto` explains it.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod enrol {
    tonic::include_proto!("ringfence.enrol.v1");
}

/// Hubble's flows: a subset of the public package `flow`, in `proto/hubble/flow.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod flow {
    tonic::include_proto!("flow");
}

/// Hubble Relay: a subset of the public package `observer`, in `proto/hubble/observer.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod observer {
    tonic::include_proto!("observer");
}

/// Container runtimes: a subset of the public package `runtime.v1` (CRI), in `proto/cri/runtime.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}
