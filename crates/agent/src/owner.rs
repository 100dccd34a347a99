//! Whose network namespaces are: the node's own, or of which pod.
//!
//! A process in a namespace tells by its cgroup, whose path holds the UID of its pod; the kubelet's directory of logs
//! has that pod's namespace and name. Both outlive most processes, and what was found out once is remembered: cookies
//! of namespaces are never used again, so that pods that are gone keep their names.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_bpf::{Namespace, namespace_cookie};

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

/// Where to look.
#[derive(Clone, Debug)]
pub struct Sources {
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
}

impl Owners {
    /// Begins with the machine's own namespace, in which the agent has to run.
    pub fn new(sources: Sources) -> io::Result<Self> {
        let own = Path::new("/proc/self/ns/net");
        let machine = namespace_cookie(File::open(own)?.as_fd())?;
        let cookies = inode(own).map(|inode| (inode, machine)).into_iter().collect();
        Ok(Self { sources, known: HashMap::from([(machine, Owner::Machine)]), cookies, machine })
    }

    /// The machine's own namespace.
    pub const fn machine(&self) -> u64 {
        self.machine
    }

    /// The owner of the namespace with this cookie.
    pub fn of(&self, cookie: u64) -> Option<&Owner> {
        self.known.get(&cookie)
    }

    /// Learns from the namespaces that the programs met. Cheap when there is none that is new.
    pub fn learn(&mut self, met: &[Namespace]) {
        for namespace in met {
            self.cookies.insert(u64::from(namespace.inode), namespace.cookie);
            if !self.known.contains_key(&namespace.cookie) {
                self.ask(namespace.cookie, &self.sources.proc.join(namespace.process.to_string()));
            }
        }
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
                self.ask(cookie, &process);
            }
        }
        Ok(())
    }

    /// Asks a process of the namespace whose it is.
    fn ask(&mut self, cookie: u64, process: &Path) {
        let cgroups = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        if let Some(uid) = pod_uid(&cgroups) {
            let name = self.pod_name(&uid);
            self.known.insert(cookie, Owner::Pod(Arc::new(Pod { uid, name })));
        }
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
        let owners = Owners {
            sources: Sources { proc: "/proc".into(), pod_logs: logs.path().to_owned() },
            known: HashMap::new(),
            cookies: HashMap::new(),
            machine: 0,
        };
        let name = ("shop".to_owned(), "web-7d9f8-x2x4z".to_owned());
        assert_eq!(owners.pod_name(UID), Some(name.clone()));
        let pod = |name| Owner::Pod(Arc::new(Pod { uid: UID.to_owned(), name }));
        assert!(pod(Some(name)).is_of_this_node() && !pod(None).is_of_this_node());
        assert_eq!(owners.pod_name("0123"), None);
    }

    #[test]
    fn a_process_tells_whose_its_namespace_is() {
        let sources = tempfile::tempdir().unwrap();
        let process = sources.path().join("42");
        fs::create_dir(&process).unwrap();
        fs::write(process.join("cgroup"), format!("0::/kubepods/pod{UID}/01")).unwrap();
        let mut owners = Owners {
            sources: Sources {
                proc: sources.path().to_owned(),
                pod_logs: sources.path().join("none"),
            },
            known: HashMap::new(),
            cookies: HashMap::new(),
            machine: 0,
        };
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
}
