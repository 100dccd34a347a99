//! What observing costs, in processor time: both ends in this process on one processor, over loopback, with and without
//! the programs by turns. That is the worst case: nothing is done with a connection but what is being counted. Needs
//! root.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use ringfence_bpf::{Observer, Options};

const ROUNDS: usize = 15;

/// Name, aim, and what is done.
type Case<'a> = (&'static str, f64, Box<dyn FnMut() + 'a>);

/// Processor time of this process so far.
fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap()
    };
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

fn connect_and_close(listener: &TcpListener, at: SocketAddr) {
    for _ in 0..2000 {
        let client = TcpStream::connect(at).unwrap();
        drop((listener.accept().unwrap(), client));
    }
}

fn exchange(client: &mut TcpStream, server: &mut TcpStream, times: usize, bytes: &mut [u8]) {
    for _ in 0..times {
        client.write_all(bytes).unwrap();
        server.read_exact(bytes).unwrap();
        server.write_all(&bytes[..1]).unwrap();
        client.read_exact(&mut bytes[..1]).unwrap();
    }
}

fn datagrams(client: &UdpSocket, server: &UdpSocket) {
    let mut bytes = [0; 100];
    for _ in 0..5000 {
        client.send(&bytes).unwrap();
        let (_, from) = server.recv_from(&mut bytes).unwrap();
        server.send_to(&bytes, from).unwrap();
        client.recv(&mut bytes).unwrap();
    }
}

fn main() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let mut one = CpuSet::new();
    one.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let cgroup =
        fields.filter(|fields| fields[2] == "cgroup2").map(|fields| PathBuf::from(fields[1]));
    let options =
        Options { pins: None, cgroup: cgroup.collect::<Vec<_>>().remove(0), capacity: 65_536 };

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

    let mut cases: Vec<Case<'_>> = vec![
        ("connect and close", 0.92, Box::new(|| connect_and_close(&listener, at))),
        ("request and response", 0.95, {
            let (mut client, mut server) = pair();
            Box::new(move || exchange(&mut client, &mut server, 5000, &mut [0; 100]))
        }),
        ("bulk", 0.99, {
            let (mut client, mut server) = pair();
            let mut bytes = vec![0; 64 << 10];
            Box::new(move || exchange(&mut client, &mut server, 2000, &mut bytes))
        }),
        ("datagrams (no aim)", 0.0, Box::new(|| datagrams(&udp_client, &udp_server))),
    ];
    for (name, aim, case) in &mut cases {
        case();
        let mut ratios = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begun = spent();
            case();
            let bare = spent().checked_sub(begun).unwrap();
            let observer = Observer::start(&options).unwrap();
            let begun = spent();
            case();
            let counted = spent().checked_sub(begun).unwrap();
            drop(observer);
            ratios.push(bare.as_secs_f64() / counted.as_secs_f64());
        }
        ratios.sort_by(f64::total_cmp);
        let (low, middle, high) = (ratios[2], ratios[ROUNDS / 2], ratios[ROUNDS - 3]);
        println!("{name}: x{middle:.3} of the bare throughput ({low:.3} to {high:.3}; aim {aim})");
    }
}
