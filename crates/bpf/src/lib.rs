//! Connections counted in the kernel, in every network namespace of the machine. **Invariant**: knows the kernel and
//! nothing else: no Kubernetes, no file but `/proc` and the BPF file system, no clock; the only crate with `unsafe`.
//!
//! [`Observer`] loads the programs and hands over, epoch by epoch, what they counted. [`probe`] says what this kernel
//! lets them do. The records that both sides share are in `c/records.h`; [`Flow`] is what they mean.

mod cookie;
mod flow;
mod mechanism;
mod observer;
mod record;
#[expect(unsafe_code, reason = "system calls")]
mod sys;
mod tables;

pub use cookie::namespace_cookie;
pub use flow::{Counts, DecodeError, Dialled, Direction, Flow, FlowKey, Transport};
pub use mechanism::{Finding, Mechanism, State, probe};
pub use observer::{Closed, Observer, ObserverError, Options};
pub use tables::{Epoch, Losses, Namespace, Room};

/// The compiled programs.
const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ringfence.bpf.o"));
