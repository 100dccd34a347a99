//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use ringfence_model::{Name, Timestamp, WorkloadKind};
use ringfence_policy::Profile;
use ringfence_server::principal::Role;
use ringfence_views::explain::kind_name;

/// Least-privilege NetworkPolicies from observed traffic, proven before they are applied.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write NetworkPolicies for what was observed, with the proof that they are right
    ///
    /// Exit code 1: the proof failed, and the certificate holds a counter-example.
    Generate(GenerateArgs),
    /// Show who talks to whom: the ingress and egress tables
    Edges(EdgesArgs),
    /// Judge the observed flows against policies: those of the cluster, or a candidate
    ///
    /// Exit code 1: a needed flow would be cut.
    Check(CheckArgs),
    /// Say which rules decide one connection
    ///
    /// Exit code 1: the connection is denied.
    Explain(ExplainArgs),
    /// Show who can reach whom over what, under the policies of a cluster
    Reach(ReachArgs),
    /// Show the connectivity that two dumps, or two policy sets, differ in
    Diff(DiffArgs),
    /// Find policies that do not say what was meant
    ///
    /// Exit code 1: there are warnings or errors. Notes alone are fine.
    Lint(LintArgs),
    /// Run the server: watch clusters, take flows in, and serve the API and the pages
    Serve(ServeArgs),
    /// Write everything that the server keeps of a cluster as an archive, which the other commands read
    Export(ExportArgs),
    /// Take a cluster from an archive into a store that no server has open
    Import(ImportArgs),
    /// Copy the server's database, while the server runs
    Backup(BackupArgs),
    /// Make a token for the server, and what goes into its file of tokens
    Token(TokenArgs),
    /// Let agents in, see who they are, and take them out
    #[command(subcommand)]
    Agents(AgentsCommand),
    /// Observe the connections of this machine's pods: runs ringfence-agent (Linux)
    #[command(disable_help_flag = true)]
    Agent(ProgramArgs),
    /// Run a small cluster of network namespaces whose pods really talk: runs ringfence-lab (Linux, root)
    #[command(disable_help_flag = true)]
    Lab(ProgramArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages
    Man {
        /// Directory to write them to
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// What another program is to do.
#[derive(Debug, clap::Args)]
pub(crate) struct ProgramArgs {
    /// Its arguments; --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<std::ffi::OsString>,
}

/// Which network plugin the cluster has.
#[derive(Debug, clap::Args)]
pub(crate) struct ProfileArgs {
    /// What the network plugin does where the NetworkPolicy specification leaves it open
    #[arg(long, value_name = "NAME", default_value = "common", value_parser = profile)]
    pub(crate) profile: (&'static str, Profile),
}

/// Where the traffic is recorded, and what people decided about it.
#[derive(Debug, clap::Args)]
pub(crate) struct TrafficArgs {
    /// Kubernetes objects: files or directories of YAML or JSON, or - for stdin (kubectl get -A -o yaml, or manifests)
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) cluster: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Flow logs, plain, gzip or zstd, or - for stdin: Hubble JSON lines or Ringfence's own
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) flows: Vec<PathBuf>,
    /// The review file: what people decided
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) review: Option<PathBuf>,
    /// Only this namespace; without it, all but those of Kubernetes itself
    #[arg(short, long)]
    pub(crate) namespace: Option<Name>,
    /// Only flows from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only flows before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
}

/// How to print an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For machines.
    Json,
    /// For machines and people.
    Yaml,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// Only this workload, such as Deployment/web
    #[arg(long, value_name = "KIND/NAME")]
    pub(crate) workload: Option<WorkloadPattern>,
    /// Directory for the policies and certificate.json, or - to print the policies
    #[arg(short, long, value_name = "DIR|-", default_value = "-", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// File for the certificate, beside or instead of the one in the output directory
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) certificate: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EdgesArgs {
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// Only entities of this kind: Deployment, StatefulSet, DaemonSet, CronJob, Job, ... or Service
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only this entity, such as Deployment/web or Service/web
    #[arg(long, value_name = "KIND/NAME", conflicts_with = "kind")]
    pub(crate) workload: Option<WorkloadPattern>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// Only this workload, such as Deployment/web
    #[arg(long, value_name = "KIND/NAME")]
    pub(crate) workload: Option<WorkloadPattern>,
    /// Candidate policies: files or directories. They join those of the cluster, in place of those of the same name
    #[arg(long, num_args = 1.., value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) policies: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    // One path an option here, unlike elsewhere: the ends and the port come after.
    /// Kubernetes objects: a file or directory of YAML or JSON, or - for stdin; may be repeated
    #[arg(long, required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) cluster: Vec<PathBuf>,
    /// Candidate policies: a file or directory; may be repeated. They join those of the cluster, in place of those
    /// of the same name
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) policies: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Who connects: NAMESPACE/KIND/NAME, NAMESPACE/POD, Node/NAME or an address
    pub(crate) source: String,
    /// To whom: NAMESPACE/KIND/NAME, NAMESPACE/POD, Node/NAME or an address
    pub(crate) destination: String,
    /// Port at the destination, after Service translation: 8080 or UDP/53
    pub(crate) port: String,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// A cluster and the policies to judge by, without traffic.
#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    /// Kubernetes objects: files or directories of YAML or JSON, or - for stdin (kubectl get -A -o yaml, or manifests)
    #[arg(long, required = true, num_args = 1.., value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) cluster: Vec<PathBuf>,
    /// Candidate policies: files or directories. They join those of the cluster, in place of those of the same name
    #[arg(long, num_args = 1.., value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) policies: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
}

