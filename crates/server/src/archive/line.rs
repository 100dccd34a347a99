//! The lines of the files under `history/`. Times are nanoseconds since 1970.

use std::collections::BTreeMap;

use ringfence_flows::KnownEdge;
use ringfence_model::{Name, Span, Timestamp};
use ringfence_store::{
    AuditEntry, DropReason, EdgeBucket, Granularity, Ledger, ObjectKey, ObjectVersion, ReviewKey,
    ReviewVersion, SourceKey, SourceKind, SourceState, StoredEdge,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What is wrong with a line.
type Fault = String;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Object {
    kind: String,
    namespace: Option<String>,
    name: String,
    uid: String,
    from: i64,
    until: i64,
    deleted: bool,
    #[serde(rename = "object")]
    json: Box<RawValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Review {
    namespace: Option<String>,
    version: u64,
    at: i64,
    who: String,
    note: String,
    yaml: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Source {
    kind: String,
    name: String,
    incarnation: u64,
    sequence: u64,
    last: i64,
    received: u64,
    stored: u64,
    duplicate: u64,
    dropped: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Audit {
    at: i64,
    who: String,
    action: String,
    object: String,
    detail: String,
}

fn name(text: String) -> Result<Name, Fault> {
    Name::new(text).map_err(|e| e.to_string())
}

impl Object {
    pub(super) fn new(version: ObjectVersion) -> Result<Self, Fault> {
        let ObjectVersion { key, valid, deleted, json } = version;
        let ObjectKey { kind, namespace, name, uid } = key;
        Ok(Self {
            kind: kind.to_string(),
            namespace: namespace.map(|name| name.to_string()),
            name: name.to_string(),
            uid: uid.to_string(),
            from: valid.from.nanos(),
            until: valid.until.nanos(),
            deleted,
            json: RawValue::from_string(json.to_string()).map_err(|e| e.to_string())?,
        })
    }

    pub(super) fn stored(self) -> Result<ObjectVersion, Fault> {
        let Self { kind, namespace, name: own, uid, from, until, deleted, json } = self;
        let namespace = namespace.map(name).transpose()?;
        Ok(ObjectVersion {
            key: ObjectKey { kind: kind.into(), namespace, name: own.into(), uid: uid.into() },
            valid: Span { from: Timestamp::from_nanos(from), until: Timestamp::from_nanos(until) },
            deleted,
            json: json.get().into(),
        })
    }
}

impl From<ReviewVersion> for Review {
    fn from(stored: ReviewVersion) -> Self {
        let ReviewVersion { key, version, at, who, note, yaml } = stored;
        let namespace = key.namespace.map(|name| name.to_string());
        Self { namespace, version, at: at.nanos(), who, note, yaml }
    }
}

impl Review {
    pub(super) fn stored(self, cluster: &Name) -> Result<ReviewVersion, Fault> {
        let Self { namespace, version, at, who, note, yaml } = self;
        let namespace = namespace.map(name).transpose()?;
        let key = ReviewKey { cluster: cluster.clone(), namespace };
        Ok(ReviewVersion { key, version, at: Timestamp::from_nanos(at), who, note, yaml })
    }
}

const KINDS: [(SourceKind, &str); 3] =
    [(SourceKind::Agent, "agent"), (SourceKind::Hubble, "hubble"), (SourceKind::File, "file")];

const fn reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Malformed => "malformed",
        DropReason::Oversized => "oversized",
        DropReason::LostAtSource => "lostAtSource",
        DropReason::NoConnection => "noConnection",
        DropReason::OutsideRetention => "outsideRetention",
        DropReason::ForeignNode => "foreignNode",
    }
}

impl Source {
    pub(super) fn new(key: &SourceKey, state: SourceState) -> Self {
        let SourceState { incarnation, sequence, last, ledger } = state;
        let Ledger { received, stored, duplicate, dropped } = ledger;
        let kind =
            KINDS.iter().find(|(kind, _)| *kind == key.kind).map_or("file", |(_, word)| word);
        let dropped =
            dropped.into_iter().map(|(why, count)| (reason(why).to_owned(), count)).collect();
        Self {
            kind: kind.to_owned(),
            name: key.name.to_string(),
            incarnation,
            sequence,
            last: last.nanos(),
            received,
            stored,
            duplicate,
            dropped,
        }
    }

    pub(super) fn stored(self, cluster: &Name) -> Result<(SourceKey, SourceState), Fault> {
        let Self { kind, name, incarnation, sequence, last, received, stored, duplicate, dropped } =
            self;
        let found = KINDS.iter().find(|(_, word)| *word == kind);
        let (kind, _) = found.ok_or_else(|| format!("there is no kind of source {kind:?}"))?;
        let why = |word: &str| DropReason::ALL.into_iter().find(|why| reason(*why) == word);
        let dropped = dropped
            .into_iter()
            .map(|(word, count)| {
                let why = why(&word).ok_or_else(|| format!("there is no reason {word:?}"))?;
                Ok((why, count))
            })
            .collect::<Result<_, Fault>>()?;
        let ledger = Ledger { received, stored, duplicate, dropped };
        let key = SourceKey { cluster: cluster.clone(), kind: *kind, name: name.into() };
        let last = Timestamp::from_nanos(last);
        Ok((key, SourceState { incarnation, sequence, last, ledger }))
    }
}

impl From<AuditEntry> for Audit {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { at, who, action, object, detail } = entry;
        Self { at: at.nanos(), who, action, object, detail }
    }
}

impl From<Audit> for AuditEntry {
    fn from(line: Audit) -> Self {
        let Audit { at, who, action, object, detail } = line;
        Self { at: Timestamp::from_nanos(at), who, action, object, detail }
    }
}

/// An edge as a line of `edges.jsonl`.
pub(super) fn known(bucket: EdgeBucket) -> KnownEdge {
    let EdgeBucket { granularity, at, edge } = bucket;
    let StoredEdge { key, counts, services } = edge;
    let bucket_minutes = u32::try_from(granularity.minutes()).ok();
    KnownEdge { at, bucket_minutes, key, counts, services }
}

/// And back. An edge without a length of its bucket goes into the shortest.
pub(super) fn bucket(edge: KnownEdge) -> Result<EdgeBucket, Fault> {
    let KnownEdge { at, bucket_minutes, key, counts, services } = edge;
    let minutes = bucket_minutes.map_or(Granularity::Minute.minutes(), i64::from);
    let granularity = Granularity::ALL.into_iter().find(|length| length.minutes() == minutes);
    let granularity = granularity.ok_or_else(|| format!("no bucket has {minutes} minutes"))?;
    Ok(EdgeBucket { granularity, at, edge: StoredEdge { key, counts, services } })
}
