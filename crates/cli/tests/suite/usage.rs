//! Help, completions, man pages.

use crate::harness::{repository, ringfence};

#[test]
fn help_lists_the_commands() {
    insta::assert_snapshot!("help", ringfence(&repository(), &["--help"]).expect(0).stdout);
}

#[test]
fn each_command_has_its_help() {
    for command in ["generate", "edges", "check", "explain", "reach"] {
        let run = ringfence(&repository(), &[command, "--help"]).expect(0);
        insta::assert_snapshot!(format!("help-{command}"), run.stdout);
    }
}

#[test]
fn bad_usage_ends_with_code_2() {
    ringfence(&repository(), &["generate"]).expect(2);
    ringfence(&repository(), &["no-such-command"]).expect(2);
    ringfence(&repository(), &[]).expect(2);
}

#[test]
fn completions_are_printed_and_man_pages_written() {
    for shell in ["bash", "zsh", "fish"] {
        let run = ringfence(&repository(), &["completions", shell]).expect(0);
        assert!(run.stdout.contains("ringfence"), "{}", run.stdout);
    }
    let out = tempfile::tempdir().unwrap();
    ringfence(&repository(), &["man", out.path().to_str().unwrap()]).expect(0);
    assert!(out.path().join("ringfence-generate.1").exists());
}
