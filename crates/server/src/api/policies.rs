//! `GET /clusters/{cluster}/policies`: what the review comes out as.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use ringfence_advise::{
    Case, Certificate, Connectivity, Row, Scope, Verdict, World, changes, rules,
};
use ringfence_generate::{Generated, PolicyFile, documents, generate};
use ringfence_kube::manifest::{self, Notes};
use ringfence_kube::read::Reader;
use ringfence_model::{Direction as ModelDirection, NetworkPolicy};
use ringfence_views::diff;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Answer;
use crate::api::archive::zip;
use crate::api::edges::row_id;
use crate::api::manifests::nowhere;
use crate::api::scope::ScopeQuery;
use crate::api::situation::Situation;
use crate::api::state::{Api, InCluster, blocking};
use crate::api::words::{Direction, EntityRef};
use crate::auth::Viewer;
use crate::problem::{Details, Json, MEDIA_TYPE, Problem, Query};

/// The policies of a scope under its review, with their proof.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GeneratedPolicies {
    /// The version of the namespace's review that they follow.
    pub review: u64,
    /// The policies, one a file, sorted.
    pub files: Vec<GeneratedFile>,
    /// Whether they are right, and what they do.
    pub certificate: Certificate,
    /// What passes otherwise than with the policies that are in the cluster now.
    pub changes: diff::Changes,
}

/// A policy as a file.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GeneratedFile {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it stands in a folder: `NAMESPACE/NAME.yaml`.
    pub path: String,
    /// The manifest.
    pub yaml: String,
    /// The policy of that name that is in the cluster now, written the same way, for a difference in text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub current_yaml: Option<String>,
    /// How it differs from what is in the cluster.
    pub state: FileState,
    /// Its rules with the edges that they let pass.
    pub rules: Vec<GeneratedRule>,
}

/// How a generated policy differs from what is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileState {
    /// No policy has that name.
    New,
    /// The one of that name says something else.
    Changed,
    /// The one of that name says the same.
    Same,
}

/// A rule of a generated policy.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GeneratedRule {
    /// Which list it is in.
    pub direction: Direction,
    /// Its place in the list, from 0.
    pub index: u32,
    /// Its first line in the manifest, from 1.
    pub line: u32,
    /// The ids of the edge rows that it lets pass.
    pub edges: Vec<String>,
}

impl Situation {
    /// What the review comes out as for a scope, as `ringfence generate` has it.
    pub(super) fn generated<'a>(&'a self, scope: &'a Scope) -> Result<Generated<'a>, Problem> {
        let case = Case { scope, ..self.case() };
        generate(case, self.profile(), self.observed, &self.view.diagnostics)
            .map_err(|fault| Problem::internal(&fault))
    }

    /// The policies of the cluster, with others in place of those of the same name.
    pub(super) fn with_policies(&self, others: &[NetworkPolicy]) -> Vec<NetworkPolicy> {
        put_in_place(self.view.inventory.policies(), others)
    }
}

/// Policies with others in place of those of the same name.
pub(super) fn put_in_place(
    policies: &[NetworkPolicy],
    others: &[NetworkPolicy],
) -> Vec<NetworkPolicy> {
    let named: BTreeSet<_> = others.iter().map(|p| (&p.namespace, &p.name)).collect();
    let kept = policies.iter().filter(|p| !named.contains(&(&p.namespace, &p.name)));
    kept.chain(others).cloned().collect()
}

/// The policies in files, with the lines of their rules. What was written reads back: generation has proven it.
pub(super) fn read_files(files: &[PolicyFile]) -> Vec<NetworkPolicy> {
    let mut reader = Reader::new();
    for file in files {
        reader.bytes(&file.path.display().to_string(), file.text.as_bytes());
    }
    reader.finish().objects.policies
}

fn told(situation: &Situation) -> Result<GeneratedPolicies, Problem> {
    let inventory = &situation.view.inventory;
    let scope = situation.asked.policy_scope(inventory)?;
    let Generated { rows, files, certificate, .. } = situation.generated(&scope)?;
    let written = read_files(&files);
    let all = situation.with_policies(&written);
    let (profile, cluster_wide) = (situation.profile(), inventory.cluster_policies());
    let world = World::new(inventory, &situation.review.review, &all, cluster_wide, &profile);
    let evidence = evidence(&world, &rows);
    let before = Connectivity::new(inventory, inventory.policies(), cluster_wide, &profile);
    let after = Connectivity::new(inventory, &all, cluster_wide, &profile);
    let changes = diff::diff(situation.profile.as_str(), &changes(&before, &after));
    let policy = |file: &PolicyFile| {
        written.iter().find(|p| p.namespace == file.namespace && p.name == file.name)
    };
    let files = files
        .iter()
        .filter_map(|file| Some(self::file(situation, file, policy(file)?, &evidence)))
        .collect();
    let review = situation.review.version();
    Ok(GeneratedPolicies { review, files, certificate, changes })
}

/// A rule by policy, list and place in it.
type Place = (String, ModelDirection, u32);

