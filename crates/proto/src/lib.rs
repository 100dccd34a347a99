//! The gRPC contracts: between agents and the server, and the part of Hubble Relay's that is used.
