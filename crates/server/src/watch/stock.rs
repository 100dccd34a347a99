//! The objects of a cluster, by name, as they come and go.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_kube::read::{Object, Reader};
use ringfence_kube::record::Record;
use ringfence_model::object::{Controller, Objects, OwnerRef, Phase, Pod};
use ringfence_model::{Diagnostic, Name, Timestamp, WorkloadKind, WorkloadRef};
use ringfence_store::{ObjectChange, ObjectKey, ObjectVersion};

/// How long pods that are gone stay, so that flows that arrive late still find them.
const KEEP_GONE: Duration = Duration::from_hours(1);
/// How long it stays known who owned a ReplicaSet or Job that is gone: a cascading deletion takes the owner first, and
/// its pods may take their time.
const KEEP_OWNERS: Duration = Duration::from_hours(2);
/// The most pods that are gone and stay.
const MOST_GONE: usize = 100_000;
/// The most findings that are told.
const MOST_FINDINGS: usize = 200;

/// The objects of a cluster.
pub(super) struct Stock {
    /// What the objects say they come from.
    origin: String,
    reader: Reader,
    racks: BTreeMap<Arc<str>, Rack>,
    /// Pods that are gone, with their end, the oldest first.
    gone: VecDeque<(Instant, Pod)>,
    /// The owners of ReplicaSets and Jobs that are gone.
    owners: HashMap<WorkloadRef, (Instant, OwnerRef)>,
    hasher: RandomState,
}

/// The objects of a kind.
#[derive(Default)]
struct Rack {
    objects: HashMap<Place, Held>,
    /// Counts listings.
    listing: u64,
    unreadable: Vec<Diagnostic>,
}

/// Namespace and name.
type Place = (Option<Name>, Name);

struct Held {
    uid: Arc<str>,
    /// Tells whether the JSON changed, without keeping it.
    digest: u64,
    /// The last listing that it was seen in or after.
    listing: u64,
    /// `None` when it cannot be read, as the findings say.
    object: Option<Object>,
    findings: Vec<Diagnostic>,
}

