//! `ringfence completions` and `ringfence man`.

use std::io::stdout;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use crate::Outcome;
use crate::args::Args;

/// Prints a completion script.
pub(crate) fn shell(shell: clap_complete::Shell) -> Outcome {
    clap_complete::generate(shell, &mut Args::command(), "ringfence", &mut stdout().lock());
    Outcome::Fine
}

/// Writes one man page per command.
pub(crate) fn man(directory: &Path) -> anyhow::Result<Outcome> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Args::command(), directory))
        .with_context(|| format!("cannot write man pages to {}", directory.display()))?;
    Ok(Outcome::Fine)
}
