//! Policies replaced under load: of packets that both the old ones and the new ones stop none comes through meanwhile, and
//! of those that both let pass none is lost. Needs root; skipped for everybody else, but not on CI's machines.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ringfence_kube::read::Reader;
use ringfence_lab::{Lab, enforcement};
use ringfence_model::object::{Objects, Pod};
use ringfence_model::{PodRef, Severity};
use socket2::SockRef;

const LOAD: Duration = Duration::from_secs(6);
/// Between two packets that must arrive: what the receiver can take on a busy machine.
const STEP: Duration = Duration::from_micros(200);
const DENIED: u16 = 9998;
const ALLOWED: u16 = 9999;

const OURS: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: cache-guard, namespace: shop}
spec:
  podSelector: {matchLabels: {app: cache}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: cart}}}]
    ports: [{port: 9999, protocol: UDP}]
";

fn objects(policies: &str) -> Objects {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/cluster");
    let mut reader = Reader::new();
    for kind in ["namespaces", "nodes", "pods"] {
        reader.path(&root.join(format!("{kind}.yaml")));
    }
    reader.bytes("policies.yaml", policies.as_bytes());
    let input = reader.finish();
    let failed = input.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert!(!failed, "{:?}", input.diagnostics);
    input.objects
}

/// Sends from a pod, a datagram each step, until it is done. Gives how many were sent.
fn send(
    lab: &Lab,
    from: &PodRef,
    to: SocketAddr,
    step: Option<Duration>,
    done: &AtomicBool,
) -> u64 {
    let socket = lab.in_pod(from, || UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(to).unwrap();
    let mut sent = 0;
    while !done.load(Ordering::Relaxed) {
        // What is stopped on this machine may be told to the sender.
        sent += u64::from(socket.send(b"x").is_ok());
        if let Some(step) = step {
            thread::sleep(step);
        }
    }
    sent
}

/// Who is there for what arrives at a pod.
fn listen(lab: &Lab, pod: &Pod, port: u16) -> UdpSocket {
    let at = SocketAddr::new(pod.ips[0], port);
    let socket = lab.in_pod(&pod.reference, || UdpSocket::bind(at)).unwrap();
    SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

/// Counts what arrives until nothing has for a while after all is done.
fn count(socket: &UdpSocket, done: &AtomicBool) -> u64 {
    let mut arrived = 0;
    loop {
        match socket.recv(&mut [0]) {
            Ok(_) => arrived += 1,
            Err(_) if done.load(Ordering::Relaxed) => return arrived,
            Err(_) => {}
        }
    }
}

#[test]
fn policies_are_replaced_without_a_gap() {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs this as root");
    if !root {
        println!("skipped: not root");
        return;
    }
    // The same for the cache, with more around it or less.
    let more = [OURS, include_str!("packets/names.yaml")].join("---\n").replace(
        "metadata: {name: cache, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: cache}}",
        "metadata: {name: other, namespace: shop}\nspec:\n  podSelector: {matchLabels: {app: orders}}",
    );
    let rules = [OURS, &more].map(|policies| enforcement::render(&objects(policies)));
    assert_ne!(rules[0], rules[1]);
    let objects = objects(OURS);
    let pod = |name: &str| {
        let mut running = objects.pods.iter().filter(|pod| !pod.phase.is_terminated());
        running.find(|pod| pod.reference.name.as_str().starts_with(name)).unwrap()
    };
    let (cache, cart, stranger) = (pod("cache-"), pod("cart-"), pod("invoicing-"));
    let name = format!("rf-swap-{}", std::process::id());
    let lab = Lab::up(&name, &objects, &[]).unwrap();
    lab.load(&rules[0]).unwrap();

    let (done, quiet) = (AtomicBool::new(false), AtomicBool::new(false));
    let to = |port| SocketAddr::new(cache.ips[0], port);
    let (closed, open) = (listen(&lab, cache, DENIED), listen(&lab, cache, ALLOWED));
    thread::scope(|scope| {
        let leaked = scope.spawn(|| count(&closed, &quiet));
        let arrived = scope.spawn(|| count(&open, &quiet));
        let denied = [DENIED, ALLOWED].map(|port| {
            let (lab, done) = (&lab, &done);
            scope.spawn(move || send(lab, &stranger.reference, to(port), None, done))
        });
        let allowed = scope.spawn(|| send(&lab, &cart.reference, to(ALLOWED), Some(STEP), &done));
        let begun = Instant::now();
        let mut swaps = 0;
        while begun.elapsed() < LOAD {
            swaps += 1;
            lab.load(&rules[swaps % 2]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        let denied: u64 = denied.map(|sender| sender.join().unwrap()).iter().sum();
        let allowed = allowed.join().unwrap();
        quiet.store(true, Ordering::Relaxed);
        let (leaked, arrived) = (leaked.join().unwrap(), arrived.join().unwrap());
        println!(
            "{swaps} swaps: {leaked} leaked of {denied} packets to stop, \
             {arrived} arrived of {allowed}"
        );
        assert!(swaps > 10 && denied > 10_000 && allowed > 1_000);
        assert_eq!((leaked, arrived), (0, allowed));
    });
}
