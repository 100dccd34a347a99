//! The `ringfence-agent` command: parse, wire, run. Data goes to stdout, the rest to stderr.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use ringfence_agent::batch::encode;
use ringfence_agent::deliver::{Sender, SharedSpool, deliver};
use ringfence_agent::enrol::{Enrolment, Server, Wallet};
use ringfence_agent::owner::{Machine, Sources};
use ringfence_agent::privilege::{Entering, drop_privileges};
use ringfence_agent::runtime::{Runtime, version};
use ringfence_agent::spool::{Bounds, Spool};
use ringfence_agent::watch::{Kernel, ObserverKind, Report, Watch};
use ringfence_bpf::{Observer, ObserverError, Options, State, probe};
use ringfence_proto::agent::{LossReason, MachineKind};
use tokio::sync::Notify;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// Observes the connections of a node or host.
#[derive(Debug, Parser)]
#[command(name = "ringfence-agent", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, for the life of the process")]
enum Command {
    /// Say what this machine's kernel lets the agent see
    ///
    /// Exit code 1: some of it is refused.
    Probe {
        #[command(flatten)]
        place: Place,
    },
    /// Deliver what is observed to a server, until interrupted
    ///
    /// What the server does not take is kept on disk, and delivered when it does. The start takes the capabilities
    /// BPF, PERFMON, `NET_ADMIN`, `SYS_PTRACE` and `SYS_ADMIN`; the last is given up as soon as the agent observes. Nothing
    /// is written but to --spool, --identity and --pins, so that the root file system can be read-only.
    Run {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        report: ReportArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Write what is observed to stdout, a JSON object a line, until interrupted
    Watch {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        report: ReportArgs,
    },
}

/// What is said, and how often.
#[derive(Debug, clap::Args)]
struct ReportArgs {
    /// Name of the node or host; its host name by default
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Seconds from one report to the next
    #[arg(long, value_name = "SECONDS", default_value = "10",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
}

impl ReportArgs {
    fn node(&self) -> anyhow::Result<String> {
        match &self.node {
            Some(node) => Ok(node.clone()),
            None => {
                let text = std::fs::read_to_string("/proc/sys/kernel/hostname");
                // As the kubelet has it (RFC 1123 knows no case).
                Ok(text.context("the host name")?.trim().to_lowercase())
            }
        }
    }
}

/// Where reports go.
#[derive(Debug, clap::Args)]
struct ServerArgs {
    /// The server; plain http only on this machine
    #[arg(long, value_name = "URL")]
    server: String,
    /// The cluster, as the server names it
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// This machine is not a node of the cluster
    #[arg(long)]
    host: bool,
    /// What to say of this machine beside its addresses; may be given again
    #[arg(long = "tag", value_name = "KEY=VALUE", requires = "host", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Directory for what the server does not have yet
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/ringfence-agent")]
    spool: PathBuf,
    /// Bytes that may wait there
    #[arg(long, value_name = "BYTES", default_value = "268435456")]
    spool_bytes: u64,
    /// Minutes that something may wait there
    #[arg(long, value_name = "MINUTES", default_value = "60",
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    spool_minutes: u64,
    /// Certificates of who may have signed the server's, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// File with the token to enrol with, as `ringfence agents token` prints it
    ///
    /// It is read when the agent has no certificate that counts: at the first start, and after it was removed or away
    /// for too long.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Directory for the agent's key, which never leaves it, and for the certificate that the server gives
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/ringfence-agent/identity")]
    identity: PathBuf,
    /// The agent's certificate, in PEM, instead of enrolling
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "token_file")]
    certificate: Option<PathBuf>,
    /// The key of the agent's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

/// How the agent shows who it is.
enum Way {
    /// Over what stays as it is.
    Fixed(Box<Endpoint>),
    /// With certificates that the server gives.
    Enrolled(Server),
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() {
        Err("the key is empty".to_owned())
    } else {
        Ok((key.to_owned(), value.to_owned()))
    }
}

impl ServerArgs {
    fn machine(&self) -> Machine {
        if self.host { Machine::Host(self.tags.iter().cloned().collect()) } else { Machine::Node }
    }

