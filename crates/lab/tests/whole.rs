//! Everything at once, with real parts: pods talk, the nodes' agents deliver to a server, its API generates policies from
//! what they saw, and these are put in force among the same pods. Needs root, and the commands `ringfence` and
//! `ringfence-agent` beside this crate's own, as a build of the workspace puts them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ringfence_kube::read::Reader;
use ringfence_lab::play::{Actor, Play};
use ringfence_lab::premises::Premises;
use ringfence_lab::show::{Audience, Commands, Pace, Show};
use ringfence_lab::talk::{Call, Fate, Spot, make};
use ringfence_lab::{Lab, enforcement};
use ringfence_model::Protocol;
use ringfence_model::object::Objects;
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop");
/// How long something may take to be seen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is aimed at, from a connection to its edge in the API.
const AIM: Duration = Duration::from_secs(5);

fn objects(policies: &str) -> Objects {
    let mut reader = Reader::new();
    reader.path(&Path::new(ROOT).join("cluster"));
    reader.path(&Path::new(ROOT).join("lab/report.yaml"));
    reader.bytes("policies.yaml", policies.as_bytes());
    let input = reader.finish();
    assert!(input.diagnostics.is_empty(), "{:?}", input.diagnostics);
    input.objects
}

fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_ringfence-lab")).with_file_name(name);
    assert!(path.exists(), "{} is missing: build the workspace", path.display());
    path
}

