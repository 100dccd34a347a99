//! The proof of a generated set, as people and machines read it.

use std::collections::BTreeMap;
use std::fmt;

use ringfence_model::Direction;
use serde::Serialize;

use crate::assumption::AssumptionCode;
use crate::check::Passes;
use crate::failure::Failure;
use crate::message::Message;
use crate::readiness::Readiness;
use crate::said::Said;
use crate::verdict::ReasonCode;

/// Whether a set of policies was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Every check held.
    Proven,
    /// At least one did not; [`Certificate::failures`] has counter-examples.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "PROVEN",
            Self::Failed => "FAILED",
        })
    }
}

/// The proof of a generated set.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// `ringfence.dev/v1alpha1`.
    pub api_version: &'static str,
    /// `Certificate`.
    pub kind: &'static str,
    /// Whether all checks held.
    pub outcome: Outcome,
    /// For which workloads.
    pub scope: String,
    /// The time that the evidence covers.
    #[cfg_attr(feature = "schema", schema(required))]
    pub window: Option<Window>,
    /// What was done to prove it.
    pub checks: Checks,
    /// What did not hold, each with a counter-example.
    pub failures: Vec<Failure>,
    /// The policies, as `namespace/name`.
    pub policies: Vec<String>,
    /// Policies of the cluster that the new ones replace, by the same name.
    pub replaced: Vec<String>,
    /// Observed edges that will pass.
    pub kept: Vec<JudgedEdge>,
    /// Observed edges that will be forbidden.
    pub cut: Vec<JudgedEdge>,
    /// Observed edges that no NetworkPolicy speaks of.
    pub unknown: Vec<JudgedEdge>,
    /// Observed edges whose verdict differs from what the policies in the cluster say now.
    pub changes: Vec<Change>,
    /// What the set allows that was not observed.
    pub slack: Vec<Slack>,
    /// How the open points of the NetworkPolicy specification were taken where the proof touched them.
    pub assumptions: Vec<Said<AssumptionCode>>,
    /// How much evidence each workload has.
    pub readiness: Vec<Readiness>,
    /// What people should know.
    pub messages: Vec<Message>,
}

impl Certificate {
    /// Whether every check held.
    pub fn is_proven(&self) -> bool {
        self.outcome == Outcome::Proven
    }

    /// How many entries of slack each cause has.
    pub fn slack_by_cause(&self) -> BTreeMap<SlackCause, usize> {
        let mut counts = BTreeMap::new();
        for slack in &self.slack {
            *counts.entry(slack.cause).or_default() += 1;
        }
        counts
    }
}

/// First and last observation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateWindow))]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// First observation.
    pub first: String,
    /// Last observation.
    pub last: String,
    /// Hours between them.
    pub hours: f64,
}

/// How much was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateChecks))]
#[serde(rename_all = "camelCase")]
pub struct Checks {
    /// Connections judged with the policies as written, each for every kind of pod at either end.
    pub connections: usize,
    /// Peers and ports of rules that were shown to be needed.
    pub needed_items: usize,
}

/// An edge with what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateEdge))]
#[serde(rename_all = "camelCase")]
pub struct JudgedEdge {
    /// Who opens the connections.
    pub source: String,
    /// Who is reached.
    pub destination: String,
    /// Protocol and port.
    pub port: String,
    /// Why.
    pub reason: Said<ReasonCode>,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were denied or refused.
    pub rejected: u64,
    /// First moment seen.
    pub first_seen: String,
    /// Last moment seen.
    pub last_seen: String,
}

/// An edge that the new set judges differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = CertificateChange))]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `source -> destination port`.
    pub edge: String,
    /// With the policies of the cluster.
    pub before: Passes,
    /// With the new ones.
    pub after: Passes,
}

/// Why something is allowed that was not observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SlackCause {
    /// A workload is meant by nobody but shares the labels that a rule selects.
    CollateralWorkload,
    /// Ports of a known pair that were not observed: name resolution, included edges, CIDR rules.
    UnobservedPorts,
    /// The general rule of the direction asks for it.
    GeneralRule,
    /// Addresses that were not observed.
    UnobservedAddresses,
    /// Pods that do not exist yet, when they get these labels.
    FuturePods,
}

impl fmt::Display for SlackCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CollateralWorkload => {
                "pairs of workloads of which one shares the labels of an allowed one"
            }
            Self::UnobservedPorts => "pairs of workloads with ports that were not observed",
            Self::GeneralRule => "general rules of the review",
            Self::UnobservedAddresses => "blocks of addresses that were not all observed",
            Self::FuturePods => "classes of labels, open to pods that do not exist yet",
        })
    }
}

/// Something that the set allows and nobody was seen doing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Slack {
    /// Why it is allowed.
    pub cause: SlackCause,
    /// The side whose policy allows it.
    pub direction: SlackDirection,
    /// Who may connect: a workload, or a class of labels.
    pub source: String,
    /// To whom.
    pub destination: String,
    /// Protocols and ports.
    pub ports: String,
}

/// The side whose policy allows a [`Slack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SlackDirection {
    /// The destination's.
    Ingress,
    /// The source's.
    Egress,
}

impl From<Direction> for SlackDirection {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
    }
}
