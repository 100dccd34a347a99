use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns};
use ringfence_bpf::{
    Closed, Counts, Direction, Flow, FlowKey, Losses, Observer, ObserverError, Options,
};

/// A network namespace with an address of each family, gone with this.
pub(crate) struct Namespace {
    name: String,
    file: Arc<File>,
    pub(crate) cookie: u64,
}

/// Two namespaces that reach each other: `10.77.0.1` and `fd77::1` in the first, 2 in the second.
pub(crate) struct Pair {
    pub(crate) client: Namespace,
    pub(crate) server: Namespace,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

impl Namespace {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rf-test-{}-{number}", std::process::id());
        ip(&format!("netns add {name}"));
        let file = Arc::new(File::open(format!("/run/netns/{name}")).unwrap());
        let cookie = ringfence_bpf::namespace_cookie(file.as_fd()).unwrap();
        ip(&format!("-n {name} link set lo up"));
        Self { name, file, cookie }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name));
    }

    /// Runs in a thread of its own inside of the namespace.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let file = Arc::clone(&self.file);
        thread::spawn(move || {
            setns(&*file, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        })
    }

    pub(crate) fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(act).join().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns delete {}", self.name));
    }
}

impl Pair {
    pub(crate) fn new() -> Self {
        let (client, server) = (Namespace::new(), Namespace::new());
        client.ip(&format!("link add eth0 type veth peer name eth0 netns {}", server.name));
        for (namespace, last) in [(&client, 1), (&server, 2)] {
            namespace.ip(&format!("address add 10.77.0.{last}/24 dev eth0"));
            namespace.ip(&format!("address add fd77::{last}/64 dev eth0 nodad"));
            namespace.ip("link set eth0 up");
        }
        Self { client, server }
    }
}

pub(crate) fn options() -> Options {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let cgroup = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words[2] == "cgroup2")
        .map_or_else(|| PathBuf::from("/sys/fs/cgroup"), |words| PathBuf::from(words[1]));
    // Other tests make much traffic at the same time, and every observer sees all of the machine.
    Options { pins: None, cgroup, capacity: 131_072 }
}

/// Starts to observe, or says why the test is skipped.
pub(crate) fn observer(options: &Options) -> Option<Observer> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root");
        return None;
    }
    match Observer::start(options) {
        Ok(observer) => Some(observer),
        // In a container whose root may not load programs. Any other refusal is a fault of ours.
        Err(ObserverError::Indispensable(findings))
            if std::env::var_os("CI").is_none()
                && format!("{findings:?}").contains("not permitted") =>
        {
            println!("skipped: {findings:?}");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// What an observer counted in some namespaces, over all epochs so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) flows: Vec<Flow>,
    pub(crate) losses: Vec<Losses>,
}

impl Seen {
    pub(crate) fn take(&mut self, closed: Closed<'_>, namespaces: &[&Namespace]) -> io::Result<()> {
        let ours = |flow: &&Flow| namespaces.iter().any(|n| n.cookie == flow.key.netns);
        self.flows.extend(closed.flows.iter().filter(ours).cloned());
        self.losses.push(closed.losses);
        closed.forget().map_err(io::Error::other)
    }

    /// The sums of all flows that fit.
    pub(crate) fn sum(&self, fits: impl Fn(&FlowKey) -> bool) -> Counts {
        let mut sum = Counts::default();
        for flow in self.flows.iter().filter(|flow| fits(&flow.key)) {
            sum += flow.counts;
        }
        sum
    }

    /// The sums at one port of one family, as one side saw it.
    pub(crate) fn at(&self, side: Direction, v4: bool, port: u16) -> Counts {
        self.sum(|key| key.direction == side && key.port == port && key.remote.is_ipv4() == v4)
    }

    /// What found no room, in all epochs.
    pub(crate) fn overflow(&self) -> Counts {
        let mut sum = Counts::default();
        for losses in &self.losses {
            sum += losses.overflow;
        }
        sum
    }
}
