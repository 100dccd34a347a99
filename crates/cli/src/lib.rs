//! The `ringfence` command: parse, wire, run.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 fine, 1 a finding, 2 bad usage or input.

mod args;
mod command;
mod input;
mod output;
mod progress;
mod reach;
mod sarif;
mod summary;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

/// How a command ended, when it ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing to object to.
    Fine,
    /// The answer is a finding: a needed flow would be cut, a proof failed, a connection is denied.
    Finding,
}

/// Runs the command line and answers with its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // clap's own exit codes: 0 for --help and --version, 2 for bad usage.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let outcome = match args.command {
        Command::Generate(args) => command::generate::run(&args),
        Command::Edges(args) => command::edges::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Explain(args) => command::explain::run(&args),
        Command::Reach(args) => command::reach::run(&args),
        Command::Diff(args) => command::diff::run(&args),
        Command::Lint(args) => command::lint::run(&args),
        Command::Serve(args) => command::serve::run(&args),
        Command::Export(args) => command::store::export(&args),
        Command::Import(args) => command::store::import(&args),
        Command::Backup(args) => command::store::backup(&args),
        Command::Token(args) => command::token::run(&args),
        Command::Agent(args) => return command::program::run("ringfence-agent", &args.arguments),
        Command::Lab(args) => return command::program::run("ringfence-lab", &args.arguments),
        Command::Agents(command) => command::agents::run(&command),
        Command::Completions { shell } => command::completions::shell(shell),
        Command::Man { directory } => command::completions::man(&directory),
    };
    match outcome {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Finding) => ExitCode::from(1),
        // The reader of a pipe went away (head, a pager): not a fault.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
