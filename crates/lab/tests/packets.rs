//! The engine against real packets: over all pairs of pods of the example and their ports, what it says must be what
//! nftables lets pass. Needs root; skipped for everybody else, but not on CI's machines.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ringfence_kube::read::Reader;
use ringfence_lab::play::{Actor, Play};
use ringfence_lab::talk::{Call, Fate, Part, Spot};
use ringfence_lab::{Lab, enforcement};
use ringfence_model::object::{Objects, Pod, TargetPort};
use ringfence_model::{Direction, NetworkPolicy, PeerMatch, Peers, PodRef, Port, Protocol};
use ringfence_policy::{Connection, PolicySet, Profile};
use socket2::{Domain, Socket, Type};

/// How long a packet may take on a busy machine. What was dropped never comes.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Sources that probe at once; each takes a few hundred descriptors.
const AT_ONCE: usize = 12;
/// Every pod answers datagrams here.
const UDP: [u16; 3] = [53, 8125, 9999];
/// Asked of every pod beside the ports that it declares: some are declared elsewhere only, one nowhere.
const TCP: [u16; 3] = [6379, 8080, 9999];

/// Asked of every pod where the kernel has SCTP.
const SCTP: u16 = 9999;
/// Its number (IANA, Protocol Numbers).
const IPPROTO_SCTP: i32 = 132;

/// Written by `ringfence generate` for the example and its review, which retires one workload.
const GENERATED: &str = include_str!("packets/generated.yaml");

fn objects(policies: &str) -> Objects {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/cluster");
    let mut reader = Reader::new();
    reader.path(&root);
    reader.bytes("policies.yaml", policies.as_bytes());
    let input = reader.finish();
    assert!(input.diagnostics.is_empty(), "{:?}", input.diagnostics);
    input.objects
}

/// A lab of this test and process. Those of processes that were killed go.
fn lab(test: &str, objects: &Objects) -> Lab {
    let prefix = format!("rf-{test}-");
    for entry in std::fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let process = name.strip_prefix(&prefix).and_then(|rest| rest.split('-').next());
        if let Some(process) = process
            && !Path::new("/proc").join(process).exists()
        {
            // Another process may be at the same.
            let _ = Lab::down(&format!("{prefix}{process}"));
        }
    }
    Lab::up(&format!("{prefix}{}", std::process::id()), objects, &[]).unwrap()
}

fn may_run() -> bool {
    let root = nix::unistd::geteuid().is_root();
    // Thousands of sockets at once.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs this as root");
    if !root {
        println!("skipped: not root");
    }
    root
}

/// A probe and whether something came back: a connection, or its refusal by the pod itself.
type Outcome = (PodRef, PodRef, IpAddr, Protocol, u16, bool);

/// One-to-one style (RFC 6458).
fn sctp_socket(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM, Some(socket2::Protocol::from(IPPROTO_SCTP)))
}

fn has_sctp() -> bool {
    sctp_socket(Domain::IPV4).is_ok()
}

fn network_pods(objects: &Objects) -> Vec<&Pod> {
    let pods = objects.pods.iter();
    pods.filter(|pod| !pod.spec.host_network && !pod.phase.is_terminated()).collect()
}

fn targets<'a>(pods: &[&'a Pod], source: &Pod) -> Vec<(&'a Pod, SocketAddr, Protocol)> {
    let mut targets = Vec::new();
    for pod in pods.iter().filter(|pod| pod.reference != source.reference) {
        let declared = pod.spec.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
        let tcp: BTreeSet<u16> = declared.map(|port| port.port.get()).chain(TCP).collect();
        for ip in &pod.ips {
            targets
                .extend(tcp.iter().map(|port| (*pod, SocketAddr::new(*ip, *port), Protocol::Tcp)));
            if has_sctp() {
                targets.push((*pod, SocketAddr::new(*ip, SCTP), Protocol::Sctp));
            }
            targets
                .extend(UDP.iter().map(|port| (*pod, SocketAddr::new(*ip, *port), Protocol::Udp)));
        }
    }
    targets
}

