//! The objects of a kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Maker;

/// Namespace and name.
pub(super) type Key = (String, String);

/// An object, as text.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) text: Arc<str>,
    pub(super) uid: Option<String>,
}

impl Kept {
    pub(super) fn of(object: &Value) -> Self {
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        Self { text: object.to_string().into(), uid }
    }
}

/// The objects of a kind, and what happened to them.
#[derive(Default)]
pub(super) struct Collection {
    objects: BTreeMap<Key, Kept>,
    /// Lines of a watch, by the version that they brought.
    events: Vec<(u64, Arc<str>)>,
    /// Events up to this version are forgotten.
    compacted: u64,
    pub(super) multitude: Option<(usize, Maker)>,
    pub(super) forbidden: bool,
    pub(super) hidden: bool,
}

/// Namespace and name of an object.
pub(super) fn key(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// The plural of a kind, as the API has it.
pub(super) fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

impl Collection {
    pub(super) fn get(&self, key: &Key) -> Option<&Kept> {
        self.objects.get(key)
    }

    pub(super) fn put(&mut self, key: Key, object: Kept, version: u64) {
        let kind = if self.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        self.event(kind, &object.text, version);
        self.objects.insert(key, object);
    }

    pub(super) fn remove(&mut self, key: &Key, version: u64) {
        let Some(gone) = self.objects.remove(key) else { return };
        // The last event of an object carries the version of its deletion.
        let mut object: Value = serde_json::from_str(&gone.text).unwrap_or_default();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        self.event("DELETED", &object.to_string(), version);
    }

    pub(super) fn bookmark(&mut self, kind: &str, version: u64) {
        let object = json!({"kind": kind, "metadata": {"resourceVersion": version.to_string()}});
        self.event("BOOKMARK", &object.to_string(), version);
    }

    pub(super) fn error(&mut self, status: &Value, version: u64) {
        self.event("ERROR", &status.to_string(), version);
    }

    fn event(&mut self, kind: &str, object: &str, version: u64) {
        let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
        self.events.push((version, line.into()));
    }

    pub(super) fn compact(&mut self, version: u64) {
        self.events.clear();
        self.compacted = version;
    }

    /// The events after a version; `None` when they are forgotten.
    pub(super) fn since(&self, version: u64) -> Option<&[(u64, Arc<str>)]> {
        if version < self.compacted {
            return None;
        }
        let first = self.events.partition_point(|(at, _)| *at <= version);
        Some(&self.events[first..])
    }

    /// Whether a page that was begun at a version can be continued.
    pub(super) fn remembers(&self, version: u64) -> bool {
        version >= self.compacted
    }

    /// So many objects from an index on, and how many remain. Objects must not go between the pages of a list.
    pub(super) fn page(&self, from: usize, most: usize) -> (Vec<Arc<str>>, usize) {
        let kept = self.objects.len();
        let all = kept + self.multitude.as_ref().map_or(0, |(count, _)| *count);
        let until = from.saturating_add(most).min(all);
        let texts = self.objects.values().map(|kept| Arc::clone(&kept.text));
        let mut texts: Vec<Arc<str>> = texts.skip(from).take(until.saturating_sub(from)).collect();
        if let Some((_, make)) = &self.multitude {
            let made = from.max(kept)..until.max(kept);
            texts.extend(made.map(|n| Arc::from(make(n - kept))));
        }
        (texts, all - until)
    }
}
