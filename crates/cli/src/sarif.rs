//! Findings as SARIF (OASIS Static Analysis Results Interchange Format 2.1.0).

use std::fmt::Write as _;

use ringfence_model::{Diagnostic, Origin, Severity};
use ringfence_policy::LINTS;
use serde_json::{Value, json};

/// A log of one run. Findings of kinds that are not in the list of rules have a code all the same.
pub(crate) fn sarif(findings: &[Diagnostic]) -> Value {
    let rules: Vec<Value> = LINTS
        .iter()
        .map(|lint| {
            json!({
                "id": lint.code,
                "shortDescription": { "text": lint.summary },
                "defaultConfiguration": { "level": level(lint.severity) },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ringfence",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            // Columns count Unicode code points; there are none here, but the default differs between readers.
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Diagnostic) -> Value {
    let Diagnostic { severity, code, origin, subject, values: _, message, hint } = finding;
    let mut text = subject.as_ref().map(|s| format!("{s}: ")).unwrap_or_default() + message;
    if let Some(hint) = hint {
        text = format!("{text}. To fix it: {hint}");
    }
    let mut result = json!({
        "ruleId": code,
        "level": level(*severity),
        "message": { "text": text },
    });
    if let Some(index) = LINTS.iter().position(|lint| lint.code == *code) {
        result["ruleIndex"] = index.into();
    }
    if let Some(origin) = origin {
        let mut location = json!({ "physicalLocation": physical(origin) });
        if let Some(subject) = subject {
            location["logicalLocations"] = json!([{ "fullyQualifiedName": subject }]);
        }
        result["locations"] = json!([location]);
    }
    result
}

fn physical(origin: &Origin) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(&origin.file) } });
    if origin.line > 0 {
        place["region"] = json!({ "startLine": origin.line });
    }
    place
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// A path as a relative reference (RFC 3986): what is no path character is written in percent.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_references() {
        assert_eq!(uri("a dir/policies-1.yaml"), "a%20dir/policies-1.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}
