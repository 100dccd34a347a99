//! `GET /clusters`.

use std::sync::Arc;

use axum::extract::State;
use ringfence_model::{Name, Timestamp};
use ringfence_policy::Profile;
use ringfence_store::Store;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::state::{Api, blocking};
use crate::api::words::{List, Period, Time};
use crate::auth::Viewer;
use crate::cluster::{self, View};
use crate::problem::{Details, Json, MEDIA_TYPE, Problem};

/// A cluster, and how fresh what is known of it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Cluster {
    /// Its name.
    pub name: String,
    /// What its network plugin does where the NetworkPolicy specification leaves it open.
    pub profile: ProfileName,
    /// How fresh its objects are.
    pub sync: Sync,
    /// The time that flows were observed; missing when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub observed: Option<Period>,
    /// How many objects it has.
    pub counts: Counts,
}

/// The built-in profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProfileName {
    /// Calico, Antrea, kube-router, OVN-Kubernetes and most others.
    #[default]
    Common,
    /// Cilium.
    Cilium,
    /// The Amazon VPC plugin.
    AwsVpc,
}

/// How fresh the objects of a cluster are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Sync {
    /// Where the objects come from.
    pub origin: SyncOrigin,
    /// All kinds in one word.
    pub state: SyncState,
    /// The kinds that are watched; none for files.
    pub kinds: Vec<KindSync>,
}

/// Where the objects of a cluster come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SyncOrigin {
    /// Watched in an API server.
    Live,
    /// Files, imported once.
    Files,
}

/// How fresh the objects of a cluster are, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SyncState {
    /// All objects are known, and changes arrive.
    Synced,
    /// They are being listed for the first time.
    Syncing,
    /// The connection is lost: objects are as they were then.
    Stale,
    /// Some kinds may not be listed.
    Partial,
    /// They were read from files.
    Files,
}

/// How fresh the objects of a kind are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct KindSync {
    /// The kind, as Kubernetes spells it.
    pub kind: String,
    /// How fresh.
    pub state: KindState,
    /// Of a stale kind, since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub since: Option<Time>,
    /// Of a stale kind, what the connection failed of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fault: Option<String>,
}

/// The states of a watched kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum KindState {
    /// Not listed yet.
    Syncing,
    /// All objects are known and changes arrive.
    Synced,
    /// The connection is lost.
    Stale,
    /// The API server forbids to list the kind.
    Forbidden,
    /// The cluster does not know the kind.
    Absent,
}

/// How many objects a cluster has.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct Counts {
    /// Namespaces.
    pub namespaces: usize,
    /// Workloads.
    pub workloads: usize,
    /// Pods that have not ended.
    pub pods: usize,
    /// Nodes.
    pub nodes: usize,
    /// Services.
    pub services: usize,
    /// NetworkPolicies and cluster-wide policies.
    pub policies: usize,
}

impl ProfileName {
    /// As it is written.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Cilium => "cilium",
            Self::AwsVpc => "aws-vpc",
        }
    }

    /// What it stands for.
    pub(super) const fn profile(self) -> Profile {
        match self {
            Self::Common => Profile::COMMON,
            Self::Cilium => Profile::CILIUM,
            Self::AwsVpc => Profile::AWS_VPC,
        }
    }

    const ALL: [Self; 3] = [Self::Common, Self::Cilium, Self::AwsVpc];
}

/// The setting that holds the profile of a cluster.
pub(super) fn profile_key(cluster: &Name) -> String {
    format!("cluster/{cluster}/profile")
}

/// The profile of a cluster; the common one until another is chosen.
pub(super) fn profile(store: &dyn Store, cluster: &Name) -> Result<ProfileName, Problem> {
    let Some(text) = store.setting(&profile_key(cluster))? else {
        return Ok(ProfileName::default());
    };
    let known = ProfileName::ALL.into_iter().find(|profile| profile.as_str() == text);
    known.ok_or_else(|| Problem::internal(&UnknownProfile(text)))
}

/// A setting that no version so far has written.
#[derive(Debug, thiserror::Error)]
#[error("the stored profile {0:?} is not known")]
struct UnknownProfile(String);

fn sync(view: &View) -> Sync {
    use cluster::{KindState as State, SyncOrigin as Origin};
    let cluster::Sync { origin, kinds } = &view.sync;
    let any = |is: fn(&State) -> bool| kinds.iter().any(|kind| is(&kind.state));
    let state = match origin {
        Origin::Files => SyncState::Files,
        Origin::Live if any(|s| matches!(s, State::Stale { .. })) => SyncState::Stale,
        Origin::Live if kinds.is_empty() || any(|s| matches!(s, State::Syncing)) => {
            SyncState::Syncing
        }
        Origin::Live if any(|s| matches!(s, State::Forbidden)) => SyncState::Partial,
        Origin::Live => SyncState::Synced,
    };
    let kind = |kind: &cluster::KindSync| {
        let (state, since, fault) = match &kind.state {
            State::Syncing => (KindState::Syncing, None, None),
            State::Synced => (KindState::Synced, None, None),
            State::Stale { since, fault } => {
                (KindState::Stale, Some((*since).into()), Some(fault.clone()))
            }
            State::Forbidden => (KindState::Forbidden, None, None),
            State::Absent => (KindState::Absent, None, None),
        };
        KindSync { kind: kind.kind.to_string(), state, since, fault }
    };
    Sync {
        origin: match origin {
            Origin::Live => SyncOrigin::Live,
            Origin::Files => SyncOrigin::Files,
        },
        state,
        kinds: kinds.iter().map(kind).collect(),
    }
}

fn describe(store: &dyn Store, cluster: &cluster::Cluster) -> Result<Cluster, Problem> {
    let view = cluster.view();
    let inventory = &view.inventory;
    let observed = store.observed(cluster.name())?.map(|span| Period {
        first: span.from.into(),
        last: Timestamp::from_nanos(span.until.nanos().saturating_sub(1)).into(),
    });
    Ok(Cluster {
        name: cluster.name().to_string(),
        profile: profile(store, cluster.name())?,
        sync: sync(&view),
        observed,
        counts: Counts {
            namespaces: inventory.namespaces().len(),
            workloads: inventory.workloads().len(),
            pods: inventory.pods().len(),
            nodes: inventory.nodes().len(),
            services: inventory.services().len(),
            policies: inventory.policies().len() + inventory.cluster_policies().len(),
        },
    })
}

/// The clusters, sorted by name.
#[utoipa::path(get, path = "/clusters", operation_id = "listClusters", tag = "clusters", responses(
    (status = 200, body = List<Cluster>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn list(_: Viewer, State(api): State<Arc<Api>>) -> Answer<List<Cluster>> {
    let work = move || {
        let clusters = api.app.clusters();
        clusters.iter().map(|cluster| describe(api.store(), cluster)).collect()
    };
    let clusters: Vec<Cluster> = blocking(work).await?;
    Ok(Json(clusters.into()))
}
