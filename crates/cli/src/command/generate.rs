//! `ringfence generate`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ringfence_advise::{Case, Certificate};
use ringfence_generate::{Generated, MANAGED_BY, PolicyFile, documents, generate};

use crate::Outcome;
use crate::args::GenerateArgs;
use crate::input::{scope, traffic};
use crate::output::{json, print_text, report, say};
use crate::summary::summary;

/// Writes the policies of the scope and their certificate.
pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<Outcome> {
    if args.certificate.as_deref() == Some(Path::new("-")) {
        anyhow::bail!("--certificate takes a file: stdout is for the policies");
    }
    let traffic = traffic(&args.traffic)?;
    let scope = scope(&traffic.inventory, &args.traffic, args.workload.as_ref())?;
    let case = Case {
        inventory: &traffic.inventory,
        edges: &traffic.edges,
        review: &traffic.review,
        scope: &scope,
    };
    let Generated { files, certificate, diagnostics, .. } =
        generate(case, args.traffic.profile.profile.1, traffic.observed, &traffic.diagnostics)?;
    report(&diagnostics);

    if args.output == Path::new("-") {
        print_text(&documents(&files))?;
    } else {
        write_directory(&args.output, &files, &certificate)?;
    }
    if let Some(path) = &args.certificate {
        write_file(path, &json(&certificate)?)?;
    }
    say(summary(&certificate).trim_end());
    if args.output != Path::new("-") {
        let output = args.output.display();
        say(format_args!("written to {output}: {POLICIES}/ and certificate.json"));
        if certificate.is_proven() {
            say(format_args!("apply with: kubectl apply -R -f {output}/{POLICIES}"));
        }
    }
    Ok(if certificate.is_proven() { Outcome::Fine } else { Outcome::Finding })
}

/// Where the policies stand in the output directory, apart from the certificate, so that the folder can be applied.
const POLICIES: &str = "policies";

/// Writes the policies and the certificate. The certificate comes last: where it stands, the set is whole.
fn write_directory(
    directory: &Path,
    files: &[PolicyFile],
    certificate: &Certificate,
) -> anyhow::Result<()> {
    let certificate_file = directory.join("certificate.json");
    match std::fs::remove_file(&certificate_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error)
                .with_context(|| format!("cannot write {}", certificate_file.display()));
        }
        _ => {}
    }
    let policies = directory.join(POLICIES);
    for file in files {
        write_file(&policies.join(&file.path), &file.text)?;
    }
    remove_stale(&policies, files)?;
    write_file(&certificate_file, &json(certificate)?)
}

/// Removes what an earlier run wrote and this one did not: applied with the rest, it would open what nobody wants
/// any more. Files of others are left alone.
fn remove_stale(policies: &Path, files: &[PolicyFile]) -> anyhow::Result<()> {
    let known: HashSet<PathBuf> = files.iter().map(|file| policies.join(&file.path)).collect();
    let mark = format!("{}: {}", MANAGED_BY.0, MANAGED_BY.1);
    let remove = || -> std::io::Result<()> {
        for namespace in policies.read_dir()? {
            let namespace = namespace?.path();
            if !namespace.is_dir() {
                continue;
            }
            for file in namespace.read_dir()? {
                let file = file?.path();
                let ours = |text: String| text.lines().any(|line| line.trim() == mark);
                if !known.contains(&file)
                    && file.is_file()
                    && std::fs::read_to_string(&file).is_ok_and(ours)
                {
                    std::fs::remove_file(&file)?;
                    say(format_args!("removed {}, which an earlier run wrote", file.display()));
                }
            }
        }
        Ok(())
    };
    if files.is_empty() && !policies.exists() {
        return Ok(());
    }
    remove().with_context(|| format!("cannot look for old policies in {}", policies.display()))
}

/// Writes a file whole or not at all.
fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).inspect_err(|_| {
            // The disk may be full: half a file must not stay. The first error is the one to tell.
            let _ = std::fs::remove_file(&new);
        })
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
