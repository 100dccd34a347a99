//! The `ringfence-lab` command: parse, wire, run.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ringfence_kube::read::Reader;
use ringfence_lab::play::{Part, Play};
use ringfence_lab::talk::{Spot, talk};
use ringfence_lab::{Lab, enforcement};
use ringfence_model::object::Objects;
use ringfence_model::{PodRef, Severity};

/// A cluster of network namespaces on this machine, with pods that talk. Needs root.
#[derive(Debug, Parser)]
#[command(name = "ringfence-lab", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build the network, and leave it there
    Up(ClusterArgs),
    /// Build the network, and let its pods talk for a while
    Run {
        #[command(flatten)]
        cluster: ClusterArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Let the pods talk for a while, and write what the agent sees of it to a file
    Record {
        #[command(flatten)]
        cluster: ClusterArgs,
        #[command(flatten)]
        run: RunArgs,
        /// The agent's command
        #[arg(long, value_name = "FILE")]
        agent: PathBuf,
        /// The flow log to write
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Remove the network
    Down,
    /// What runs in a pod
    #[command(hide = true)]
    Pod {
        /// Answers here
        #[arg(long)]
        answer: Vec<Spot>,
        /// Calls there
        #[arg(long)]
        call: Vec<Spot>,
        /// Pause between two rounds of calls
        #[arg(long)]
        every_ms: u64,
    },
}

/// Which cluster.
#[derive(Debug, clap::Args)]
struct ClusterArgs {
    /// Objects of a cluster, with its pods
    #[arg(long, value_name = "PATH", default_value = "examples/shop/cluster")]
    cluster: PathBuf,
    /// NetworkPolicies to enforce, beside those of the cluster
    #[arg(long, value_name = "PATH")]
    policies: Vec<PathBuf>,
}

/// How it runs.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Who talks to whom
    #[arg(long, value_name = "FILE", default_value = "examples/shop/expected-edges.json")]
    calls: PathBuf,
    /// How long
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    seconds: u64,
    /// Pause between two rounds of calls of a pod
    #[arg(long, value_name = "MILLISECONDS", default_value = "500")]
    every_ms: u64,
    /// Directory for what a kubelet would have: the logs of the pods, by which the agent names them
    #[arg(long, value_name = "DIRECTORY", default_value = "out/lab")]
    state: PathBuf,
}

const PREFIX: &str = "ringfence-lab";

fn main() -> ExitCode {
    let outcome = match Args::parse().action {
        Action::Up(cluster) => up(&cluster).map(|(lab, _)| lab.leave()),
        Action::Run { cluster, run } => play(&cluster, &run, None),
        Action::Record { cluster, run, agent, output } => {
            play(&cluster, &run, Some((&agent, &output)))
        }
        Action::Down => down(),
        Action::Pod { answer, call, every_ms } => {
            talk(&answer, &call, Duration::from_millis(every_ms)).context("cannot answer")
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn down() -> anyhow::Result<()> {
    Lab::down(PREFIX)?;
    Ok(())
}

fn up(args: &ClusterArgs) -> anyhow::Result<(Lab, Objects)> {
    let mut reader = Reader::new();
    reader.path(&args.cluster);
    args.policies.iter().for_each(|path| reader.path(path));
    let input = reader.finish();
    for diagnostic in &input.diagnostics {
        eprintln!("{diagnostic}");
    }
    let failed = input.diagnostics.iter().any(|found| found.severity == Severity::Error);
    anyhow::ensure!(!failed, "the cluster cannot be read");
    Lab::down(PREFIX)?;
    let lab = Lab::up(PREFIX, &input.objects)?;
    lab.load(&enforcement::render(&input.objects))?;
    eprintln!("{} pods", lab.pods().len());
    Ok((lab, input.objects))
}

/// Processes that end with this, and the cgroups that were made for them.
#[derive(Default)]
struct Processes {
    children: Vec<Child>,
    cgroups: Vec<PathBuf>,
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        for cgroup in &self.cgroups {
            // One that is left behind is empty and taken again.
            let _ = fs::remove_dir(cgroup);
        }
    }
}

fn play(
    cluster: &ClusterArgs,
    run: &RunArgs,
    record: Option<(&Path, &Path)>,
) -> anyhow::Result<()> {
    let text = fs::read(&run.calls).with_context(|| run.calls.display().to_string())?;
    let play: Play =
        serde_json::from_slice(&text).with_context(|| run.calls.display().to_string())?;
    let (lab, objects) = up(cluster)?;
    let logs = run.state.join("pods");
    let mut processes = Processes::default();
    if let Some((agent, output)) = record {
        let file = fs::File::create(output).with_context(|| output.display().to_string())?;
        let mut command = Command::new(agent);
        command.args(["watch", "--interval", "2", "--node", "lab", "--pod-logs"]).arg(&logs);
        let child = command.stdout(file).spawn();
        processes.children.push(child.with_context(|| agent.display().to_string())?);
    }
    for (pod, part) in play.parts(&objects) {
        start(&lab, &pod, &part, run, &logs, &mut processes)?;
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(run.seconds) {
        for child in &mut processes.children {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("a process of the lab ended: {status}");
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Starts what runs in a pod, in its namespace and, as a kubelet would have it, in a cgroup that names it.
fn start(
    lab: &Lab,
    pod: &PodRef,
    part: &Part,
    run: &RunArgs,
    logs: &Path,
    processes: &mut Processes,
) -> anyhow::Result<()> {
    let uid = uid(pod);
    let cgroup = cgroup2()?.join("kubepods").join(format!("pod{uid}"));
    fs::create_dir_all(&cgroup).with_context(|| cgroup.display().to_string())?;
    processes.cgroups.push(cgroup.clone());
    let log = logs.join(format!("{}_{}_{uid}", pod.namespace, pod.name));
    fs::create_dir_all(&log).with_context(|| log.display().to_string())?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("pod").args(["--every-ms", &run.every_ms.to_string()]);
    for spot in &part.answer {
        command.args(["--answer", &spot.to_string()]);
    }
    for spot in &part.call {
        command.args(["--call", &spot.to_string()]);
    }
    lab.in_pod(pod, || {
        let child = command.spawn()?;
        let id = child.id().to_string();
        processes.children.push(child);
        fs::write(cgroup.join("cgroup.procs"), id)
    })?;
    Ok(())
}

/// A UID that stays the same from run to run.
fn uid(pod: &PodRef) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, pod).hash(&mut hasher);
        hasher.finish()
    };
    let text = format!("{:016x}{:016x}", half(0), half(1));
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}

/// Where the cgroup2 file system is mounted.
fn cgroup2() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut cgroup2 = fields.filter(|fields| fields.get(2) == Some(&"cgroup2"));
    let found = cgroup2.next().and_then(|fields| fields.get(1).map(PathBuf::from));
    found.context("no cgroup2 file system is mounted")
}
