//! NetworkPolicies as they are written: those that are in the cluster, and what people try out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use ringfence_advise::{Connectivity, World, changes, check};
use ringfence_inventory::Inventory;
use ringfence_kube::manifest::{self, Notes};
use ringfence_kube::read::{Input, Reader};
use ringfence_model::{
    Diagnostic, Direction, Name, NamespaceScope, NetworkPolicy, Operator, Origin, PeerMatch, Peers,
    PortMatch, PortTarget, Ports, Requirement, Rule, Selector, Severity,
};
use ringfence_views::diff;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Answer;
use crate::api::clusters::profile;
use crate::api::edges::edge_id;
use crate::api::policies::put_in_place;
use crate::api::scope::{ScopeQuery, check_namespace};
use crate::api::situation::Situation;
use crate::api::state::{Api, InCluster, blocking, name};
use crate::api::words::{EntityRef, List, Message, Passes, Peer, Protocol, l4};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem, Query};

/// A NetworkPolicy that is in the cluster.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExistingPolicy {
    /// The manifest, with everything that the API server defaults written out.
    pub yaml: String,
    /// What it says.
    pub policy: PolicyForm,
    /// Where it does not say what was meant.
    pub findings: Vec<Message>,
}

/// A NetworkPolicy in parts.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyForm {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its first line in the text that was sent, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u32>,
    /// The pods that it applies to.
    pub subject: SelectorForm,
    /// The workloads whose pods these are today.
    pub selected: Vec<EntityRef>,
    /// What may come in; missing when it does not isolate for ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ingress: Option<Vec<RuleForm>>,
    /// What may go out; missing when it does not isolate for egress.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub egress: Option<Vec<RuleForm>>,
}

/// One rule: traffic passes when a peer and a port match.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleForm {
    /// Its first line in the text that was sent, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u32>,
    /// Who, any one of these; missing means everybody, the outside included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub peers: Option<Vec<PeerForm>>,
    /// What, any one of these; missing means every port of every protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ports: Option<Vec<PortForm>>,
}

/// One entry of `from` or `to`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(super) enum PeerForm {
    /// Pods with these labels in these namespaces: both must match.
    #[serde(rename_all = "camelCase")]
    Pods {
        /// The namespaces; missing means the policy's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        namespaces: Option<SelectorForm>,
        /// The pods in them.
        pods: SelectorForm,
        /// The workloads that it means today.
        matches: Vec<EntityRef>,
    },
    /// Addresses.
    #[serde(rename_all = "camelCase")]
    IpBlock {
        /// The range.
        cidr: String,
        /// Parts of it that are not meant.
        except: Vec<String>,
    },
}

/// One entry of `ports`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PortForm {
    /// The protocol.
    pub protocol: Protocol,
    /// The port; missing with `name` means every port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub port: Option<u16>,
    /// The last port of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub end_port: Option<u16>,
    /// The name of a container port of the destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
}

/// A label selector: all of it must hold; empty means everything.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SelectorForm {
    /// Labels with one value.
    pub match_labels: BTreeMap<String, String>,
    /// Other conditions.
    pub match_expressions: Vec<ExpressionForm>,
}

/// A condition on a label.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ExpressionForm {
    /// The label key.
    pub key: String,
    /// The condition.
    pub operator: OperatorForm,
    /// The values of `In` and `NotIn`.
    pub values: Vec<String>,
}

/// The conditions on a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) enum OperatorForm {
    /// The key is there with one of the values.
    In,
    /// The key is missing, or has another value.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is missing.
    DoesNotExist,
}

/// Which policies.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExistingQuery {
    /// Only of this namespace.
    #[param(nullable = false)]
    pub namespace: Option<String>,
}

/// Policies to try out.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct JudgeRequest {
    /// The manifests. They stand in for those of the cluster with the same name.
    pub yaml: String,
    /// The namespace whose recorded edges they are judged on, and a manifest without one is in `default`.
    pub namespace: String,
    /// Names of policies of the namespace that are taken away.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Only what was observed from this time on (RFC 3339).
    #[serde(default)]
    #[schema(nullable = false, format = DateTime)]
    pub from: Option<String>,
    /// Only what was observed before this time (RFC 3339).
    #[serde(default)]
    #[schema(nullable = false, format = DateTime)]
    pub until: Option<String>,
}

