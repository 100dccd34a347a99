//! Help, completions, man pages.

use crate::harness::{repository, ringfence};

#[test]
fn help_lists_the_commands() {
    insta::assert_snapshot!("help", ringfence(&repository(), &["--help"]).expect(0).stdout);
}

#[test]
fn each_command_has_its_help() {
    for command in [
        "generate", "edges", "check", "explain", "reach", "diff", "lint", "serve", "export",
        "import", "backup", "token",
    ] {
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

/// Runs over the small cluster; `/dev/full` stands where the arguments ask for it.
fn over_town(command: &str, args: &[&str]) -> crate::harness::Run {
    let input = [command, "--cluster", "cluster.yaml", "--flows", "flows.jsonl"];
    ringfence(&crate::harness::town(), &[&input[..], args].concat())
}

#[test]
fn questions_that_nothing_can_answer_are_refused_with_what_there_is() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--kind", "Deploment", "-n", "front"],
            "hint: the workloads are: front/Deployment/batch",
        ),
        (
            &["--workload", "Service/nope", "-n", "back"],
            "hint: the Services are: back/api, back/db",
        ),
        (&["-n", "nope"], "which has: back, front"),
        (
            &["--since", "2026-03-03T00:00:00Z", "--until", "2026-03-02T00:00:00Z"],
            "no time lies between --since 2026-03-03T00:00:00Z and --until 2026-03-02T00:00:00Z",
        ),
        (&["--flows", "-", "--review", "-"], "standard input (-) is named 2 times"),
    ];
    for (args, said) in cases {
        let run = over_town("edges", args).expect(2);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    let run = over_town("check", &["--flows", "-", "--policies", "-"]).expect(2);
    assert!(run.stderr.contains("standard input (-) is named 2 times"), "{}", run.stderr);
}

#[test]
fn a_node_is_an_end_that_can_be_explained() {
    let explain = |node| {
        let args = ["explain", "--cluster", "cluster.yaml", node, "front/Deployment/web", "8080"];
        ringfence(&crate::harness::town(), &args)
    };
    let run = explain("Node/n2").expect(0);
    assert!(run.stdout.starts_with("ALLOWED: 192.168.0.2 -> pod front/web-"), "{}", run.stdout);
    assert!(explain("Node/n9").expect(2).stderr.contains("there is no node n9"));
}

#[test]
fn a_log_without_flows_is_said_to_hold_none() {
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("empty.jsonl"), "").unwrap();
    let cluster = crate::harness::town().join("cluster.yaml");
    let cluster = cluster.to_str().unwrap();
    let args =
        ["generate", "--cluster", cluster, "--flows", "empty.jsonl", "-n", "front", "-o", "out"];
    let run = ringfence(out.path(), &args).expect(0);
    assert!(run.stderr.contains("observed   nothing"), "{}", run.stderr);
    let certificate = std::fs::read_to_string(out.path().join("out/certificate.json")).unwrap();
    assert!(certificate.contains("\"no-flows\""), "{certificate}");
}

/// Output that nobody can take is an error where it is the answer, and none where it is a remark.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_or_stderr_is_no_panic() {
    use std::fs::File;
    use std::process::{Command, Stdio};
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let run = |args: &[&str], stdout: Stdio, stderr: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command.args(args).current_dir(crate::harness::town());
        command.stdout(stdout).stderr(stderr).output().unwrap()
    };
    let edges = ["edges", "--cluster", "cluster.yaml", "--flows", "flows.jsonl"];
    for args in [&edges[..], &["completions", "bash"]] {
        let output = run(args, full().into(), Stdio::piped());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("error: cannot write to stdout: No space left"), "{stderr}");
    }
    let output = run(&edges, Stdio::piped(), full().into());
    assert_eq!(output.status.code(), Some(0));
    assert!(!output.stdout.is_empty());
}
