//! Whose network namespaces are: the node's own, or of which pod.
//!
//! The container runtime knows for which pod it made a namespace. Without one, or until it answers, a process in the
//! namespace tells by its cgroup, whose path holds the UID of its pod; the kubelet's directory of logs has that pod's
//! namespace and name. What was found out once is remembered: cookies of namespaces are never used again, so that pods
//! that are gone keep their names. Of those that went before anybody looked, the runtime still has the addresses.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_bpf::{Namespace, namespace_cookie};

use crate::runtime::{Runtime, Sandboxes};

/// How long the end of an interval waits for the runtime, when there are namespaces that nothing is known of.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the runtime is asked about a namespace. Those of others than pods it never knows.
const ASKING: Duration = Duration::from_mins(1);

/// Whose a network namespace is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The node or host itself, pods on the host network included.
    Machine,
    /// A pod.
    Pod(Arc<Pod>),
}

impl Owner {
    /// Whether the node's kubelet knows it: pods of another node on the same kernel have no name here.
    pub fn is_of_this_node(&self) -> bool {
        match self {
            Self::Machine => true,
            Self::Pod(pod) => pod.name.is_some(),
        }
    }
}

/// A pod, as far as the node can tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Its UID: of static pods the hash that the kubelet made.
    pub uid: String,
    /// Namespace and name, unless the kubelet's log directory does not have it.
    pub name: Option<(String, String)>,
}

/// The most namespaces of which the runtime has not told.
const MOST_UNTOLD: usize = 100_000;

/// What the machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A node of a cluster.
    Node,
    /// A machine outside Kubernetes, with what its operator says of it. All its namespaces are its own.
    Host(BTreeMap<String, String>),
}

/// Where to look.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What the machine is.
    pub machine: Machine,
    /// The processes of the machine: `/proc` of the initial pid namespace.
    pub proc: PathBuf,
    /// The kubelet's directories of logs, `NAMESPACE_NAME_UID`: `/var/log/pods`.
    pub pod_logs: PathBuf,
}

/// What is known of namespaces by now.
#[derive(Debug)]
pub struct Owners {
    sources: Sources,
    known: HashMap<u64, Owner>,
    cookies: HashMap<u64, u64>,
    machine: u64,
    runtime: Option<Runtime>,
    /// The namespaces of which the runtime has not told yet, with their inodes and since when they are known.
    untold: HashMap<u64, (u64, Instant)>,
    /// What the runtime said last.
    told: Arc<Sandboxes>,
}

static MACHINE: Owner = Owner::Machine;

impl Owners {
    /// Begins with the machine's own namespace, in which the agent has to run.
    pub fn new(sources: Sources) -> io::Result<Self> {
        let own = Path::new("/proc/self/ns/net");
        let machine = namespace_cookie(File::open(own)?.as_fd())?;
        let cookies = inode(own).map(|inode| (inode, machine)).into_iter().collect();
        let known = HashMap::from([(machine, Owner::Machine)]);
        Ok(Self { cookies, machine, ..Self::knowing(sources, known) })
    }

    fn knowing(sources: Sources, known: HashMap<u64, Owner>) -> Self {
        let (untold, told) = (HashMap::new(), Arc::default());
        Self { sources, known, cookies: HashMap::new(), machine: 0, runtime: None, untold, told }
    }

    /// Asks the container runtime too from now on.
    pub fn consult(&mut self, runtime: Runtime) {
        self.runtime = Some(runtime);
    }

    /// What the machine is.
    pub const fn kind(&self) -> &Machine {
        &self.sources.machine
    }

    /// The machine's own namespace.
    pub const fn machine(&self) -> u64 {
        self.machine
    }

    /// The owner of the namespace with this cookie.
    pub fn of(&self, cookie: u64) -> Option<&Owner> {
        match self.sources.machine {
            Machine::Node => self.known.get(&cookie),
            Machine::Host(_) => Some(&MACHINE),
        }
    }

    /// Takes the pod that had the address for the owner of the namespace, if nothing else is known of that.
    pub fn presume(&mut self, cookie: u64, address: IpAddr) {
        if !self.known.contains_key(&cookie)
            && let Some(pod) = self.told.at(address)
        {
            self.known.insert(cookie, Owner::Pod(Arc::clone(pod)));
        }
    }

    /// Learns from the namespaces that the programs met. Cheap when there is none that is new.
    pub fn learn(&mut self, met: &[Namespace]) {
        for namespace in met {
            let Namespace { cookie, inode, process, .. } = *namespace;
            self.cookies.insert(u64::from(inode), cookie);
            if !self.known.contains_key(&cookie) {
                self.meet(cookie, u64::from(inode), &self.sources.proc.join(process.to_string()));
            }
        }
        self.hear(Duration::ZERO);
    }

    /// Waits for what the runtime says of namespaces that are new, but not for long.
    pub fn settle(&mut self) {
        self.hear(PATIENCE);
    }