/// What policies would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Judgement {
    /// What is wrong with the text, with its line. With an error among them nothing else was judged.
    pub faults: Vec<Message>,
    /// The policies in the text.
    pub policies: Vec<PolicyForm>,
    /// Where they do not say what was meant.
    pub findings: Vec<Message>,
    /// Recorded edges that pass now and would not any more.
    pub cut: Vec<JudgedRow>,
    /// Recorded edges that do not pass now and would.
    pub opened: Vec<JudgedRow>,
    /// How many recorded edges would stay as they are.
    pub unchanged: usize,
    /// Who could reach whom otherwise than now, recorded or not.
    pub changes: diff::Changes,
}

/// A recorded edge that policies judge otherwise.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JudgedRow {
    /// The id of the link in the topology.
    pub id: String,
    /// Who opens the connections.
    pub source: Peer,
    /// Who is reached.
    pub destination: Peer,
    /// The protocol.
    pub protocol: Protocol,
    /// The port; ICMP has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub port: Option<u16>,
    /// Connections that were accepted.
    pub connections: u64,
    /// With the policies of the cluster.
    pub before: Passes,
    /// With these.
    pub after: Passes,
    /// One connection that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub example: Option<String>,
    /// The policies or rules that decide it.
    pub because: Vec<String>,
}

impl SelectorForm {
    fn of(selector: &Selector) -> Self {
        let mut form = Self { match_labels: BTreeMap::new(), match_expressions: Vec::new() };
        for Requirement { key, operator } in selector.requirements() {
            let (operator, values) = match operator {
                // A second value for the same key needs an expression of its own.
                Operator::In(values)
                    if values.len() == 1 && !form.match_labels.contains_key(&**key) =>
                {
                    let value = values.iter().map(|value| (key.to_string(), value.to_string()));
                    form.match_labels.extend(value);
                    continue;
                }
                Operator::In(values) => (OperatorForm::In, Some(values)),
                Operator::NotIn(values) => (OperatorForm::NotIn, Some(values)),
                Operator::Exists => (OperatorForm::Exists, None),
                Operator::DoesNotExist => (OperatorForm::DoesNotExist, None),
            };
            let values = values.into_iter().flatten().map(ToString::to_string).collect();
            form.match_expressions.push(ExpressionForm { key: key.to_string(), operator, values });
        }
        form
    }
}

/// The workloads of some namespaces of which a selector matches a pod: of today, or the next.
fn matching(
    inventory: &Inventory,
    in_namespace: impl Fn(&Name) -> bool,
    pods: &Selector,
) -> Vec<EntityRef> {
    let matches = |workload: &&ringfence_inventory::Workload| {
        let live = workload.pods.iter().filter_map(|&pod| inventory.pods().get(pod));
        in_namespace(&workload.reference.namespace)
            && !workload.host_network
            && (pods.matches(&workload.template_labels)
                || live.map(|pod| &pod.labels).any(|labels| pods.matches(labels)))
    };
    inventory.workloads().iter().filter(matches).map(|w| (&w.reference).into()).collect()
}

fn line(origin: &Origin) -> Option<u32> {
    Some(origin.line).filter(|line| *line > 0)
}

impl PolicyForm {
    fn of(inventory: &Inventory, policy: &NetworkPolicy) -> Self {
        let rules = |direction| {
            let rules = policy.rules(direction)?;
            Some(rules.iter().map(|rule| RuleForm::of(inventory, policy, rule)).collect())
        };
        Self {
            namespace: policy.namespace.to_string(),
            name: policy.name.to_string(),
            line: line(&policy.origin),
            subject: SelectorForm::of(&policy.pod_selector),
            selected: matching(inventory, |name| *name == policy.namespace, &policy.pod_selector),
            ingress: rules(Direction::Ingress),
            egress: rules(Direction::Egress),
        }
    }
}

impl RuleForm {
    fn of(inventory: &Inventory, policy: &NetworkPolicy, rule: &Rule) -> Self {
        let Rule { origin, peers, ports } = rule;
        Self {
            line: line(origin),
            peers: match peers {
                Peers::Any => None,
                Peers::Only(peers) => {
                    Some(peers.iter().map(|peer| PeerForm::of(inventory, policy, peer)).collect())
                }
            },
            ports: match ports {
                Ports::Any => None,
                Ports::Only(ports) => Some(ports.iter().map(Into::into).collect()),
            },
        }
    }
}

