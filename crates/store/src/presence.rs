//! When sources observed, and what they missed.

use ringfence_model::{ObserverKind, Span};

use crate::source::SourceKey;

/// A stretch of time in which a source observed: what it does not report from then was not there, as far as it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The source.
    pub source: SourceKey,
    /// From when until when.
    pub span: Span,
    /// What it observes by.
    pub observer: ObserverKind,
    /// What it cannot see, in words for people.
    pub blind: Vec<String>,
}

/// Why something is missing from what a source reports. A closed list: they are labels of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// A map in the kernel was full.
    MapFull,
    /// Events were lost between the kernel and the source.
    EventsLost,
    /// A network namespace could not be told to belong to a pod.
    Unattributed,
    /// Batches were given up because nobody took them for too long.
    SpoolFull,
    /// The kernel refused a probe, so that a kind of traffic is not seen.
    ProbeRefused,
    /// Some reason that this version does not know.
    Other,
}

impl LossReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::MapFull,
        Self::EventsLost,
        Self::Unattributed,
        Self::SpoolFull,
        Self::ProbeRefused,
        Self::Other,
    ];
}

/// Something that is missing from what a source reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The source.
    pub source: SourceKey,
    /// The time in which it went missing.
    pub span: Span,
    /// Why.
    pub reason: LossReason,
    /// How many records or events, at least.
    pub count: u64,
}
