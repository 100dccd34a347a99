//! Connections without programs in the kernel: what the machine's connection tracking tells of, and beside it the TCP
//! sockets of every network namespace, looked at every now and then.
//!
//! A connection that is tracked counts by that alone: opened when it is established (TCP) or begun (the others), refused
//! when its first answer ended it. Others count when their socket is found. [`Tracker::blind`] says what neither shows.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ringfence_bpf::{Counts, Dialled, Direction, Flow, FlowKey, Transport, namespace_cookie};
use ringfence_flows::Volume;

use crate::conntrack::{self, Conntrack, Event, Hear, Progress, Tracked, Tuple};
use crate::netlink::Drained;
use crate::observation::{Observation, Side};
use crate::owner::Owners;
use crate::sockets::{Place, Stage, TcpSocket, namespaces, within};

/// An attempt that is no longer tracked after less than this, without an answer, was refused: a reset as the first
/// answer removes it at once, while what nobody answers stays for as long as the kernel tries.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);
/// Looking at sockets takes no more than one part in so many of the time.
const SHARE: u32 = 20;

/// Observes by connection tracking and lists of sockets.
#[derive(Debug)]
pub(crate) struct Tracker {
    proc: PathBuf,
    conntracks: Vec<Conntrack>,
    connections: HashMap<Identity, Connection>,
    /// The tuples of connections as the sockets at their ends have them.
    tracked: HashSet<Tuple>,
    sums: HashMap<Ends, Sum>,
    sockets: HashMap<(u64, SocketAddr, SocketAddr), Followed>,
    flows: HashMap<FlowKey, Counts>,
    /// Whose addresses are; of those that are gone too, until another has them.
    places: HashMap<IpAddr, u64>,
    cookies: HashMap<u64, u64>,
    lost: u64,
    /// Not before this moment sockets are looked at again.
    next: Instant,
}

type Identity = (Transport, Tuple, u32);

#[derive(Debug)]
struct Connection {
    ends: Ends,
    begun: Instant,
    answered: bool,
    counted: bool,
    sent: Volume,
    received: Volume,
}

/// What connections have in common that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    transport: Transport,
    client: IpAddr,
    /// The client as the server sees it.
    seen: IpAddr,
    asked: Dialled,
    server: Dialled,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    opened: u64,
    refused: u64,
    sent: Volume,
    received: Volume,
}

/// A socket that was seen before.
#[derive(Debug)]
struct Followed {
    key: FlowKey,
    last: TcpSocket,
    round: u64,
}

/// What was observed in one interval.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    pub(crate) observations: Vec<Observation>,
    /// Events that found no room.
    pub(crate) lost: u64,
}

impl Tracker {
    /// Takes in what is there already. The connection tracking is that of the calling thread's namespace and of further
    /// ones.
    pub(crate) fn start(proc: PathBuf, further: &[File]) -> io::Result<Self> {
        let mut tracker = Self::new(proc, Conntrack::open_all(Hear::All, further)?);
        tracker.dump()?;
        tracker.sums.clear();
        tracker.look(true)?;
        Ok(tracker)
    }

    fn new(proc: PathBuf, conntracks: Vec<Conntrack>) -> Self {
        Self {
            proc,
            conntracks,
            connections: HashMap::new(),
            tracked: HashSet::new(),
            sums: HashMap::new(),
            sockets: HashMap::new(),
            flows: HashMap::new(),
            places: HashMap::new(),
            cookies: HashMap::new(),
            lost: 0,
            next: Instant::now(),
        }
    }

