//! The loop: learn whose namespaces are, and at the end of each interval take what was counted.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ringfence_bpf::{Closed, Epoch, Losses, Observer, ObserverError, Room, State};
use thiserror::Error;

use crate::host::Host;
use crate::observation::{Interval, Observation};
use crate::owner::{Machine, Owner, Owners, Sources};
use crate::runtime::Runtime;
use crate::tracker::Tracker;
use crate::translation::Translator;

/// Pods may be gone before the interval ends, so that their namespaces are looked at more often.
const LEARNING: Duration = Duration::from_secs(1);
/// From so many percent on it is told how full the table of connections is.
const NEARLY_FULL: u64 = 80;
/// What the kernel tells by itself waits for no longer than this, because its room is bounded.
const READING: Duration = Duration::from_millis(200);

/// Why watching ended.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] ObserverError),
    /// The processes of the machine.
    #[error("the processes of the machine cannot be read")]
    Processes(#[source] io::Error),
    /// The interfaces of the machine.
    #[error("the addresses of the machine cannot be read")]
    Addresses(#[source] io::Error),
    /// What was observed could not be kept.
    #[error("what was observed cannot be kept")]
    Keep(#[source] io::Error),
    /// The connection tracking or the list of sockets.
    #[error("the kernel's connection tracking and sockets cannot be read")]
    Tracking(#[source] io::Error),
}

/// What observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObserverKind {
    /// Programs in the kernel (eBPF).
    Programs,
    /// The kernel's connection tracking, and lists of sockets.
    Tracking,
}

/// What was observed in one interval.
#[derive(Clone, Debug)]
pub struct Report {
    /// When.
    pub interval: Interval,
    /// The life of the counters, and the number of the interval in it: the same numbers, the same report.
    pub number: (u64, Epoch),
    /// Of whom anything is known or not.
    pub observations: Vec<Observation>,
    /// What could not be counted where it belongs.
    pub losses: Losses,
    /// Flows whose network namespace could not be told to be anybody's. They are among the observations.
    pub unattributed: u64,
    /// How often the kernel had more to tell of tracked connections than found room.
    pub events_lost: u64,
    /// What observed.
    pub observer: ObserverKind,
    /// What it does not see here, for people.
    pub blind: Vec<String>,
    /// The machine, if it is none of a cluster.
    pub host: Option<Host>,
}

/// Observes a machine.
#[derive(Debug)]
pub struct Watch {
    means: Means,
    owners: Owners,
    /// End of the last interval.
    last: Instant,
    kernel: Kernel,
}

#[derive(Debug)]
enum Means {
    /// Programs, and beside them what netfilter translates; or why that is not known.
    Programs { observer: Box<Observer>, translator: Result<Translator, String> },
    /// What there is without programs, the life of its counters, and the number of the next interval.
    Tracking { tracker: Box<Tracker>, incarnation: u64, epoch: Epoch },
}

/// Whose the kernel is that is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// This machine's: what belongs to nobody known is reported too, by its addresses.
    Own,
    /// Nodes that are containers share it, each with an agent of its own: only what belongs to this node or to pods
    /// that its kubelet knows is reported, so that nothing is told twice.
    Shared,
}

impl Watch {
    /// Takes in what is there already. From here on nothing needs more than
    /// [`drop_privileges`](crate::privilege::drop_privileges) leaves. Service addresses that netfilter translates are
    /// known from the connection tracking of this namespace and of `further` ones.
    pub fn new(
        observer: Observer,
        sources: Sources,
        kernel: Kernel,
        further: &[File],
    ) -> Result<Self, WatchError> {
        let mut owners = Owners::new(sources).map_err(WatchError::Processes)?;
        let machine = File::open("/proc/self/ns/net").map_err(WatchError::Processes)?;
        observer.seed(machine.as_fd())?;
        let mut fault = None;
        owners
            .search(|namespace| {
                // A namespace may end meanwhile; what else is wrong is wrong with all.
                fault = fault.take().or(observer.seed(namespace.as_fd()).err());
            })
            .map_err(WatchError::Processes)?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        owners.learn(&observer.namespaces()?);
        let translator = Translator::start(further).map_err(|error| error.to_string());
        let means = Means::Programs { observer: Box::new(observer), translator };
        Ok(Self { means, owners, last: Instant::now(), kernel })
    }

    /// Observes without programs. It goes on entering network namespaces.
    pub fn without_programs(
        sources: Sources,
        kernel: Kernel,
        further: &[File],
    ) -> Result<Self, WatchError> {
        let proc = sources.proc.clone();
        let mut owners = Owners::new(sources).map_err(WatchError::Processes)?;
        owners.search(|_| ()).map_err(WatchError::Processes)?;
        let tracker = Tracker::start(proc, further).map_err(WatchError::Tracking)?;
        // The random keys of a hasher: as unique as needed.
        let incarnation = RandomState::new().build_hasher().finish();
        let means = Means::Tracking { tracker: Box::new(tracker), incarnation, epoch: 1 };
        Ok(Self { means, owners, last: Instant::now(), kernel })
    }

    /// What observes.
    pub const fn observer(&self) -> ObserverKind {
        match self.means {
            Means::Programs { .. } => ObserverKind::Programs,
            Means::Tracking { .. } => ObserverKind::Tracking,
        }
    }

    /// What is not seen here, for people.
    pub fn blind(&self) -> Vec<String> {
        match &self.means {
            Means::Programs { observer, translator } => blind(observer, translator.as_ref().err()),
            Means::Tracking { tracker, .. } => {
                tracker.blind().into_iter().map(str::to_owned).collect()
            }
        }
    }

    /// Asks the container runtime too whose namespaces are. To be called after privileges are dropped, because the
    /// runtime is asked on a thread of its own.
    pub fn consult(&mut self, runtime: Runtime) {
        self.owners.consult(runtime);
    }

    /// Hands over a report every interval, forever, unless `keep` fails. When `keep` returns, the report is safe: its
    /// counters are emptied. A report that was kept but not known to be may come again with its number, after a
    /// restart.
    pub fn run(
        &mut self,
        every: Duration,
        mut keep: impl FnMut(Report) -> io::Result<()>,
    ) -> Result<(), WatchError> {
        loop {
            let begun = Instant::now();
            while begun.elapsed() < every {
                let until = Instant::now() + LEARNING.min(every.saturating_sub(begun.elapsed()));
                while let Some(rest) = until.checked_duration_since(Instant::now()) {
                    thread::sleep(READING.min(rest));
                    self.read()?;
                }
                self.learn()?;
            }
            self.step(&mut keep)?;
        }
    }

    fn read(&mut self) -> Result<(), WatchError> {
        match &mut self.means {
            Means::Programs { translator: Ok(translator), .. } => translator.read(),
            Means::Programs { .. } => Ok(()),
            Means::Tracking { tracker, .. } => tracker.read(),
        }
        .map_err(WatchError::Tracking)
    }

    fn learn(&mut self) -> Result<(), WatchError> {
        if let Means::Programs { observer, .. } = &self.means {
            self.owners.learn(&observer.namespaces()?);
            return Ok(());
        }
        self.owners.search(|_| ()).map_err(WatchError::Processes)
    }

    /// Ends one interval now.
    pub fn step(
        &mut self,
        mut keep: impl FnMut(Report) -> io::Result<()>,
    ) -> Result<(), WatchError> {
        self.learn()?;
        self.owners.search(|_| ()).map_err(WatchError::Processes)?;
        self.owners.settle();
        let host = match self.owners.kind() {
            Machine::Node => None,
            Machine::Host(tags) => Some(Host::now(tags).map_err(WatchError::Addresses)?),
        };
        let Self { means, owners, last, kernel } = self;
        let mut elapsed = || {
            let begun = std::mem::replace(last, Instant::now());
            Interval::of(last.duration_since(begun), Timestamp::now())
        };
        match means {
            Means::Programs { observer, translator } => {
                let incarnation = observer.incarnation();
                let mut blind = blind(observer, translator.as_ref().err());
                let closed = observer.turn()?;
                for flow in &closed.flows {
                    owners.presume(flow.key.netns, flow.key.local);
                }
                blind.extend(pressure(closed.room));
                let mut report = report(incarnation, &closed, elapsed(), owners, *kernel);
                if let Ok(translator) = translator {
                    let translated = translator.close(report.observations);
                    let (observations, lost) = translated.map_err(WatchError::Tracking)?;
                    report.observations = Observation::merged(observations);
                    report.events_lost = lost;
                }
                keep(Report { blind, host, ..report }).map_err(WatchError::Keep)?;
                Ok(closed.forget()?)
            }
            Means::Tracking { tracker, incarnation, epoch } => {
                let closed = tracker.close(owners).map_err(WatchError::Tracking)?;
                let mut observations = closed.observations;
                observations.retain(|observation| is_told(observation.owner.as_ref(), *kernel));
                let number = (*incarnation, *epoch);
                *epoch += 1;
                let report = Report {
                    interval: elapsed(),
                    number,
                    unattributed: unattributed(&observations),
                    observations: Observation::merged(observations),
                    losses: Losses::default(),
                    events_lost: closed.lost,
                    observer: ObserverKind::Tracking,
                    blind: tracker.blind().into_iter().map(str::to_owned).collect(),
                    host,
                };
                keep(report).map_err(WatchError::Keep)
            }
        }
    }
}

/// What programs that the kernel refused would have seen, and what is not known of translations.
fn blind(observer: &Observer, translation: Option<&String>) -> Vec<String> {
    let refused = observer.findings().iter().filter_map(|finding| match finding.state {
        State::Refused(_) => Some(finding.mechanism.without().to_owned()),
        State::Works | State::Kept => None,
    });
    let translation = translation.map(|fault| {
        format!("Service addresses that netfilter translates are not resolved here: {fault}")
    });
    let mut blind: Vec<String> = refused.chain(translation).collect();
    blind.dedup();
    blind
}

/// That the table of connections is nearly full, or was.
fn pressure(room: Room) -> Option<String> {
    let percent = room.percent();
    (percent >= NEARLY_FULL).then(|| {
        format!(
            "the table of connections was {percent}% full: what finds no room is counted without its ends \
             (hint: a larger --capacity)"
        )
    })
}

/// Whether a report has what is whose.
fn is_told(owner: Option<&Owner>, kernel: Kernel) -> bool {
    kernel == Kernel::Own || owner.is_some_and(Owner::is_of_this_node)
}

fn unattributed(observations: &[Observation]) -> u64 {
    observations.iter().filter(|observation| observation.owner.is_none()).count() as u64
}

fn report(
    incarnation: u64,
    closed: &Closed<'_>,
    interval: Interval,
    owners: &Owners,
    kernel: Kernel,
) -> Report {
    let observations: Vec<Observation> = closed
        .flows
        .iter()
        .map(|flow| (flow, owners.of(flow.key.netns)))
        .filter(|(_, owner)| is_told(*owner, kernel))
        .filter_map(|(flow, owner)| Observation::of(flow, owner))
        .collect();
    Report {
        interval,
        number: (incarnation, closed.epoch),
        unattributed: unattributed(&observations),
        observations: Observation::merged(observations),
        losses: closed.losses,
        events_lost: 0,
        observer: ObserverKind::Programs,
        blind: Vec::new(),
        host: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_told_before_the_table_is_full() {
        let told = |used| pressure(Room { used, capacity: 1000 });
        assert_eq!(told(799), None);
        assert!(told(800).unwrap().starts_with("the table of connections was 80% full"));
        assert!(told(1000).unwrap().starts_with("the table of connections was 100% full"));
    }
}
