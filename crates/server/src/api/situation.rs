//! What a request about edges is answered from: the cluster, the edges of a window and the review, at one moment.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ringfence_advise::{Case, Checked, Plan, Scope, World, alias, check, plan};
use ringfence_model::{Edge, EdgeKey, Name, Observers, Peer, Timestamp};
use ringfence_policy::Profile;
use ringfence_store::EdgeQuery;

use crate::api::clusters::{ProfileName, profile};
use crate::api::edges::{self, EdgeRow};
use crate::api::scope::{Asked, ScopeQuery};
use crate::api::state::Api;
use crate::cluster::{Cluster, View};
use crate::problem::Problem;
use crate::review::{self, Effective};

/// What a request about edges is answered from.
pub(super) struct Situation {
    pub(super) asked: Asked,
    pub(super) view: Arc<View>,
    pub(super) review: Effective,
    pub(super) profile: ProfileName,
    pub(super) scope: Scope,
    /// With aliases applied, sorted.
    pub(super) edges: Vec<Edge>,
    /// Those of them with an unresolved address at an end, as they are without aliases.
    pub(super) unresolved: Vec<Edge>,
    /// Bytes sent and received.
    pub(super) bytes: HashMap<EdgeKey, (u64, u64)>,
    /// Who reported them, and who watched their ends.
    pub(super) observers: HashMap<EdgeKey, Observers>,
    /// First and last observation in the window.
    pub(super) observed: Option<(Timestamp, Timestamp)>,
    rows: OnceLock<Arc<[EdgeRow]>>,
}

impl Situation {
    /// The situation asked for. One that somebody asked for before is used again while nothing has changed.
    pub(super) fn load(
        api: &Api,
        cluster: &Cluster,
        query: &ScopeQuery,
    ) -> Result<Arc<Self>, Problem> {
        let asked = Asked::try_from(query)?;
        let view = cluster.view();
        asked.check(&view.inventory)?;
        let revision = api.edges_revision(cluster.name());
        let review = review::effective(api.store(), cluster.name(), &asked.namespace)?;
        let profile = profile(api.store(), cluster.name())?;
        let version = (review.version(), review.configuration);
        let key = Key { cluster: cluster.name().clone(), asked, version, profile, revision };
        api.recent.get_or(&key, &view, || {
            Self::read(api, cluster.name(), key.asked.clone(), Arc::clone(&view), review, profile)
        })
    }

    fn read(
        api: &Api,
        cluster: &Name,
        asked: Asked,
        view: Arc<View>,
        review: Effective,
        profile: ProfileName,
    ) -> Result<Self, Problem> {
        let query = EdgeQuery {
            cluster: cluster.clone(),
            window: asked.window,
            namespace: Some(asked.namespace.clone()),
        };
        let stored = api.store().edges(&query)?;
        let aliases = &review.review.aliases;
        let mut bytes: HashMap<EdgeKey, (u64, u64)> = HashMap::with_capacity(stored.len());
        let mut observers: HashMap<EdgeKey, Observers> = HashMap::with_capacity(stored.len());
        let mut edges: Vec<Edge> = Vec::with_capacity(stored.len());
        let mut unresolved: Vec<Edge> = Vec::new();
        for stored in stored {
            let (sent, received) = stored.counts.bytes();
            let seen_by = stored.counts.observers;
            let edge = Edge::from(stored);
            let is_address = |peer: &Peer| matches!(peer, Peer::Address(..));
            if is_address(&edge.key.source) || is_address(&edge.key.destination) {
                unresolved.push(edge.clone());
            }
            for edge in alias::apply(vec![edge], aliases) {
                let all = bytes.entry(edge.key.clone()).or_default();
                *all = (all.0.saturating_add(sent), all.1.saturating_add(received));
                let all = observers.entry(edge.key.clone()).or_default();
                *all = all.with(seen_by);
                edges.push(edge);
            }
        }
        let edges = alias::apply(edges, aliases);
        let observed = api.store().observed(cluster)?.and_then(|span| {
            let first = span.from.max(asked.window.from);
            let until = span.until.min(asked.window.until);
            let last = Timestamp::from_nanos(until.nanos().saturating_sub(1));
            (first <= last).then_some((first, last))
        });
        let scope = asked.scope();
        let rows = OnceLock::new();
        Ok(Self {
            asked,
            view,
            review,
            profile,
            scope,
            edges,
            unresolved,
            bytes,
            observers,
            observed,
            rows,
        })
    }

    /// What `advise` is asked.
    pub(super) fn case(&self) -> Case<'_> {
        Case {
            inventory: &self.view.inventory,
            edges: &self.edges,
            review: &self.review.review,
            scope: &self.scope,
        }
    }

    /// What the review makes of the edges.
    pub(super) fn plan(&self) -> Plan<'_> {
        plan(self.case())
    }

    /// How the network plugin behaves.
    pub(super) fn profile(&self) -> Profile {
        self.profile.profile()
    }

    /// The policies that are in the cluster.
    pub(super) fn world(&self) -> World<'_> {
        let inventory = &self.view.inventory;
        let (network, cluster_wide) = (inventory.policies(), inventory.cluster_policies());
        World::new(inventory, &self.review.review, network, cluster_wide, &self.profile())
    }

    /// What the policies that are in the cluster make of each edge.
    pub(super) fn checked(&self) -> HashMap<&EdgeKey, Checked<'_>> {
        let checked = check(&self.world(), &self.edges);
        checked.into_iter().map(|checked| (&checked.edge.key, checked)).collect()
    }

    /// All rows of the tables, in the order of the entities.
    pub(super) fn rows(&self) -> Arc<[EdgeRow]> {
        Arc::clone(self.rows.get_or_init(|| edges::rows(self).into()))
    }
}

/// What tells situations apart, beside the view.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    cluster: Name,
    asked: Asked,
    /// Of the review and the configuration.
    version: (u64, u64),
    profile: ProfileName,
    /// Of the edges.
    revision: u64,
}

/// The situations asked for last: the tabs of a page, and the pages of several people, ask for the same.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<(Key, Arc<Situation>)>>);

/// So many situations are kept.
const KEPT: usize = 16;

impl Recent {
    fn get_or(
        &self,
        key: &Key,
        view: &Arc<View>,
        read: impl FnOnce() -> Result<Situation, Problem>,
    ) -> Result<Arc<Situation>, Problem> {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept()
            .iter()
            .find(|(known, situation)| known == key && Arc::ptr_eq(&situation.view, view))
            .map(|(_, situation)| Arc::clone(situation));
        if let Some(known) = known {
            return Ok(known);
        }
        // Two who ask at once both read: better than one waiting for the other's lock.
        let situation = Arc::new(read()?);
        let mut kept = kept();
        // What is out of date is not asked for again.
        kept.retain(|(known, _)| known.cluster != key.cluster || known.asked != key.asked);
        kept.push_front((key.clone(), Arc::clone(&situation)));
        kept.truncate(KEPT);
        Ok(situation)
    }
}
