//! The review in JSON: the same fields and spellings as in the review file.

use ringfence_kube::review;
use ringfence_model::review::{
    Choice as ModelChoice, CidrRule as ModelCidrRule, EdgeDecision as ModelDecision,
    GeneralRule as ModelRule, GeneralRules, PeerPattern as ModelPattern, Review,
};
use ringfence_model::{
    Diagnostic, Direction as ModelDirection, EdgeKey, Peer, PortMatch, PortTarget, ServiceRef,
    WorkloadRef,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::words::{Protocol, l4};

/// People's decisions over observed edges: `spec` of the review file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReviewSpec {
    /// General rules for every workload in scope.
    pub rules: Rules,
    /// General rules for single workloads, which win over `rules`.
    pub workloads: Vec<WorkloadRules>,
    /// Decisions about single edges, which win over general rules. Of several about one edge, the last counts.
    pub edges: Vec<EdgeDecision>,
    /// Addresses to allow without having seen them.
    pub cidr_rules: Vec<CidrRule>,
    /// Names for addresses.
    pub aliases: Vec<Alias>,
    /// Which labels go into selectors, beside those of the controllers' own selectors.
    pub labels: LabelChoice,
    /// The address space of the cluster, where the objects do not say.
    pub cluster: ClusterCidrs,
}

/// A general rule per direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    /// For connections into the workload.
    pub ingress: GeneralRule,
    /// For connections out of the workload.
    pub egress: GeneralRule,
}

/// The general rule of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) enum GeneralRule {
    /// Allow what was observed between known peers.
    #[default]
    Observed,
    /// Allow nothing.
    BlockAll,
    /// Allow everything inside the namespace.
    AllowNamespace,
    /// Allow everything.
    AllowAll,
    /// Leave the direction as it is: the policy does not isolate in it.
    Unmanaged,
}

/// General rules for one workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadRules {
    /// The workload.
    pub workload: Workload,
    /// For connections into it; without it the general rule holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ingress: Option<GeneralRule>,
    /// For connections out of it; without it the general rule holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub egress: Option<GeneralRule>,
}

/// A workload: the top owner of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Whether an edge may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) enum DecisionChoice {
    /// Allow it, observed or not.
    Include,
    /// Forbid it.
    Exclude,
}

/// A decision about the edges that match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct EdgeDecision {
    /// Allow or forbid.
    pub choice: DecisionChoice,
    /// Which edges.
    #[serde(flatten)]
    pub edge: EdgePattern,
}

/// Which edges a decision is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct EdgePattern {
    /// The client; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub source: Option<PeerPattern>,
    /// The server; any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub destination: Option<PeerPattern>,
    /// The protocol; TCP when only a port is given, any when neither is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub protocol: Option<Protocol>,
    /// The port at the destination, after Service translation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 65535)]
    pub port: Option<i64>,
}

/// One end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum PeerPattern {
    /// A workload.
    Workload(Workload),
    /// A Service whose endpoints are no known pods.
    Service(Service),
    /// Every workload of a namespace.
    Namespace(String),
    /// A node, host-network pods included.
    Node(String),
    /// A machine outside Kubernetes, by name.
    Host(String),
    /// Addresses that an alias names.
    Alias(String),
    /// An address that resolves to nothing known.
    Address(String),
    /// Such addresses in a range.
    Cidr(String),
    /// Any peer.
    Any(Anything),
}

/// An empty object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Anything {}

/// The direction of a CIDR rule, spelled as in the review file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) enum RuleDirection {
    /// Into the workloads.
    Ingress,
    /// Out of the workloads.
    Egress,
}

/// Addresses to allow by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CidrRule {
    /// Into or out of the workloads.
    pub direction: RuleDirection,
    /// The workload; every workload in scope when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub workload: Option<Workload>,
    /// The addresses, such as 198.51.100.0/24.
    pub cidr: String,
    /// Parts of them that are not allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// The ports; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<RulePort>,
}

