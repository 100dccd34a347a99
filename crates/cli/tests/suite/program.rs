//! `ringfence agent` and `ringfence lab`, which are programs of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// A directory with the command alone in it.
fn installed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (own, here) = (env!("CARGO_BIN_EXE_ringfence"), directory.path().join("ringfence"));
    if fs::hard_link(own, &here).is_err() {
        fs::copy(own, &here).unwrap();
    }
    directory
}

/// A program that says from where it comes and what it was told.
fn program(directory: &Path, name: &str, says: &str) {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\necho {says} \"$@\"\nexit 7\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(installed: &Path, path: &Path, args: &[&str]) -> Output {
    Command::new(installed.join("ringfence")).env("PATH", path).args(args).output().unwrap()
}

#[test]
fn a_program_beside_the_command_runs_in_its_place() {
    let (installed, elsewhere) = (installed(), tempfile::tempdir().unwrap());
    program(installed.path(), "ringfence-lab", "beside");
    program(elsewhere.path(), "ringfence-lab", "elsewhere");
    let output = run(installed.path(), elsewhere.path(), &["lab", "run", "--help", "-o", "x"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "beside run --help -o x\n");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_program_on_the_path_is_found() {
    let (installed, elsewhere) = (installed(), tempfile::tempdir().unwrap());
    program(elsewhere.path(), "ringfence-agent", "elsewhere");
    let output = run(installed.path(), elsewhere.path(), &["agent", "--help"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "elsewhere --help\n");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn a_program_that_is_missing_is_named() {
    let (installed, elsewhere) = (installed(), tempfile::tempdir().unwrap());
    let output = run(installed.path(), elsewhere.path(), &["lab", "up"]);
    assert_eq!(output.status.code(), Some(2));
    let place = installed.path().canonicalize().unwrap();
    let expected = format!(
        "error: ringfence-lab is neither in {} nor on the PATH\n\
         hint: it comes with Ringfence for Linux; install it beside ringfence\n",
        place.display()
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}