/// How to print reachability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReachFormat {
    /// For people: what is open because no policy isolates is told in a line, not in rows.
    Table,
    /// For machines: all pairs.
    Json,
    /// For spreadsheets: all pairs.
    Csv,
    /// For Graphviz: the pairs that policies decide.
    Dot,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReachArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Only what workloads of this namespace can reach, and what can reach them
    #[arg(short, long)]
    pub(crate) namespace: Option<Name>,
    /// Only what this workload can reach, and what can reach it, such as Deployment/web
    #[arg(long, value_name = "KIND/NAME")]
    pub(crate) workload: Option<WorkloadPattern>,
    /// Only what they can reach, not what can reach them
    #[arg(long, conflicts_with = "to")]
    pub(crate) from: bool,
    /// Only what can reach them, not what they can reach
    #[arg(long)]
    pub(crate) to: bool,
    /// Instead list what is open to addresses, to every namespace, and to pods that do not exist yet (table, json, csv)
    #[arg(long)]
    pub(crate) exposure: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = ReachFormat::Table)]
    pub(crate) output: ReachFormat,
}

/// How to print a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For people.
    Table,
    /// For machines.
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// Before: a dump of a cluster, or with --cluster policies
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) before: PathBuf,
    /// After: a dump of a cluster, or with --cluster policies
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) after: PathBuf,
    // One path an option: two paths may come after.
    /// Judge both policy sets over this cluster: a file or directory of YAML or JSON, or - for stdin; may be repeated.
    /// Its policies that neither set names stay in force
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) cluster: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// End with exit code 1 when there is a difference
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = DiffFormat::Table)]
    pub(crate) output: DiffFormat,
}

/// How to print findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    /// For people.
    Table,
    /// For machines.
    Json,
    /// For CI and editors: SARIF 2.1.0.
    Sarif,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LintArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = LintFormat::Table)]
    pub(crate) output: LintFormat,
}

/// How to write the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: a JSON object a line.
    Json,
}

/// What traffic the example has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoTraffic {
    /// What was recorded.
    Recorded,
    /// That, and what agents in the lab deliver.
    Live,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The configuration, in YAML; without one the server listens on loopback only
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen, instead of what the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// The database, instead of what the configuration says
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) store: Option<PathBuf>,
    /// Serve the example application from a store that is gone afterwards: as it was recorded, or beside that live,
    /// when the lab plays it
    #[arg(long, value_enum, conflicts_with_all = ["config", "store"], value_name = "TRAFFIC",
          num_args = 0..=1, require_equals = true, default_missing_value = "recorded")]
    pub(crate) demo: Option<DemoTraffic>,
    /// Only check the configuration and the files it names
    ///
    /// Exit code 2: they have faults, all of which are listed.
    #[arg(long, conflicts_with = "demo")]
    pub(crate) check_config: bool,
    /// How to write the log, on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What to log: error, warn, info, debug, or by module
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

/// The server's database.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The server's database; without it, the one that ringfence serve uses by itself
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) store: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Which cluster; not needed when there is only one
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<Name>,
    /// A new directory, or a new file that ends in .tar.zst
    #[arg(short, long, value_name = "DIR|FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// What to call the cluster, instead of the name that the archive gives
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<Name>,
    /// The archive: a directory, or a file that ends in .tar.zst
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) archive: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// A new file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// Whose token it is, for the audit trail
    pub(crate) name: String,
    /// What it permits: viewer, editor or admin
    #[arg(long, default_value = "viewer")]
    pub(crate) role: Role,
    /// Until when it is valid (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<Timestamp>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// Make a token with which an agent enrols, and print it
    Token(AgentTokenArgs),
    /// Show the agents that are enrolled
    List(AgentListArgs),
    /// Take an agent out: the server refuses its certificates from now on
    Remove(AgentRemoveArgs),
}

/// A server that runs, and who asks it.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server; plain http only on this machine
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8470")]
    pub(crate) server: String,
    /// Certificates of who may have signed the server's, in PEM; those of the system when left out
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Option<PathBuf>,
    /// File with an administrator's token for the server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AgentTokenArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The cluster that the machines belong to, as the server is to name it
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Name,
    /// The one node or host that it is for; any that is not enrolled yet when left out
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<Name>,
    /// How many agents it brings in, such as those of a DaemonSet
    #[arg(long, value_name = "NUMBER", default_value_t = 1, conflicts_with = "node")]
    pub(crate) uses: u32,
    /// For how many minutes it counts
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub(crate) minutes: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AgentListArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AgentRemoveArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The cluster
    pub(crate) cluster: Name,
    /// The node or host
    pub(crate) node: Name,
}

/// `KIND/NAME` as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadPattern {
    pub(crate) kind: String,
    pub(crate) name: Name,
}

impl std::str::FromStr for WorkloadPattern {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (kind, name) = s.split_once('/').ok_or("expected KIND/NAME, such as Deployment/web")?;
        let name = name.parse().map_err(|e| format!("{e}"))?;
        Ok(Self { kind: kind_name(kind), name })
    }
}

impl WorkloadPattern {
    pub(crate) fn workload_kind(&self) -> WorkloadKind {
        WorkloadKind::from(self.kind.as_str())
    }
}

fn profile(name: &str) -> Result<(&'static str, Profile), String> {
    let known = Profile::BUILT_IN;
    known
        .into_iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("the profiles are {}", known.map(|(name, _)| name).join(", ")))
}