impl PeerForm {
    fn of(inventory: &Inventory, policy: &NetworkPolicy, peer: &PeerMatch) -> Self {
        match peer {
            PeerMatch::IpBlock(block) => Self::IpBlock {
                cidr: block.cidr().to_string(),
                except: block.except().iter().map(ToString::to_string).collect(),
            },
            PeerMatch::Pods { namespaces: NamespaceScope::Own, pods } => Self::Pods {
                namespaces: None,
                pods: SelectorForm::of(pods),
                matches: matching(inventory, |name| *name == policy.namespace, pods),
            },
            PeerMatch::Pods { namespaces: NamespaceScope::Matching(namespaces), pods } => {
                let meant = |name: &Name| {
                    let namespace = inventory.namespace(name.as_str());
                    namespace.is_some_and(|namespace| namespaces.matches(&namespace.labels))
                };
                Self::Pods {
                    namespaces: Some(SelectorForm::of(namespaces)),
                    pods: SelectorForm::of(pods),
                    matches: matching(inventory, meant, pods),
                }
            }
        }
    }
}

impl From<&PortMatch> for PortForm {
    fn from(port: &PortMatch) -> Self {
        let (number, end_port, name) = match &port.target {
            PortTarget::Any => (None, None, None),
            PortTarget::Named(name) => (None, None, Some(name.to_string())),
            PortTarget::Numbers(range) => {
                let last = Some(range.last()).filter(|last| *last != range.first());
                (Some(range.first().get()), last.map(std::num::NonZero::get), None)
            }
        };
        Self { protocol: port.protocol.into(), port: number, end_port, name }
    }
}

/// The findings about a policy.
fn about<'a>(
    findings: &'a [Diagnostic],
    policy: &NetworkPolicy,
) -> impl Iterator<Item = Message> + use<'a> {
    let subject = format!("NetworkPolicy {policy}");
    findings
        .iter()
        .filter(move |finding| finding.subject.as_deref() == Some(subject.as_str()))
        .map(Into::into)
}