    /// Goes through the processes for namespaces that nothing is known of yet, and hands the new ones to `enter`. That
    /// a process ends meanwhile is no fault.
    pub fn search(&mut self, mut enter: impl FnMut(&File)) -> io::Result<()> {
        for entry in fs::read_dir(&self.sources.proc)? {
            let process = entry?.path();
            let link = process.join("ns/net");
            let Some(inode) = inode(&link) else { continue };
            let cookie = match self.cookies.get(&inode) {
                Some(cookie) => *cookie,
                None => {
                    let Ok(file) = File::open(&link) else { continue };
                    let Ok(cookie) = namespace_cookie(file.as_fd()) else { continue };
                    self.cookies.insert(inode, cookie);
                    enter(&file);
                    cookie
                }
            };
            if !self.known.contains_key(&cookie) {
                self.meet(cookie, inode, &process);
            }
        }
        Ok(())
    }

    /// Asks a process of a namespace whose it is.
    fn meet(&mut self, cookie: u64, inode: u64, process: &Path) {
        if self.untold.len() < MOST_UNTOLD {
            self.untold.entry(cookie).or_insert_with(|| (inode, Instant::now()));
        }
        let cgroups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        if let Some(uid) = pod_uid(&cgroups) {
            let known = self.told.with_uid(&uid).cloned();
            let pod = known.unwrap_or_else(|| Arc::new(Pod { name: self.pod_name(&uid), uid }));
            self.known.insert(cookie, Owner::Pod(pod));
        }
    }

    /// Hears what the runtime says of namespaces that it has not told of. It knows better than a process, which may
    /// have come from elsewhere.
    fn hear(&mut self, patience: Duration) {
        let asks = self.untold.values().any(|(_, since)| since.elapsed() < ASKING);
        let Some(runtime) = self.runtime.as_ref().filter(|_| asks) else { return };
        let told = runtime.look(patience);
        self.believe(told);
    }

    fn believe(&mut self, told: Arc<Sandboxes>) {
        self.told = told;
        let Self { untold, told, known, .. } = self;
        untold.retain(|cookie, (inode, since)| {
            if let Some(pod) = told.in_namespace(*inode, *since) {
                known.insert(*cookie, Owner::Pod(Arc::clone(pod)));
                return false;
            }
            if let Some(Owner::Pod(pod)) = known.get_mut(cookie)
                && let Some(named) = told.with_uid(&pod.uid)
            {
                *pod = Arc::clone(named);
            }
            true
        });
    }

    fn pod_name(&self, uid: &str) -> Option<(String, String)> {
        let entries = fs::read_dir(&self.sources.pod_logs).ok()?;
        entries.flatten().find_map(|entry| {
            let text = entry.file_name().into_string().ok()?;
            let mut parts = text.splitn(3, '_');
            let (namespace, name, of) = (parts.next()?, parts.next()?, parts.next()?);
            (of == uid).then(|| (namespace.to_owned(), name.to_owned()))
        })
    }
}