/// A server with the example, and what is asked of it.
struct Server {
    child: Child,
    at: SocketAddr,
    /// Asked for what was seen from then on.
    from: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(program("ringfence"));
        command.args(["serve", "--demo=live", "--listen", "127.0.0.1:0", "--log", "warn"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let at = line.trim().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        // Edges are kept by the minute.
        let from = i64::try_from(now - now % 60).unwrap();
        let from = ringfence_model::Timestamp::from_secs(from).to_string();
        Self { child, at, from }
    }

    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(self.at).unwrap();
        let host = self.at;
        let question = format!(
            "GET /api/v1/clusters/example/{path}&from={} HTTP/1.0\r\nHost: {host}\r\n\r\n",
            self.from
        );
        stream.write_all(question.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    /// The edges of the shop: who, to or from whom, and the port.
    fn edges(&self) -> BTreeSet<String> {
        let rows = self.get("edges?namespace=shop&pageSize=1000");
        let rows = rows["items"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        rows.map(|row| {
            let (own, peer) = (text(&row["entity"]["name"]), text(&row["peer"]["name"]));
            let (from, to) = if row["direction"] == "egress" { (own, peer) } else { (peer, own) };
            format!("{from} -> {to} {}/{}", text(&row["protocol"]), row["port"])
        })
        .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn may_run() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "CI runs this as root");
    if !root {
        println!("skipped: not root");
    }
    root
}

/// Lets the lab go on until something is so.
fn until(show: &mut Show, what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        show.attend().unwrap();
        thread::sleep(Duration::from_millis(100));
    }
}

/// Makes every call, each from where its caller is, and says which were answered.
fn calls(lab: &Lab, objects: &Objects) -> Vec<(Actor, Call, bool)> {
    let parts = play().parts(objects);
    thread::scope(|scope| {
        let mut made = Vec::new();
        for (actor, part) in parts {
            for call in part.call {
                let (actor, resolver) = (actor.clone(), part.resolver);
                made.push(scope.spawn(move || {
                    let act = || Ok(make(&call, resolver).is_ok());
                    let answered = match &actor {
                        Actor::Pod(pod) => lab.in_pod(pod, act),
                        Actor::Node(node) => lab.in_node(node, act),
                        Actor::World => lab.in_world(act),
                    };
                    (actor, call.clone(), answered.unwrap())
                }));
            }
        }
        made.into_iter().map(|made| made.join().unwrap()).collect()
    })
}

fn play() -> Play {
    let text = std::fs::read_to_string(Path::new(ROOT).join("expected-edges.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Whether a call passes where the generated policies are in force: the review forbids one workload and what is
/// neither a pod nor named in it; what nobody answered before is no need.
fn is_kept(objects: &Objects, actor: &Actor, call: &Call) -> bool {
    let retired = |ip: &IpAddr| {
        let services = objects.services.iter().filter(|s| s.cluster_ips.contains(ip));
        let pods = objects.pods.iter().filter(|pod| pod.ips.contains(ip));
        let services = services.map(|service| service.reference.name.as_str());
        let mut names = services.chain(pods.map(|pod| pod.reference.name.as_str()));
        names.any(|name| name.starts_with("recommendations-v1"))
    };
    let by_retired = matches!(actor, Actor::Pod(pod)
        if pod.name.as_str().starts_with("recommendations-v1"));
    // The kubelet's probes come from the own node, which no policy keeps from its pods.
    let is_probe = matches!(actor, Actor::Node(_));
    let stranger = |ip: &IpAddr| ["203.0.113.77", "10.42.2.231"].contains(&ip.to_string().as_str());
    call.fate == Fate::Answered
        && (is_probe || !retired(&call.to.at.ip()))
        && !stranger(&call.to.at.ip())
        && !call.from.as_ref().is_some_and(stranger)
        && (!by_retired || call.to.at.port() == 53)
}

#[test]
fn what_pods_do_becomes_policies_that_let_them_do_just_that() {
    if !may_run() {
        return;
    }
    let objects = objects("");
    let server = Server::start();
    let own = env!("CARGO_BIN_EXE_ringfence-lab");
    let name = format!("rf-whole-{}", std::process::id());
    let premises = Premises::take(&name, Command::new(own).args(["guard", "--name"])).unwrap();
    let commands = Commands { lab: own.into(), agent: program("ringfence-agent") };
    let pace = Pace { round: Duration::from_secs(3), interval: Duration::from_secs(2) };
    let audience = Audience::Server { at: server.at, cluster: "example".to_owned() };
    let mut show = Show::begin(premises, &objects, &play(), commands, pace, &audience).unwrap();

    // The story is in the API, pods that live for moments and addresses outside included.
    let story = [
        "web -> catalog TCP/8000",
        "web -> recommendations-v1 TCP/8090",
        "recommendations-v1 -> catalog TCP/8000",
        "recommendations-v1 -> coredns UDP/53",
        "cart -> cache TCP/6379",
        "cart -> shop-c UDP/8125",
        "orders -> orders-db TCP/5432",
        "orders-db -> orders-db TCP/5432",
        "orders -> payments TCP/8443",
        "orders -> invoicing TCP/8000",
        "payments -> payment-api TCP/443",
        "report -> orders-db TCP/5432",
        "report -> catalog TCP/8000",
        "invoicing -> orders TCP/8081",
        "ingress -> web TCP/8080",
        "metrics -> cache TCP/9121",
        "shop-c -> cache TCP/6379",
    ];
    let whole = play().parts(&objects);
    let begun = Instant::now();
    until(&mut show, "the story", || {
        let seen = server.edges();
        story.iter().all(|edge| seen.contains(*edge))
    });
    println!("the story of {} in the API after {:.1?}", whole.len(), begun.elapsed());

    // From a connection that was never made before to its edge.
    let pod = |name: &str| {
        let mut pods = objects.pods.iter().filter(|pod| !pod.phase.is_terminated());
        pods.find(|pod| pod.reference.name.as_str().starts_with(name)).unwrap()
    };
    let mut slowest = Duration::ZERO;
    for (from, to, port) in [
        ("web-", "orders-db-0", 5432),
        ("catalog-", "payments-", 8443),
        ("payments-", "cart-", 7000),
        ("catalog-", "orders-44", 8081),
    ] {
        let at = SocketAddr::new(pod(to).ips[0], port);
        let to = Spot { protocol: Protocol::Tcp, at };
        let call = Call { to, name: None, from: None, fate: Fate::Answered };
        show.lab().in_pod(&pod(from).reference, || make(&call, None)).unwrap();
        let begun = Instant::now();
        let workload = from.trim_end_matches('-');
        let edge = |seen: &String| {
            seen.starts_with(&format!("{workload} -> ")) && seen.ends_with(&format!("/{port}"))
        };
        until(&mut show, "a connection", || server.edges().iter().any(edge));
        println!("{workload} -> {at} in the API after {:.1?}", begun.elapsed());
        slowest = slowest.max(begun.elapsed());
    }
    println!("the slowest took {slowest:.1?}; aimed at: {AIM:.1?}");

    let generated = server.get("policies?namespace=shop");
    assert_eq!(generated["certificate"]["outcome"], "PROVEN", "{}", generated["certificate"]);
    let files = generated["files"].as_array().unwrap();
    let yaml: Vec<&str> = files.iter().map(|file| file["yaml"].as_str().unwrap()).collect();
    let enforced = self::objects(&yaml.join("---\n"));
    for pod in show.paused().unwrap() {
        // Its turn may not be now.
        show.lab().restore(&pod).unwrap();
    }
    show.lab().load(&enforcement::render(&enforced)).unwrap();
    let (mut kept, mut cut) = (0, 0);
    for (actor, call, answered) in calls(show.lab(), &enforced) {
        assert_eq!(answered, is_kept(&enforced, &actor, &call), "{actor:?} calls {call:?}");
        *(if answered { &mut kept } else { &mut cut }) += 1;
    }
    println!("{} policies: {kept} calls answered, {cut} stopped", files.len());
    assert!(kept > 100 && cut > 20, "{kept} answered, {cut} stopped");
    drop(show);
    // Nobody has a lab of this name again.
    std::fs::remove_file(format!("/run/{name}.lock")).unwrap();
}