/// Ports of a CIDR rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RulePort {
    /// TCP, UDP or SCTP; TCP when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub protocol: Option<Protocol>,
    /// The port; every port of the protocol when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 65535)]
    pub port: Option<i64>,
    /// Last port of a range that begins at `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 65535)]
    pub end_port: Option<i64>,
}

/// A named group of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Alias {
    /// Its name.
    pub name: String,
    /// Addresses and ranges.
    #[schema(min_items = 1)]
    pub addresses: Vec<String>,
    /// Whether observed edges with it may go into policies.
    #[serde(default)]
    #[schema(required)]
    pub allowed: bool,
}

/// Which labels go into selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelChoice {
    /// Pod template labels to add.
    pub include: Vec<String>,
    /// Labels to leave out.
    pub exclude: Vec<String>,
    /// Namespace labels to select namespaces by; none means `kubernetes.io/metadata.name`.
    pub namespace: Vec<String>,
}

/// The address space of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterCidrs {
    /// Pod ranges.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Vec<String>,
    /// Service ranges.
    #[serde(rename = "serviceCIDRs")]
    pub service_cidrs: Vec<String>,
    /// Further processes whose `--cluster-cidr` and `--service-cluster-ip-range` arguments to trust.
    pub processes: Vec<String>,
}

impl ReviewSpec {
    /// What the file format makes of it: the checks of entries that come in a request are those of the file.
    pub(super) fn read(&self) -> Result<Review, Vec<Diagnostic>> {
        let file = serde_json::json!({
            "apiVersion": "ringfence.dev/v1alpha1",
            "kind": "Review",
            "metadata": { "name": "request" },
            "spec": self,
        });
        review::part("request", file.to_string().as_bytes())
    }
}

impl From<&Review> for ReviewSpec {
    fn from(review: &Review) -> Self {
        let Review { rules, workloads, edges, cidr_rules, aliases, labels, cluster } = review;
        Self {
            rules: (*rules).into(),
            workloads: workloads
                .iter()
                .map(|rules| WorkloadRules {
                    workload: (&rules.workload).into(),
                    ingress: rules.ingress.map(Into::into),
                    egress: rules.egress.map(Into::into),
                })
                .collect(),
            edges: edges.iter().map(Into::into).collect(),
            cidr_rules: cidr_rules.iter().map(Into::into).collect(),
            aliases: aliases
                .iter()
                .map(|alias| Alias {
                    name: alias.name.to_string(),
                    addresses: alias.cidrs.iter().map(ToString::to_string).collect(),
                    allowed: alias.allowed,
                })
                .collect(),
            labels: LabelChoice {
                include: strings(&labels.include),
                exclude: strings(&labels.exclude),
                namespace: strings(&labels.namespace),
            },
            cluster: ClusterCidrs {
                pod_cidrs: strings(&cluster.pods),
                service_cidrs: strings(&cluster.services),
                processes: strings(&cluster.processes),
            },
        }
    }
}

fn strings<T: ToString>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    texts.into_iter().map(|text| text.to_string()).collect()
}

impl From<GeneralRules> for Rules {
    fn from(GeneralRules { ingress, egress }: GeneralRules) -> Self {
        Self { ingress: ingress.into(), egress: egress.into() }
    }
}

impl From<ModelRule> for GeneralRule {
    fn from(rule: ModelRule) -> Self {
        match rule {
            ModelRule::Observed => Self::Observed,
            ModelRule::BlockAll => Self::BlockAll,
            ModelRule::AllowNamespace => Self::AllowNamespace,
            ModelRule::AllowAll => Self::AllowAll,
            ModelRule::Unmanaged => Self::Unmanaged,
        }
    }
}

impl From<GeneralRule> for ModelRule {
    fn from(rule: GeneralRule) -> Self {
        match rule {
            GeneralRule::Observed => Self::Observed,
            GeneralRule::BlockAll => Self::BlockAll,
            GeneralRule::AllowNamespace => Self::AllowNamespace,
            GeneralRule::AllowAll => Self::AllowAll,
            GeneralRule::Unmanaged => Self::Unmanaged,
        }
    }
}

