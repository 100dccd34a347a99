//! The store as simple as can be: everything is kept as it came, and each query goes through all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use ringfence_model::{Name, Span, Timestamp};
use ringfence_store::{
    Arrivals, AuditEntry, Counted, EdgeQuery, Granularity, Loss, NewReview, ObjectChange,
    ObjectKey, ObjectVersion, Presence, ReviewKey, ReviewVersion, SourceKey, SourceState, Store,
    StoreError, StoredEdge,
};

#[derive(Default)]
pub(crate) struct Naive(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    edges: Vec<Counted>,
    sources: BTreeMap<SourceKey, SourceState>,
    progress: BTreeMap<(SourceKey, u64), u64>,
    objects: BTreeMap<(Name, ObjectKey), Vec<ObjectVersion>>,
    reviews: BTreeMap<ReviewKey, Vec<ReviewVersion>>,
    settings: BTreeMap<String, String>,
    audit: Vec<AuditEntry>,
    presences: Vec<Presence>,
    losses: Vec<Loss>,
    clusters: BTreeSet<Name>,
}

impl Contents {
    fn set(&mut self, settings: &[(&str, Option<&str>)]) {
        for &(key, value) in settings {
            match value {
                Some(value) => {
                    let cluster = key.strip_prefix("cluster/").and_then(|key| key.split_once('/'));
                    self.clusters.extend(cluster.map(|(cluster, _)| super::name(cluster)));
                    self.settings.insert(key.into(), value.into())
                }
                None => self.settings.remove(key),
            };
        }
    }
}

const MINUTE: i128 = 60_000_000_000;

/// The beginning of the bucket that a moment lies in.
pub(crate) fn floor(at: i128, granularity: Granularity) -> i128 {
    let length = i128::from(granularity.minutes()) * MINUTE;
    at - at.rem_euclid(length)
}

/// The end of the bucket that a moment lies in, unless it begins one.
pub(crate) fn ceiling(at: i128, granularity: Granularity) -> i128 {
    -floor(-at, granularity)
}

fn touches(span: Span, window: Span) -> bool {
    span.from < window.until && span.until > window.from
}

impl Naive {
    /// The edges of exactly these minutes.
    pub(crate) fn edges_between(
        &self,
        cluster: &Name,
        namespace: Option<&Name>,
        from: i128,
        until: i128,
    ) -> Vec<StoredEdge> {
        let mut edges = BTreeMap::new();
        for counted in &self.contents().edges {
            let minute = floor(i128::from(counted.at.nanos()), Granularity::Minute);
            let ends = [&counted.key.source, &counted.key.destination];
            let is_wanted = namespace
                .is_none_or(|namespace| ends.iter().any(|end| end.namespace() == Some(namespace)));
            if counted.cluster == *cluster && from <= minute && minute < until && is_wanted {
                edges
                    .entry(counted.key.clone())
                    .and_modify(|edge: &mut StoredEdge| {
                        edge.counts.add(&counted.counts);
                        edge.services.extend(counted.services.iter().cloned());
                    })
                    .or_insert_with(|| StoredEdge {
                        key: counted.key.clone(),
                        counts: counted.counts,
                        services: counted.services.clone(),
                    });
            }
        }
        let mut edges: Vec<StoredEdge> = edges.into_values().collect();
        for edge in &mut edges {
            edge.services.sort();
            edge.services.dedup();
        }
        edges
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }
}

