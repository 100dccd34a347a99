//! `/clusters/{cluster}/configuration`: what holds for every namespace of a cluster.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use ringfence_advise::{NAMESPACE_NAME_LABEL, Selection, is_volatile};
use ringfence_inventory::{
    ClusterRange, Inventory, RangeSource as FoundSource, RangeUse as FoundUse, Workload,
};
use ringfence_model::review::{LabelChoice as ModelChoice, PeerPattern, Review};
use ringfence_model::{Name, Peer, Selector};
use ringfence_store::ReviewVersion as StoredVersion;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::clusters::{ProfileName, profile, profile_key};
use crate::api::reviews::{ReviewVersion, Undo};
use crate::api::revision::{Versioned, base, check_base, key, note, refused_entry, store, undone};
use crate::api::spec::{Alias, ClusterCidrs, LabelChoice, ReviewSpec};
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{EntityRef, List, Time};
use crate::auth::{Admin, Viewer};
use crate::cluster::Cluster;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem};
use crate::review;

/// The configuration of a cluster. The `ETag` of the response is the version.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Configuration {
    /// Its version; 0 when nothing was set yet.
    pub version: u64,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub who: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at: Option<Time>,
    /// Names for addresses.
    pub aliases: Vec<Alias>,
    /// Which labels go into selectors.
    pub labels: LabelChoice,
    /// The address space of the cluster, where the objects do not say.
    pub cluster: ClusterCidrs,
    /// What the network plugin does where the NetworkPolicy specification leaves it open.
    pub profile: ProfileName,
    /// What was found in the cluster.
    pub found: Found,
}

/// What was found in the cluster.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    /// The label keys of workloads, the most used first.
    pub labels: Vec<FoundLabel>,
    /// The label keys of namespaces, the most used first.
    pub namespace_labels: Vec<FoundNamespaceLabel>,
    /// The ranges of the cluster, those of the configuration included.
    pub ranges: Vec<FoundRange>,
    /// Whether the ranges are known well enough to tell the inside from the outside.
    pub complete: bool,
}

/// A label key of workloads.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundLabel {
    /// The key.
    pub key: String,
    /// How many workloads have it on their pods.
    pub workloads: usize,
    /// How many different values it has.
    pub values: usize,
    /// A few of the values.
    pub examples: Vec<String>,
    /// How many workloads have it in their own selector, so that it is used unless it is excluded.
    pub selectors: usize,
    /// It names a rollout, a run or a pod, and is never used.
    pub volatile: bool,
    /// Whether the configuration includes or excludes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub choice: Option<LabelUse>,
}

/// What the configuration says of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LabelUse {
    /// It goes into selectors.
    Include,
    /// It stays out.
    Exclude,
}

/// A label key of namespaces.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundNamespaceLabel {
    /// The key.
    pub key: String,
    /// How many namespaces have it.
    pub namespaces: usize,
    /// The namespaces that do not.
    pub missing: Vec<String>,
    /// Whether namespaces are selected by it.
    pub used: bool,
}

/// A range of the cluster.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundRange {
    /// The range.
    pub cidr: String,
    /// What for.
    #[serde(rename = "use")]
    pub used_for: RangeUse,
    /// Where it was found.
    pub source: RangeSource,
    /// Where it was found, in words.
    pub origin: String,
}

/// What a range is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RangeUse {
    /// Addresses of pods.
    Pods,
    /// Cluster IPs of Services.
    Services,
}

/// Where a range was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RangeSource {
    /// In the configuration.
    Configuration,
    /// In the arguments of a control-plane process.
    Process,
    /// In `spec.podCIDRs` of a Node.
    Node,
}

/// Changes of the configuration, made together or not at all.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigurationPatch {
    /// Why, in a few words.
    #[serde(default)]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// What to change, in order.
    #[schema(min_items = 1)]
    pub operations: Vec<ConfigurationOperation>,
}

/// One change of the configuration.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum ConfigurationOperation {
    /// Gives addresses a name, or changes what the name stands for.
    SetAlias {
        /// The alias.
        alias: Alias,
    },
    /// Takes a name away. No review may use it any more.
    RemoveAlias {
        /// The name.
        name: String,
    },
    /// Chooses labels.
    SetLabels {
        /// The whole choice.
        labels: LabelChoice,
    },
    /// Sets the address space of the cluster.
    SetClusterCidrs {
        /// All ranges.
        cluster: ClusterCidrs,
    },
    /// Sets the network plugin's profile.
    SetProfile {
        /// Its name.
        profile: ProfileName,
    },
}

