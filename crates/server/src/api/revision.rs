//! Changes of what people decided: from a version to the next, or not at all.

use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use ringfence_kube::review;
use ringfence_model::review::Review;
use ringfence_model::{Diagnostic, Name};
use ringfence_store::{NewReview, ReviewKey, ReviewVersion, StoreError};
use serde::Serialize;

use crate::api::reviews::Undo;
use crate::api::state::Api;
use crate::event::Event;
use crate::principal::Principal;
use crate::problem::{Conflict, Fault, Json, Problem};
use crate::review::change::changes;
use crate::review::{object, read};

/// An answer that carries its version as `ETag`.
pub(super) struct Versioned<T>(pub(super) u64, pub(super) T);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let Self(version, body) = self;
        let tag = HeaderValue::from_str(&format!("\"{version}\""));
        let mut response = Json(body).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

/// The version that a change was made from, as `If-Match` names it (RFC 9110, 13.1.1). `*` would mean any version,
/// which is no protection, and is refused.
pub(super) fn base(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(tag) = headers.get(IF_MATCH) else { return Err(Problem::precondition_required()) };
    let text = tag.to_str().unwrap_or_default().trim();
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    version.and_then(|version| version.parse().ok()).ok_or_else(|| {
        Problem::bad_field("If-Match", format!("{text:?} is not a version in quotes"))
            .with_hint("send the ETag of what you read, such as \"3\"")
    })
}

/// Fails when the newest version is not the one that a change was made from. The store asks again when it stores.
pub(super) fn check_base(api: &Api, key: &ReviewKey, base: u64) -> Result<(), Problem> {
    let newest = api.store().review(key, None)?;
    let current_version = newest.as_ref().map_or(0, |newest| newest.version);
    if base == current_version {
        return Ok(());
    }
    let before = match base {
        0 => Some(Review::default()),
        // A base that never was tells nothing of what changed since.
        _ => api.store().review(key, Some(base))?.as_ref().map(read).transpose()?,
    };
    let after = newest.as_ref().map(read).transpose()?.unwrap_or_default();
    let changes = before.map(|before| changes(&before, &after)).unwrap_or_default();
    let (who, at) = newest.map(|newest| (newest.who, newest.at.to_string())).unzip();
    Err(Problem::conflict(base, Conflict { current_version, who, at, changes }))
}

/// Stores the next version, with settings that change together with it, and tells everybody.
pub(super) fn store(
    api: &Api,
    key: ReviewKey,
    base: u64,
    who: &Principal,
    note: String,
    review: &Review,
    settings: &[(&str, Option<&str>)],
) -> Result<ReviewVersion, Problem> {
    let name = key.namespace.as_ref().unwrap_or(&key.cluster);
    let yaml = review::yaml(name, review);
    let new = NewReview { key, base, at: api.app.clock.now(), who: who.name.clone(), note, yaml };
    let stored = match api.store().put_review_and_settings(&new, settings) {
        // Somebody came in between after all.
        Err(StoreError::Conflict { .. }) => {
            check_base(api, &new.key, base)?;
            return Err(Problem::unavailable("the review is being changed"));
        }
        stored => stored?,
    };
    let ReviewKey { cluster, namespace } = stored.key.clone();
    api.app.events.send(Event::Review { cluster, namespace });
    Ok(stored)
}

/// What an undo goes back to, and how it is noted. Before the first version nothing was decided.
pub(super) fn undone(
    api: &Api,
    key: &ReviewKey,
    current: u64,
    undo: Undo,
) -> Result<(Review, String), Problem> {
    if current == 0 {
        return Err(Problem::bad_request("nothing was decided yet, so there is nothing to undo"));
    }
    let version = undo.version.unwrap_or(current - 1);
    if version >= current {
        let detail = format!("version {version} is not older than the newest, which is {current}");
        return Err(Problem::bad_body("/version", detail));
    }
    let note = format!("back to version {version}");
    if version == 0 {
        return Ok((Review::default(), note));
    }
    match api.store().review(key, Some(version))? {
        Some(older) => Ok((read(&older)?, note)),
        None => Err(Problem::not_found(format!(
            "the review of {} has no version {version} any more",
            object(key)
        ))),
    }
}

/// Faults of a text in the request as a problem. Lines count in that text.
pub(super) fn refused(what: &str, pointer: &str, faults: &[Diagnostic]) -> Problem {
    let first = faults.first().map(|fault| fault.message.clone()).unwrap_or_default();
    let problem = Problem::bad_request(format!("{what}: {first}"));
    let hint = faults.iter().find_map(|fault| fault.hint.clone());
    let problem = match hint {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    };
    faults.iter().fold(problem, |problem, fault| {
        let line = fault.origin.as_ref().map(|origin| u64::from(origin.line));
        problem.with_error(Fault {
            detail: fault.message.clone(),
            pointer: Some(pointer.to_owned()),
            field: None,
            line: line.filter(|line| *line > 0),
        })
    })
}

/// The same, of an entry that stands in the request as JSON, which has no lines.
pub(super) fn refused_entry(pointer: &str, faults: Vec<Diagnostic>) -> Problem {
    let without = |fault| Diagnostic { origin: None, ..fault };
    let faults: Vec<Diagnostic> = faults.into_iter().map(without).collect();
    refused(pointer, pointer, &faults)
}

/// Notes are for people: one line of them.
pub(super) fn note(given: Option<String>, otherwise: &str) -> Result<String, Problem> {
    const LONGEST: usize = 500;
    let note = given.filter(|note| !note.trim().is_empty()).unwrap_or_else(|| otherwise.to_owned());
    if note.chars().count() > LONGEST || note.chars().any(char::is_control) {
        let detail = format!("a note is one line of at most {LONGEST} characters");
        return Err(Problem::bad_body("/note", detail));
    }
    Ok(note)
}

/// The key of a review.
pub(super) fn key(cluster: &Name, namespace: Option<Name>) -> ReviewKey {
    ReviewKey { cluster: cluster.clone(), namespace }
}
