//! What the agent itself takes: processor time and memory of `ringfence-agent watch` while this machine opens and closes
//! 10,000 connections a second, over 1,000 edges between two network namespaces. What the programs in the kernel take
//! is in the benchmark of `ringfence-bpf`. Needs root and `ip`.
//!
//! `SECONDS` in the environment says how long it measures, 30 by default.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const RATE: u32 = 10_000;
const THREADS: u32 = 2;
const EDGES: u32 = 1000;
/// How often the generator catches up.
const STEP: Duration = Duration::from_millis(10);
/// Ticks of `/proc/PID/stat` in a second (`USER_HZ`, the same on all architectures that the agent runs on).
const TICKS: f64 = 100.0;

/// A process that ends with this.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A network namespace, gone with this.
struct Namespace(String);

impl Namespace {
    fn new(role: &str) -> Self {
        let name = format!("rf-bench-{role}-{}", std::process::id());
        ip(&format!("netns add {name}"));
        Self(name)
    }

    fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.0));
    }

    /// Runs this benchmark in the namespace in another role.
    fn run(&self, role: &str) -> Ending {
        let own = std::env::current_exe().unwrap();
        let command = ["netns", "exec", &self.0];
        Ending(Command::new("ip").args(command).arg(own).arg(role).spawn().unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns delete {}", self.0));
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn accept() {
    let listener = TcpListener::bind("0.0.0.0:80").unwrap();
    for stream in listener.incoming() {
        drop(stream.unwrap());
    }
}

fn connect() {
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                let (begun, mut done) = (Instant::now(), 0);
                loop {
                    let due = begun.elapsed().as_secs_f64() * f64::from(RATE / THREADS);
                    while f64::from(done) < due {
                        let edge = (done * THREADS + first) % EDGES;
                        let address = u32::from(Ipv4Addr::new(10, 79, 0, 0)) + edge;
                        let to = (Ipv4Addr::from_bits(address), 80);
                        // The end of the stream says that it was accepted, so that the server keeps up.
                        let mut stream = TcpStream::connect(to).unwrap();
                        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                        done += 1;
                    }
                    thread::sleep(STEP);
                }
            });
        }
    });
}

/// Seconds of processor time of a process.
fn processor(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // After the name, which may hold anything: state, then ten numbers, then the times.
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let times = rest.split(' ').skip(11).take(2).map(|word| word.parse::<f64>().unwrap());
    times.sum::<f64>() / TICKS
}

/// Memory of a process by a line of its status, in MiB.
fn memory(process: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// The kernel's memory for the maps of a process, in MiB.
fn maps(process: u32) -> f64 {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else { continue };
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).map(|word| word.trim().to_owned())
        };
        if let (Some(map), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            found.insert(map, bytes.parse::<f64>().unwrap());
        }
    }
    found.values().sum::<f64>() / f64::from(1 << 20)
}

fn opened(namespace: &Namespace) -> f64 {
    let name = &namespace.0;
    let text = Command::new("ip").args(["netns", "exec", name, "cat", "/proc/net/snmp"]).output();
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    let line = text.lines().filter(|line| line.starts_with("Tcp:")).nth(1).unwrap();
    line.split(' ').nth(5).unwrap().parse().unwrap()
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("accept") => return accept(),
        Some("connect") => return connect(),
        _ => {}
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let seconds = std::env::var("SECONDS").map_or(30, |seconds| seconds.parse().unwrap());
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    client.ip(&format!("link add eth0 type veth peer name eth0 netns {}", server.0));
    for (namespace, last) in [(&client, 1), (&server, 2)] {
        namespace.ip(&format!("address add 10.77.0.{last}/24 dev eth0"));
        namespace.ip("link set eth0 up");
        namespace.ip("link set lo up");
    }
    server.ip("route add local 10.79.0.0/22 dev lo");
    client.ip("route add 10.79.0.0/22 via 10.77.0.2");
    let agent = Command::new(env!("CARGO_BIN_EXE_ringfence-agent"))
        .args(["watch", "--node", "bench"])
        .stdout(Stdio::null())
        .spawn();
    let agent = Ending(agent.unwrap());
    let process = agent.0.id();
    let _server = server.run("accept");
    thread::sleep(Duration::from_secs(1));
    let _client = client.run("connect");
    // A whole interval, so that everything has its size.
    thread::sleep(Duration::from_secs(12));

    let (before, opened_before, begun) = (processor(process), opened(&client), Instant::now());
    thread::sleep(Duration::from_secs(seconds));
    let elapsed = begun.elapsed().as_secs_f64();
    let share = (processor(process) - before) / elapsed * 100.0;
    let rate = (opened(&client) - opened_before) / elapsed;
    println!("{rate:.0} connections a second over {EDGES} edges, {elapsed:.0} seconds");
    println!("agent: {share:.2}% of a processor (aim: under 1)");
    let (own, most) = (memory(process, "VmRSS:"), memory(process, "VmHWM:"));
    println!("agent: {own:.1} MiB, {most:.1} at most (aim: under 64)");
    println!("kernel: {:.1} MiB for the maps", maps(process));
}