/// A port that no probe by datagrams was sent from before: the kernel takes what follows the tracks of an earlier set's
/// conversation for a part of it.
fn fresh_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Begins all of them, then looks who was answered, until everybody was or patience ends.
fn probe(targets: &[(SocketAddr, Protocol)]) -> io::Result<Vec<bool>> {
    let mut sockets = Vec::with_capacity(targets.len());
    for (to, protocol) in targets {
        let domain = Domain::for_address(*to);
        let socket = match protocol {
            Protocol::Tcp => Socket::new(domain, Type::STREAM, None)?,
            Protocol::Udp => Socket::new(domain, Type::DGRAM, None)?,
            Protocol::Sctp => sctp_socket(domain)?,
        };
        socket.set_nonblocking(true)?;
        if *protocol == Protocol::Udp {
            let any: IpAddr = match to {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            socket.bind(&SocketAddr::from((any, fresh_port())).into())?;
        }
        // In progress, or refused at once.
        let begun = socket.connect(&(*to).into());
        assert!(begun.is_ok() || *protocol != Protocol::Udp);
        if *protocol == Protocol::Udp {
            socket.send(b"?")?;
        }
        sockets.push(socket);
    }
    let mut answered = vec![false; targets.len()];
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && answered.contains(&false) {
        for (place, (_, protocol)) in targets.iter().enumerate() {
            answered[place] |= match protocol {
                Protocol::Udp => io::Read::read(&mut &sockets[place], &mut [0]).is_ok(),
                _ => sockets[place].take_error()?.is_some() || sockets[place].peer_addr().is_ok(),
            };
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(answered)
}

fn probe_all(lab: &Lab, objects: &Objects) -> Vec<Outcome> {
    let pods = network_pods(objects);
    let mut outcomes = Vec::new();
    for sources in pods.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let probes: Vec<_> = sources
                .iter()
                .map(|source| {
                    let targets = targets(&pods, source);
                    scope.spawn(move || {
                        let plain: Vec<_> = targets.iter().map(|(_, to, p)| (*to, *p)).collect();
                        let answered = lab.in_pod(&source.reference, || probe(&plain)).unwrap();
                        let both = targets.into_iter().zip(answered);
                        let outcome = both.map(|((pod, to, protocol), answered)| {
                            let (from, to_pod) = (source.reference.clone(), pod.reference.clone());
                            (from, to_pod, to.ip(), protocol, to.port(), answered)
                        });
                        outcome.collect::<Vec<_>>()
                    })
                })
                .collect();
            for probe in probes {
                outcomes.extend(probe.join().unwrap());
            }
        });
    }
    outcomes
}

/// Answers datagrams in every pod while `act` runs.
fn answering<T>(lab: &Lab, objects: &Objects, act: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for pod in network_pods(objects) {
            for at in pod.ips.iter().flat_map(|ip| UDP.map(|port| SocketAddr::new(*ip, port))) {
                let socket = lab.in_pod(&pod.reference, move || UdpSocket::bind(at)).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                let done = &done;
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        if let Ok((_, from)) = socket.recv_from(&mut [0]) {
                            socket.send_to(b"!", from).unwrap();
                        }
                    }
                });
            }
        }
        let outcome = act();
        done.store(true, Ordering::Relaxed);
        outcome
    })
}

/// Whether a policy has a block of IPv4 addresses, and of IPv6.
fn has_blocks(policy: &NetworkPolicy) -> (bool, bool) {
    let rules = Direction::BOTH.into_iter().filter_map(|direction| policy.rules(direction));
    let peers = rules.flatten().filter_map(|rule| match &rule.peers {
        Peers::Any => None,
        Peers::Only(peers) => Some(peers),
    });
    let blocks = peers.flatten().filter_map(|peer| match peer {
        PeerMatch::IpBlock(block) => Some(block.cidr().net().addr().is_ipv4()),
        PeerMatch::Pods { .. } => None,
    });
    let families: BTreeSet<bool> = blocks.collect();
    (families.contains(&true), families.contains(&false))
}

