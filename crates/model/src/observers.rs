//! Who reported an edge, and who could have.

/// What observes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObserverKind {
    /// An agent with programs in the kernel (eBPF).
    AgentEbpf,
    /// An agent that has the kernel's connection tracking and lists of sockets only.
    AgentConntrack,
    /// Hubble.
    Hubble,
    /// A flow log.
    FlowLog,
}

impl ObserverKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AgentEbpf, Self::AgentConntrack, Self::Hubble, Self::FlowLog];

    const fn bit(self) -> u16 {
        match self {
            Self::AgentEbpf => 1,
            Self::AgentConntrack => 1 << 1,
            Self::Hubble => 1 << 2,
            Self::FlowLog => 1 << 3,
        }
    }
}

/// The observers of an edge: which kinds reported it, and which watched its ends at the time. An end that nobody watched
/// proves nothing by what was not reported from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Observers(u16);

/// Bits of each of the three sets.
const WIDTH: u16 = 4;

impl Observers {
    /// Nobody that is known.
    pub const NONE: Self = Self(0);

    /// One that reported.
    pub const fn reported_by(kind: ObserverKind) -> Self {
        Self(kind.bit())
    }

    /// And one that watched the client's end.
    #[must_use]
    pub const fn at_client(self, kind: ObserverKind) -> Self {
        Self(self.0 | kind.bit() << WIDTH)
    }

    /// And one that watched the server's end.
    #[must_use]
    pub const fn at_server(self, kind: ObserverKind) -> Self {
        Self(self.0 | kind.bit() << (2 * WIDTH))
    }

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds that reported.
    pub fn reported(self) -> impl Iterator<Item = ObserverKind> {
        self.kinds(0)
    }

    /// The kinds that watched the client's end.
    pub fn client(self) -> impl Iterator<Item = ObserverKind> {
        self.kinds(WIDTH)
    }

    /// The kinds that watched the server's end.
    pub fn server(self) -> impl Iterator<Item = ObserverKind> {
        self.kinds(2 * WIDTH)
    }

    fn kinds(self, shift: u16) -> impl Iterator<Item = ObserverKind> {
        ObserverKind::ALL.into_iter().filter(move |kind| self.0 >> shift & kind.bit() != 0)
    }

    /// As a number, for those who store it: four bits each for those that reported, those at the client's end and those
    /// at the server's, the first kind of [`ObserverKind::ALL`] the lowest.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// And back. [`None`] for a number with bits that mean nothing.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits >> (3 * WIDTH) == 0 { Some(Self(bits)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_sets_are_told_apart() {
        for kind in ObserverKind::ALL {
            let all = [
                Observers::reported_by(kind),
                Observers::NONE.at_client(kind),
                Observers::NONE.at_server(kind),
            ];
            let sets: [[Vec<_>; 3]; 3] = all.map(|set| {
                [set.reported().collect(), set.client().collect(), set.server().collect()]
            });
            let (one, none) = (vec![kind], Vec::new());
            assert_eq!(sets[0], [one.clone(), none.clone(), none.clone()]);
            assert_eq!(sets[1], [none.clone(), one.clone(), none.clone()]);
            assert_eq!(sets[2], [none.clone(), none, one]);
            let merged = all[0].with(all[1]).with(all[2]);
            assert_eq!(Observers::from_bits(merged.bits()), Some(merged));
        }
        assert_eq!(Observers::from_bits(1 << 12), None);
    }
}
