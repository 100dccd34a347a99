//! A container runtime on a socket, which answers as it should, late, wrong, or not at all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ringfence_agent::owner::Pod;
use ringfence_agent::runtime::{Runtime, version};
use ringfence_proto::cri::runtime_service_server::{RuntimeService, RuntimeServiceServer};
use ringfence_proto::cri::{
    LinuxPodSandboxStatus, ListPodSandboxRequest, ListPodSandboxResponse, Namespace, NamespaceMode,
    NamespaceOption, PodSandbox, PodSandboxMetadata, PodSandboxNetworkStatus, PodSandboxState,
    PodSandboxStatus, PodSandboxStatusRequest, PodSandboxStatusResponse, VersionRequest,
    VersionResponse,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

const PATIENT: Duration = Duration::from_secs(20);

/// The sandboxes by id, and how often a status was asked for.
#[derive(Clone, Default)]
struct Double {
    sandboxes: Arc<Mutex<BTreeMap<String, (PodSandbox, PodSandboxStatusResponse)>>>,
    statuses: Arc<AtomicUsize>,
    delay: Arc<Mutex<Duration>>,
}

#[tonic::async_trait]
impl RuntimeService for Double {
    async fn version(
        &self,
        _: Request<VersionRequest>,
    ) -> Result<Response<VersionResponse>, Status> {
        Ok(Response::new(VersionResponse {
            runtime_name: "containerd".to_owned(),
            runtime_version: "v2.0.1".to_owned(),
        }))
    }

    async fn list_pod_sandbox(
        &self,
        _: Request<ListPodSandboxRequest>,
    ) -> Result<Response<ListPodSandboxResponse>, Status> {
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let items = self.sandboxes.lock().unwrap().values().map(|(item, _)| item.clone()).collect();
        Ok(Response::new(ListPodSandboxResponse { items }))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Result<Response<PodSandboxStatusResponse>, Status> {
        self.statuses.fetch_add(1, Ordering::Relaxed);
        let PodSandboxStatusRequest { pod_sandbox_id, verbose } = request.into_inner();
        let sandboxes = self.sandboxes.lock().unwrap();
        let (_, status) =
            sandboxes.get(&pod_sandbox_id).ok_or_else(|| Status::not_found("no such sandbox"))?;
        assert!(verbose);
        Ok(Response::new(status.clone()))
    }
}

/// A sandbox whose first process is `number`, which lends its number to all else.
fn sandbox(number: u32, state: PodSandboxState) -> (PodSandbox, PodSandboxStatusResponse) {
    let item = PodSandbox {
        id: format!("s{number}"),
        metadata: Some(PodSandboxMetadata {
            name: format!("web-{number}"),
            uid: format!("uid-{number}"),
            namespace: "shop".to_owned(),
        }),
        state: state.into(),
        created_at: i64::from(number),
    };
    let network = PodSandboxNetworkStatus { ip: address(number), ..Default::default() };
    let status = PodSandboxStatus { network: Some(network), linux: None };
    let info = HashMap::from([("info".to_owned(), format!(r#"{{"pid":{number}}}"#))]);
    (item, PodSandboxStatusResponse { status: Some(status), info })
}

fn address(number: u32) -> String {
    format!("10.1.{}.{}", number / 256, number % 256)
}

fn name(pod: Option<&Arc<Pod>>) -> Option<String> {
    pod.map(|pod| pod.name.clone().unwrap()).map(|(namespace, name)| format!("{namespace}/{name}"))
}

/// The runtime ends with this, and with it all its connections.
struct Served(Option<tokio::runtime::Runtime>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.take().unwrap().shutdown_timeout(PATIENT);
    }
}

/// A node: its processes, and the socket of its runtime.
struct Node {
    directory: tempfile::TempDir,
    double: Double,
}

impl Node {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), double: Double::default() }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("runtime.sock")
    }

    fn proc(&self) -> &Path {
        self.directory.path()
    }

    fn add(&self, (item, status): (PodSandbox, PodSandboxStatusResponse)) {
        self.double.sandboxes.lock().unwrap().insert(item.id.clone(), (item, status));
    }

    /// A running pod, with a process in the namespace of an inode.
    fn run(&self, number: u32, inode: u64) {
        let process = self.proc().join(number.to_string());
        fs::create_dir_all(process.join("ns")).unwrap();
        symlink(format!("net:[{inode}]"), process.join("ns/net")).unwrap();
        self.add(sandbox(number, PodSandboxState::SandboxReady));
    }

    fn serve(&self) -> Served {
        let mut tokio = tokio::runtime::Builder::new_multi_thread();
        let tokio = tokio.worker_threads(1).enable_all().build().unwrap();
        let socket = self.socket();
        let listener = tokio.block_on(async { UnixListener::bind(socket).unwrap() });
        let incoming = UnixListenerStream::new(listener);
        let service = RuntimeServiceServer::new(self.double.clone());
        tokio.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Served(Some(tokio))
    }

    fn runtime(&self) -> (Runtime, mpsc::Receiver<Option<String>>) {
        let (sender, told) = mpsc::channel();
        let tell = move |fault: Option<&str>| drop(sender.send(fault.map(str::to_owned)));
        (Runtime::start(&self.socket(), self.proc(), tell).unwrap(), told)
    }
}

#[test]
fn namespaces_are_of_pods() {
    let node = Node::new();
    node.run(7, 4_026_532_007);
    let mut host = sandbox(8, PodSandboxState::SandboxReady);
    let options = Some(NamespaceOption { network: NamespaceMode::Node.into() });
    let linux = LinuxPodSandboxStatus { namespaces: Some(Namespace { options }) };
    host.1.status.as_mut().unwrap().linux = Some(linux);
    node.add(host);
    // Ended before anybody looked, but the runtime remembers its address.
    node.add(sandbox(9, PodSandboxState::SandboxNotready));
    let _server = node.serve();
    let (runtime, _) = node.runtime();
    let before = Instant::now();
    let known = runtime.look(PATIENT);
    assert_eq!(name(known.in_namespace(4_026_532_007, before)), Some("shop/web-7".to_owned()));
    assert_eq!(known.in_namespace(4_026_532_008, before), None);
    // Who looked before the namespace was met cannot know whose it is.
    assert_eq!(known.in_namespace(4_026_532_007, Instant::now()), None);
    assert_eq!(name(known.with_uid("uid-8")), Some("shop/web-8".to_owned()));
    assert_eq!(known.at(address(8).parse().unwrap()), None);
    assert_eq!(name(known.at(address(9).parse().unwrap())), Some("shop/web-9".to_owned()));
    assert_eq!(known.unread(), 0);

    // The process ends; the inode goes to another pod.
    fs::remove_dir_all(node.proc().join("7")).unwrap();
    node.run(10, 4_026_532_007);
    let known = runtime.look(PATIENT);
    assert_eq!(name(known.in_namespace(4_026_532_007, before)), Some("shop/web-10".to_owned()));
    assert_eq!(version(&node.socket()).unwrap(), "containerd v2.0.1");
}

#[test]
fn a_runtime_that_was_away_is_asked_again() {
    let node = Node::new();
    let (runtime, told) = node.runtime();
    let known = runtime.look(PATIENT);
    assert_eq!(known.with_uid("uid-1"), None);
    assert!(runtime.fault().is_some() && told.recv_timeout(PATIENT).unwrap().is_some());

    node.run(1, 11);
    let server = node.serve();
    assert!(runtime.look(PATIENT).with_uid("uid-1").is_some());
    assert_eq!((runtime.fault(), told.recv_timeout(PATIENT).unwrap()), (None, None));

    // Gone, and what it said stays said.
    drop(server);
    fs::remove_file(node.socket()).unwrap();
    assert!(runtime.look(PATIENT).with_uid("uid-1").is_some());
    assert!(runtime.fault().is_some() && told.recv_timeout(PATIENT).unwrap().is_some());
    node.run(2, 12);
    let _server = node.serve();
    assert!(runtime.look(PATIENT).with_uid("uid-2").is_some());
    assert_eq!(runtime.fault(), None);
}

#[test]
fn a_slow_runtime_delays_nobody() {
    let node = Node::new();
    node.run(1, 11);
    *node.double.delay.lock().unwrap() = Duration::from_millis(500);
    let _server = node.serve();
    let (runtime, told) = node.runtime();
    let begun = Instant::now();
    assert!(runtime.look(Duration::from_millis(50)).with_uid("uid-1").is_none());
    assert!(begun.elapsed() < Duration::from_millis(400));
    assert!(runtime.look(PATIENT).with_uid("uid-1").is_some());

    // Beyond all patience: the look ends by itself, and what was known stays known.
    *node.double.delay.lock().unwrap() = Duration::from_mins(10);
    let begun = Instant::now();
    assert!(runtime.look(PATIENT).with_uid("uid-1").is_some());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(told.recv_timeout(PATIENT).unwrap().unwrap().contains("in time"));
}

#[test]
fn a_thousand_sandboxes_are_asked_about_once() {
    let node = Node::new();
    for number in 1..=1000_u32 {
        node.run(number, 1000 + u64::from(number));
    }
    let _server = node.serve();
    let (runtime, _) = node.runtime();
    let before = Instant::now();
    // On a busy machine one look may not do.
    while runtime.look(PATIENT).unread() > 0 {}
    let known = runtime.look(PATIENT);
    for number in 1..=1000_u32 {
        let pod = name(known.in_namespace(1000 + u64::from(number), before));
        assert_eq!(pod, Some(format!("shop/web-{number}")));
    }
    assert_eq!(node.double.statuses.load(Ordering::Relaxed), 1000);
}

#[test]
fn answers_that_make_no_sense_spoil_only_themselves() {
    let node = Node::new();
    node.run(1, 11);
    let ready = PodSandboxState::SandboxReady;
    let mut nameless = sandbox(2, ready);
    nameless.0.metadata = None;
    let mut empty = sandbox(3, ready);
    empty.0.metadata.as_mut().unwrap().uid.clear();
    let mut garbled = sandbox(4, ready);
    garbled.1.info.insert("info".to_owned(), "{\"pid\":".to_owned());
    let mut silent = sandbox(5, ready);
    silent.1.status = None;
    for odd in [nameless, empty, garbled, silent] {
        node.add(odd);
    }
    // Nobody's process, and an address that is none.
    let mut lost = sandbox(6, ready);
    lost.1.status.as_mut().unwrap().network.as_mut().unwrap().ip = "none".to_owned();
    node.add(lost);
    let _server = node.serve();
    let (runtime, told) = node.runtime();
    let before = Instant::now();
    let known = runtime.look(PATIENT);
    assert_eq!(known.unread(), 4);
    assert_eq!(name(known.in_namespace(11, before)), Some("shop/web-1".to_owned()));
    assert_eq!(name(known.with_uid("uid-4")), Some("shop/web-4".to_owned()));
    assert_eq!(name(known.with_uid("uid-6")), Some("shop/web-6".to_owned()));
    assert!(runtime.fault().is_none() && told.try_recv().is_err());
}