/// The edge rows that each rule lets pass.
fn evidence(world: &World<'_>, rows: &[Row<'_>]) -> BTreeMap<Place, BTreeSet<String>> {
    let mut evidence: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| matches!(row.verdict, Verdict::Kept(_))) {
        let id = row_id(&EntityRef::from(row.workload), row.direction, &row.edge.key);
        for item in rules(world, row.edge).into_iter().filter(|i| i.direction == row.direction) {
            let place = (world.set().policy(item.policy).to_string(), item.direction, item.rule);
            evidence.entry(place).or_default().insert(id.clone());
        }
    }
    evidence
}

fn file(
    situation: &Situation,
    file: &PolicyFile,
    written: &NetworkPolicy,
    evidence: &BTreeMap<Place, BTreeSet<String>>,
) -> GeneratedFile {
    let mut existing = situation.view.inventory.policies().iter();
    let current = existing.find(|p| p.namespace == file.namespace && p.name == file.name);
    let mut rules = Vec::new();
    for direction in ModelDirection::BOTH {
        for (n, rule) in (0u32..).zip(written.rules(direction).unwrap_or_default()) {
            let edges = evidence.get(&(written.to_string(), direction, n));
            rules.push(GeneratedRule {
                direction: direction.into(),
                index: n,
                line: rule.origin.line,
                edges: edges.into_iter().flatten().cloned().collect(),
            });
        }
    }
    GeneratedFile {
        namespace: file.namespace.to_string(),
        name: file.name.to_string(),
        path: file.path.display().to_string(),
        yaml: file.text.clone(),
        current_yaml: current.map(|policy| manifest::policy(policy, &Notes::default())),
        state: match current {
            None => FileState::New,
            Some(current) if nowhere(current) == nowhere(written) => FileState::Same,
            Some(_) => FileState::Changed,
        },
        rules,
    }
}

/// The policies of a scope under its review, with their proof.
#[utoipa::path(get, path = "/clusters/{cluster}/policies", operation_id = "generatePolicies", tag = "policies",
    params(("cluster" = String, Path), ScopeQuery), responses(
    (status = 200, body = GeneratedPolicies),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn get(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(scope): Query<ScopeQuery>,
) -> Answer<GeneratedPolicies> {
    let work = move || told(&*Situation::load(&api, &cluster, &scope)?);
    Ok(Json(blocking(work).await?))
}

/// The files of a scope, and what download of them is called.
fn download(situation: &Situation) -> Result<(String, Vec<PolicyFile>, Certificate), Problem> {
    let scope = situation.asked.policy_scope(&situation.view.inventory)?;
    let Generated { files, certificate, .. } = situation.generated(&scope)?;
    let name = situation.asked.name.as_ref().map(|name| format!("-{name}")).unwrap_or_default();
    Ok((format!("{}{name}", situation.asked.namespace), files, certificate))
}

/// The policies of a scope as one stream of YAML: what `ringfence generate` prints.
#[utoipa::path(get, path = "/clusters/{cluster}/policies.yaml", operation_id = "downloadPoliciesYaml",
    tag = "policies", params(("cluster" = String, Path), ScopeQuery), responses(
    (status = 200, body = String, content_type = "application/yaml"),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn yaml(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(scope): Query<ScopeQuery>,
) -> Result<impl IntoResponse, Problem> {
    let work = move || {
        let (name, files, _) = download(&*Situation::load(&api, &cluster, &scope)?)?;
        let headers = [
            (CONTENT_TYPE, "application/yaml".to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}-policies.yaml\"")),
        ];
        Ok((headers, documents(&files)))
    };
    blocking(work).await
}

/// The policies of a scope as an archive: what `ringfence generate --output` writes.
#[utoipa::path(get, path = "/clusters/{cluster}/policies.zip", operation_id = "downloadPoliciesZip",
    tag = "policies", params(("cluster" = String, Path), ScopeQuery), responses(
    (status = 200, body = Vec<u8>, content_type = "application/zip"),
    (status = "default", body = Details, content_type = MEDIA_TYPE),
))]
pub(super) async fn archive(
    _: Viewer,
    State(api): State<Arc<Api>>,
    InCluster(cluster): InCluster,
    Query(scope): Query<ScopeQuery>,
) -> Result<impl IntoResponse, Problem> {
    let work = move || {
        let (name, files, certificate) = download(&*Situation::load(&api, &cluster, &scope)?)?;
        let mut proof =
            serde_json::to_string_pretty(&certificate).map_err(|e| Problem::internal(&e))?;
        proof.push('\n');
        let mut entries = vec![("certificate.json".to_owned(), proof)];
        let policies = files.into_iter();
        entries.extend(policies.map(|f| (format!("policies/{}", f.path.display()), f.text)));
        let headers = [
            (CONTENT_TYPE, "application/zip".to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}-policies.zip\"")),
        ];
        Ok((headers, zip(&entries).map_err(|fault| Problem::internal(&fault))?))
    };
    blocking(work).await
}