impl From<&WorkloadRef> for Workload {
    fn from(workload: &WorkloadRef) -> Self {
        Self {
            namespace: workload.namespace.to_string(),
            kind: workload.kind.to_string(),
            name: workload.name.to_string(),
        }
    }
}

impl From<ModelChoice> for DecisionChoice {
    fn from(choice: ModelChoice) -> Self {
        match choice {
            ModelChoice::Include => Self::Include,
            ModelChoice::Exclude => Self::Exclude,
        }
    }
}

impl From<&ModelDecision> for EdgeDecision {
    fn from(decision: &ModelDecision) -> Self {
        let (protocol, port) = decision.l4.map(l4).unzip();
        Self {
            choice: decision.choice.into(),
            edge: EdgePattern {
                source: pattern(&decision.source),
                destination: pattern(&decision.destination),
                protocol,
                port: port.flatten().map(i64::from),
            },
        }
    }
}

/// Any is told by leaving it out.
fn pattern(pattern: &ModelPattern) -> Option<PeerPattern> {
    Some(match pattern {
        ModelPattern::Any => return None,
        ModelPattern::Namespace(name) => PeerPattern::Namespace(name.to_string()),
        ModelPattern::Cidr(cidr) => PeerPattern::Cidr(cidr.to_string()),
        ModelPattern::Peer(peer) => PeerPattern::of(peer),
    })
}

impl PeerPattern {
    /// The pattern that means just this peer.
    pub(super) fn of(peer: &Peer) -> Self {
        match peer {
            Peer::Workload(workload) => Self::Workload(workload.into()),
            Peer::Service(ServiceRef { namespace, name }) => {
                Self::Service(Service { namespace: namespace.to_string(), name: name.to_string() })
            }
            Peer::Node(node) => Self::Node(node.to_string()),
            Peer::Alias(alias) => Self::Alias(alias.to_string()),
            Peer::Address(ip, _) => Self::Address(ip.to_string()),
            Peer::Host(host) => Self::Host(host.to_string()),
        }
    }
}

impl EdgePattern {
    /// The pattern that means just this edge.
    pub(super) fn of(key: &EdgeKey) -> Self {
        let (protocol, port) = l4(key.l4);
        Self {
            source: Some(PeerPattern::of(&key.source)),
            destination: Some(PeerPattern::of(&key.destination)),
            protocol: Some(protocol),
            port: port.map(i64::from),
        }
    }
}

/// Whether a decision is about one edge and no other.
pub(super) fn is_exact(decision: &ModelDecision, key: &EdgeKey) -> bool {
    let one = |pattern: &ModelPattern, peer: &Peer| match (pattern, peer) {
        (ModelPattern::Peer(Peer::Address(wanted, _)), Peer::Address(ip, _)) => wanted == ip,
        (ModelPattern::Peer(wanted), peer) => wanted == peer,
        _ => false,
    };
    one(&decision.source, &key.source)
        && one(&decision.destination, &key.destination)
        && decision.l4 == Some(key.l4)
}

impl From<&ModelCidrRule> for CidrRule {
    fn from(rule: &ModelCidrRule) -> Self {
        Self {
            direction: match rule.direction {
                ModelDirection::Ingress => RuleDirection::Ingress,
                ModelDirection::Egress => RuleDirection::Egress,
            },
            workload: rule.workload.as_ref().map(Into::into),
            cidr: rule.block.cidr().to_string(),
            except: strings(rule.block.except()),
            ports: rule.ports.iter().map(Into::into).collect(),
        }
    }
}

impl From<&PortMatch> for RulePort {
    fn from(port: &PortMatch) -> Self {
        let (first, last) = match &port.target {
            PortTarget::Numbers(range) => (Some(range.first()), Some(range.last())),
            // The review file has no named ports.
            PortTarget::Any | PortTarget::Named(_) => (None, None),
        };
        let number = |port: ringfence_model::Port| i64::from(port.get());
        let range = last.filter(|last| first != Some(*last));
        Self {
            protocol: Some(port.protocol.into()),
            port: first.map(number),
            end_port: range.map(number),
        }
    }
}
