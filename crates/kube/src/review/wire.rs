//! The review as it stands in the file, from which the published schema is made.
//!
//! The comments on the fields become the descriptions of the schema.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::de::Lined;
use crate::port::{IntOrString, PolicyPort};

/// The fields of `spec`.
pub(super) const SECTIONS: [&str; 7] =
    ["rules", "workloads", "edges", "cidrRules", "aliases", "labels", "cluster"];

/// The JSON Schema of the review file (draft 2020-12).
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(FileWire);
    schema.insert("$id".into(), "https://ringfence.dev/schemas/review.v1alpha1.json".into());
    schema.insert("title".into(), "Review".into());
    schema.to_value()
}

/// People's decisions over observed edges. Without any, what was observed between known peers is allowed.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "File")]
pub(super) struct FileWire {
    #[expect(dead_code, reason = "its type is the check")]
    pub(super) api_version: ApiVersion,
    #[expect(dead_code, reason = "its type is the check")]
    pub(super) kind: Kind,
    pub(super) metadata: MetadataWire,
    /// The decisions.
    #[serde(default)]
    #[expect(dead_code, reason = "read section by section")]
    pub(super) spec: SpecWire,
}

#[derive(Deserialize, JsonSchema)]
pub(super) enum ApiVersion {
    #[serde(rename = "ringfence.dev/v1alpha1")]
    V1Alpha1,
}

