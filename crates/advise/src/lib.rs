//! From observed edges and people's review to least-privilege policies, and the proof that they are right.
//!
//! [`plan`] judges every edge under the review and writes policies. [`prove`] takes the policies back as they
//! were written to a file and proves, with the engine of `ringfence-policy` alone, that what is kept passes, what
//! is cut fails, nothing can be removed, and says what else opens.
//!
//! **Invariant**: pure; knows no file format, and does not trust its own structures in the proof.

pub mod alias;
mod assumption;
mod blame;
mod certificate;
mod changes;
mod check;
mod connectivity;
mod denial;
mod dns;
mod draft;
mod exposure;
mod failure;
mod judge;
mod lack;
mod message;
mod need;
mod plan;
mod planner;
mod prove;
mod readiness;
mod report;
mod said;
mod scope;
mod selection;
mod slack;
mod verdict;
mod witness;

pub use assumption::AssumptionCode;
pub use certificate::{Certificate, Outcome, Slack};
pub use changes::{ChangedEnd, ChangedPair, ChangedWho, Changes, Presence, changes};
pub use check::{Checked, Passes, check, rules};
pub use connectivity::{Connectivity, Focus, FocusSide, Group, Link, Who};
pub use denial::{Mend, NearMiss, RemedyCode};
pub use dns::DnsServers;
pub use draft::Draft;
pub use exposure::{Exposed, Exposure, Namespaces};
pub use failure::{Check, Failure, FlawCode};
pub use judge::{Row, decides};
pub use lack::LackCode;
pub use message::{Message, MessageCode};
pub use need::{Need, Party, Reason, Subject};
pub use plan::{Case, Plan, plan};
pub use prove::prove;
pub use readiness::{Gap, GapCode, Lost, Readiness, readiness, window_warning};
pub use said::{Said, Say, values};
pub use scope::{Behind, Scope};
pub use selection::{NAMESPACE_NAME_LABEL, Selection, Unselectable, is_volatile};
pub use verdict::{Cut, Kept, ReasonCode, Verdict};
pub use witness::World;