/// Puts the policies in force and compares. Returns how many probes passed, and how many there were.
fn agree(lab: &Lab, objects: &Objects, what: &str) -> (usize, usize) {
    lab.load(&enforcement::render(objects)).unwrap();
    let Objects { namespaces, nodes, pods, policies, .. } = objects;
    let (set, _) = PolicySet::compile(namespaces, nodes, pods, policies, &Profile::default());
    let mut outcomes = probe_all(lab, objects);
    // The engine takes a pod for one thing: a block of addresses finds it whatever address it speaks from.
    match policies.iter().map(has_blocks).fold((false, false), |a, b| (a.0 | b.0, a.1 | b.1)) {
        (false, false) => {}
        (v4, v6) => outcomes.retain(|(_, _, ip, ..)| if ip.is_ipv4() { v4 } else { v6 }),
    }
    let mut differences = Vec::new();
    for (source, destination, ip, protocol, port, passed) in &outcomes {
        let from = pods.iter().find(|pod| pod.reference == *source).unwrap();
        let same_family = from.ips.iter().find(|own| own.is_ipv4() == ip.is_ipv4()).unwrap();
        let connection = Connection {
            source: set.end(*same_family),
            destination: set.end(*ip),
            protocol: *protocol,
            port: Port::new(*port).unwrap(),
        };
        if set.allows(&connection) != *passed {
            let saw = if *passed { "passed" } else { "was dropped" };
            differences.push(format!("{source} -> {destination} ({ip}) {protocol}/{port} {saw}"));
        }
    }
    assert!(differences.is_empty(), "{what}: {differences:#?}");
    (outcomes.iter().filter(|outcome| outcome.5).count(), outcomes.len())
}

#[test]
fn packets_pass_as_the_engine_says() {
    if !may_run() {
        return;
    }
    let sets = [
        ("the cluster's own", ""),
        ("names, ranges and namespaces", include_str!("packets/names.yaml")),
        ("addresses", include_str!("packets/addresses.yaml")),
        ("addresses of IPv6", include_str!("packets/addresses6.yaml")),
        ("nothing in, nothing out", include_str!("packets/nothing.yaml")),
        ("generated for the example", GENERATED),
    ];
    let lab = lab("packets", &objects(""));
    println!("SCTP: {}", if has_sctp() { "asked too" } else { "this kernel has none" });
    answering(&lab, &objects(""), || {
        let mut open = Objects::default();
        for (what, policies) in sets {
            let objects = objects(policies);
            let (passed, all) = agree(&lab, &objects, what);
            println!("{what}: {passed} of {all} passed");
            assert!(passed < all, "{what} forbids something");
            open = objects;
        }
        open.policies.clear();
        let (passed, all) = agree(&lab, &open, "no policy");
        assert_eq!(passed, all);
    });
}

#[test]
fn services_lead_to_their_endpoints() {
    if !may_run() {
        return;
    }
    let objects = objects("");
    let lab = lab("services", &objects);
    let mut pods = network_pods(&objects).into_iter();
    let web = pods.find(|pod| pod.reference.name.as_str().starts_with("web-")).unwrap();
    let catalog = objects.services.iter().find(|s| s.reference.name.as_str() == "catalog").unwrap();
    let port = &catalog.ports[0];
    let TargetPort::Named(name) = &port.target else { panic!("the example has a name here") };
    let selector = catalog.selector.as_ref().unwrap();
    let endpoints: Vec<&Pod> = network_pods(&objects)
        .into_iter()
        .filter(|pod| pod.reference.namespace == catalog.reference.namespace)
        .filter(|pod| selector.matches(&pod.labels))
        .collect();
    assert_eq!(endpoints.len(), 2);
    let listeners: Vec<TcpListener> = endpoints
        .into_iter()
        .map(|pod| {
            let target = pod.spec.ports.iter().find(|own| own.name.as_ref() == Some(name));
            let at = SocketAddr::new(pod.ips[0], target.unwrap().port.get());
            lab.in_pod(&pod.reference, move || TcpListener::bind(at)).unwrap()
        })
        .collect();
    let to = SocketAddr::new(catalog.cluster_ips[0], port.port.get());
    for _ in 0..40 {
        let connect = move || std::net::TcpStream::connect_timeout(&to, PATIENCE).map(drop);
        lab.in_pod(&web.reference, connect).unwrap();
    }
    for listener in &listeners {
        listener.set_nonblocking(true).unwrap();
        let (_, from) = listener.accept().expect("each endpoint gets its share");
        assert_eq!(from.ip(), web.ips[0]);
    }
}

fn play() -> Play {
    serde_json::from_str(include_str!("../../../examples/shop/expected-edges.json")).unwrap()
}