    /// Reads what has happened. To be called a few times a second.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        if Instant::now() < self.next {
            return self.drain();
        }
        let begun = Instant::now();
        self.look(false)?;
        self.next = Instant::now() + (begun.elapsed() * SHARE).max(Duration::from_secs(1));
        Ok(())
    }

    /// Ends an interval.
    pub(crate) fn close(&mut self, owners: &Owners) -> io::Result<Closed> {
        // Counters of what is still open, and what was lost of the events.
        self.dump()?;
        self.look(false)?;
        let mut closed = Closed { lost: std::mem::take(&mut self.lost), ..Closed::default() };
        for (key, counts) in std::mem::take(&mut self.flows) {
            let owner = owners.of(key.netns);
            closed.observations.extend(Observation::of(&Flow { key, counts }, owner));
        }
        for (ends, sum) in std::mem::take(&mut self.sums) {
            for side in [Side::Client, Side::Server] {
                let local = if side == Side::Client { ends.client } else { ends.server.ip };
                // Of others' connections that only pass through here, they tell themselves.
                let Some(cookie) = self.places.get(&local) else { continue };
                let owner = owners.of(*cookie).cloned();
                let told = ends.observation(side, sum);
                closed.observations.extend(told.map(|told| Observation { owner, ..told }));
            }
        }
        Ok(closed)
    }

    /// What is not seen here, for people.
    pub(crate) fn blind(&self) -> Vec<&'static str> {
        let mut blind = vec![
            "without connection tracking: UDP, SCTP, ICMP, failed attempts, and TCP connections shorter than a second",
            "refused UDP",
            "pods that live for less than a second",
        ];
        let setting = |name: &str| {
            let text = std::fs::read_to_string(self.proc.join("sys/net/netfilter").join(name));
            text.is_ok_and(|text| text.trim() != "0")
        };
        if !setting("nf_conntrack_acct") {
            blind.push("bytes of tracked connections: net.netfilter.nf_conntrack_acct is 0");
        }
        if self.connections.is_empty() {
            blind.push("connection tracking has nothing: no rule makes the kernel track here, or nobody talks");
        }
        blind
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut conntracks = std::mem::take(&mut self.conntracks);
        let outcome = conntracks.iter_mut().try_for_each(|conntrack| {
            if conntrack.drain(|event| self.take(event))? == Drained::Lost {
                self.lost += 1;
            }
            Ok(())
        });
        self.conntracks = conntracks;
        outcome
    }

    /// Goes through the tables.
    fn dump(&mut self) -> io::Result<()> {
        let mut conntracks = std::mem::take(&mut self.conntracks);
        let outcome =
            conntracks.iter_mut().try_for_each(|c| c.dump(|tracked| self.update(&tracked)));
        self.conntracks = conntracks;
        outcome
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::New(tracked) | Event::Changed(tracked) => self.update(&tracked),
            Event::Gone(tracked) => {
                self.update(&tracked);
                let Some(gone) = self.connections.remove(&identity(&tracked)) else { return };
                self.tracked.remove(&tracked.original);
                self.tracked.remove(&tracked.reply);
                let is_refused = tracked.transport == Transport::Tcp
                    && !gone.answered
                    && !gone.counted
                    && gone.begun.elapsed() < REFUSED_WITHIN;
                if is_refused {
                    let sum = self.sums.entry(gone.ends).or_default();
                    sum.opened += 1;
                    sum.refused += 1;
                }
            }
        }
    }

    fn update(&mut self, tracked: &Tracked) {
        let Tracked { transport, original, reply, answered, progress, volume, .. } = *tracked;
        self.tracked.insert(original);
        self.tracked.insert(reply);
        let known = self.connections.entry(identity(tracked)).or_insert_with(|| Connection {
            ends: Ends::of(tracked),
            begun: Instant::now(),
            answered: false,
            counted: false,
            sent: Volume::default(),
            received: Volume::default(),
        });
        known.answered |= answered == Some(true);
        let is_open = match transport {
            Transport::Tcp => progress == Some(Progress::Opened),
            _ => true,
        };
        let is_opened = is_open && !known.counted;
        known.counted |= is_open;
        let mut sum = Sum { opened: u64::from(is_opened), ..Sum::default() };
        // What went into an attempt that fails tells of no need.
        if let Some((sent, received)) = volume
            && known.counted
        {
            sum.sent = advance(&mut known.sent, sent);
            sum.received = advance(&mut known.received, received);
        }
        if is_opened || sum.sent.packets + sum.received.packets > 0 {
            self.sums.entry(known.ends).or_default().add(sum);
        }
    }

    /// Looks at the sockets and addresses of every namespace, then reads what the tracking told meanwhile: what it
    /// tracks is counted there. What is `old` was opened before.
    fn look(&mut self, old: bool) -> io::Result<()> {
        let mut seen = Vec::new();
        for (inode, namespace) in namespaces(&self.proc)? {
            let cookie = match self.cookies.get(&inode) {
                Some(cookie) => *cookie,
                None => {
                    let Ok(cookie) = namespace_cookie(namespace.as_fd()) else { continue };
                    self.cookies.insert(inode, cookie);
                    cookie
                }
            };
            // It may end meanwhile.
            let Ok(place) = within(&namespace, Place::look) else { continue };
            self.places.extend(place.addresses.iter().map(|address| (*address, cookie)));
            seen.push((cookie, place));
        }
        self.drain()?;
        let round = self.sockets.values().map(|followed| followed.round).max().unwrap_or(0) + 1;
        for (cookie, place) in seen {
            for socket in &place.sockets {
                self.follow(cookie, &place, socket, round, old);
            }
        }
        self.sockets.retain(|_, followed| followed.round == round);
        Ok(())
    }

    fn follow(&mut self, cookie: u64, place: &Place, socket: &TcpSocket, round: u64, old: bool) {
        let TcpSocket { local, remote, stage, .. } = *socket;
        let tuple = Tuple {
            source: local.ip(),
            source_port: local.port(),
            destination: remote.ip(),
            destination_port: remote.port(),
        };
        if stage == Stage::Listening || local.ip().is_loopback() {
            return;
        }
        // It may be tracked for a shorter time than it lives.
        let is_elsewhere = old || self.tracked.contains(&tuple);
        let mut is_new = false;
        let known = self.sockets.entry((cookie, local, remote)).or_insert_with(|| {
            is_new = !is_elsewhere;
            let (direction, port) = if place.listens_at(local) {
                (Direction::In, local.port())
            } else {
                (Direction::Out, remote.port())
            };
            let key = FlowKey {
                netns: cookie,
                cgroup: 0,
                local: local.ip(),
                remote: remote.ip(),
                dialled: None,
                port,
                transport: Transport::Tcp,
                direction,
            };
            let last = if is_elsewhere { *socket } else { socket.unused() };
            Followed { key, last, round }
        });
        known.round = round;
        let before = known.last;
        known.last = socket.at_least(&before);
        let counts = Counts {
            opened: u64::from(is_new),
            sent_bytes: socket.sent.saturating_sub(before.sent),
            received_bytes: socket.received.saturating_sub(before.received),
            sent_packets: socket.sent_packets.saturating_sub(before.sent_packets),
            received_packets: socket.received_packets.saturating_sub(before.received_packets),
            ..Counts::default()
        };
        if counts != Counts::default() && !is_elsewhere {
            *self.flows.entry(known.key.clone()).or_default() += counts;
        }
    }
}

