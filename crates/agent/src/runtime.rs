//! The container runtime of the node: it knows which pod each network namespace was made for.
//!
//! It is asked on a thread of its own, with bounds on every call, so that a slow runtime delays nothing. What it said
//! of a sandbox is remembered for as long as it lists the sandbox, ended or not, so that only new ones cost a call.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringfence_proto::cri::runtime_service_client::RuntimeServiceClient;
use ringfence_proto::cri::{
    ListPodSandboxRequest, PodSandbox, PodSandboxMetadata, PodSandboxState,
    PodSandboxStatusRequest, VersionRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::owner::{Pod, inode};
use crate::sandbox::Network;

/// Where container runtimes listen: containerd, CRI-O, K3s, cri-dockerd.
const SOCKETS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
];

/// How long one answer may take.
const CALL: Duration = Duration::from_secs(2);
/// How long a look at all sandboxes may take. What is not known by then is asked for by the next one.
const LOOK: Duration = Duration::from_secs(5);
/// The most sandboxes that are looked at, the newest ones. A node runs hundreds.
const MOST: usize = 10_000;
/// The most bytes of an answer; the kubelet takes as many.
const ANSWER: usize = 16 << 20;

/// What the runtime knew at a moment.
#[derive(Debug, Default)]
pub struct Sandboxes {
    /// From when on it was asked; never if it has not answered yet.
    pub(crate) begun: Option<Instant>,
    pub(crate) by_inode: HashMap<u64, Arc<Pod>>,
    pub(crate) by_uid: HashMap<String, Arc<Pod>>,
    pub(crate) by_address: HashMap<IpAddr, Arc<Pod>>,
    pub(crate) unread: usize,
}

impl Sandboxes {
    /// The pod that a network namespace is of, by the inode that it has had since some moment. What is older says
    /// nothing: inodes are used again.
    pub fn in_namespace(&self, inode: u64, since: Instant) -> Option<&Arc<Pod>> {
        self.begun.filter(|begun| *begun >= since)?;
        self.by_inode.get(&inode)
    }

    /// The pod with a UID.
    pub fn with_uid(&self, uid: &str) -> Option<&Arc<Pod>> {
        self.by_uid.get(uid)
    }

    /// The pod that had an address last, ended or not.
    pub fn at(&self, address: IpAddr) -> Option<&Arc<Pod>> {
        self.by_address.get(&address)
    }

    /// How many sandboxes could not be made sense of.
    pub const fn unread(&self) -> usize {
        self.unread
    }
}

/// The container runtime of the node.
#[derive(Debug)]
pub struct Runtime {
    socket: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    asked: Condvar,
    answered: Condvar,
}

/// Looks are counted: the last that was asked for, begun, and ended.
#[derive(Debug, Default)]
struct State {
    asked: u64,
    begun: u64,
    ended: u64,
    view: Arc<Sandboxes>,
    fault: Option<String>,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    /// The socket of the first runtime that is found.
    pub fn find() -> Option<PathBuf> {
        SOCKETS.into_iter().map(PathBuf::from).find(|socket| socket.exists())
    }

    /// Begins to ask the runtime at a socket. `proc` has the processes of the node. `tell` hears when the runtime
    /// begins to fail, and with `None` when it answers again.
    pub fn start(
        socket: &Path,
        proc: &Path,
        mut tell: impl FnMut(Option<&str>) + Send + 'static,
    ) -> io::Result<Self> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared::default());
        let mut asker = {
            let _entered = tokio.enter();
            Asker { client: client(socket)?, proc: proc.to_owned(), known: HashMap::new() }
        };
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("runtime".to_owned()).spawn(move || {
            while theirs.wait_for_question() {
                let begun = Instant::now();
                let outcome = tokio.block_on(asker.look(begun));
                theirs.answer(outcome, &mut tell);
            }
        })?;
        Ok(Self { socket: socket.to_owned(), shared })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Has the runtime looked at from now on, and gives what it knows by then, or what it knew before if it takes
    /// longer than `patience`.
    pub fn look(&self, patience: Duration) -> Arc<Sandboxes> {
        let mut state = self.shared.state();
        let next = state.begun + 1;
        state.asked = next;
        self.shared.asked.notify_one();
        let waits = |state: &mut State| state.ended < next;
        let waited = self.shared.answered.wait_timeout_while(state, patience, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.view)
    }

    /// Why the runtime did not answer last.
    pub fn fault(&self) -> Option<String> {
        self.shared.state().fault.clone()
    }
}

/// The thread ends with the look that it is at.
impl Drop for Runtime {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.asked.notify_one();
    }
}

impl Shared {
    /// Returns when somebody asks: `false` when nobody ever will again.
    fn wait_for_question(&self) -> bool {
        let idle = |state: &mut State| state.asked <= state.begun && !state.closed;
        let waited = self.asked.wait_while(self.state(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.begun = state.asked;
        !state.closed
    }

    fn answer(&self, outcome: Result<Sandboxes, Status>, tell: &mut impl FnMut(Option<&str>)) {
        let mut state = self.state();
        state.ended = state.begun;
        let fault = match outcome {
            Ok(view) => {
                state.view = Arc::new(view);
                None
            }
            Err(status) => Some(format!("{}: {}", status.code(), status.message())),
        };
        if state.fault.is_some() != fault.is_some() {
            tell(fault.as_deref());
        }
        state.fault = fault;
        drop(state);
        self.answered.notify_all();
    }
}

/// Name and version of the runtime at a socket.
pub fn version(socket: &Path) -> io::Result<String> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = tokio.block_on(async {
        let mut client = client(socket)?;
        let asked = tokio::time::timeout(CALL, client.version(VersionRequest {})).await;
        let silent = || io::Error::other("the runtime does not answer");
        asked.map_err(|_| silent())?.map_err(|status| io::Error::other(status.message().to_owned()))
    });
    let answer = asked?.into_inner();
    Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
}

/// Connects when it is first used, and again after the runtime was away.
fn client(socket: &Path) -> io::Result<RuntimeServiceClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
    let endpoint = endpoint.map_err(io::Error::other)?.connect_timeout(CALL);
    let client = RuntimeServiceClient::new(endpoint.connect_lazy());
    Ok(client.max_decoding_message_size(ANSWER))
}