    fn way(&self) -> anyhow::Result<Way> {
        let endpoint = Endpoint::from_shared(self.server.clone()).context("--server")?;
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        if endpoint.uri().scheme_str() != Some("https") {
            let host = endpoint.uri().host().unwrap_or_default().trim_matches(['[', ']']);
            let local = host == "localhost"
                || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
            anyhow::ensure!(local, "--server: http is for this machine only (hint: use https)");
            return Ok(Way::Fixed(Box::new(endpoint)));
        }
        let ca = self.ca.as_ref().context("--ca: missing, and the server is reached over https")?;
        let ca = read(ca)?;
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(Way::Enrolled(Server { url: self.server.clone(), ca }));
        };
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca))
            .identity(Identity::from_pem(read(certificate)?, read(key)?));
        Ok(Way::Fixed(Box::new(endpoint.tls_config(tls).context("TLS")?)))
    }
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
    /// Socket of the container runtime (CRI), which knows pods best; found by itself when left out
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// Other nodes are on the same kernel, as with kind: report what belongs to this node or its pods only
    #[arg(long)]
    shared_kernel: bool,
    /// What observes: programs in the kernel, or its connection tracking and lists of sockets
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    observer: Choice,
    /// A further network namespace in which Service addresses are translated, such as /run/netns/NAME; the agent's own
    /// is always one
    #[arg(long, value_name = "FILE")]
    tracked: Vec<PathBuf>,
}

/// What observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Programs (eBPF) where the kernel permits them
    Auto,
    /// Programs, or nothing
    Ebpf,
    /// No programs: it sees less, and says what it misses
    Conntrack,
}

impl Place {
    fn tracked(&self) -> anyhow::Result<Vec<File>> {
        let open = |path: &PathBuf| File::open(path).with_context(|| path.display().to_string());
        self.tracked.iter().map(open).collect()
    }

    fn runtime(&self) -> Option<PathBuf> {
        self.runtime.clone().or_else(Runtime::find)
    }

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
        Command::Watch { place, report } => watch(&place, &report),
        Command::Run { place, report, server } => run(&place, &report, &server),
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
    let mut out = io::stdout().lock();
    let mut refused = false;
    match probe(&place.options()?) {
        Ok(findings) => {
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
        }
        Err(error) if is_refusal(&error) => {
            refused = true;
            writeln!(out, "refused  programs: {:#}", anyhow::Error::new(error))?;
        }
        Err(error) => return Err(error.into()),
    }
    // Which of them observes, and what it misses, is found out by starting it.
    match start(place, Machine::Node) {
        Ok(watch) => {
            writeln!(out, "observes by {}", name(watch.observer()))?;
            for blind in watch.blind() {
                writeln!(out, "misses   {blind}")?;
            }
        }
        Err(error) => {
            refused = true;
            writeln!(out, "observes nothing: {error:#}")?;
        }
    }
    let otherwise = format!("cgroup paths and {}", place.pod_logs.display());
    match place.runtime() {
        None => writeln!(out, "works    pods by {otherwise}: no container runtime is found")?,
        Some(socket) => match version(&socket) {
            Ok(version) => writeln!(out, "works    pods by {version} ({})", socket.display())?,
            Err(reason) => {
                refused = true;
                writeln!(out, "refused  pods by the runtime at {}: {reason}", socket.display())?;
                writeln!(out, "         they are known by {otherwise} alone")?;
            }
        },
    }
    Ok(ExitCode::from(u8::from(refused)))
}

const fn name(observer: ObserverKind) -> &'static str {
    match observer {
        ObserverKind::Programs => "eBPF",
        ObserverKind::Tracking => "connection tracking",
    }
}

/// Whether the kernel permits no programs, rather than that something is wrong with how it was asked.
const fn is_refusal(error: &ObserverError) -> bool {
    match error {
        ObserverError::Btf(_) | ObserverError::Load(_) | ObserverError::Indispensable(_) => true,
        ObserverError::Cgroup { .. }
        | ObserverError::Pins { .. }
        | ObserverError::Kernel { .. } => false,
    }
}

