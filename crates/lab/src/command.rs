//! The commands `ip` and `nft`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::LabError;

/// Commands of `ip`, one a line.
pub(crate) fn batch(options: &[&str], commands: &str) -> Result<(), LabError> {
    if commands.is_empty() {
        return Ok(());
    }
    run(Command::new("ip").args(options).args(["-batch", "-"]), Some(commands)).map(drop)
}

/// What a command says, given its input.
pub(crate) fn run(command: &mut Command, input: Option<&str>) -> Result<String, LabError> {
    let fault = |message: String, command: &Command| LabError::Command {
        command: format!("{command:?}"),
        message,
    };
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let outcome = command.spawn().and_then(|mut child| {
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            pipe.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    });
    let output = outcome.map_err(|error| fault(error.to_string(), command))?;
    if !output.status.success() {
        return Err(fault(String::from_utf8_lossy(&output.stderr).trim().to_owned(), command));
    }
    String::from_utf8(output.stdout).map_err(|error| fault(error.to_string(), command))
}