impl Store for Naive {
    fn record(&self, arrivals: &Arrivals) -> Result<(), StoreError> {
        let mut contents = self.contents();
        let mut sources = contents.sources.clone();
        let mut progress = contents.progress.clone();
        let mut clusters = contents.clusters.clone();
        for advance in &arrivals.advances {
            clusters.insert(advance.source.cluster.clone());
            let key = (advance.source.clone(), advance.incarnation);
            if let Some(&before) = progress.get(&key)
                && (advance.sequence < before
                    || advance.sequence == before && advance.ledger.stored > 0)
            {
                return Err(StoreError::Repeated { source_key: key.0, sequence: before });
            }
            progress.insert(key, advance.sequence);
            let state = sources.entry(advance.source.clone()).or_insert_with(|| SourceState {
                incarnation: 0,
                sequence: 0,
                last: Timestamp::MIN,
                ledger: ringfence_store::Ledger::default(),
            });
            state.incarnation = advance.incarnation;
            state.sequence = advance.sequence;
            state.last = state.last.max(advance.at);
            state.ledger.add(&advance.ledger);
        }
        clusters.extend(arrivals.edges.iter().map(|counted| counted.cluster.clone()));
        contents.presences.extend(arrivals.presences.iter().cloned());
        contents.losses.extend(arrivals.losses.iter().cloned());
        contents.sources = sources;
        contents.progress = progress;
        contents.clusters = clusters;
        contents.edges.extend(arrivals.edges.iter().cloned());
        Ok(())
    }

    fn edges(&self, query: &EdgeQuery) -> Result<Vec<StoredEdge>, StoreError> {
        let EdgeQuery { cluster, window, namespace } = query;
        if window.from >= window.until {
            return Ok(Vec::new());
        }
        let granularity = Granularity::of_window(*window);
        let from = floor(i128::from(window.from.nanos()), granularity);
        let until = ceiling(i128::from(window.until.nanos()), granularity);
        Ok(self.edges_between(cluster, namespace.as_ref(), from, until))
    }

    fn observed(&self, cluster: &Name) -> Result<Option<Span>, StoreError> {
        let contents = self.contents();
        let counts: Vec<_> =
            contents.edges.iter().filter(|c| c.cluster == *cluster).map(|c| c.counts).collect();
        let from = counts.iter().map(|counts| counts.first_seen).min();
        let last = counts.iter().map(|counts| counts.last_seen).max();
        Ok(from
            .zip(last)
            .map(|(from, last)| Span { from, until: Timestamp::from_nanos(last.nanos() + 1) }))
    }

    fn sources(&self) -> Result<Vec<(SourceKey, SourceState)>, StoreError> {
        Ok(self.contents().sources.clone().into_iter().collect())
    }

    fn source(&self, key: &SourceKey) -> Result<Option<SourceState>, StoreError> {
        Ok(self.contents().sources.get(key).cloned())
    }

    fn presences(&self, cluster: &Name, window: Span) -> Result<Vec<Presence>, StoreError> {
        let mut all = self.contents().presences.clone();
        all.retain(|p| p.source.cluster == *cluster && touches(p.span, window));
        Ok(all)
    }

    fn losses(&self, cluster: &Name, window: Span) -> Result<Vec<Loss>, StoreError> {
        let mut all = self.contents().losses.clone();
        all.retain(|loss| loss.source.cluster == *cluster && touches(loss.span, window));
        Ok(all)
    }

    fn clusters(&self) -> Result<Vec<Name>, StoreError> {
        Ok(self.contents().clusters.iter().cloned().collect())
    }

    fn record_objects(&self, cluster: &Name, changes: &[ObjectChange]) -> Result<(), StoreError> {
        let mut contents = self.contents();
        contents.clusters.insert(cluster.clone());
        for ObjectChange { key, at, json } in changes {
            let versions = contents.objects.entry((cluster.clone(), key.clone())).or_default();
            let was = versions.last().cloned();
            let is_there = was.as_ref().is_some_and(|last| last.valid.until == Timestamp::MAX);
            if was.as_ref().filter(|_| is_there).map(|last| &last.json) == json.as_ref() {
                continue;
            }
            let earliest =
                was.as_ref().map(|last| if is_there { last.valid.from } else { last.valid.until });
            let at = earliest.map_or(*at, |earliest| earliest.max(*at));
            if let Some(last) = versions.last_mut().filter(|_| is_there) {
                last.valid.until = at;
                last.deleted = json.is_none();
            }
            // A version that ended when it began was never there, but that it was deleted is still so.
            if versions.last().is_some_and(|last| last.valid.from == last.valid.until) {
                versions.pop();
                if json.is_none()
                    && let Some(last) = versions.last_mut()
                    && last.valid.until == at
                {
                    last.deleted = true;
                }
            }
            if let Some(json) = json {
                let valid = Span { from: at, until: Timestamp::MAX };
                let (key, json) = (key.clone(), json.clone());
                versions.push(ObjectVersion { key, valid, deleted: false, json });
            }
        }
        Ok(())
    }

