//! The `ringfence-lab` command: parse, wire, run.

use std::fs;
use std::io::{self, BufRead as _, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use nix::sys::signal::{SigSet, Signal};
use ringfence_kube::read::Reader;
use ringfence_lab::play::Play;
use ringfence_lab::premises::{self, Premises};
use ringfence_lab::show::{Audience, Commands, Pace, Show};
use ringfence_lab::talk::{Part, Rounds};
use ringfence_lab::{Lab, enforcement, probe, talk};
use ringfence_model::Severity;
use ringfence_model::object::Objects;

/// A cluster of network namespaces on this machine, with pods that talk. Needs root.
#[derive(Debug, Parser)]
#[command(name = "ringfence-lab", version, max_term_width = 100)]
struct Args {
    /// The lab's name, with which the names of its namespaces begin
    #[arg(long, global = true, default_value = "ringfence-lab", value_parser = name)]
    name: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build the network, and leave it there
    Up(ClusterArgs),
    /// Build the network, and let its pods talk until interrupted
    Run {
        #[command(flatten)]
        cluster: ClusterArgs,
        #[command(flatten)]
        run: RunArgs,
        /// How long; until interrupted if left out
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<u64>,
        /// Where a server listens on this machine, to which the nodes' agents deliver
        #[arg(long, value_name = "ADDRESS:PORT")]
        server: Option<SocketAddr>,
        /// The cluster, as the server names it
        #[arg(long, value_name = "NAME", default_value = "example")]
        server_cluster: String,
    },
    /// Let the pods talk for a while, and write what the nodes' agents see of it
    Record {
        #[command(flatten)]
        cluster: ClusterArgs,
        #[command(flatten)]
        run: RunArgs,
        /// How long
        #[arg(long, value_name = "SECONDS", default_value = "180")]
        seconds: u64,
        /// The flow log to write, compressed if its name ends in .zst
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Take down whatever there is of the lab
    Down,
    /// Say whether this machine can have a lab and watch it
    ///
    /// Exit code 1: it cannot.
    Probe {
        #[command(flatten)]
        agent: AgentArgs,
    },
    /// What runs in a pod: the first line of its input is its part, the second is for it to begin
    #[command(hide = true)]
    Pod {
        /// In how long it calls everybody whom it calls
        #[arg(long)]
        every_ms: u64,
        /// Ends when it has called everybody
        #[arg(long)]
        once: bool,
    },
    /// Takes down the lab when its input ends
    #[command(hide = true)]
    Guard,
}

/// Which cluster.
#[derive(Debug, clap::Args)]
struct ClusterArgs {
    /// Objects of a cluster, with its pods
    #[arg(long, value_name = "PATH", num_args = 1..,
          default_values = ["examples/shop/cluster", "examples/shop/lab"])]
    cluster: Vec<PathBuf>,
    /// NetworkPolicies to enforce, beside those of the cluster
    #[arg(long, value_name = "PATH", num_args = 1..)]
    policies: Vec<PathBuf>,
}

/// How it runs.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Who talks to whom
    #[arg(long, value_name = "FILE", default_value = "examples/shop/expected-edges.json")]
    calls: PathBuf,
    /// In how long everybody calls everybody whom they call
    #[arg(long, value_name = "MILLISECONDS", default_value = "30000",
          value_parser = clap::value_parser!(u64).range(100..))]
    every_ms: u64,
    /// Seconds from one report of an agent to the next
    #[arg(long, value_name = "SECONDS", default_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    #[command(flatten)]
    agent: AgentArgs,
}

/// Who watches.
#[derive(Debug, clap::Args)]
struct AgentArgs {
    /// The agent's command; by default ringfence-agent beside this one, or on the PATH
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

impl AgentArgs {
    fn command(&self) -> anyhow::Result<PathBuf> {
        if let Some(agent) = &self.agent {
            return Ok(agent.clone());
        }
        let beside = std::env::current_exe()?.with_file_name("ringfence-agent");
        Ok(if beside.exists() { beside } else { PathBuf::from("ringfence-agent") })
    }
}

/// Pause between two looks at the pods.
const LOOK: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let Args { name, action } = Args::parse();
    let outcome = match action {
        Action::Up(cluster) => up(&name, &cluster),
        Action::Run { cluster, run, seconds, server, server_cluster } => {
            let audience = match server {
                Some(at) => Audience::Server { at, cluster: server_cluster },
                None => Audience::Nobody,
            };
            play(&name, &cluster, &run, seconds, &audience)
        }
        Action::Record { cluster, run, seconds, output } => {
            record(&name, &cluster, &run, seconds, &output)
        }
        Action::Down => premises::down(&name).map_err(Into::into),
        Action::Probe { agent } => {
            return match agent.command().and_then(|agent| Ok(probe::probe(&agent)?)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    println!("{error:#}");
                    ExitCode::from(1)
                }
            };
        }
        Action::Pod { every_ms, once } => {
            let rounds = if once { Rounds::One } else { Rounds::Endless };
            pod(Duration::from_millis(every_ms), rounds)
        }
        Action::Guard => premises::watch_over(&name).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// A name that can stand at the beginning of that of a namespace, a cgroup and a directory.
fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 32 || !text.chars().all(fits) {
        return Err("up to 32 small letters, digits and dashes".to_owned());
    }
    Ok(text.to_owned())
}

