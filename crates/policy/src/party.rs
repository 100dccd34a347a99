//! Ends as far as policies can tell them apart.

use crate::index::{AtomIx, ClassIx};

/// All ends that policies treat alike: a class of pods, or an atom of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// Pods.
    Pods(ClassIx),
    /// Addresses.
    Addresses(AtomIx),
}
