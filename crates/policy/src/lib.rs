//! `NetworkPolicies` compiled and judged: which connections pass, and which rules say so.
//!
//! [`PolicySet::compile`] sorts pods into classes that the policies cannot tell apart, cuts the address space where
//! ipBlocks cut it, and turns every selector into a set of these. Cost follows distinct classes and rules, not pods.
//!
//! **Invariant**: pure; knows the model only. What the specification leaves open is an option of the [`Profile`], and
//! a [`Decision`] names the options that it touched.

mod assumption;
mod atom;
mod class;
mod cluster;
mod compile;
mod compiled;
mod connection;
mod connections;
mod decision;
mod difference;
mod end_set;
mod index;
mod lint;
mod miss;
mod pair;
mod party;
mod policy_set;
mod profile;
mod reach;
mod remedy;
mod tier;
mod update;
mod vocabulary;
mod words;

pub use assumption::Assumption;
pub use atom::Atom;
pub use class::PodClass;
pub use connection::{Connection, ConnectionSet, End};
pub use decision::{ClusterRuleRef, Decision, Judgement, RuleRef};
pub use difference::{Change, Compared, Difference, PodPair};
pub use index::{AtomIx, ClassIx, ClusterPolicyIx, PodIx, PolicyIx};
pub use lint::{LINTS, Lint};
pub use miss::{Fault, Miss};
pub use party::Party;
pub use policy_set::PolicySet;
pub use profile::{EgressView, EndPort, Hairpin, HostNetwork, IpBlockNodes, IpBlockPods, Profile};
pub use reach::{Reach, Row};
pub use remedy::{LabelChanges, Remedy};
pub use update::Touched;
