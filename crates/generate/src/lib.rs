//! From a case to manifests and their certificate: the one way that the command line and the server go.
//!
//! **Invariant**: what is proven is what was written: the policies are read back from their text first.

use std::path::{Path, PathBuf};

use ringfence_advise::{Case, Certificate, Draft, Row, plan, prove};
use ringfence_kube::manifest::{self, Notes};
use ringfence_kube::read::Reader;
use ringfence_model::{Diagnostic, Name, NetworkPolicy, Severity, Timestamp};
use ringfence_policy::{EgressView, Profile};

/// The label by which the files of Ringfence are known.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "ringfence");

/// What came out of a case.
#[derive(Debug)]
pub struct Generated<'a> {
    /// The ingress and egress tables with their verdicts.
    pub rows: Vec<Row<'a>>,
    /// The policies, one a file, sorted by namespace and name.
    pub files: Vec<PolicyFile>,
    /// Whether they are right, and what they do.
    pub certificate: Certificate,
    /// What was found on the way; the certificate has it among its messages.
    pub diagnostics: Vec<Diagnostic>,
}

/// One policy as a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Namespace of the policy.
    pub namespace: Name,
    /// Name of the policy.
    pub name: Name,
    /// Where it stands in a folder of policies: `NAMESPACE/NAME.yaml`.
    pub path: PathBuf,
    /// The manifest.
    pub text: String,
}

/// The manifests that were written do not read back. A fault of Ringfence, not of its input.
#[derive(Debug, thiserror::Error)]
#[error("the policies that were written do not read back: {}", first(.0))]
pub struct UnreadableError(pub Vec<Diagnostic>);

fn first(faults: &[Diagnostic]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

/// Writes the policies of a case and proves them. `observed` is the time that the evidence covers, `found` what the
/// input's readers had to say, for the certificate.
pub fn generate<'a>(
    case: Case<'a>,
    profile: Profile,
    observed: Option<(Timestamp, Timestamp)>,
    found: &[Diagnostic],
) -> Result<Generated<'a>, UnreadableError> {
    let mut plan = plan(case);
    plan.diagnostics.extend(dialled_egress(profile));
    let diagnostics = plan.diagnostics.clone();
    plan.diagnostics.extend(found.iter().cloned());
    let files: Vec<PolicyFile> = plan.drafts.iter().map(PolicyFile::of).collect();
    let written = read_back(&files)?;
    let certificate = prove(case, &plan, &written, &profile, observed);
    Ok(Generated { rows: plan.rows, files, certificate, diagnostics })
}

/// Policies are written, and proven, for connections as they reach their destination.
fn dialled_egress(profile: Profile) -> Option<Diagnostic> {
    let message = "this network plugin judges egress before Services are translated; the policies are written and \
                   proven for the pods and ports reached";
    (profile.egress_view == EgressView::Dialled).then(|| {
        Diagnostic::warning("egress-before-translation", message).hint(
            "allow the Service addresses and ports that the workloads dial with CIDR rules of the review",
        )
    })
}

impl PolicyFile {
    fn of(draft: &Draft) -> Self {
        let policy = &draft.policy;
        let notes = Notes {
            header: draft.header.clone(),
            labels: [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into(),
            ingress: draft.ingress_comments.clone(),
            egress: draft.egress_comments.clone(),
            ..Notes::default()
        };
        Self {
            namespace: policy.namespace.clone(),
            name: policy.name.clone(),
            path: Path::new(policy.namespace.as_str()).join(format!("{}.yaml", policy.name)),
            text: manifest::policy(policy, &notes),
        }
    }
}

/// The manifests as one stream of YAML documents.
pub fn documents(files: &[PolicyFile]) -> String {
    files.iter().flat_map(|file| ["---\n", &file.text]).collect()
}

/// The policies as anybody will read them.
fn read_back(files: &[PolicyFile]) -> Result<Vec<NetworkPolicy>, UnreadableError> {
    let mut reader = Reader::new();
    for file in files {
        reader.bytes(&file.path.display().to_string(), file.text.as_bytes());
    }
    let input = reader.finish();
    let unreadable = input.diagnostics.iter().any(|found| found.severity == Severity::Error);
    if unreadable { Err(UnreadableError(input.diagnostics)) } else { Ok(input.objects.policies) }
}