    fn objects(&self, cluster: &Name, window: Span) -> Result<Vec<ObjectVersion>, StoreError> {
        let contents = self.contents();
        let of_cluster = contents.objects.iter().filter(|((c, _), _)| c == cluster);
        let versions = of_cluster.flat_map(|(_, versions)| versions).filter(|version| {
            version.valid.from < window.until
                && window.from < version.valid.until
                && window.from < window.until
        });
        Ok(versions.cloned().collect())
    }

    fn review(
        &self,
        key: &ReviewKey,
        version: Option<u64>,
    ) -> Result<Option<ReviewVersion>, StoreError> {
        let versions = self.review_versions(key)?;
        Ok(versions.into_iter().find(|v| version.is_none_or(|version| v.version == version)))
    }

    fn review_versions(&self, key: &ReviewKey) -> Result<Vec<ReviewVersion>, StoreError> {
        let contents = self.contents();
        Ok(contents.reviews.get(key).into_iter().flatten().rev().cloned().collect())
    }

    fn reviews(&self, cluster: &Name) -> Result<Vec<ReviewVersion>, StoreError> {
        let contents = self.contents();
        let of_cluster = contents.reviews.iter().filter(|(key, _)| key.cluster == *cluster);
        Ok(of_cluster.filter_map(|(_, versions)| versions.last().cloned()).collect())
    }

    fn put_review_and_settings(
        &self,
        review: &NewReview,
        settings: &[(&str, Option<&str>)],
    ) -> Result<ReviewVersion, StoreError> {
        let mut contents = self.contents();
        let NewReview { key, base, at, who, note, yaml } = review.clone();
        let versions = contents.reviews.get(&key).map_or(0, Vec::len) as u64;
        if versions != base {
            return Err(StoreError::Conflict { base, current: versions });
        }
        contents.set(settings);
        contents.clusters.insert(key.cluster.clone());
        let (action, object) = match &key.namespace {
            Some(namespace) => ("review.change", format!("{}/{namespace}", key.cluster)),
            None => ("config.change", key.cluster.to_string()),
        };
        contents.audit.push(AuditEntry {
            at,
            who: who.clone(),
            action: action.into(),
            object,
            detail: format!("version {}: {note}", base + 1),
        });
        let stored = ReviewVersion { key: key.clone(), version: base + 1, at, who, note, yaml };
        contents.reviews.entry(key).or_default().push(stored.clone());
        Ok(stored)
    }

    fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.contents().settings.get(key).cloned())
    }

    fn settings(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let settings = self.contents().settings.clone();
        Ok(settings.into_iter().filter(|(key, _)| key.starts_with(prefix)).collect())
    }

    fn put_settings(
        &self,
        changes: &[(&str, Option<&str>)],
        audit: &AuditEntry,
    ) -> Result<(), StoreError> {
        let mut contents = self.contents();
        contents.set(changes);
        contents.audit.push(audit.clone());
        Ok(())
    }

    fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.contents().audit.push(entry.clone());
        Ok(())
    }

    fn audit_trail(&self, before: Timestamp, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let mut trail = self.contents().audit.clone();
        trail.sort_by_key(|entry| entry.at);
        Ok(trail.into_iter().rev().filter(|entry| entry.at < before).take(limit).collect())
    }
}