/// Starts to observe, and gives up the privileges that only this takes.
fn start(place: &Place, machine: Machine) -> anyhow::Result<Watch> {
    let runtime = place.runtime().filter(|_| machine == Machine::Node);
    let (proc, pod_logs) = (place.proc.clone(), place.pod_logs.clone());
    let sources = Sources { machine, proc, pod_logs };
    let kernel = if place.shared_kernel { Kernel::Shared } else { Kernel::Own };
    let tracked = place.tracked()?;
    let observer = match place.observer {
        Choice::Conntrack => None,
        Choice::Ebpf => Some(Observer::start(&place.options()?)?),
        Choice::Auto => match Observer::start(&place.options()?) {
            Ok(observer) => Some(observer),
            Err(error) if is_refusal(&error) => {
                eprintln!("warning: {:#}", anyhow::Error::new(error));
                eprintln!("hint: connections are observed by connection tracking, which sees less");
                None
            }
            Err(error) => return Err(error.into()),
        },
    };
    let (mut watch, entering) = match observer {
        Some(observer) => {
            for finding in observer.findings() {
                if let State::Refused(reason) = &finding.state {
                    eprintln!("warning: {}: {reason}", finding.mechanism);
                    eprintln!("hint: {}", finding.mechanism.without());
                }
            }
            (Watch::new(observer, sources, kernel, &tracked)?, Entering::Ends)
        }
        None => (Watch::without_programs(sources, kernel, &tracked)?, Entering::GoesOn),
    };
    drop_privileges(entering).context("privileges cannot be dropped")?;
    if let Some(socket) = runtime {
        let named = socket.display().to_string();
        let tell = move |fault: Option<&str>| match fault {
            Some(fault) => eprintln!("warning: the container runtime at {named}: {fault}"),
            None => eprintln!("the container runtime at {named} answers"),
        };
        let runtime = Runtime::start(&socket, &place.proc, tell);
        watch.consult(runtime.context("the container runtime cannot be asked")?);
    }
    Ok(watch)
}

fn watch(place: &Place, report: &ReportArgs) -> anyhow::Result<ExitCode> {
    let node = report.node()?;
    let mut watch = start(place, Machine::Node)?;
    begin(&watch, &node);
    watch.run(Duration::from_secs(report.interval), |report| write(&report, &node))?;
    Ok(ExitCode::SUCCESS)
}

fn begin(watch: &Watch, node: &str) {
    for blind in watch.blind() {
        eprintln!("warning: not seen: {blind}");
    }
    eprintln!("observing as {node} by {}", name(watch.observer()));
}

fn run(place: &Place, report: &ReportArgs, server: &ServerArgs) -> anyhow::Result<ExitCode> {
    let node = report.node()?;
    let way = server.way()?;
    let bounds =
        Bounds { bytes: server.spool_bytes, age: Duration::from_mins(server.spool_minutes) };
    let (mut spool, damage) = Spool::open(&server.spool, bounds)
        .with_context(|| format!("the spool {}", server.spool.display()))?;
    if let Some(damage) = damage {
        warn(&damage);
    }
    let mut watch = start(place, server.machine())?;
    spool.lost(LossReason::ProbeRefused, watch.blind().len() as u64);
    let spool = SharedSpool::new(spool);
    let machine = if server.host { MachineKind::Host } else { MachineKind::Node };
    let sender = Sender { cluster: server.cluster.clone(), node: node.clone(), machine };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let delivered = spool.clone();
    let (endpoint, endpoints) = tokio::sync::watch::channel(None);
    let enrolment = match way {
        Way::Fixed(fixed) => {
            endpoint.send_replace(Some(*fixed));
            None
        }
        Way::Enrolled(reached) => Some(Enrolment {
            server: reached,
            cluster: server.cluster.clone(),
            node: node.clone(),
            wallet: Wallet::new(&server.identity),
            token: server.token_file.clone(),
        }),
    };
    std::thread::Builder::new().name("deliver".to_owned()).spawn(move || {
        runtime.block_on(async {
            let refused = Arc::new(Notify::new());
            let delivery = deliver(endpoints, sender, delivered, |error| {
                warn(error);
                if error.is_refusal() {
                    refused.notify_one();
                }
            });
            match enrolment {
                Some(enrolment) => {
                    let kept = enrolment.keep(endpoint, Arc::clone(&refused), |error| warn(error));
                    tokio::join!(delivery, kept);
                }
                None => delivery.await,
            }
        });
    })?;
    begin(&watch, &node);
    watch.run(Duration::from_secs(report.interval), |report| {
        spool.lock().keep(report.number, &encode(&report, &node), Instant::now())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Says what is wrong, and why.
fn warn(error: &dyn std::error::Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("warning: {text}");
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
    if report.events_lost > 0 {
        eprintln!("warning: events of connection tracking were lost");
    }
    Ok(())
}
