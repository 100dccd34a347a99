//! The loop: learn whose namespaces are, and at the end of each interval take what was counted.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ringfence_bpf::{Closed, Epoch, Losses, Observer, ObserverError};
use thiserror::Error;

use crate::observation::{Interval, Observation};
use crate::owner::{Owner, Owners, Sources};

/// Pods may be gone before the interval ends, so that their namespaces are looked at more often.
const LEARNING: Duration = Duration::from_secs(1);

/// Why watching ended.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] ObserverError),
    /// The processes of the machine.
    #[error("the processes of the machine cannot be read")]
    Processes(#[source] io::Error),
    /// What was observed could not be kept.
    #[error("what was observed cannot be kept")]
    Keep(#[source] io::Error),
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
}

/// Observes a machine.
#[derive(Debug)]
pub struct Watch {
    observer: Observer,
    owners: Owners,
    /// End of the last interval.
    last: Timestamp,
    kernel: Kernel,
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
    /// [`drop_privileges`](crate::privilege::drop_privileges) leaves.
    pub fn new(observer: Observer, sources: Sources, kernel: Kernel) -> Result<Self, WatchError> {
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
        Ok(Self { observer, owners, last: Timestamp::now(), kernel })
    }

    /// The programs.
    pub const fn observer(&self) -> &Observer {
        &self.observer
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
                thread::sleep(LEARNING.min(every.saturating_sub(begun.elapsed())));
                self.owners.learn(&self.observer.namespaces()?);
            }
            self.step(&mut keep)?;
        }
    }

    /// Ends one interval now.
    pub fn step(
        &mut self,
        mut keep: impl FnMut(Report) -> io::Result<()>,
    ) -> Result<(), WatchError> {
        self.owners.learn(&self.observer.namespaces()?);
        self.owners.search(|_| ()).map_err(WatchError::Processes)?;
        let incarnation = self.observer.incarnation();
        let closed = self.observer.turn()?;
        let interval = Interval { start: self.last, end: Timestamp::now().max(self.last) };
        self.last = interval.end;
        let report = report(incarnation, &closed, interval, &self.owners, self.kernel);
        keep(report).map_err(WatchError::Keep)?;
        Ok(closed.forget()?)
    }
}

fn report(
    incarnation: u64,
    closed: &Closed<'_>,
    interval: Interval,
    owners: &Owners,
    kernel: Kernel,
) -> Report {
    let mut observations = Vec::with_capacity(closed.flows.len());
    let mut unattributed = 0;
    for flow in &closed.flows {
        let owner = owners.of(flow.key.netns);
        if kernel == Kernel::Shared && !owner.is_some_and(Owner::is_of_this_node) {
            continue;
        }
        let Some(observation) = Observation::of(flow, owner) else { continue };
        unattributed += u64::from(owner.is_none());
        observations.push(observation);
    }
    Report {
        interval,
        number: (incarnation, closed.epoch),
        observations: Observation::merged(observations),
        losses: closed.losses,
        unattributed,
    }
}
