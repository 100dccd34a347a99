//! `ringfence agent` and `ringfence lab`: programs of their own, so that this one runs everywhere.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::output::say;

/// Runs the program of that name beside this one, or else on the `PATH`, in place of this one.
pub(crate) fn run(name: &str, arguments: &[OsString]) -> ExitCode {
    let beside = std::env::current_exe().ok().and_then(|own| own.canonicalize().ok());
    let beside = beside.map(|own| own.with_file_name(name));
    let program = match &beside {
        Some(program) if program.is_file() => program.clone(),
        _ => PathBuf::from(name),
    };
    let error = match replace(Command::new(&program).args(arguments)) {
        Ok(code) => return code,
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::NotFound {
        let place = beside.and_then(|program| Some(program.parent()?.display().to_string()));
        say(format_args!(
            "error: {name} is neither in {} nor on the PATH",
            place.as_deref().unwrap_or("the directory of this program")
        ));
        say(format_args!("hint: it comes with Ringfence for Linux; install it beside ringfence"));
    } else {
        say(format_args!("error: cannot run {}: {error}", program.display()));
    }
    ExitCode::from(2)
}

/// Returns only when there is no such program: its process takes this one's place.
#[cfg(unix)]
fn replace(command: &mut Command) -> io::Result<ExitCode> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

#[cfg(not(unix))]
fn replace(command: &mut Command) -> io::Result<ExitCode> {
    let code = command.status()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(2)))
}