#[derive(Deserialize, JsonSchema)]
pub(super) enum Kind {
    Review,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Metadata")]
pub(super) struct MetadataWire {
    /// Name of the review.
    pub(super) name: Lined<String>,
    /// Labels, for the tools that keep the file.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted, not used")]
    labels: BTreeMap<String, String>,
    /// Annotations, for the tools that keep the file.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted, not used")]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(deny_unknown_fields)]
#[schemars(rename = "Spec")]
pub(super) struct SpecWire {
    /// General rules for every workload in scope.
    rules: RulesWire,
    /// General rules for single workloads, which win over `rules`.
    workloads: Vec<WorkloadRulesWire>,
    /// Decisions about single edges, which win over general rules.
    edges: Vec<EdgeWire>,
    /// Addresses to allow without having seen them.
    cidr_rules: Vec<CidrRuleWire>,
    /// Names for addresses.
    aliases: Vec<AliasWire>,
    /// Which labels go into selectors, beside those of the controllers' own selectors.
    labels: LabelsWire,
    /// The address space of the cluster, where the objects do not say.
    cluster: ClusterWire,
}

/// The general rule of a direction.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[schemars(rename = "GeneralRule")]
pub(super) enum GeneralRuleWire {
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

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Rules")]
pub(super) struct RulesWire {
    /// For connections into the workload.
    pub(super) ingress: GeneralRuleWire,
    /// For connections out of the workload.
    pub(super) egress: GeneralRuleWire,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WorkloadRules")]
pub(super) struct WorkloadRulesWire {
    pub(super) workload: WorkloadWire,
    /// For connections into the workload; without it the general rule holds.
    #[serde(default)]
    pub(super) ingress: Option<GeneralRuleWire>,
    /// For connections out of the workload; without it the general rule holds.
    #[serde(default)]
    pub(super) egress: Option<GeneralRuleWire>,
}

/// A workload: the top owner of pods.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Workload")]
pub(super) struct WorkloadWire {
    pub(super) namespace: Lined<String>,
    /// `Deployment`, `DaemonSet`, `StatefulSet`, `CronJob`, `Job`, `ReplicaSet`, `Pod`, or the kind of another
    /// controller.
    pub(super) kind: String,
    pub(super) name: Lined<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Service")]
pub(super) struct ServiceWire {
    pub(super) namespace: Lined<String>,
    pub(super) name: Lined<String>,
}

/// A decision about the edges that match.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Edge")]
pub(super) struct EdgeWire {
    pub(super) choice: ChoiceWire,
    /// The client; any when left out.
    #[serde(default)]
    pub(super) source: Option<PeerWire>,
    /// The server; any when left out.
    #[serde(default)]
    pub(super) destination: Option<PeerWire>,
    /// The protocol; TCP when only a port is given, any when neither is.
    #[serde(default)]
    pub(super) protocol: Option<Lined<ProtocolWire>>,
    /// The port at the destination, after Service translation.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub(super) port: Option<Lined<i64>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Choice")]
pub(super) enum ChoiceWire {
    /// Allow the edge, observed or not.
    Include,
    /// Forbid the edge.
    Exclude,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Protocol")]
pub(super) enum ProtocolWire {
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "SCTP")]
    Sctp,
    #[serde(rename = "ICMP")]
    Icmp,
    #[serde(rename = "ICMPv6")]
    IcmpV6,
}

/// One end of an edge: exactly one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Peer")]
pub(super) enum PeerWire {
    /// A workload.
    Workload(WorkloadWire),
    /// A Service whose endpoints are no known pods.
    Service(ServiceWire),
    /// Every workload of a namespace.
    Namespace(Lined<String>),
    /// A node, host-network pods included.
    Node(Lined<String>),
    /// A machine outside Kubernetes, as its agent or a `Host` object names it.
    Host(Lined<String>),
    /// Addresses that `aliases` names.
    Alias(Lined<String>),
    /// An address that resolves to nothing known.
    Address(Lined<String>),
    /// Such addresses in a range.
    Cidr(Lined<String>),
    /// Any peer.
    Any {},
}

/// Addresses to allow by hand.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CidrRule")]
pub(super) struct CidrRuleWire {
    pub(super) direction: DirectionWire,
    /// The workload; every workload in scope when left out.
    #[serde(default)]
    pub(super) workload: Option<WorkloadWire>,
    /// The addresses, such as 198.51.100.0/24.
    pub(super) cidr: Lined<String>,
    /// Parts of them that are not allowed.
    #[serde(default)]
    pub(super) except: Vec<Lined<String>>,
    /// The ports; all when left out.
    #[serde(default)]
    pub(super) ports: Vec<Lined<PortWire>>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "Direction")]
pub(super) enum DirectionWire {
    Ingress,
    Egress,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Port")]
pub(super) struct PortWire {
    /// TCP, UDP or SCTP; TCP when left out.
    #[serde(default)]
    protocol: Option<Lined<String>>,
    /// A number, or for ingress the name of a container port; every port of the protocol when left out.
    #[serde(default)]
    port: Option<Lined<NumberOrName>>,
    /// Last port of a range that begins at `port`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    end_port: Option<Lined<i64>>,
}

impl PortWire {
    pub(super) fn as_policy_port(&self) -> PolicyPort<'_> {
        let Self { protocol, port, end_port } = self;
        PolicyPort {
            protocol: protocol.as_ref().map(Lined::as_ref),
            port: port.as_ref().map(|Lined { line, value }| Lined {
                line: *line,
                value: match value {
                    NumberOrName::Number(number) => IntOrString::Int(*number),
                    NumberOrName::Name(name) => IntOrString::Text(name),
                },
            }),
            end_port: *end_port,
        }
    }
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum NumberOrName {
    Number(i64),
    Name(String),
}

impl<'de> Deserialize<'de> for NumberOrName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(number) => Self::Number(number),
            IntOrString::Text(name) => Self::Name(name.to_owned()),
        })
    }
}

/// A named group of addresses.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Alias")]
pub(super) struct AliasWire {
    pub(super) name: Lined<String>,
    /// Addresses and ranges.
    #[schemars(length(min = 1))]
    pub(super) addresses: Vec<Lined<String>>,
    /// Whether observed edges with it may go into policies.
    #[serde(default)]
    pub(super) allowed: bool,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Labels")]
pub(super) struct LabelsWire {
    /// Pod template labels to add.
    pub(super) include: Vec<Lined<String>>,
    /// Labels to leave out.
    pub(super) exclude: Vec<Lined<String>>,
    /// Namespace labels to select namespaces by; `kubernetes.io/metadata.name` when left out.
    pub(super) namespace: Vec<Lined<String>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Cluster")]
pub(super) struct ClusterWire {
    #[serde(rename = "podCIDRs")]
    pub(super) pod_cidrs: Vec<Lined<String>>,
    #[serde(rename = "serviceCIDRs")]
    pub(super) service_cidrs: Vec<Lined<String>>,
    /// Further processes whose `--cluster-cidr` and `--service-cluster-ip-range` arguments to trust.
    pub(super) processes: Vec<String>,
}

/// The line is no part of the file's format.
impl<T: JsonSchema> JsonSchema for Lined<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
