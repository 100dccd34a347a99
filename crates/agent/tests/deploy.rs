//! The manifest and the unit in `deploy/` say what the command understands, and no more capabilities than it takes.
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use ringfence_agent::privilege::AT_START;
use serde_json::Value;

fn deploy(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    std::fs::read_to_string(path).unwrap()
}

/// The flags of `ringfence-agent run`.
fn flags() -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_ringfence-agent")).args(["run", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    lines.flat_map(words).filter(|word| word.starts_with("--")).collect()
}

fn words(line: &str) -> Vec<String> {
    line.split([' ', ',', '=']).map(str::to_owned).collect()
}

/// The command line parses: every flag is known, and their values are good.
fn understands(arguments: &[&str]) {
    let known = flags();
    assert_eq!(arguments[0], "run");
    for argument in &arguments[1..] {
        let flag = argument.split('=').next().unwrap();
        assert!(known.contains(flag), "{flag} is not among {known:?}");
    }
    // What comes after the flags are understood fails: there is no such server here, nor the certificate.
    let run = Command::new(env!("CARGO_BIN_EXE_ringfence-agent")).args(arguments).output().unwrap();
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.starts_with("error: cannot read ") && told.contains("ca.crt"), "{told}");
}

fn at_start() -> BTreeSet<&'static str> {
    AT_START.into_iter().collect()
}

#[test]
fn the_daemon_set_says_what_the_agent_understands_and_takes() {
    let text = deploy("agent.yaml");
    let documents: Vec<Value> =
        text.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    let pod = &documents[1]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let arguments: Vec<_> =
        container["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    understands(&arguments);
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    let added = context["capabilities"]["add"].as_array().unwrap().iter();
    assert_eq!(added.map(|name| name.as_str().unwrap()).collect::<BTreeSet<_>>(), at_start());
    // What is written is mounted so, and nothing else is; every path that the arguments name is there.
    let mounts = container["volumeMounts"].as_array().unwrap();
    let path = |mount: &Value| mount["mountPath"].as_str().unwrap().to_owned();
    let written: Vec<_> =
        mounts.iter().filter(|mount| mount["readOnly"] != true).map(path).collect();
    assert_eq!(written, ["/sys/fs/bpf", "/var/lib/ringfence-agent"]);
    let paths = arguments.iter().filter_map(|argument| argument.split_once("=/"));
    for (flag, rest) in paths {
        let inside = mounts.iter().any(|mount| format!("/{rest}").starts_with(&path(mount)));
        assert!(inside, "{flag}=/{rest} is not mounted");
    }
    let volumes = pod["volumes"].as_array().unwrap();
    for mount in mounts {
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
    }
}

#[test]
fn the_unit_says_what_the_agent_understands_and_takes() {
    let text = deploy("ringfence-agent.service");
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| unreachable!("{key} is missing"))
    };
    let (program, arguments) = value("ExecStart").split_once(' ').unwrap();
    assert_eq!(program, "/usr/bin/ringfence-agent");
    understands(&arguments.split(' ').collect::<Vec<_>>());
    let bounding = value("CapabilityBoundingSet").split(' ');
    let bounding: BTreeSet<_> = bounding.map(|name| name.strip_prefix("CAP_").unwrap()).collect();
    assert_eq!(bounding, at_start());
    assert_eq!((value("NoNewPrivileges"), value("ProtectSystem")), ("yes", "strict"));
    assert_eq!(value("StateDirectory"), "ringfence-agent", "where the spool and the key are");
}

/// Runs a command with the capabilities of `deploy/` only, on a root file system that cannot be written but for a
/// small place; `None` for who may not try.
fn confined(script: &str) -> Option<String> {
    let capabilities = AT_START.map(|name| format!("+{}", name.to_lowercase())).join(",");
    let prepare =
        "mount --make-rprivate / && mount -t tmpfs none /mnt && mount -o remount,bind,ro /";
    let script = format!(
        "{prepare} && exec setpriv --bounding-set=-all,{capabilities} --inh-caps=-all sh -ec '{script}'"
    );
    let done = Command::new("unshare").args(["--mount", "sh", "-ec", &script]).output();
    let done = done.ok()?;
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    if told.contains("unshare failed") || told.contains("must be superuser") {
        return None;
    }
    Some(told)
}

#[test]
fn the_agent_runs_with_these_capabilities_on_a_read_only_root() {
    let agent = env!("CARGO_BIN_EXE_ringfence-agent");
    let free = Command::new(agent).arg("probe").output().unwrap();
    let script = format!(
        "{agent} probe > /mnt/probe; echo probed $?; cat /mnt/probe; touch /forbidden || echo read-only; \
         timeout 4 {agent} run --server http://127.0.0.1:1 --cluster prod --interval 1 --spool /mnt/spool 2>&1 \
         || true; ls /mnt/spool"
    );
    let Some(told) = confined(&script) else {
        assert!(std::env::var_os("CI").is_none(), "it cannot be confined");
        println!("skipped: only root can confine it");
        return;
    };
    let probed = String::from_utf8(free.stdout).unwrap();
    assert!(told.contains(&probed), "confined it sees less than\n{probed}\n{told}");
    assert!(told.contains("read-only"), "{told}");
    assert!(told.contains("observing as ") && told.contains("state.json"), "{told}");
    assert!(!told.lines().any(|line| line.starts_with("error: ")), "{told}");
}
