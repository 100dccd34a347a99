//! `/clusters/{cluster}/reviews`: what people decided.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use ringfence_model::review::{
    Choice as ModelChoice, Review as ModelReview, WorkloadRules as ModelRules,
};
use ringfence_model::{Direction as ModelDirection, Name, Origin};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::revision::{
    Versioned, base, check_base, key, note, refused, refused_entry, store, undone,
};
use crate::api::scope::check_namespace;
use crate::api::spec::{
    CidrRule, DecisionChoice, EdgeDecision, EdgePattern, GeneralRule, ReviewSpec, Workload,
    WorkloadRules,
};
use crate::api::state::{Api, InCluster, InNamespace, blocking};
use crate::api::words::{Direction, List, Time};
use crate::auth::{Editor, Viewer};
use crate::cluster::Cluster;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem};
use crate::review::change::same;
use crate::review::{self, Effective};

/// A review at a version. The `ETag` of the response is the version.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "clients know the review by this name")]
pub(super) struct Review {
    /// Its version; 0 when nothing was decided yet.
    pub version: u64,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub who: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at: Option<Time>,
    /// Why, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// The decisions, with the aliases, labels and ranges of the configuration.
    pub review: ReviewSpec,
    /// The same as a review file, which `ringfence generate --review` reads.
    pub yaml: String,
    /// The version of the configuration that is in it.
    pub configuration: u64,
}

/// One version of a review.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReviewVersion {
    /// 1 for the first.
    pub version: u64,
    /// Who made it.
    pub who: String,
    /// When.
    pub at: Time,
    /// Why, in a few words.
    pub note: String,
    /// What was stored: the decisions without those of the configuration.
    pub yaml: String,
}

/// Changes of a review, made together or not at all.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewPatch {
    /// Why, in a few words.
    #[serde(default)]
    #[schema(nullable = false)]
    pub note: Option<String>,
    /// What to change, in order.
    #[schema(min_items = 1)]
    pub operations: Vec<ReviewOperation>,
}

/// One change of a review.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum ReviewOperation {
    /// Sets the general rule of a direction.
    #[serde(rename_all = "camelCase")]
    SetGeneralRule {
        /// The direction.
        direction: Direction,
        /// The rule. Left out for a workload, the rule of the review holds for it again.
        #[serde(default)]
        #[schema(nullable = false)]
        rule: Option<GeneralRule>,
        /// For this workload only.
        #[serde(default)]
        #[schema(nullable = false)]
        workload: Option<Workload>,
    },
    /// Decides about single edges, or takes such decisions back.
    Decide {
        /// Which edges.
        #[schema(min_items = 1)]
        edges: Vec<EdgePattern>,
        /// What about them.
        choice: DecideChoice,
    },
    /// Allows addresses by hand.
    AddCidrRule {
        /// The rule.
        rule: CidrRule,
    },
    /// Takes a CIDR rule back.
    RemoveCidrRule {
        /// The rule, as it stands in the review.
        rule: CidrRule,
    },
    /// Puts a whole review file in its place.
    Replace {
        /// The file. Aliases, labels and ranges in it must be those of the configuration, or missing.
        yaml: String,
    },
}

/// What to decide about edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DecideChoice {
    /// Allow them, observed or not.
    Include,
    /// Forbid them.
    Exclude,
    /// Take back what was decided about just them.
    Clear,
}

/// What to go back to.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Undo {
    /// The version to go back to; the one before the newest when left out.
    #[serde(default)]
    #[schema(nullable = false)]
    pub version: Option<u64>,
}

fn told(effective: Effective) -> Versioned<Review> {
    let version = effective.version();
    let Effective { review, yaml, own, configuration } = effective;
    let (who, at, note) = match own {
        Some(own) => (Some(own.who), Some(own.at.into()), Some(own.note)),
        None => (None, None, None),
    };
    let review = ReviewSpec::from(&review);
    Versioned(version, Review { version, who, at, note, review, yaml, configuration })
}

/// What is decided about a namespace that is in the cluster, or was when it was decided.
fn known(api: &Api, cluster: &Cluster, namespace: &Name) -> Result<Effective, Problem> {
    let effective = review::effective(api.store(), cluster.name(), namespace)?;
    if effective.own.is_none() {
        check_namespace(&cluster.view().inventory, namespace)?;
    }
    Ok(effective)
}

