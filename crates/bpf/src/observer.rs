//! The programs at work.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, PinnedLink};
use aya::{Btf, BtfError, Ebpf, EbpfError, EbpfLoader};
use thiserror::Error;

use crate::cookie::within;
use crate::flow::Flow;
use crate::mechanism::{Finding, Mechanism, State};
use crate::tables::{Control, Epoch, Losses, Namespace, Room, Tables};
use crate::{OBJECT, sys};

/// The maps that outlive the agent where there is a directory for them.
const MAPS: [&str; 12] = [
    "flows_even",
    "flows_odd",
    "overflow",
    "losses",
    "control",
    "streams",
    "crowded",
    "endpoints",
    "namespaces",
    "met",
    "conversations",
    "listening",
];

/// How to observe.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory in a BPF file system for the maps and programs, so that they count on while nobody reads: a later
    /// start takes them over. Without it they end with the [`Observer`].
    pub pins: Option<PathBuf>,
    /// The cgroup2 directory whose processes' datagrams are observed; the root for all of the machine.
    pub cgroup: PathBuf,
    /// How many [`crate::FlowKey`]s find room in one epoch. Each takes about 400 bytes of the kernel's memory.
    pub capacity: u32,
}

/// Why nothing can be observed.
#[derive(Debug, Error)]
pub enum ObserverError {
    /// The kernel does not describe its types.
    #[error("the kernel's types (BTF) cannot be read")]
    Btf(#[source] BtfError),
    /// The object or its maps were refused.
    #[error("the maps cannot be created")]
    Load(#[source] EbpfError),
    /// No such cgroup.
    #[error("cgroup {}", .path.display())]
    Cgroup {
        /// As given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory for the pins.
    #[error("directory for pins {} (hint: it must be in a file system of type bpf)", .path.display())]
    Pins {
        /// As given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The mechanism without which there is nothing.
    #[error("the kernel refuses what is indispensable: {}", refusal(.0))]
    Indispensable(Vec<Finding>),
    /// The kernel failed at something that it had been doing.
    #[error("{action}")]
    Kernel {
        /// What it was.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn refusal(findings: &[Finding]) -> String {
    match findings.first() {
        Some(Finding { mechanism, state: State::Refused(reason) }) => {
            format!("{mechanism}: {reason}")
        }
        _ => "no reason given".to_owned(),
    }
}

fn kernel(action: &'static str) -> impl FnOnce(io::Error) -> ObserverError {
    move |source| ObserverError::Kernel { action, source }
}

/// Programs that count, and the tables that they fill.
#[derive(Debug)]
pub struct Observer {
    tables: Tables,
    findings: Vec<Finding>,
    sweep: Option<OwnedFd>,
    seed: Option<OwnedFd>,
    control: Control,
    /// Whether the table of the epoch before may still hold something.
    unread: bool,
    /// What is attached as long as this lives; empty where it is pinned.
    _links: Vec<FdLink>,
}

impl Observer {
    /// Attaches everything that the kernel permits, or takes over what an earlier run left attached.
    pub fn start(options: &Options) -> Result<Self, ObserverError> {
        let btf = Btf::from_sys_fs().map_err(ObserverError::Btf)?;
        let cgroup = File::open(&options.cgroup)
            .map_err(|source| ObserverError::Cgroup { path: options.cgroup.clone(), source })?;
        let pins =
            options.pins.as_deref().map(|pins| own_pins(pins, &options.cgroup)).transpose()?;
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&btf));
        for table in ["flows_even", "flows_odd"] {
            loader.map_max_entries(table, options.capacity);
        }
        if let Some(pins) = &pins {
            for map in MAPS {
                loader.map_pin_path(map, pins.join(map));
            }
        }
        let mut ebpf = loader.load(OBJECT).map_err(ObserverError::Load)?;
        let tables = Tables::new(&ebpf).map_err(kernel("the maps cannot be opened"))?;
        let control = first_control(&tables).map_err(kernel("the maps cannot be set up"))?;

        let mut links = Vec::new();
        let mut findings = Vec::new();
        for mechanism in Mechanism::ALL {
            let state = match begin(mechanism, &mut ebpf, &btf, &cgroup, pins.as_deref()) {
                Ok(Begun::Kept) => State::Kept,
                Ok(Begun::Ready) => State::Works,
                Ok(Begun::Attached(link)) => {
                    links.push(link);
                    State::Works
                }
                Err(reason) => State::Refused(reason),
            };
            findings.push(Finding { mechanism, state });
            if findings.len() == 1 && findings.iter().any(|finding| !finding.state.is_usable()) {
                return Err(ObserverError::Indispensable(findings));
            }
        }
        let descriptor = |mechanism: Mechanism| {
            let program = ebpf.program(mechanism.program())?.fd().ok()?;
            program.as_fd().try_clone_to_owned().ok()
        };
        let sweep = descriptor(Mechanism::Sweep);
        let seed = descriptor(Mechanism::SeedStreams);
        Ok(Self { tables, findings, sweep, seed, control, unread: true, _links: links })
    }

    /// How each mechanism fared, in the order of [`Mechanism::ALL`].
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// A number that tells these maps from those of another boot or version: [`Epoch`]s count from 1 in each.
    pub const fn incarnation(&self) -> u64 {
        self.control.incarnation
    }

    /// Takes in the TCP connections that were there before the programs, in one network namespace, given an
    /// open `/proc/PID/ns/net`. Doing so again does no harm. Entering takes `CAP_SYS_ADMIN`.
    pub fn seed(&self, namespace: BorrowedFd<'_>) -> Result<(), ObserverError> {
        within(namespace, || self.seed.iter().try_for_each(|seed| sys::iterate(seed.as_fd())))
            .map_err(kernel("older sockets cannot be read"))
    }

    /// Ends an epoch and hands over what it counted. Until [`Closed::forget`] was called for it, the same epoch is
    /// handed over again, also after a restart: so whoever keeps the number of the last epoch that is safe loses
    /// nothing and counts nothing twice.
    pub fn turn(&mut self) -> Result<Closed<'_>, ObserverError> {
        if self.unread {
            // The write of the epoch may be the last that a run before this one did.
            self.tables.wait().map_err(kernel("the tables cannot be turned"))?;
            let (flows, losses) = self.read()?;
            if !flows.is_empty() || losses != Losses::default() {
                return Ok(self.closed(flows, losses));
            }
        }
        if let Some(sweep) = &self.sweep {
            for streams in self.tables.streams() {
                sys::iterate_map(sweep.as_fd(), streams.as_fd())
                    .map_err(kernel("open connections cannot be swept"))?;
            }
        }
        self.tables.turn().map_err(kernel("the tables cannot be turned"))?;
        self.control.epoch += 1;
        self.unread = true;
        let (flows, losses) = self.read()?;
        Ok(self.closed(flows, losses))
    }

    fn read(&self) -> Result<(Vec<Flow>, Losses), ObserverError> {
        self.tables.read(self.control.epoch - 1).map_err(kernel("the tables cannot be read"))
    }

    fn closed(&mut self, flows: Vec<Flow>, losses: Losses) -> Closed<'_> {
        let room = self.tables.room(&flows);
        Closed { epoch: self.control.epoch - 1, flows, losses, room, observer: self }
    }

    /// The network namespaces in which the programs saw somebody open or offer a TCP connection.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, ObserverError> {
        self.tables.namespaces().map_err(kernel("the namespaces cannot be read"))
    }

