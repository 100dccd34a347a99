//! Flow formats in, edges out. **Invariant**: memory does not grow with the log; knows model only.
//!
//! [`read_file`] and [`read_flows`] read logs: Hubble's JSON lines, Ringfence's own [`Record`]s, or [`EdgeRecord`]s. What they read
//! goes to an [`Aggregator`] as [`ringfence_model::Flow`]s, which other sources can feed just as well. The
//! aggregator finds out which flows are of one connection and who was at its ends, and counts. A [`Counter`] adds up
//! flows that observers have counted already, by the same rules, and keeps the two sides apart.

mod address;
mod aggregate;
mod connection;
mod counter;
mod ends;
mod fault;
mod generations;
mod hubble;
mod json;
mod known;
mod ledger;
mod lines;
mod moment;
mod reader;
mod record;
mod resolution;
mod retire;
mod sums;
mod tally;

pub use aggregate::{Aggregator, Bucketed, Observations, Options};
pub use counter::{CountedEdge, CountedFlow, Counter};
pub use hubble::stream::{HubbleEnd, HubbleFlow, HubbleStream, HubbleTransport};
pub use known::{
    EDGE_VERSION, EdgeAddressClass, EdgeL4, EdgeObserver, EdgeObservers, EdgePeer, EdgeRecord,
    EdgeService, EdgeTally, KnownEdge,
};
pub use ledger::{Ledger, Skip};
pub use reader::{ReadError, ReadOptions, read_file, read_flows, span_of};
pub use record::{
    Counts, Observer, Record, RecordDestination, RecordPod, RecordProtocol, RecordSide,
    RecordSource, RecordWorkload, SocketAddress, VERSION, Volume,
};
pub use sums::Bucket;
