//! What observing costs: both ends in this process on one processor, over loopback, with and without the programs by
//! turns. That is the worst case: nothing is done with a connection but what is being counted. Needs root.
//!
//! Each figure is the bare time of a piece of work by the time of the same work while it is counted, that is the share
//! of the throughput that is left: the median over many rounds, each held against the bare ones before and after it, so
//! that what else the machine does weighs on both. Processor time, and time by the clock. Then what each program took:
//! how often it ran, and for how long, the kernel's own reading of the clock (some 20 ns) included.
//!
//! `cargo bench -p ringfence-bpf` runs all; a word after `--` chooses by the beginning of the name. `CGROUP` in the
//! environment is observed instead of the root: an empty one leaves the programs for TCP alone.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use ringfence_bpf::{Observer, Options};

/// Rounds of each case, if `ROUNDS` in the environment does not say otherwise.
const ROUNDS: usize = 40;

/// A piece of work.
struct Case<'a> {
    name: &'static str,
    aim: Option<f64>,
    /// Operations that one call does.
    operations: u32,
    act: Box<dyn FnMut() + 'a>,
}

/// Processor time of this process, and the time by the clock.
#[derive(Clone, Copy)]
struct Spent {
    processor: f64,
    clock: f64,
}

impl Spent {
    fn on(act: &mut dyn FnMut()) -> Self {
        let (before, begun) = (processor(), Instant::now());
        act();
        Self {
            processor: (processor().checked_sub(before).unwrap()).as_secs_f64(),
            clock: begun.elapsed().as_secs_f64(),
        }
    }
}

fn processor() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap()
    };
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

fn connect_and_close(listener: &TcpListener, at: SocketAddr, times: u32) {
    for _ in 0..times {
        let client = TcpStream::connect(at).unwrap();
        drop((listener.accept().unwrap(), client));
    }
}

fn exchange(client: &mut TcpStream, server: &mut TcpStream, times: u32, bytes: &mut [u8]) {
    for _ in 0..times {
        client.write_all(bytes).unwrap();
        server.read_exact(bytes).unwrap();
        server.write_all(&bytes[..1]).unwrap();
        client.read_exact(&mut bytes[..1]).unwrap();
    }
}

/// One way: the socket takes some writes before the other end reads.
fn stream(client: &mut TcpStream, server: &mut TcpStream, times: u32, bytes: &mut [u8]) {
    for _ in 0..times / 4 {
        for _ in 0..4 {
            client.write_all(bytes).unwrap();
        }
        for _ in 0..4 {
            server.read_exact(bytes).unwrap();
        }
    }
}

fn datagrams(client: &UdpSocket, server: &UdpSocket, times: u32) {
    let mut bytes = [0; 100];
    for _ in 0..times {
        client.send(&bytes).unwrap();
        let (_, from) = server.recv_from(&mut bytes).unwrap();
        server.send_to(&bytes, from).unwrap();
        client.recv(&mut bytes).unwrap();
    }
}

/// Runs and time of each program that is loaded and not of `others`, by name.
fn programs(others: &[u32]) -> BTreeMap<String, (u64, Duration)> {
    let mut found = BTreeMap::new();
    for program in loaded_programs() {
        // One may have gone meanwhile.
        let Ok(program) = program else { continue };
        if !others.contains(&program.id()) && program.run_count() > 0 {
            let name = program.name_as_str().unwrap_or("?").to_owned();
            found.insert(name, (program.run_count(), program.run_time()));
        }
    }
    found
}

fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values[(values.len() - 1) * share / 4];
    (at(2), at(1), at(3))
}

