//! `NetworkPolicies` compiled and judged: which connections pass, and which rules say so.
//!
//! [`PolicySet::compile`] sorts pods into classes that the policies cannot tell apart, cuts the address space where
//! ipBlocks cut it, and turns every selector into a set of these. Cost follows distinct classes and rules, not pods.
//!
//! ```
//! use ringfence_model::{Direction, NetworkPolicy, Origin, Port, Protocol, Selector};
//! use ringfence_policy::{Connection, End, PolicySet, Profile};
//! # use ringfence_model::{Labels, PodRef, object::{Phase, Pod, PodSpec}};
//! # let pod = |name: &str| Pod {
//! #     reference: PodRef { namespace: "shop".parse().unwrap(), name: name.parse().unwrap() },
//! #     labels: Labels::empty(), owner: None, ips: Vec::new(), node: None, phase: Phase::Running,
//! #     started: None, ended: None, spec: PodSpec::default(), origin: Origin::default(),
//! # };
//! let pods = [pod("web"), pod("db")];
//! let deny_all = NetworkPolicy {
//!     namespace: "shop".parse().unwrap(),
//!     name: "deny-all".parse().unwrap(),
//!     origin: Origin::new("deny-all.yaml", 1),
//!     pod_selector: Selector::everything(),
//!     ingress: Some(Vec::new()),
//!     egress: None,
//! };
//! let (set, _) = PolicySet::compile(&[], &[], &pods, &[deny_all], &Profile::default());
//! let [source, destination] = [0, 1].map(|n| End::Pod(ringfence_policy::PodIx::new(n)));
//! let port = Port::new(80).unwrap();
//! let connection = Connection { source, destination, protocol: Protocol::Tcp, port };
//! assert!(!set.allows(&connection));
//! assert!(set.judge(Direction::Egress, &connection).allowed(), "it is ingress that denies");
//! ```
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
mod placement;
mod policy_set;
mod profile;
mod reach;
mod remedy;
mod rules;
mod scan;
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
