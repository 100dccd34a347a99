//! The `ringfence-agent` command: parse, wire, run. Data goes to stdout, the rest to stderr.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ringfence_agent::owner::Sources;
use ringfence_agent::privilege::drop_privileges;
use ringfence_agent::watch::{Report, Watch};
use ringfence_bpf::{Observer, Options, State, probe};

/// Observes the connections of a node or host.
#[derive(Debug, Parser)]
#[command(name = "ringfence-agent", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what this machine's kernel lets the agent see
    ///
    /// Exit code 1: some of it is refused.
    Probe {
        #[command(flatten)]
        place: Place,
    },
    /// Write what is observed to stdout, a JSON object a line, until interrupted
    Watch {
        #[command(flatten)]
        place: Place,
        /// Name of the node or host in the records; its host name by default
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
        /// Seconds from one report to the next
        #[arg(long, value_name = "SECONDS", default_value = "10",
              value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
    },
}

/// Where things are on this machine.
#[derive(Debug, clap::Args)]
struct Place {
    /// The cgroup2 file system; found by itself when left out
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,
    /// Directory in a BPF file system, for programs that count on while the agent restarts
    #[arg(long, value_name = "DIRECTORY")]
    pins: Option<PathBuf>,
    /// Connections between different ends that are kept apart in one interval
    #[arg(long, value_name = "NUMBER", default_value = "65536",
          value_parser = clap::value_parser!(u32).range(1024..=4_194_304))]
    capacity: u32,
    /// The processes of the machine
    #[arg(long, value_name = "DIRECTORY", default_value = "/proc")]
    proc: PathBuf,
    /// The kubelet's directory of logs, which has the names of pods
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/log/pods")]
    pod_logs: PathBuf,
}

impl Place {
    fn options(&self) -> anyhow::Result<Options> {
        let cgroup = match &self.cgroup {
            Some(cgroup) => cgroup.clone(),
            None => cgroup2()?,
        };
        Ok(Options { pins: self.pins.clone(), cgroup, capacity: self.capacity })
    }
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Probe { place } => tell(&place),
        Command::Watch { place, node, interval } => watch(&place, node, interval),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Where the cgroup2 file system is mounted.
fn cgroup2() -> anyhow::Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .find(|(_, kind)| *kind == "cgroup2")
        .map(|(path, _)| PathBuf::from(path))
        .context("no cgroup2 file system is mounted (hint: --cgroup names it)")
}

fn tell(place: &Place) -> anyhow::Result<ExitCode> {
    let findings = probe(&place.options()?)?;
    let mut out = io::stdout().lock();
    let mut refused = false;
    for finding in findings {
        match finding.state {
            State::Works | State::Kept => writeln!(out, "works    {}", finding.mechanism)?,
            State::Refused(reason) => {
                refused = true;
                writeln!(out, "refused  {}: {reason}", finding.mechanism)?;
                writeln!(out, "         {}", finding.mechanism.without())?;
            }
        }
    }
    Ok(ExitCode::from(u8::from(refused)))
}

fn watch(place: &Place, node: Option<String>, interval: u64) -> anyhow::Result<ExitCode> {
    let node = match node {
        Some(node) => node,
        None => {
            let text = std::fs::read_to_string("/proc/sys/kernel/hostname");
            text.context("the host name")?.trim().to_owned()
        }
    };
    let observer = Observer::start(&place.options()?)?;
    for finding in observer.findings() {
        if let State::Refused(reason) = &finding.state {
            eprintln!("warning: {}: {reason}", finding.mechanism);
            eprintln!("hint: {}", finding.mechanism.without());
        }
    }
    let sources = Sources { proc: place.proc.clone(), pod_logs: place.pod_logs.clone() };
    let mut watch = Watch::new(observer, sources)?;
    drop_privileges().context("privileges cannot be dropped")?;
    eprintln!("observing as {node}");
    watch.run(Duration::from_secs(interval), |report| write(&report, &node))?;
    Ok(ExitCode::SUCCESS)
}

fn write(report: &Report, node: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for observation in &report.observations {
        if let Some(record) = observation.record(node, report.interval) {
            serde_json::to_writer(&mut out, &record)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    let losses = report.losses;
    if losses != ringfence_bpf::Losses::default() {
        eprintln!("warning: not everything was counted where it belongs: {losses:?}");
    }
    Ok(())
}