    /// Ends what runs pinned under a directory, of this version and others: nothing counts any more.
    pub fn unpin(pins: &Path) -> io::Result<()> {
        match fs::remove_dir_all(pins) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

/// An epoch that is over.
#[derive(Debug)]
pub struct Closed<'a> {
    /// Its number.
    pub epoch: Epoch,
    /// What it counted.
    pub flows: Vec<Flow>,
    /// What it could not count where it belongs.
    pub losses: Losses,
    /// How much of the table it took.
    pub room: Room,
    observer: &'a mut Observer,
}

impl Closed<'_> {
    /// Empties the tables of the epoch: what they said is safe.
    pub fn forget(self) -> Result<(), ObserverError> {
        self.observer.tables.clear(self.epoch).map_err(kernel("the tables cannot be emptied"))?;
        self.observer.unread = false;
        Ok(())
    }
}

/// What became of a mechanism.
enum Begun {
    /// An earlier run attached it.
    Kept,
    /// Loaded or, pinned, attached.
    Ready,
    /// Attached as long as the link lives.
    Attached(FdLink),
}

fn begin(
    mechanism: Mechanism,
    ebpf: &mut Ebpf,
    btf: &Btf,
    cgroup: &File,
    pins: Option<&Path>,
) -> Result<Begun, String> {
    let pin = pins.map(|pins| pins.join(format!("link-{}", mechanism.program())));
    if mechanism.is_attached()
        && let Some(pin) = &pin
        && PinnedLink::from_pin(pin).is_ok()
    {
        return Ok(Begun::Kept);
    }
    mechanism.load(ebpf, btf).map_err(|error| chain(&error))?;
    if !mechanism.is_attached() {
        return Ok(Begun::Ready);
    }
    let link = mechanism.attach(ebpf, cgroup).map_err(|error| chain(&error))?;
    match pin {
        None => Ok(Begun::Attached(link)),
        Some(pin) => link.pin(pin).map(|_| Begun::Ready).map_err(|error| chain(&error)),
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // The verifier's log is for developers; its end says what was wrong.
    text.lines().rfind(|line| !line.trim().is_empty()).map_or_else(String::new, str::to_owned)
}

/// The directory of this version of the programs on this cgroup. Those of other versions go: their records could not
/// be read, and both would count.
fn own_pins(pins: &Path, cgroup: &Path) -> Result<PathBuf, ObserverError> {
    let fault = |source| ObserverError::Pins { path: pins.to_owned(), source };
    let own = pins.join(format!("programs-{:016x}", fingerprint(cgroup)));
    fs::create_dir_all(&own).map_err(fault)?;
    for entry in fs::read_dir(pins).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let ours = entry.file_name().to_string_lossy().starts_with("programs-");
        if ours && entry.path() != own {
            fs::remove_dir_all(entry.path()).map_err(fault)?;
        }
    }
    Ok(own)
}

/// Tells versions of the programs apart (FNV-1a).
fn fingerprint(cgroup: &Path) -> u64 {
    let bytes = OBJECT.iter().chain(cgroup.as_os_str().as_encoded_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What the maps say of themselves, after having been told if they are new.
fn first_control(tables: &Tables) -> io::Result<Control> {
    let control = tables.control()?;
    if control.epoch != 0 {
        return Ok(control);
    }
    let (first, last) = ephemeral_ports()?;
    // The random keys of a hasher: as unique as needed, and the standard library has them.
    let incarnation = RandomState::new().build_hasher().finish();
    let control = Control { epoch: 1, incarnation, ephemeral_first: first, ephemeral_last: last };
    tables.set_control(control)?;
    Ok(control)
}

/// The ports that the kernel gives to clients. It has one range for IPv4 and IPv6.
fn ephemeral_ports() -> io::Result<(u32, u32)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok((first, last)),
        _ => Err(io::Error::other(format!("range of local ports {text:?}"))),
    }
}