fn objects(args: &ClusterArgs) -> anyhow::Result<Objects> {
    let mut reader = Reader::new();
    args.cluster.iter().chain(&args.policies).for_each(|path| reader.path(path));
    let input = reader.finish();
    for diagnostic in &input.diagnostics {
        eprintln!("{diagnostic}");
    }
    let failed = input.diagnostics.iter().any(|found| found.severity == Severity::Error);
    anyhow::ensure!(!failed, "the cluster cannot be read");
    Ok(input.objects)
}

fn up(name: &str, args: &ClusterArgs) -> anyhow::Result<()> {
    let objects = objects(args)?;
    let _lock = premises::vacate(name)?;
    let mut lab = Lab::up(name, &objects, &[])?;
    lab.load(&enforcement::render(&objects))?;
    eprintln!("{} pods on {} nodes", lab.pods().count(), lab.nodes().count());
    lab.leave();
    Ok(())
}

fn play(
    name: &str,
    cluster: &ClusterArgs,
    run: &RunArgs,
    seconds: Option<u64>,
    audience: &Audience,
) -> anyhow::Result<()> {
    let text = fs::read(&run.calls).with_context(|| run.calls.display().to_string())?;
    let play: Play =
        serde_json::from_slice(&text).with_context(|| run.calls.display().to_string())?;
    let objects = objects(cluster)?;
    let own = std::env::current_exe()?;
    let commands = Commands { lab: own.clone(), agent: run.agent.command()? };
    let pace = Pace {
        round: Duration::from_millis(run.every_ms),
        interval: Duration::from_secs(run.interval),
    };
    let stop = asked_to_stop()?;
    let premises = Premises::take(name, Command::new(own).args(["guard", "--name"]))?;
    let mut show = Show::begin(premises, &objects, &play, commands, pace, audience)?;
    let lab = show.lab();
    eprintln!("the lab runs: {} pods on {} nodes", lab.pods().count(), lab.nodes().count());
    let begun = Instant::now();
    while seconds.is_none_or(|seconds| begun.elapsed() < Duration::from_secs(seconds)) {
        show.attend()?;
        match stop.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}

fn record(
    name: &str,
    cluster: &ClusterArgs,
    run: &RunArgs,
    seconds: u64,
    output: &Path,
) -> anyhow::Result<()> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    play(name, cluster, run, Some(seconds), &Audience::Log(Arc::clone(&lines)))?;
    let mut lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    // By the beginning of their interval, with which they begin.
    lines.sort_unstable();
    let text = lines.concat();
    let is_compressed = output.extension().is_some_and(|extension| extension == "zst");
    let bytes = if is_compressed { zstd::encode_all(text.as_bytes(), 19)? } else { text.into() };
    fs::write(output, bytes).with_context(|| output.display().to_string())?;
    eprintln!("{} records in {}", lines.len(), output.display());
    Ok(())
}

/// Hears of an interrupt or of SIGTERM. To be called before there are other threads.
fn asked_to_stop() -> anyhow::Result<Receiver<()>> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let _ = signals.wait();
        let _ = sender.send(());
    })?;
    Ok(receiver)
}

/// Hears its part, answers, says so, and calls when it is told to.
fn pod(every: Duration, rounds: Rounds) -> anyhow::Result<()> {
    let hear = || {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line).context("its part")
    };
    let part: Part = serde_json::from_str(&hear()?).context("its part")?;
    talk::answer(&part).context("cannot answer")?;
    println!("answers");
    hear()?;
    // It ends when it has called everybody, or when its input does, for then nobody is left to play for.
    let (done, ended) = mpsc::channel();
    let input = done.clone();
    thread::Builder::new().spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = input.send(());
    })?;
    thread::Builder::new().spawn(move || {
        talk::call(&part, every, rounds);
        let _ = done.send(());
    })?;
    ended.recv().context("its threads")
}