/// What the selectors of workloads would be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SelectorPreview {
    /// The workload.
    pub workload: EntityRef,
    /// Its selector now; missing when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub before: Option<String>,
    /// Its selector with the labels asked for; missing when there would be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub after: Option<String>,
    /// Why there would be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fault: Option<String>,
    /// Other workloads whose pods the new selector matches too.
    pub collateral: Vec<EntityRef>,
}

fn told(api: &Api, cluster: &Cluster) -> Result<Versioned<Configuration>, Problem> {
    let (review, stored) = review::configuration(api.store(), cluster.name())?;
    let profile = profile(api.store(), cluster.name())?;
    let view = cluster.view();
    let inventory = &view.inventory;
    let (version, who, at) = match stored {
        Some(StoredVersion { version, who, at, .. }) => (version, Some(who), Some(at.into())),
        None => (0, None, None),
    };
    let ReviewSpec { aliases, labels, cluster, .. } = (&review).into();
    let space = inventory.address_space();
    let found = Found {
        labels: found_labels(inventory, &review.labels),
        namespace_labels: found_namespace_labels(inventory, &review.labels),
        ranges: space.ranges().iter().map(Into::into).collect(),
        complete: space.is_complete(),
    };
    let told = Configuration { version, who, at, aliases, labels, cluster, profile, found };
    Ok(Versioned(version, told))
}

/// What is known of a label key on the way.
#[derive(Default)]
struct Uses<'a> {
    workloads: usize,
    values: BTreeSet<&'a str>,
    selectors: usize,
}

/// So many values of a label are shown.
const EXAMPLES: usize = 5;

fn found_labels(inventory: &Inventory, choice: &ModelChoice) -> Vec<FoundLabel> {
    let mut uses: BTreeMap<&str, Uses<'_>> = BTreeMap::new();
    for workload in inventory.workloads() {
        for (key, value) in workload.template_labels.iter() {
            let uses = uses.entry(key).or_default();
            uses.workloads += 1;
            uses.values.insert(value);
        }
        let own = workload.selector.iter().flat_map(Selector::requirements);
        let keys: BTreeSet<&str> = own.map(|requirement| &*requirement.key).collect();
        for key in keys {
            uses.entry(key).or_default().selectors += 1;
        }
    }
    let label = |(key, Uses { workloads, values, selectors }): (&str, Uses<'_>)| FoundLabel {
        key: key.to_owned(),
        workloads,
        values: values.len(),
        examples: values.iter().take(EXAMPLES).map(ToString::to_string).collect(),
        selectors,
        volatile: is_volatile(key),
        choice: match (choice.exclude.contains(key), choice.include.contains(key)) {
            (true, _) => Some(LabelUse::Exclude),
            (_, true) => Some(LabelUse::Include),
            _ => None,
        },
    };
    let mut labels: Vec<FoundLabel> = uses.into_iter().map(label).collect();
    // Stable: of those used as often, the first by name comes first.
    labels.sort_by_key(|label| Reverse(label.workloads));
    labels
}

fn found_namespace_labels(inventory: &Inventory, choice: &ModelChoice) -> Vec<FoundNamespaceLabel> {
    let mut keys: BTreeMap<&str, BTreeSet<&Name>> = BTreeMap::new();
    for namespace in inventory.namespaces() {
        for (key, _) in namespace.labels.iter() {
            keys.entry(key).or_default().insert(&namespace.name);
        }
    }
    let used = |key: &str| {
        choice.namespace.contains(key)
            || (choice.namespace.is_empty() && key == NAMESPACE_NAME_LABEL)
    };
    let mut labels: Vec<FoundNamespaceLabel> = keys
        .into_iter()
        .map(|(key, having)| {
            let all = inventory.namespaces().iter().map(|n| &n.name);
            let missing = all.filter(|name| !having.contains(name)).map(ToString::to_string);
            FoundNamespaceLabel {
                key: key.to_owned(),
                namespaces: having.len(),
                missing: missing.collect(),
                used: used(key),
            }
        })
        .collect();
    labels.sort_by_key(|label| Reverse(label.namespaces));
    labels
}

