//! `ringfence completions` and `ringfence man`.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use crate::Outcome;
use crate::args::Args;
use crate::output::print_text;

/// Prints a completion script.
pub(crate) fn shell(shell: clap_complete::Shell) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "ringfence", &mut script);
    print_text(&String::from_utf8(script)?)?;
    Ok(Outcome::Fine)
}

/// Writes one man page per command.
pub(crate) fn man(directory: &Path) -> anyhow::Result<Outcome> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Args::command(), directory))
        .with_context(|| format!("cannot write man pages to {}", directory.display()))?;
    Ok(Outcome::Fine)
}