fn measure(case: &mut Case<'_>, options: &Options, rounds: usize) {
    (case.act)();
    let mut processor = Vec::new();
    let mut clock = Vec::new();
    let mut each = Vec::new();
    let mut before = Spent::on(&mut *case.act);
    for _ in 0..rounds {
        let observer = Observer::start(options).unwrap();
        let counted = Spent::on(&mut *case.act);
        drop(observer);
        let after = Spent::on(&mut *case.act);
        processor.push(before.processor.midpoint(after.processor) / counted.processor);
        clock.push(before.clock.midpoint(after.clock) / counted.clock);
        each.push(after.processor / f64::from(case.operations) * 1e6);
        before = after;
    }
    let aim = case.aim.map_or_else(|| "no aim".to_owned(), |aim| format!("aim {aim}"));
    let (middle, low, high) = median(processor);
    let (clock, clock_low, clock_high) = median(clock);
    println!(
        "{}: {middle:.3} of the bare throughput by processor time ({low:.3} to {high:.3}), {clock:.3} by the clock \
         ({clock_low:.3} to {clock_high:.3}); {aim}; {:.2} us bare",
        case.name,
        median(each).0,
    );
    let others: Vec<u32> = loaded_programs().flatten().map(|program| program.id()).collect();
    let _stats = enable_stats(Stats::RunTime).unwrap();
    let observer = Observer::start(options).unwrap();
    (case.act)();
    for (name, (runs, time)) in programs(&others) {
        let (operations, runs) = (f64::from(case.operations), u32::try_from(runs).unwrap());
        println!(
            "    {name:17} {:5.2} runs an operation, {:5.0} ns a run, {:5.0} ns an operation",
            f64::from(runs) / operations,
            time.as_secs_f64() / f64::from(runs) * 1e9,
            time.as_secs_f64() / operations * 1e9,
        );
    }
    drop(observer);
}

/// Where the cgroup2 file system is mounted.
fn root() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    PathBuf::from(fields.find(|fields| fields[2] == "cgroup2").unwrap()[1])
}

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut one = CpuSet::new();
    one.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
    let cgroup = std::env::var_os("CGROUP").map_or_else(root, PathBuf::from);
    let options = Options { pins: None, cgroup, capacity: 65_536 };
    for finding in Observer::start(&options).unwrap().findings() {
        if !finding.state.is_usable() {
            println!("not measured: {}: {:?}", finding.mechanism, finding.state);
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let pair = || {
        let client = TcpStream::connect(at).unwrap();
        client.set_nodelay(true).unwrap();
        (client, listener.accept().unwrap().0)
    };
    let (udp_server, udp_client) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    udp_client.connect(udp_server.local_addr().unwrap()).unwrap();

    let cases = vec![
        Case {
            name: "connect and close",
            aim: Some(0.92),
            operations: 2000,
            act: Box::new(|| connect_and_close(&listener, at, 2000)),
        },
        Case {
            name: "request and response",
            aim: Some(0.95),
            operations: 5000,
            act: {
                let (mut client, mut server) = pair();
                Box::new(move || exchange(&mut client, &mut server, 5000, &mut [0; 100]))
            },
        },
        Case {
            name: "bulk (64 KiB)",
            aim: Some(0.99),
            operations: 4000,
            act: {
                let (mut client, mut server) = pair();
                let mut bytes = vec![0; 64 << 10];
                Box::new(move || stream(&mut client, &mut server, 4000, &mut bytes))
            },
        },
        Case {
            name: "requests of 64 KiB",
            aim: None,
            operations: 2000,
            act: {
                let (mut client, mut server) = pair();
                let mut bytes = vec![0; 64 << 10];
                Box::new(move || exchange(&mut client, &mut server, 2000, &mut bytes))
            },
        },
        Case {
            name: "datagrams",
            aim: None,
            operations: 5000,
            act: Box::new(|| datagrams(&udp_client, &udp_server, 5000)),
        },
    ];
    // `cargo bench` adds an option of its own.
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--")).unwrap_or_default();
    for mut case in cases.into_iter().filter(|case| case.name.starts_with(&wanted)) {
        measure(&mut case, &options, rounds);
    }
}
