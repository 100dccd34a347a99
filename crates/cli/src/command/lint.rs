//! `ringfence lint`.

use std::fmt::Write as _;

use ringfence_advise::Connectivity;
use ringfence_model::{Diagnostic, Severity, Values};
use serde::Serialize;

use crate::Outcome;
use crate::args::{LintArgs, LintFormat};
use crate::input::{Policies, cluster, policies};
use crate::output::{count, json, print_text};
use crate::sarif::sarif;

#[derive(Serialize)]
struct Answer<'a> {
    errors: usize,
    warnings: usize,
    notes: usize,
    findings: Vec<Finding<'a>>,
}

/// One finding.
#[derive(Serialize)]
struct Finding<'a> {
    /// Which kind of finding: stable.
    code: &'a str,
    /// `error`, `warning` or `note`.
    severity: String,
    /// The object, such as `NetworkPolicy shop/web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// What the message and the fix name.
    values: &'a Values,
    message: &'a str,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
}

/// Looks for policies that do not say what was meant.
pub(crate) fn run(args: &LintArgs) -> anyhow::Result<Outcome> {
    let inventory = cluster(&args.cluster.cluster)?;
    let Policies { network, cluster_wide } = policies(&inventory, &args.cluster.policies)?;
    let profile = &args.cluster.profile.profile.1;
    let connectivity = Connectivity::new(&inventory, &network, &cluster_wide, profile);
    let findings = connectivity.set().lint();
    let number = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings, notes) =
        (number(Severity::Error), number(Severity::Warning), number(Severity::Note));
    match args.output {
        LintFormat::Table => {
            let mut text = String::new();
            for finding in &findings {
                let _ = writeln!(text, "{finding}");
            }
            let errors = count(errors, "error", "errors");
            let warnings = count(warnings, "warning", "warnings");
            let policies = count(network.len() + cluster_wide.len(), "policy", "policies");
            let notes = count(notes, "note", "notes");
            let _ = writeln!(text, "{policies}: {errors}, {warnings}, {notes}");
            print_text(&text)?;
        }
        LintFormat::Json => {
            let findings = findings.iter().map(finding).collect();
            print_text(&json(&Answer { errors, warnings, notes, findings })?)?;
        }
        LintFormat::Sarif => print_text(&json(&sarif(&findings))?)?,
    }
    Ok(if errors + warnings == 0 { Outcome::Fine } else { Outcome::Finding })
}

fn finding(diagnostic: &Diagnostic) -> Finding<'_> {
    let Diagnostic { severity, code, origin, subject, values, message, hint } = diagnostic;
    Finding {
        code,
        severity: severity.to_string(),
        object: subject.as_deref(),
        file: origin.as_ref().map(|origin| &*origin.file),
        line: origin.as_ref().map(|origin| origin.line).filter(|line| *line > 0),
        values,
        message,
        fix: hint.as_deref(),
    }
}