/// The NetworkPolicies that are in the cluster, sorted by namespace and name.
#[utoipa::path(get, path = "/clusters/{cluster}/policies/existing", operation_id = "listExistingPolicies",
    tag = "policies", params(("cluster" = String, Path), ExistingQuery), responses(
    (status = 200, body = List<ExistingPolicy>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn existing(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(query): Query<ExistingQuery>,
) -> Answer<List<ExistingPolicy>> {
    let namespace = query.namespace.map(|text| name("namespace", &text)).transpose()?;
    let work = move || {
        let view = cluster.view();
        let inventory = &view.inventory;
        if let Some(namespace) = &namespace {
            check_namespace(inventory, namespace)?;
        }
        let profile = profile(api.store(), cluster.name())?.profile();
        let (network, cluster_wide) = (inventory.policies(), inventory.cluster_policies());
        let connectivity = Connectivity::new(inventory, network, cluster_wide, &profile);
        let findings = connectivity.set().lint();
        let here = network.iter().filter(|p| namespace.as_ref().is_none_or(|n| *n == p.namespace));
        let policies: Vec<ExistingPolicy> = here
            .map(|policy| ExistingPolicy {
                yaml: manifest::policy(policy, &Notes::default()),
                // Lines are those of files that nobody here sees.
                policy: PolicyForm::of(inventory, &nowhere(policy)),
                findings: about(&findings, policy)
                    .map(|message| Message { line: None, ..message })
                    .collect(),
            })
            .collect();
        Ok(policies.into())
    };
    Ok(Json(blocking(work).await?))
}

/// A policy without where it was read.
pub(super) fn nowhere(policy: &NetworkPolicy) -> NetworkPolicy {
    let mut policy = policy.clone();
    policy.origin = Origin::default();
    for rules in [&mut policy.ingress, &mut policy.egress] {
        for rule in rules.iter_mut().flatten() {
            rule.origin = Origin::default();
        }
    }
    policy
}

/// The policies in a text, and what is to be said about it.
pub(super) fn read(yaml: &str) -> (Vec<NetworkPolicy>, Vec<Diagnostic>) {
    let mut reader = Reader::new();
    reader.bytes("policies.yaml", yaml.as_bytes());
    let Input { objects, ignored, mut diagnostics } = reader.finish();
    for (kind, count) in &ignored {
        let message = format!("{count} {kind} was left out: only NetworkPolicies are judged here");
        diagnostics.push(
            Diagnostic::note("kinds-ignored", message).value("kind", kind).value("count", count),
        );
    }
    (objects.policies, diagnostics)
}

fn is_error(found: &Diagnostic) -> bool {
    found.severity == Severity::Error
}

/// Tries policies out on the recorded edges of a namespace. Nothing is stored.
#[utoipa::path(post, path = "/clusters/{cluster}/policies/judge", operation_id = "judgePolicies", tag = "policies",
    params(("cluster" = String, Path)), request_body = JudgeRequest, responses(
    (status = 200, body = Judgement),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn judge(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Json(request): Json<JudgeRequest>,
) -> Answer<Judgement> {
    let JudgeRequest { yaml, namespace, remove, from, until } = request;
    let scope = ScopeQuery { namespace, kind: None, name: None, from, until };
    let work = move || judged(&*Situation::load(&api, &cluster, &scope)?, &yaml, &remove);
    Ok(Json(blocking(work).await?))
}

fn judged(situation: &Situation, yaml: &str, remove: &[String]) -> Result<Judgement, Problem> {
    let inventory = &situation.view.inventory;
    let namespace = &situation.asked.namespace;
    for (n, name) in remove.iter().enumerate() {
        let mut all = inventory.policies().iter();
        if !all.any(|p| p.namespace == *namespace && p.name.as_str() == name) {
            let detail = format!("there is no NetworkPolicy {namespace}/{name}");
            return Err(Problem::bad_body(format!("/remove/{n}"), detail));
        }
    }
    let (written, found) = read(yaml);
    let faults: Vec<Message> = found.iter().map(Into::into).collect();
    let (is_broken, written) =
        if found.iter().any(is_error) { (true, Vec::new()) } else { (false, written) };
    let removed = |policy: &NetworkPolicy| {
        !is_broken
            && policy.namespace == *namespace
            && remove.iter().any(|name| policy.name.as_str() == name)
    };
    let kept: Vec<NetworkPolicy> =
        inventory.policies().iter().filter(|p| !removed(p)).cloned().collect();
    let all = put_in_place(&kept, &written);
    let (profile, cluster_wide) = (situation.profile(), inventory.cluster_policies());
    let before = Connectivity::new(inventory, inventory.policies(), cluster_wide, &profile);
    let after = Connectivity::new(inventory, &all, cluster_wide, &profile);
    let linted = after.set().lint();
    let findings = written.iter().flat_map(|policy| about(&linted, policy)).collect();
    let world = World::new(inventory, &situation.review.review, &all, cluster_wide, &profile);
    let mut judgement = Judgement {
        faults,
        policies: written.iter().map(|policy| PolicyForm::of(inventory, policy)).collect(),
        findings,
        cut: Vec::new(),
        opened: Vec::new(),
        unchanged: 0,
        changes: diff::diff(situation.profile.as_str(), &changes(&before, &after)),
    };
    let now = situation.checked();
    for then in check(&world, &situation.edges) {
        let key = &then.edge.key;
        let before = now.get(key).map_or(Passes::Unknown, |checked| checked.passes);
        let list = match (much(before), much(then.passes)) {
            (Some(before), Some(after)) if after < before => &mut judgement.cut,
            (Some(before), Some(after)) if after > before => &mut judgement.opened,
            _ => {
                judgement.unchanged += 1;
                continue;
            }
        };
        let (protocol, port) = l4(key.l4);
        list.push(JudgedRow {
            id: edge_id(key),
            source: (&key.source).into(),
            destination: (&key.destination).into(),
            protocol,
            port,
            connections: then.edge.evidence.accepted(),
            before,
            after: then.passes,
            example: then.example,
            because: then.because,
        });
    }
    Ok(judgement)
}

/// How much passes; `None` where policies cannot say.
const fn much(passes: Passes) -> Option<u8> {
    match passes {
        Passes::All => Some(2),
        Passes::Some => Some(1),
        Passes::None => Some(0),
        Passes::Unknown => None,
    }
}
