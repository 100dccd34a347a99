//! What the agent says of connections: counts of the kernel, seen from the client to the server.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use jiff::Timestamp;
use ringfence_bpf::{Dialled, Direction, Flow, FlowKey, Transport};
use ringfence_flows::{
    Counts, Observer, Record, RecordDestination, RecordPod, RecordProtocol, RecordSide,
    RecordSource, SocketAddress, VERSION, Volume,
};

use crate::owner::Owner;

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its first moment.
    pub start: Timestamp,
    /// Its last moment.
    pub end: Timestamp,
}

impl Interval {
    /// What lasted so long, by a clock that does not jump, and ends now, by the one that people set. When they set it,
    /// the interval is neither stretched nor turned around by that, and its times are those that are right from then
    /// on; it may lie before the one before it.
    pub fn of(length: Duration, end: Timestamp) -> Self {
        Self { start: end.checked_sub(length).unwrap_or(Timestamp::MIN), end }
    }
}

/// Connections between two addresses to one server port, in one interval, seen at one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which end the local one is.
    pub side: Side,
    /// The protocol.
    pub transport: Transport,
    /// The address on this machine.
    pub local: IpAddr,
    /// Whose it is.
    pub owner: Option<Owner>,
    /// The address at the other end.
    pub remote: IpAddr,
    /// The server's port; 0 for ICMP.
    pub port: u16,
    /// What the client asked for, where that was translated.
    pub dialled: Option<Dialled>,
    /// Connections opened, refused ones included.
    pub opened: u64,
    /// Of the opened ones, those that the server refused.
    pub refused: u64,
    /// Bytes and packets from the client to the server, headers of IP included.
    pub sent: Volume,
    /// Bytes and packets from the server to the client, headers of IP included.
    pub received: Volume,
}

/// The ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one that opens.
    Client,
    /// The one that is opened to.
    Server,
}

impl Observation {
    /// What a flow of the kernel says of others than the machine itself. [`None`] for what stays inside of a network
    /// namespace, and for attempts that nobody answered: those tell of no need, and of no refusal either.
    pub fn of(flow: &Flow, owner: Option<&Owner>) -> Option<Self> {
        let Flow { key, counts } = flow;
        if key.remote.is_loopback() || key.remote == key.local {
            return None;
        }
        let opened = match key.transport {
            // The kernel counts what was established.
            Transport::Tcp => counts.opened + counts.refused,
            _ => counts.opened,
        };
        let refused = counts.refused.min(opened);
        if opened == 0 && counts.sent_bytes == 0 && counts.received_bytes == 0 {
            return None;
        }
        let out = volume(key, counts.sent_bytes, counts.sent_packets);
        let into = volume(key, counts.received_bytes, counts.received_packets);
        let (side, sent, received) = match key.direction {
            Direction::Out => (Side::Client, out, into),
            Direction::In => (Side::Server, into, out),
        };
        Some(Self {
            side,
            transport: key.transport,
            local: key.local,
            owner: owner.cloned(),
            remote: key.remote,
            port: key.port,
            dialled: key.dialled,
            opened,
            refused,
            sent,
            received,
        })
    }

    /// One observation of each pair of ends and port, in their order: the kernel keeps processes apart that the record
    /// does not.
    pub fn merged(mut observations: Vec<Self>) -> Vec<Self> {
        observations.sort_by_key(Self::ends);
        observations.dedup_by(|other, kept| {
            let same = other.ends() == kept.ends();
            if same {
                kept.opened += other.opened;
                kept.refused += other.refused;
                add(&mut kept.sent, other.sent);
                add(&mut kept.received, other.received);
            }
            same
        });
        observations
    }

    fn ends(&self) -> (Side, Transport, IpAddr, IpAddr, u16, Option<Dialled>) {
        (self.side, self.transport, self.local, self.remote, self.port, self.dialled)
    }

    /// As a line of our own flow format. [`None`] for ICMP, which it does not have.
    pub fn record(&self, node: &str, interval: Interval) -> Option<Record> {
        let port = NonZeroU16::new(self.port)?;
        let protocol = match self.transport {
            Transport::Tcp => RecordProtocol::Tcp,
            Transport::Udp => RecordProtocol::Udp,
            Transport::Sctp => RecordProtocol::Sctp,
            Transport::Icmp | Transport::IcmpV6 => return None,
        };
        let pod = match &self.owner {
            Some(Owner::Pod(pod)) => pod.name.as_ref().map(|(namespace, name)| RecordPod {
                namespace: namespace.clone(),
                name: name.clone(),
                workload: None,
                labels: None,
            }),
            Some(Owner::Machine) | None => None,
        };
        let own = matches!(self.owner, Some(Owner::Machine)).then(|| node.to_owned());
        let (source, destination) = match self.side {
            Side::Client => (
                RecordSource { ip: self.local, port: None, pod, node: own },
                RecordDestination { ip: self.remote, port, pod: None, node: None },
            ),
            Side::Server => (
                RecordSource { ip: self.remote, port: None, pod: None, node: None },
                RecordDestination { ip: self.local, port, pod, node: own },
            ),
        };
        let side = match self.side {
            Side::Client => RecordSide::Client,
            Side::Server => RecordSide::Server,
        };
        Some(Record {
            version: VERSION,
            start: interval.start.to_string(),
            end: interval.end.to_string(),
            observer: Observer { node: node.to_owned(), side },
            protocol,
            source,
            destination,
            dialled: self.dialled.and_then(|dialled| {
                Some(SocketAddress { ip: dialled.ip, port: NonZeroU16::new(dialled.port)? })
            }),
            connections: Counts { opened: self.opened, refused: self.refused, denied: 0 },
            sent: (self.sent != Volume::default()).then_some(self.sent),
            received: (self.received != Volume::default()).then_some(self.received),
        })
    }
}

fn add(to: &mut Volume, other: Volume) {
    to.bytes += other.bytes;
    to.packets += other.packets;
}

/// Adds the headers to what the kernel counts, the payload. Options are not in it, which IP seldom has; TCP's are
/// 12 bytes mostly.
fn volume(key: &FlowKey, payload: u64, packets: u64) -> Volume {
    let network = if key.local.is_ipv4() { 20 } else { 40 };
    let transport = match key.transport {
        Transport::Tcp => 20,
        Transport::Sctp => 12,
        Transport::Udp | Transport::Icmp | Transport::IcmpV6 => 8,
    };
    Volume { bytes: payload + packets * (network + transport), packets }
}

#[cfg(test)]
mod tests;
