//! Positions in the engine's tables.

/// A table position as the compact index that the engine stores: tables hold fewer than 2^32 entries, since each
/// entry stands for an object in memory.
#[expect(clippy::cast_possible_truncation, reason = "tables hold fewer than 2^32 entries")]
pub(crate) const fn index(position: usize) -> u32 {
    position as u32
}

/// Declares a position in a slice that callers see.
macro_rules! place {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The one at this place.
            pub const fn new(place: u32) -> Self {
                Self(place)
            }

            /// Its place.
            pub const fn place(self) -> usize {
                self.0 as usize
            }
        }
    };
}

place! {
    /// A pod by its place in the slice that [`PolicySet::compile`](crate::PolicySet::compile) was given.
    PodIx
}
place! {
    /// A policy by its place in the slice that [`PolicySet::compile`](crate::PolicySet::compile) was given.
    PolicyIx
}
place! {
    /// A cluster-wide policy by its place in the slice that
    /// [`PolicySet::with_cluster_policies`](crate::PolicySet::with_cluster_policies) was given.
    ClusterPolicyIx
}
place! {
    /// A class by its place in [`PolicySet::classes`](crate::PolicySet::classes).
    ClassIx
}
place! {
    /// An atom by its place in [`PolicySet::atoms`](crate::PolicySet::atoms).
    AtomIx
}
