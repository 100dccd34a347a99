//! Ends as far as policies can tell them apart.

use crate::index::{AtomIx, ClassIx, index};

/// All ends that policies treat alike: a class of pods, or an atom of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// Pods.
    Pods(ClassIx),
    /// Addresses.
    Addresses(AtomIx),
}

impl Party {
    /// The party of an end: atoms come first, then classes.
    pub(crate) fn at(end: usize, atoms: usize) -> Self {
        match end.checked_sub(atoms) {
            None => Self::Addresses(AtomIx::new(index(end))),
            Some(class) => Self::Pods(ClassIx::new(index(class))),
        }
    }
}
