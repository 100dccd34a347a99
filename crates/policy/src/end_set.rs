//! Sets of ends, by their index: address atoms first, then pod classes, of which there may come more.

use fixedbitset::FixedBitSet;

use crate::index::index;

/// A set of end indices, held the way that takes the least room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EndSet {
    /// Every end.
    All,
    /// A few, sorted.
    Few(Box<[u32]>),
    /// Many, as bits.
    Many(FixedBitSet),
}

impl EndSet {
    /// Takes sorted, distinct indices below `universe`.
    pub(crate) fn new(sorted: Vec<u32>, universe: usize) -> Self {
        debug_assert!(sorted.is_sorted());
        if sorted.len() <= 4 || sorted.len() * 32 < universe {
            return Self::Few(sorted.into());
        }
        let mut bits = FixedBitSet::with_capacity(universe);
        bits.extend(sorted.into_iter().map(|end| end as usize));
        Self::Many(bits)
    }

    pub(crate) fn contains(&self, end: u32) -> bool {
        match self {
            Self::All => true,
            Self::Few(ends) if ends.len() <= 8 => ends.contains(&end),
            Self::Few(ends) => ends.binary_search(&end).is_ok(),
            Self::Many(bits) => bits.contains(end as usize),
        }
    }

    /// Makes an end a member, or not. Everybody stays everybody.
    pub(crate) fn set(&mut self, end: u32, member: bool) {
        match self {
            Self::All => {}
            Self::Few(ends) => match (ends.binary_search(&end), member) {
                (Err(place), true) => {
                    let mut grown = std::mem::take(ends).into_vec();
                    grown.insert(place, end);
                    *self = Self::grown(grown);
                }
                (Ok(place), false) => {
                    let mut shrunk = std::mem::take(ends).into_vec();
                    shrunk.remove(place);
                    *ends = shrunk.into();
                }
                (Ok(_), true) | (Err(_), false) => {}
            },
            Self::Many(bits) => {
                bits.grow(end as usize + 1);
                bits.set(end as usize, member);
            }
        }
    }

    fn grown(ends: Vec<u32>) -> Self {
        /// Up to here, moving the members of a list costs less than a bit for everybody.
        const FEW: usize = 64;
        let universe = ends.last().map_or(0, |last| *last as usize + 1);
        if ends.len() <= FEW { Self::Few(ends.into()) } else { Self::new(ends, universe) }
    }

    /// Makes room: every member from `first` on moves up.
    pub(crate) fn shift(&mut self, first: u32, by: u32) {
        match self {
            Self::All => {}
            Self::Few(ends) => {
                ends.iter_mut().filter(|end| **end >= first).for_each(|end| *end += by);
            }
            Self::Many(bits) => {
                let mut moved = FixedBitSet::with_capacity(bits.len() + by as usize);
                let place =
                    |end: usize| if end >= first as usize { end + by as usize } else { end };
                moved.extend(bits.ones().map(place));
                *bits = moved;
            }
        }
    }

    pub(crate) const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::All => false,
            Self::Few(ends) => ends.is_empty(),
            Self::Many(bits) => bits.is_clear(),
        }
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All) => true,
            (Self::All, _) => false,
            (Self::Many(bits), Self::Many(more)) => bits.is_subset(more),
            (Self::Few(ends), _) => ends.iter().all(|end| other.contains(*end)),
            (Self::Many(bits), Self::Few(_)) => bits.ones().all(|end| other.contains(index(end))),
        }
    }

    /// Calls `f` with every member, in ascending order.
    pub(crate) fn for_each(&self, universe: usize, mut f: impl FnMut(u32)) {
        match self {
            Self::All => (0..index(universe)).for_each(f),
            Self::Few(ends) => ends.iter().copied().for_each(f),
            Self::Many(bits) => bits.ones().for_each(|end| f(index(end))),
        }
    }
}
