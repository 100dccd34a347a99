//! Printing answers: tables for people, JSON and YAML for machines.

use std::io::Write;

use anyhow::Context;
use comfy_table::{Row, Table, presets};
use ringfence_model::{Diagnostic, Severity};
use serde::Serialize;

use crate::args::Format;

/// Prints an answer: as data in the format asked for, or as the text that `table` makes.
pub(crate) fn print<T: Serialize>(
    format: Format,
    data: &T,
    table: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => table(data),
        Format::Json => json(data)?,
        Format::Yaml => serde_saphyr::to_string(data).context("cannot write YAML")?,
    };
    print_text(&text)
}

/// Prints text to stdout.
pub(crate) fn print_text(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}

/// Indented JSON with a final newline.
pub(crate) fn json<T: Serialize>(data: &T) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(data).context("cannot write JSON")?;
    text.push('\n');
    Ok(text)
}

/// A table without lines, as kubectl prints.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(Row::from(header));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `1 policy`, `2 policies`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Prints diagnostics to stderr, the grave ones last so that they are seen.
pub(crate) fn report(diagnostics: &[Diagnostic]) {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|d| d.severity);
    for diagnostic in sorted {
        say(diagnostic);
    }
}

/// Says something on stderr. That nobody can hear it is no reason to fail.
pub(crate) fn say(what: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{what}");
}

/// Fails when the input has errors: a result from half of it could not be trusted.
pub(crate) fn refuse_errors(diagnostics: &[Diagnostic]) -> anyhow::Result<()> {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    anyhow::ensure!(
        errors == 0,
        "the input has {}, listed above; nothing was written",
        count(errors, "error", "errors")
    );
    Ok(())
}