/// The review of a namespace.
#[utoipa::path(get, path = "/clusters/{cluster}/reviews/{namespace}", operation_id = "getReview", tag = "reviews",
    params(("cluster" = String, Path), ("namespace" = String, Path)), responses(
    (status = 200, body = Review, headers(("ETag" = String, description = "the version, in quotes"))),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn get(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    InNamespace(namespace): InNamespace,
) -> Result<Versioned<Review>, Problem> {
    Ok(told(blocking(move || known(&api, &cluster, &namespace)).await?))
}

/// The review of a namespace as a file, which `ringfence generate --review` reads.
#[utoipa::path(get, path = "/clusters/{cluster}/reviews/{namespace}/yaml", operation_id = "getReviewYaml",
    tag = "reviews", params(("cluster" = String, Path), ("namespace" = String, Path)), responses(
    (status = 200, body = String, content_type = "application/yaml"),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn yaml(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    InNamespace(namespace): InNamespace,
) -> Result<impl IntoResponse, Problem> {
    let file = review::file_name(&namespace);
    let effective = blocking(move || known(&api, &cluster, &namespace)).await?;
    let headers = [
        (CONTENT_TYPE, "application/yaml".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
    ];
    Ok((headers, effective.yaml))
}

/// The versions of the review of a namespace, newest first.
#[utoipa::path(get, path = "/clusters/{cluster}/reviews/{namespace}/versions", operation_id = "listReviewVersions",
    tag = "reviews", params(("cluster" = String, Path), ("namespace" = String, Path)), responses(
    (status = 200, body = List<ReviewVersion>),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn versions(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    InNamespace(namespace): InNamespace,
) -> Answer<List<ReviewVersion>> {
    let key = key(cluster.name(), Some(namespace));
    let versions = blocking(move || Ok(api.store().review_versions(&key)?)).await?;
    let versions: Vec<ReviewVersion> = versions.into_iter().map(Into::into).collect();
    Ok(Json(versions.into()))
}

impl From<ringfence_store::ReviewVersion> for ReviewVersion {
    fn from(stored: ringfence_store::ReviewVersion) -> Self {
        let ringfence_store::ReviewVersion { key: _, version, at, who, note, yaml } = stored;
        Self { version, who, at: at.into(), note, yaml }
    }
}

/// Changes the review of a namespace.
#[utoipa::path(patch, path = "/clusters/{cluster}/reviews/{namespace}", operation_id = "patchReview", tag = "reviews",
    params(("cluster" = String, Path), ("namespace" = String, Path),
        ("If-Match" = String, Header, description = "the ETag of the version that the change was made from")),
    request_body = ReviewPatch, responses(
    (status = 200, body = Review, headers(("ETag" = String, description = "the version, in quotes"))),
    (status = 409, description = "somebody else changed it in between",
        body = Details, content_type = MEDIA_TYPE),
    (status = 428, description = "the If-Match header is missing", body = Details, content_type = MEDIA_TYPE),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn patch(
    Editor(who): Editor,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    InNamespace(namespace): InNamespace,
    headers: HeaderMap,
    Json(patch): Json<ReviewPatch>,
) -> Result<Versioned<Review>, Problem> {
    let base = base(&headers)?;
    let note = note(patch.note, "changed")?;
    if patch.operations.is_empty() {
        return Err(Problem::bad_body("/operations", "there is nothing to change"));
    }
    let work = move || {
        let before = known(&api, &cluster, &namespace)?;
        let key = key(cluster.name(), Some(namespace.clone()));
        check_base(&api, &key, base)?;
        let (configuration, _) = review::configuration(api.store(), cluster.name())?;
        let (mut decisions, _) = review::split(before.review);
        for (n, operation) in patch.operations.iter().enumerate() {
            let pointer = format!("/operations/{n}");
            operation.apply(&pointer, &mut decisions, &configuration)?;
        }
        review::join(&namespace, decisions.clone(), &configuration)
            .map_err(|faults| refused_entry("/operations", faults))?;
        store(&api, key, base, &who, note, &decisions, &[])?;
        known(&api, &cluster, &namespace)
    };
    Ok(told(blocking(work).await?))
}

/// Makes an older version of the review of a namespace the newest again.
#[utoipa::path(post, path = "/clusters/{cluster}/reviews/{namespace}/undo", operation_id = "undoReview",
    tag = "reviews", params(("cluster" = String, Path), ("namespace" = String, Path),
        ("If-Match" = String, Header, description = "the ETag of the newest version")),
    request_body = Undo, responses(
    (status = 200, body = Review, headers(("ETag" = String, description = "the version, in quotes"))),
    (status = 409, description = "somebody else changed it in between",
        body = Details, content_type = MEDIA_TYPE),
    (status = 428, description = "the If-Match header is missing", body = Details, content_type = MEDIA_TYPE),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn undo(
    Editor(who): Editor,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    InNamespace(namespace): InNamespace,
    headers: HeaderMap,
    Json(undo): Json<Undo>,
) -> Result<Versioned<Review>, Problem> {
    let base = base(&headers)?;
    let work = move || {
        known(&api, &cluster, &namespace)?;
        let key = key(cluster.name(), Some(namespace.clone()));
        check_base(&api, &key, base)?;
        let (decisions, note) = undone(&api, &key, base, undo)?;
        let (configuration, _) = review::configuration(api.store(), cluster.name())?;
        review::join(&namespace, decisions.clone(), &configuration)
            .map_err(|faults| refused_entry("/version", faults))?;
        store(&api, key, base, &who, note, &decisions, &[])?;
        known(&api, &cluster, &namespace)
    };
    Ok(told(blocking(work).await?))
}

impl ReviewOperation {
    /// Changes the decisions, or says what is wrong at that place of the request.
    fn apply(
        &self,
        pointer: &str,
        decisions: &mut ModelReview,
        configuration: &ModelReview,
    ) -> Result<(), Problem> {
        let entry = |spec: ReviewSpec| spec.read().map_err(|faults| refused_entry(pointer, faults));
        match self {
            Self::SetGeneralRule { direction, rule, workload: None } => {
                let rule = rule.unwrap_or_default().into();
                match direction {
                    Direction::Ingress => decisions.rules.ingress = rule,
                    Direction::Egress => decisions.rules.egress = rule,
                }
            }
            Self::SetGeneralRule { direction, rule, workload: Some(workload) } => {
                let rules = WorkloadRules {
                    workload: workload.clone(),
                    ingress: Some(GeneralRule::default()),
                    egress: None,
                };
                let read = entry(ReviewSpec { workloads: vec![rules], ..ReviewSpec::default() })?;
                for ModelRules { workload, origin, .. } in read.workloads {
                    let rules = ModelRules { workload, ingress: None, egress: None, origin };
                    set_rule(&mut decisions.workloads, rules, *direction, *rule);
                }
            }
            Self::Decide { edges, choice } => {
                let decided = |edge: &EdgePattern| EdgeDecision {
                    choice: DecisionChoice::Include,
                    edge: edge.clone(),
                };
                let edges = edges.iter().map(decided).collect();
                let read = entry(ReviewSpec { edges, ..ReviewSpec::default() })?;
                for mut new in read.edges {
                    decisions.edges.retain(|old| {
                        (&old.source, &old.destination, old.l4)
                            != (&new.source, &new.destination, new.l4)
                    });
                    new.choice = match choice {
                        DecideChoice::Include => ModelChoice::Include,
                        DecideChoice::Exclude => ModelChoice::Exclude,
                        DecideChoice::Clear => continue,
                    };
                    // Of several about one edge the last counts.
                    decisions.edges.push(new);
                }
            }
            Self::AddCidrRule { rule } => {
                let rules = vec![rule.clone()];
                let read = entry(ReviewSpec { cidr_rules: rules, ..ReviewSpec::default() })?;
                for new in read.cidr_rules {
                    if !decisions.cidr_rules.iter().any(|old| same(old, &new)) {
                        decisions.cidr_rules.push(new);
                    }
                }
            }
            Self::RemoveCidrRule { rule } => {
                let rules = vec![rule.clone()];
                let read = entry(ReviewSpec { cidr_rules: rules, ..ReviewSpec::default() })?;
                let before = decisions.cidr_rules.len();
                decisions.cidr_rules.retain(|old| !read.cidr_rules.iter().any(|r| same(old, r)));
                if decisions.cidr_rules.len() == before {
                    let detail = "the review has no such rule";
                    return Err(Problem::bad_body(format!("{pointer}/rule"), detail));
                }
            }
            Self::Replace { yaml } => {
                *decisions = replaced(&format!("{pointer}/yaml"), yaml, configuration)?;
            }
        }
        Ok(())
    }
}

/// Sets one direction of the rules of a workload. An entry without any goes.
fn set_rule(
    all: &mut Vec<ModelRules>,
    new: ModelRules,
    direction: Direction,
    rule: Option<GeneralRule>,
) {
    let at = all.iter().position(|rules| rules.workload == new.workload).unwrap_or_else(|| {
        all.push(new);
        all.len() - 1
    });
    let rule = rule.map(Into::into);
    match ModelDirection::from(direction) {
        ModelDirection::Ingress => all[at].ingress = rule,
        ModelDirection::Egress => all[at].egress = rule,
    }
    all.retain(|rules| rules.ingress.is_some() || rules.egress.is_some());
}

/// The decisions in a whole review file. What it says of the configuration must be so already.
fn replaced(
    pointer: &str,
    yaml: &str,
    configuration: &ModelReview,
) -> Result<ModelReview, Problem> {
    let read = ringfence_kube::review::part("review", yaml.as_bytes())
        .map_err(|faults| refused("the review has faults", pointer, &faults))?;
    let (decisions, mut given) = review::split(read);
    for alias in &mut given.aliases {
        alias.origin = Origin::default();
    }
    let mut aliases = configuration.aliases.clone();
    for alias in &mut aliases {
        alias.origin = Origin::default();
    }
    let none = ModelReview::default();
    let differs = [
        ("aliases", given.aliases != none.aliases && given.aliases != aliases),
        ("labels", given.labels != none.labels && given.labels != configuration.labels),
        ("cluster", given.cluster != none.cluster && given.cluster != configuration.cluster),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        None => Ok(decisions),
        Some((section, _)) => {
            let detail = format!(
                "spec.{section} belongs to the configuration of the cluster, and says something else there"
            );
            Err(Problem::bad_body(pointer, detail).with_hint(
                "leave the section out, or ask an administrator to change the configuration",
            ))
        }
    }
}