/// The number of the namespace that a link such as `/proc/PID/ns/net` leads to.
pub(crate) fn inode(link: &Path) -> Option<u64> {
    let target = fs::read_link(link).ok()?;
    target.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// The UID of the pod in the paths of `/proc/PID/cgroup`. The kubelet names the cgroup of a pod `podUID` or, through
/// systemd, `kubepods-CLASS-podUID.slice` with underscores in place of dashes.
fn pod_uid(cgroups: &str) -> Option<String> {
    let mut segments = cgroups.lines().flat_map(|line| line.split('/'));
    segments.find_map(segment_uid)
}

fn segment_uid(segment: &str) -> Option<String> {
    let uid = match segment.strip_suffix(".slice") {
        Some(slice) => slice.strip_prefix("kubepods-")?.rsplit("pod").next()?.replace('_', "-"),
        None => segment.strip_prefix("pod")?.to_owned(),
    };
    // UUIDs, and the hashes that static pods get instead.
    let dashless = uid.chars().filter(|c| *c != '-');
    let is_uid = uid.chars().all(|c| c == '-' || c.is_ascii_hexdigit()) && dashless.count() == 32;
    is_uid.then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "6f2a1b3c-0d4e-4f5a-8b6c-7d8e9f0a1b2c";

    fn sources(proc: &Path, pod_logs: &Path) -> Sources {
        let (proc, pod_logs) = (proc.to_owned(), pod_logs.to_owned());
        Sources { machine: Machine::Node, proc, pod_logs }
    }

    #[test]
    fn pods_are_found_in_cgroup_paths() {
        let under = UID.replace('-', "_");
        let paths = [
            (format!("0::/kubepods/burstable/pod{UID}/0123abcd"), Some(UID)),
            (format!("0::/kubepods/pod{UID}"), Some(UID)),
            (
                format!(
                    "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{under}.slice/cri-containerd-01.scope"
                ),
                Some(UID),
            ),
            (format!("0::/kubepods.slice/kubepods-pod{under}.slice/crio-01.scope"), Some(UID)),
            (format!("9:name=systemd:/\n4:memory:/kubepods/pod{UID}/01\n0::/"), Some(UID)),
            (
                "0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/01".to_owned(),
                Some("0123456789abcdef0123456789abcdef"),
            ),
            ("0::/system.slice/podman.service".to_owned(), None),
            ("0::/user.slice/pod1".to_owned(), None),
            ("0::/".to_owned(), None),
        ];
        for (path, uid) in paths {
            assert_eq!(pod_uid(&path).as_deref(), uid, "{path}");
        }
    }

    #[test]
    fn pods_have_the_names_of_their_logs() {
        let logs = tempfile::tempdir().unwrap();
        fs::create_dir(logs.path().join(format!("shop_web-7d9f8-x2x4z_{UID}"))).unwrap();
        let owners = Owners::knowing(sources("/proc".as_ref(), logs.path()), HashMap::new());
        let name = ("shop".to_owned(), "web-7d9f8-x2x4z".to_owned());
        assert_eq!(owners.pod_name(UID), Some(name.clone()));
        let pod = |name| Owner::Pod(Arc::new(Pod { uid: UID.to_owned(), name }));
        assert!(pod(Some(name)).is_of_this_node() && !pod(None).is_of_this_node());
        assert_eq!(owners.pod_name("0123"), None);
    }

    #[test]
    fn a_process_tells_whose_its_namespace_is() {
        let directory = tempfile::tempdir().unwrap();
        let process = directory.path().join("42");
        fs::create_dir(&process).unwrap();
        fs::write(process.join("cgroup"), format!("0::/kubepods/pod{UID}/01")).unwrap();
        let logs = directory.path().join("none");
        let mut owners = Owners::knowing(sources(directory.path(), &logs), HashMap::new());
        let met = Namespace { cookie: 7, inode: 1, process: 42, cgroup: 0 };
        owners.learn(&[met, Namespace { cookie: 8, process: 43, ..met }]);
        let pod = Pod { uid: UID.to_owned(), name: None };
        assert_eq!(owners.of(7), Some(&Owner::Pod(Arc::new(pod))));
        assert_eq!(owners.of(8), None);
        // The process is gone, the pod is remembered.
        fs::remove_dir_all(&process).unwrap();
        owners.learn(&[met]);
        assert!(owners.of(7).is_some());
    }

    #[test]
    fn everything_on_a_host_is_its_own() {
        let nowhere = Path::new("/nonexistent");
        let machine = Machine::Host(BTreeMap::new());
        let sources = Sources { machine, ..sources(nowhere, nowhere) };
        let owners = Owners::knowing(sources, HashMap::new());
        assert_eq!(owners.of(7), Some(&Owner::Machine));
    }

    #[test]
    fn the_runtime_knows_better_than_processes_and_remembers_who_went() {
        let pod = |name: &str| {
            let uid = if name == "a" { UID.to_owned() } else { format!("uid-{name}") };
            Arc::new(Pod { uid, name: Some(("shop".to_owned(), name.to_owned())) })
        };
        let owned = |name: &str| Some(Owner::Pod(pod(name)));
        let directory = tempfile::tempdir().unwrap();
        for process in ["42", "43"] {
            fs::create_dir(directory.path().join(process)).unwrap();
            let cgroups = format!("0::/kubepods/pod{UID}/01");
            fs::write(directory.path().join(process).join("cgroup"), cgroups).unwrap();
        }
        let logs = directory.path().join("none");
        let mut owners = Owners::knowing(sources(directory.path(), &logs), HashMap::new());
        let met = |cookie, inode, process| Namespace { cookie, inode, process, cgroup: 0 };
        // A process of pod a in its own namespace, one in that of pod b, and two that are gone.
        owners.learn(&[met(1, 11, 42), met(2, 12, 43), met(3, 13, 44), met(4, 14, 45)]);
        assert!(matches!(owners.of(1), Some(Owner::Pod(pod)) if pod.name.is_none()));

        let address: IpAddr = "10.1.0.4".parse().unwrap();
        let view = |begun| Sandboxes {
            begun: Some(begun),
            by_inode: HashMap::from([(12, pod("b")), (13, pod("c"))]),
            by_uid: HashMap::from([(UID.to_owned(), pod("a"))]),
            by_address: HashMap::from([(address, pod("d"))]),
            ..Sandboxes::default()
        };
        // What is older than the namespaces may speak of others with their inodes.
        let older = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        owners.believe(Arc::new(view(older)));
        assert_eq!((owners.of(1).cloned(), owners.of(3)), (owned("a"), None));
        owners.believe(Arc::new(view(Instant::now())));
        assert_eq!((owners.of(2).cloned(), owners.of(3).cloned()), (owned("b"), owned("c")));
        assert_eq!(owners.of(4), None);
        owners.presume(4, address);
        owners.presume(2, address);
        assert_eq!((owners.of(4).cloned(), owners.of(2).cloned()), (owned("d"), owned("b")));
    }
}