fn identity(tracked: &Tracked) -> Identity {
    (tracked.transport, tracked.original, tracked.id)
}

/// How much a counter went on. It never goes back.
fn advance(mark: &mut Volume, to: conntrack::Volume) -> Volume {
    let conntrack::Volume { packets, bytes } = to;
    let to = Volume { bytes: bytes.max(mark.bytes), packets: packets.max(mark.packets) };
    let before = std::mem::replace(mark, to);
    Volume { bytes: to.bytes - before.bytes, packets: to.packets - before.packets }
}

impl Sum {
    fn add(&mut self, other: Self) {
        let Self { opened, refused, sent, received } = other;
        self.opened += opened;
        self.refused += refused;
        for (to, more) in [(&mut self.sent, sent), (&mut self.received, received)] {
            to.bytes += more.bytes;
            to.packets += more.packets;
        }
    }
}

impl Ends {
    fn of(tracked: &Tracked) -> Self {
        let Tracked { transport, original, reply, .. } = *tracked;
        Self {
            transport,
            client: original.source,
            seen: reply.destination,
            asked: Dialled { ip: original.destination, port: original.destination_port },
            server: Dialled { ip: reply.source, port: reply.source_port },
        }
    }

    /// As the socket at one end sees it. `None` for what stays inside of the machine's namespace, and for attempts that
    /// nobody answered.
    fn observation(&self, side: Side, sum: Sum) -> Option<Observation> {
        let Self { transport, client, seen, asked, server } = *self;
        let Sum { opened, refused, sent, received } = sum;
        let (local, remote) = match side {
            Side::Client => (client, server.ip),
            Side::Server => (server.ip, seen),
        };
        if local == remote
            || remote.is_loopback()
            || (opened == 0 && sent.packets + received.packets == 0)
        {
            return None;
        }
        Some(Observation {
            side,
            transport,
            local,
            owner: None,
            remote,
            port: server.port,
            dialled: (asked != server).then_some(asked),
            opened,
            refused,
            sent,
            received,
        })
    }
}

impl TcpSocket {
    /// The same socket before it was used.
    const fn unused(&self) -> Self {
        Self { sent: 0, received: 0, sent_packets: 0, received_packets: 0, ..*self }
    }

    /// With counters that did not go back: a socket that only waits for stray packets has none any more.
    fn at_least(&self, before: &Self) -> Self {
        Self {
            sent: self.sent.max(before.sent),
            received: self.received.max(before.received),
            sent_packets: self.sent_packets.max(before.sent_packets),
            received_packets: self.received_packets.max(before.received_packets),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests;