impl From<&ClusterRange> for FoundRange {
    fn from(range: &ClusterRange) -> Self {
        let (source, origin) = match &range.source {
            FoundSource::Review => (RangeSource::Configuration, "the configuration".to_owned()),
            found @ FoundSource::Process { .. } => (RangeSource::Process, found.to_string()),
            found @ FoundSource::Node(_) => (RangeSource::Node, found.to_string()),
        };
        Self {
            cidr: range.cidr.to_string(),
            used_for: match range.used_for {
                FoundUse::Pods => RangeUse::Pods,
                FoundUse::Services => RangeUse::Services,
            },
            source,
            origin,
        }
    }
}

/// The configuration of a cluster, with what was found in it.
#[utoipa::path(get, path = "/clusters/{cluster}/configuration", operation_id = "getConfiguration",
    tag = "configuration", params(("cluster" = String, Path)), responses(
    (status = 200, body = Configuration, headers(("ETag" = String, description = "the version, in quotes"))),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn get(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
) -> Result<Versioned<Configuration>, Problem> {
    blocking(move || told(&api, &cluster)).await
}

/// Changes the configuration of a cluster.
#[utoipa::path(patch, path = "/clusters/{cluster}/configuration", operation_id = "patchConfiguration",
    tag = "configuration", params(("cluster" = String, Path),
        ("If-Match" = String, Header, description = "the ETag of the version that the change was made from")),
    request_body = ConfigurationPatch, responses(
    (status = 200, body = Configuration, headers(("ETag" = String, description = "the version, in quotes"))),
    (status = 409, description = "somebody else changed it in between",
        body = Details, content_type = MEDIA_TYPE),
    (status = 428, description = "the If-Match header is missing", body = Details, content_type = MEDIA_TYPE),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn patch(
    Admin(who): Admin,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    headers: HeaderMap,
    Json(patch): Json<ConfigurationPatch>,
) -> Result<Versioned<Configuration>, Problem> {
    let base = base(&headers)?;
    let note = note(patch.note, "changed")?;
    if patch.operations.is_empty() {
        return Err(Problem::bad_body("/operations", "there is nothing to change"));
    }
    let work = move || {
        let key = key(cluster.name(), None);
        check_base(&api, &key, base)?;
        let (mut review, _) = review::configuration(api.store(), cluster.name())?;
        let mut new_profile = None;
        for (n, operation) in patch.operations.iter().enumerate() {
            if let ConfigurationOperation::SetProfile { profile } = operation {
                new_profile = Some(profile.as_str());
            } else {
                operation.apply(&format!("/operations/{n}"), &mut review)?;
            }
        }
        check_reviews(&api, cluster.name(), &review)?;
        let profile_key = profile_key(cluster.name());
        let settings = new_profile.map(|profile| (&*profile_key, Some(profile)));
        let note = new_profile.map(|p| format!("profile {p}: {note}")).unwrap_or(note);
        store(&api, key, base, &who, note, &review, settings.as_slice())?;
        told(&api, &cluster)
    };
    blocking(work).await
}

impl ConfigurationOperation {
    /// Changes the configuration, or says what is wrong at that place of the request.
    fn apply(&self, pointer: &str, review: &mut Review) -> Result<(), Problem> {
        let entry = |spec: ReviewSpec| spec.read().map_err(|faults| refused_entry(pointer, faults));
        match self {
            Self::SetAlias { alias } => {
                let aliases = vec![alias.clone()];
                let read = entry(ReviewSpec { aliases, ..ReviewSpec::default() })?;
                for new in read.aliases {
                    match review.aliases.iter_mut().find(|old| old.name == new.name) {
                        Some(old) => *old = new,
                        None => review.aliases.push(new),
                    }
                }
            }
            Self::RemoveAlias { name } => {
                let before = review.aliases.len();
                review.aliases.retain(|alias| *alias.name != **name);
                if review.aliases.len() == before {
                    let detail = format!("there is no alias {name:?}");
                    return Err(Problem::bad_body(format!("{pointer}/name"), detail));
                }
            }
            Self::SetLabels { labels } => {
                let labels = labels.clone();
                review.labels = entry(ReviewSpec { labels, ..ReviewSpec::default() })?.labels;
            }
            Self::SetClusterCidrs { cluster } => {
                let cluster = cluster.clone();
                review.cluster = entry(ReviewSpec { cluster, ..ReviewSpec::default() })?.cluster;
            }
            Self::SetProfile { .. } => {}
        }
        Ok(())
    }
}

/// Fails when the decisions about some namespace speak of an alias that the configuration would no longer have.
fn check_reviews(api: &Api, cluster: &Name, configuration: &Review) -> Result<(), Problem> {
    let has = |name: &str| configuration.aliases.iter().any(|alias| *alias.name == *name);
    for stored in api.store().reviews(cluster)? {
        let Some(namespace) = &stored.key.namespace else { continue };
        for decision in &review::read(&stored)?.edges {
            for side in [&decision.source, &decision.destination] {
                if let PeerPattern::Peer(Peer::Alias(name)) = side
                    && !has(name)
                {
                    let detail = format!(
                        "the review of namespace {namespace} decides about the alias {name:?}"
                    );
                    return Err(Problem::bad_body("/operations", detail)
                        .with_hint("take these decisions back first"));
                }
            }
        }
    }
    Ok(())
}

/// The versions of the configuration of a cluster, newest first.
#[utoipa::path(get, path = "/clusters/{cluster}/configuration/versions", operation_id = "listConfigurationVersions",
    tag = "configuration", params(("cluster" = String, Path)), responses(
    (status = 200, body = List<ReviewVersion>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn versions(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
) -> Answer<List<ReviewVersion>> {
    let key = key(cluster.name(), None);
    let versions = blocking(move || Ok(api.store().review_versions(&key)?)).await?;
    let versions: Vec<ReviewVersion> = versions.into_iter().map(Into::into).collect();
    Ok(Json(versions.into()))
}

/// Makes an older version of the configuration the newest again. The profile stays as it is.
#[utoipa::path(post, path = "/clusters/{cluster}/configuration/undo", operation_id = "undoConfiguration",
    tag = "configuration", params(("cluster" = String, Path),
        ("If-Match" = String, Header, description = "the ETag of the newest version")),
    request_body = Undo, responses(
    (status = 200, body = Configuration, headers(("ETag" = String, description = "the version, in quotes"))),
    (status = 409, description = "somebody else changed it in between",
        body = Details, content_type = MEDIA_TYPE),
    (status = 428, description = "the If-Match header is missing", body = Details, content_type = MEDIA_TYPE),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn undo(
    Admin(who): Admin,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    headers: HeaderMap,
    Json(undo): Json<Undo>,
) -> Result<Versioned<Configuration>, Problem> {
    let base = base(&headers)?;
    let work = move || {
        let key = key(cluster.name(), None);
        check_base(&api, &key, base)?;
        let (review, note) = undone(&api, &key, base, undo)?;
        check_reviews(&api, cluster.name(), &review)?;
        store(&api, key, base, &who, note, &review, &[])?;
        told(&api, &cluster)
    };
    blocking(work).await
}

/// What a choice of labels would change about the selectors of workloads.
#[utoipa::path(post, path = "/clusters/{cluster}/configuration/preview", operation_id = "previewLabels",
    tag = "configuration", params(("cluster" = String, Path)), request_body = LabelChoice, responses(
    (status = 200, body = List<SelectorPreview>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn preview(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Json(labels): Json<LabelChoice>,
) -> Answer<List<SelectorPreview>> {
    let spec = ReviewSpec { labels, ..ReviewSpec::default() };
    let asked = spec.read().map_err(|faults| refused_entry("", faults))?.labels;
    let work = move || {
        let (review, _) = review::configuration(api.store(), cluster.name())?;
        let view = cluster.view();
        let (before, after) = (
            Selection::new(&view.inventory, &review.labels),
            Selection::new(&view.inventory, &asked),
        );
        let workloads = view.inventory.workloads().iter();
        let previews = workloads.map(|w| self::preview_of(&view.inventory, w, before, after));
        Ok(previews.collect::<Vec<SelectorPreview>>().into())
    };
    Ok(Json(blocking(work).await?))
}

fn preview_of(
    inventory: &Inventory,
    workload: &Workload,
    before: Selection<'_>,
    after: Selection<'_>,
) -> SelectorPreview {
    let (after, fault) = match after.pods(workload) {
        Ok(selector) => (Some(selector), None),
        Err(why) => (None, Some(why.to_string())),
    };
    let others = inventory.workloads().iter().filter(|other| {
        other.reference.namespace == workload.reference.namespace
            && other.reference != workload.reference
            && after.as_ref().is_some_and(|selector| selector.matches(&other.template_labels))
    });
    SelectorPreview {
        workload: (&workload.reference).into(),
        before: before.pods(workload).ok().map(|selector| selector.to_string()),
        collateral: others.map(|other| (&other.reference).into()).collect(),
        after: after.map(|selector| selector.to_string()),
        fault,
    }
}
