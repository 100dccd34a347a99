//! When agents observed, and what they missed, from what their batches say.

use ringfence_model::{ObserverKind, Span, Timestamp};
use ringfence_proto::agent::{self, LossReason as Reason};
use ringfence_store::{Loss, LossReason, Presence, SourceKey};

/// How much is kept of what an agent says that it cannot see: lines, and characters of each.
const LINES: usize = 16;
const CHARACTERS: usize = 300;

/// What a batch says of the agent itself.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) observer: ObserverKind,
    /// From when until when it observed; it begins and ends at the base when the agent does not say.
    span: Span,
    blind: Vec<String>,
    /// What is missing.
    pub(super) losses: Vec<(Reason, u64)>,
}

impl Said {
    /// By the fields of a body: what observed, and for how many microseconds after the base.
    pub(super) fn new(
        base: u64,
        observer: agent::Observer,
        micros: u64,
        blind: Vec<String>,
        losses: &[agent::Loss],
    ) -> Self {
        let nanos = |nanos: u64| Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
        let until = base.saturating_add(micros.saturating_mul(1_000));
        let shortened = |line: String| line.chars().take(CHARACTERS).collect();
        Self {
            observer: match observer {
                agent::Observer::Ebpf => ObserverKind::AgentEbpf,
                agent::Observer::Conntrack => ObserverKind::AgentConntrack,
            },
            span: Span { from: nanos(base), until: nanos(until) },
            blind: blind.into_iter().take(LINES).map(shortened).collect(),
            losses: losses.iter().map(|loss| (loss.reason(), loss.count)).collect(),
        }
    }

    /// When the agent observed. `None` when it does not say, or says what lies outside of a window: its clock is wrong.
    pub(super) fn presence(&self, source: &SourceKey, window: Span) -> Option<Presence> {
        let Self { observer, span, blind, losses: _ } = self;
        let is_sound =
            span.from < span.until && window.contains(span.from) && window.contains(span.until);
        is_sound.then(|| Presence {
            source: source.clone(),
            span: *span,
            observer: *observer,
            blind: blind.clone(),
        })
    }

    /// What went missing, in that time. It counts for the moment of arrival when the agent does not say when it
    /// was, or its clock is wrong.
    pub(super) fn lost(&self, source: &SourceKey, window: Span, now: Timestamp) -> Vec<Loss> {
        let said = self.span;
        let is_sound = said.from < said.until && window.contains(said.from);
        let after = Timestamp::from_nanos(now.nanos().saturating_add(1));
        let span = if is_sound { said } else { Span { from: now, until: after } };
        let losses = self.losses.iter().filter(|(_, count)| *count > 0);
        losses
            .map(|(reason, count)| Loss {
                source: source.clone(),
                span,
                reason: kept(*reason),
                count: *count,
            })
            .collect()
    }
}

const fn kept(reason: Reason) -> LossReason {
    match reason {
        Reason::MapFull => LossReason::MapFull,
        Reason::EventsLost => LossReason::EventsLost,
        Reason::Unattributed => LossReason::Unattributed,
        Reason::SpoolFull => LossReason::SpoolFull,
        Reason::ProbeRefused => LossReason::ProbeRefused,
        Reason::SpoolDamaged | Reason::Unspecified => LossReason::Other,
    }
}

#[cfg(test)]
mod tests {
    use ringfence_store::SourceKind;

    use super::*;

    fn source() -> SourceKey {
        let cluster = "prod".parse().unwrap();
        SourceKey { cluster, kind: SourceKind::Agent, name: "node-1".into() }
    }

    fn said(base: u64, micros: u64, lines: usize) -> Said {
        let blind = vec!["x".repeat(1000); lines];
        let losses = [agent::Loss { reason: Reason::MapFull.into(), count: 3 }];
        Said::new(base, agent::Observer::Conntrack, micros, blind, &losses)
    }

    #[test]
    fn what_is_kept_of_words_has_a_bound() {
        let presence = said(1_000, 5, 50).presence(&source(), Span::ALL).unwrap();
        let lengths: Vec<usize> = presence.blind.iter().map(String::len).collect();
        assert_eq!(lengths, [300; 16]);
        assert_eq!((presence.span.from.nanos(), presence.span.until.nanos()), (1_000, 6_000));
        assert_eq!(presence.observer, ObserverKind::AgentConntrack);
    }

    #[test]
    fn what_no_clock_can_say_is_no_presence() {
        let window = Span { from: Timestamp::MIN, until: Timestamp::from_nanos(1_000_000) };
        for (base, micros) in [(1_000, 0), (1_000, u64::MAX), (u64::MAX, 1), (2_000_000, 1)] {
            assert_eq!(said(base, micros, 0).presence(&source(), window), None);
        }
        // What was lost counts all the same.
        let now = Timestamp::from_nanos(500);
        for (base, micros, from) in [(1_000, 1, 1_000), (2_000_000, 1, 500), (0, 0, 500)] {
            let lost = said(base, micros, 0).lost(&source(), window, now);
            assert_eq!((lost[0].count, lost[0].span.from.nanos()), (3, from));
        }
    }
}