impl Stock {
    pub(super) fn new(cluster: &Name) -> Self {
        Self {
            origin: cluster.to_string(),
            reader: Reader::new(),
            racks: BTreeMap::new(),
            gone: VecDeque::new(),
            owners: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Puts versions from the store back, as they were at a moment: of each object the last one, and pods that went.
    pub(super) fn restore(&mut self, versions: Vec<ObjectVersion>, until: Timestamp) {
        let now = Instant::now();
        let mut versions = versions.into_iter().peekable();
        while let Some(ObjectVersion { key, valid, deleted, json }) = versions.next() {
            if versions.peek().is_some_and(|next| next.key == key) {
                continue;
            }
            let ObjectKey { kind, namespace, name, uid } = key;
            let Ok(name) = Name::new(name) else { continue };
            let (object, findings) = self.reader.object(&self.origin, &json);
            if deleted && valid.until < until {
                if let Some(object) = object {
                    self.keep_gone(object, valid.until, now);
                }
                continue;
            }
            let digest = self.hasher.hash_one(&*json);
            let rack = self.racks.entry(kind).or_default();
            let held = Held { uid, digest, listing: rack.listing, object, findings };
            rack.objects.insert((namespace, name), held);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.racks.values().all(|rack| rack.objects.is_empty())
    }

    /// A listing of a kind begins.
    pub(super) fn listing(&mut self, kind: &'static str) {
        let rack = self.rack(kind);
        rack.listing += 1;
        rack.unreadable.clear();
    }

    /// A listing of a kind is complete: what it did not name is gone.
    pub(super) fn listed(&mut self, kind: &'static str, at: Timestamp) -> Vec<ObjectChange> {
        let rack = self.rack(kind);
        let listing = rack.listing;
        let unseen = rack.objects.iter().filter(|(_, held)| held.listing < listing);
        let mut unseen: Vec<Place> = unseen.map(|(place, _)| place.clone()).collect();
        unseen.sort_unstable();
        unseen.into_iter().filter_map(|place| self.remove(kind, place, at)).collect()
    }

    /// An object is there. Returns what changed: nothing, when nothing did that is read.
    pub(super) fn there(&mut self, record: Record, at: Timestamp) -> Vec<ObjectChange> {
        let Record { kind, namespace, name, uid, json } = record;
        let place = (namespace, name);
        let digest = self.hasher.hash_one(&*json);
        let mut changes = Vec::new();
        let rack = self.rack(kind);
        let listing = rack.listing;
        let mut known = rack.objects.get_mut(&place);
        if let Some(held) = &mut known {
            if held.uid == uid {
                held.listing = listing;
                if held.digest == digest {
                    return changes;
                }
            } else {
                // The name belongs to another object now.
                changes.extend(self.remove(kind, place.clone(), at));
            }
        }
        let (object, findings) = self.reader.object(&self.origin, &json);
        let held = Held { uid: Arc::clone(&uid), digest, listing, object, findings };
        let rack = self.rack(kind);
        let before = rack.objects.insert(place.clone(), held);
        let after = rack.objects.get(&place);
        let same = before.zip(after).is_some_and(|(before, after)| {
            before.object.is_some()
                && before.object == after.object
                && before.findings == after.findings
        });
        if !same {
            changes.push(change(kind, place, uid, at, Some(json)));
        }
        changes
    }

    /// An object is gone.
    pub(super) fn gone(&mut self, record: Record, at: Timestamp) -> Option<ObjectChange> {
        let Record { kind, namespace, name, uid, .. } = record;
        let place = (namespace, name);
        let held = self.rack(kind).objects.get(&place)?;
        if held.uid == uid { self.remove(kind, place, at) } else { None }
    }

    /// Something of a kind could not be told from others.
    pub(super) fn unreadable(&mut self, kind: &'static str, diagnostic: Diagnostic) {
        let unreadable = &mut self.rack(kind).unreadable;
        if unreadable.len() < MOST_FINDINGS && !unreadable.contains(&diagnostic) {
            unreadable.push(diagnostic);
        }
    }

    /// Lets go of what is long gone. Returns whether there was anything.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.gone.len() + self.owners.len();
        while self.gone.front().is_some_and(|(since, _)| now - *since >= KEEP_GONE) {
            self.gone.pop_front();
        }
        self.owners.retain(|_, (since, _)| now - *since < KEEP_OWNERS);
        before > self.gone.len() + self.owners.len()
    }

    /// All objects, and what was odd about them.
    pub(super) fn objects(&self) -> (Objects, Vec<Diagnostic>) {
        let mut objects = Objects::default();
        let mut findings = Vec::new();
        for rack in self.racks.values() {
            findings.extend_from_slice(&rack.unreadable);
            for held in rack.objects.values() {
                findings.extend_from_slice(&held.findings);
                objects.extend(held.object.clone());
            }
        }
        objects.pods.extend(self.gone.iter().map(|(_, pod)| pod.clone()));
        if !self.owners.is_empty() {
            for pod in &mut objects.pods {
                self.adopt(pod);
            }
        }
        findings.sort_unstable();
        if let Some(more) = findings.len().checked_sub(MOST_FINDINGS).filter(|more| *more > 0) {
            findings.truncate(MOST_FINDINGS);
            let message = format!("{more} more findings about objects are not shown");
            findings.push(Diagnostic::note("more-findings", message));
        }
        (objects, findings)
    }

    fn rack(&mut self, kind: &str) -> &mut Rack {
        if !self.racks.contains_key(kind) {
            self.racks.insert(kind.into(), Rack::default());
        }
        self.racks.entry(kind.into()).or_default()
    }

    fn remove(&mut self, kind: &str, place: Place, at: Timestamp) -> Option<ObjectChange> {
        let held = self.rack(kind).objects.remove(&place)?;
        if let Some(object) = held.object {
            self.keep_gone(object, at, Instant::now());
        }
        Some(change(kind, place, held.uid, at, None))
    }

    /// Remembers what an object that is gone leaves behind.
    fn keep_gone(&mut self, object: Object, at: Timestamp, now: Instant) {
        match object {
            Object::Pod(mut pod) if !pod.ips.is_empty() => {
                // A pod that ended by itself says when.
                pod.ended = pod.ended.or(Some(at));
                if !pod.phase.is_terminated() {
                    pod.phase = Phase::Succeeded;
                }
                self.adopt(&mut pod);
                if self.gone.len() >= MOST_GONE {
                    self.gone.pop_front();
                }
                self.gone.push_back((now, pod));
            }
            Object::Controller(Controller {
                namespace, kind, name, owner: Some(owner), ..
            }) if matches!(kind, WorkloadKind::ReplicaSet | WorkloadKind::Job) => {
                self.owners.insert(WorkloadRef { namespace, kind, name }, (now, owner));
            }
            _ => {}
        }
    }

    /// Gives a pod whose owner is gone to the owner's owner.
    fn adopt(&self, pod: &mut Pod) {
        let Some(OwnerRef { kind, name }) = &pod.owner else { return };
        let namespace = pod.reference.namespace.clone();
        let gone = WorkloadRef { namespace, kind: kind.clone(), name: name.clone() };
        let Some((_, owner)) = self.owners.get(&gone) else { return };
        let place = (Some(gone.namespace), gone.name);
        let back =
            self.racks.get(kind.as_str()).is_some_and(|rack| rack.objects.contains_key(&place));
        if !back {
            pod.owner = Some(owner.clone());
        }
    }
}

fn change(
    kind: &str,
    (namespace, name): Place,
    uid: Arc<str>,
    at: Timestamp,
    json: Option<Arc<str>>,
) -> ObjectChange {
    let key = ObjectKey { kind: kind.into(), namespace, name: name.as_str().into(), uid };
    ObjectChange { key, at, json }
}

#[cfg(test)]
#[path = "stock_tests.rs"]
mod tests;