/// Asks, and remembers what sandboxes are like.
struct Asker {
    client: RuntimeServiceClient<Channel>,
    proc: PathBuf,
    known: HashMap<String, Network>,
}

impl Asker {
    async fn look(&mut self, begun: Instant) -> Result<Sandboxes, Status> {
        let listed = self.client.list_pod_sandbox(ListPodSandboxRequest {});
        let mut items = within(CALL, listed).await?.items;
        // Of two pods that had one address the newer has it.
        items.sort_by_key(|item| std::cmp::Reverse(item.created_at));
        let cut = items.len().saturating_sub(MOST);
        items.truncate(MOST);
        let ids: HashSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
        self.known.retain(|id, _| ids.contains(id.as_str()));
        let mut view = Sandboxes { begun: Some(begun), unread: cut, ..Sandboxes::default() };
        for item in &items {
            let Some(pod) = pod(item) else {
                view.unread += 1;
                continue;
            };
            view.by_uid.entry(pod.uid.clone()).or_insert_with(|| Arc::clone(&pod));
            match self.network(item, begun).await? {
                Known::Network(network) if !network.is_of_node => {
                    let is_ready = item.state() == PodSandboxState::SandboxReady;
                    if is_ready && let Some(inode) = self.inode(&network) {
                        view.by_inode.entry(inode).or_insert_with(|| Arc::clone(&pod));
                    }
                    for address in network.addresses {
                        view.by_address.entry(address).or_insert_with(|| Arc::clone(&pod));
                    }
                }
                Known::Network(_) | Known::Gone => {}
                Known::Unreadable => view.unread += 1,
            }
        }
        Ok(view)
    }

    /// The network of a sandbox: what was said of it before, or what the runtime says now.
    async fn network(&mut self, item: &PodSandbox, begun: Instant) -> Result<Known, Status> {
        if let Some(network) = self.known.get(&item.id) {
            return Ok(Known::Network(network.clone()));
        }
        let rest = LOOK.saturating_sub(begun.elapsed()).min(CALL);
        if rest.is_zero() {
            return Ok(Known::Unreadable);
        }
        let request = PodSandboxStatusRequest { pod_sandbox_id: item.id.clone(), verbose: true };
        let answer = match within(rest, self.client.pod_sandbox_status(request)).await {
            Ok(answer) => answer,
            Err(status) => {
                return match status.code() {
                    Code::NotFound => Ok(Known::Gone),
                    // It is not there any more, or not on speaking terms.
                    Code::Unavailable | Code::Unimplemented => Err(status),
                    _ => Ok(Known::Unreadable),
                };
            }
        };
        let Ok(network) = Network::read(&answer) else { return Ok(Known::Unreadable) };
        let is_made = network.path.is_some() || network.process.is_some();
        if is_made || network.is_of_node || item.state() == PodSandboxState::SandboxNotready {
            self.known.insert(item.id.clone(), network.clone());
        }
        Ok(Known::Network(network))
    }

    /// The inode of the namespace, as it is now. The path outlives its processes, whose numbers are used again; but it
    /// lies in the file system of the node, which is only to be seen through its first process.
    fn inode(&self, network: &Network) -> Option<u64> {
        let bound = network.path.as_ref().and_then(|path| {
            // A link to an absolute path, which would lead out of the node's file system.
            let path =
                path.strip_prefix("/var/run").map_or(path.clone(), |at| Path::new("/run").join(at));
            let file = self.proc.join("1/root").join(path.strip_prefix("/").ok()?);
            let (file, own) = (fs::metadata(file).ok()?, fs::metadata("/proc/self/ns/net").ok()?);
            // Before the namespace is bound there, an ordinary file lies in its place.
            (file.dev() == own.dev()).then(|| file.ino())
        });
        bound.or_else(|| {
            let process = self.proc.join(network.process?.to_string());
            inode(&process.join("ns/net"))
        })
    }
}

/// What is known of a sandbox.
enum Known {
    /// Its network.
    Network(Network),
    /// It went between two questions.
    Gone,
    /// The answer could not be read, or did not come.
    Unreadable,
}

/// The pod of a sandbox, if it has one.
fn pod(item: &PodSandbox) -> Option<Arc<Pod>> {
    let PodSandboxMetadata { name, uid, namespace } = item.metadata.as_ref()?;
    let is_whole = ![&item.id, name, uid, namespace].iter().any(|text| text.is_empty());
    is_whole
        .then(|| Arc::new(Pod { uid: uid.clone(), name: Some((namespace.clone(), name.clone())) }))
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    let silent = || Status::deadline_exceeded("the runtime does not answer in time");
    let answer = tokio::time::timeout(limit, call).await.map_err(|_| silent())??;
    Ok(answer.into_inner())
}