#[test]
fn the_play_has_the_parts_of_the_example() {
    let objects = objects("");
    let parts = play().parts(&objects);
    let part = |name: &str| {
        let mut found = parts.iter().filter(
            |(actor, _)| matches!(actor, Actor::Pod(pod) if pod.name.as_str().starts_with(name)),
        );
        found.next().unwrap().1
    };
    let calls = |part: &Part| {
        let calls = part.call.iter().map(|call| match &call.name {
            Some(name) => format!("{} {name}", call.to),
            None => call.to.to_string(),
        });
        calls.collect::<BTreeSet<String>>()
    };
    let service = |name: &str, port: u16| {
        let found = objects.services.iter().find(|s| s.reference.name.as_str() == name).unwrap();
        SocketAddr::new(found.cluster_ips[0], port)
    };
    let named = |name: &str, port: u16| {
        format!("TCP/{} {name}.shop.svc.cluster.local", service(name, port))
    };
    let expected = BTreeSet::from([
        named("cart", 7000),
        named("catalog", 80),
        named("orders", 80),
        named("recommendations-v1", 80),
        format!("TCP/{}", service("kube-dns", 53)),
        format!("UDP/{}", service("kube-dns", 53)),
    ]);
    assert_eq!(calls(part("web-")), expected);
    assert_eq!(part("web-").resolver, Some(service("kube-dns", 53)));
    // A database is none of the pods of the application whose name its own begins with.
    let database = part("orders-db-").call.iter().filter(|c| c.to.protocol == Protocol::Tcp);
    assert!(database.clone().any(|call| call.to.at.port() == 5432));
    assert!(!database.clone().any(|call| call.to.at == service("cart", 7000)));
    assert!(part("cache-").answer.iter().any(|spot| spot.at.port() == 6379));
    // A scan: the policy stops it, or closed ports do.
    let fates = |fate| part("invoicing-").call.iter().filter(|call| call.fate == fate).count();
    assert_eq!((fates(Fate::Denied), fates(Fate::Refused)), (11, 2 * 3));
    // Datagrams go to the own node; kubelets ask the pods of theirs; visitors come as themselves.
    let node = |name: &str| objects.nodes.iter().find(|node| node.name.as_str() == name).unwrap();
    let own = format!("UDP/{}:8125", node("shop-c").addresses[0]);
    assert!(calls(part("cart-")).contains(&own));
    let kubelet = calls(&parts[&Actor::Node(node("shop-c").name.clone())]);
    assert!(kubelet.contains("TCP/10.42.2.16:6379") && !kubelet.contains("TCP/10.42.1.12:8080"));
    let world = &parts[&Actor::World];
    let visitor: IpAddr = "203.0.113.10".parse().unwrap();
    assert!(world.call.iter().any(|c| c.from == Some(visitor) && c.to.at.port() == 30443));
    assert!(world.answer.iter().any(|spot| spot.to_string() == "TCP/[2001:db8:40::40]:443"));
}

#[test]
fn the_generated_policies_let_the_example_work() {
    if !may_run() {
        return;
    }
    let objects = objects(GENERATED);
    let lab = lab("play", &objects);
    lab.load(&enforcement::render(&objects)).unwrap();
    let retired = |spot: &Spot| {
        let services = objects.services.iter().filter(|s| s.cluster_ips.contains(&spot.at.ip()));
        let pods = objects.pods.iter().filter(|pod| pod.ips.contains(&spot.at.ip()));
        let names = services
            .map(|service| service.reference.name.as_str())
            .chain(pods.map(|pod| pod.reference.name.as_str()));
        names.into_iter().any(|name| name.starts_with("recommendations-v1"))
    };
    let inside = |call: &&Call| {
        let ips = objects.pods.iter().filter(|pod| !pod.spec.host_network).flat_map(|p| &p.ips);
        let services =
            objects.services.iter().filter(|s| s.reference.name.as_str() != "kubernetes");
        let ips = ips.chain(services.flat_map(|service| &service.cluster_ips));
        ips.into_iter().any(|ip| *ip == call.to.at.ip())
    };
    let (mut kept, mut cut) = (0, 0);
    answering(&lab, &objects, || {
        for (actor, part) in play().parts(&objects) {
            let Actor::Pod(pod) = actor else { continue };
            if pod.name.as_str().starts_with("recommendations-v1") {
                continue;
            }
            let calls: Vec<&Call> = part.call.iter().filter(inside).collect();
            let spots: Vec<_> = calls.iter().map(|call| (call.to.at, call.to.protocol)).collect();
            let answered = lab.in_pod(&pod, || probe(&spots)).unwrap();
            for (call, answered) in calls.into_iter().zip(answered) {
                let wanted = call.fate == Fate::Answered && !retired(&call.to);
                assert_eq!(answered, wanted, "{pod} calls {call:?}");
                *(if answered { &mut kept } else { &mut cut }) += 1;
            }
        }
    });
    assert!(kept > 50 && cut >= 13, "{kept} kept, {cut} cut");
}
