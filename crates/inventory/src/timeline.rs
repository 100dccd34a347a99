//! Which pod held an address when.

use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;

use ringfence_model::{Span, Timestamp};

/// One pod's claim to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim<T> {
    /// Since when; the beginning of time when not known.
    pub(crate) from: Timestamp,
    /// Until when.
    pub(crate) end: End,
    /// Who. Of claims that start together the greatest wins.
    pub(crate) holder: T,
}

/// The end of a [`Claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The pod is still there.
    Open,
    /// The pod terminated then.
    At(Timestamp),
    /// The pod terminated, nobody knows when: from its start on, nobody knows whose the address is.
    Unknown,
}

impl End {
    fn until(self) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Open | Self::Unknown => Timestamp::MAX,
        }
    }
}

/// The history of one address: of the claims that cover a moment the latest holds, so that an address reused by a
/// later pod belongs to each in its own time.
#[derive(Debug)]
struct Timeline<T>(Vec<(Timestamp, Option<T>)>);

impl<T: Copy + Ord> Timeline<T> {
    fn new(mut claims: Vec<Claim<T>>) -> Self {
        claims.sort_by_key(|claim| (claim.from, claim.holder));
        let mut moments: Vec<Timestamp> =
            claims.iter().flat_map(|c| [c.from, c.end.until()]).collect();
        moments.push(Timestamp::MIN);
        // What is open has no end, not even the end of time.
        moments.retain(|&moment| moment != Timestamp::MAX);
        moments.sort_unstable();
        moments.dedup();

        let mut steps: Vec<(Timestamp, Option<T>)> = Vec::with_capacity(moments.len());
        let mut begun: BinaryHeap<usize> = BinaryHeap::new();
        let mut upcoming = 0;
        for moment in moments {
            while claims.get(upcoming).is_some_and(|claim| claim.from <= moment) {
                begun.push(upcoming);
                upcoming += 1;
            }
            while begun.peek().is_some_and(|&n| claims[n].end.until() <= moment) {
                begun.pop();
            }
            let holder = begun.peek().and_then(|&n| match claims[n].end {
                End::Unknown => None,
                End::Open | End::At(_) => Some(claims[n].holder),
            });
            if steps.last().is_none_or(|&(_, last)| last != holder) {
                steps.push((moment, holder));
            }
        }
        Self(steps)
    }

    fn at(&self, at: Timestamp) -> (Option<T>, Span) {
        let next = self.0.partition_point(|&(from, _)| from <= at);
        let until = self.0.get(next).map_or(Timestamp::MAX, |&(from, _)| from);
        match next.checked_sub(1).and_then(|now| self.0.get(now)) {
            Some(&(from, holder)) => (holder, Span { from, until }),
            None => (None, Span { from: Timestamp::MIN, until }),
        }
    }
}

/// The history of every address that a pod has or had.
#[derive(Debug)]
pub(crate) struct AddressBook<T>(HashMap<IpAddr, Timeline<T>>);

impl<T: Copy + Ord> AddressBook<T> {
    pub(crate) fn new(claims: HashMap<IpAddr, Vec<Claim<T>>>) -> Self {
        Self(claims.into_iter().map(|(ip, claims)| (ip, Timeline::new(claims))).collect())
    }

    /// Who held the address at that moment, and the time around it in which the answer is the same.
    pub(crate) fn at(&self, ip: IpAddr, at: Timestamp) -> (Option<T>, Span) {
        self.0.get(&ip).map_or((None, Span::ALL), |timeline| timeline.at(at))
    }

    /// Who holds the address now, that is, at the end of all known history.
    pub(crate) fn now(&self, ip: IpAddr) -> Option<T> {
        self.at(ip, Timestamp::MAX).0
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
