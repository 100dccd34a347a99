//! Reports as they go over the wire: tables of what repeats, and records as columns.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use prost::Message as _;
use ringfence_bpf::{Dialled, Transport};
use ringfence_proto::agent::{
    Body, Endpoint, Host as WireHost, Loss, LossReason, Observer, Records, Side as WireSide,
    SocketAddress,
};

use crate::host::Host;
use crate::observation::{Interval, Observation, Side};
use crate::owner::Owner;
use crate::watch::{ObserverKind, Report};

/// Records of one batch: some 400 kB at most.
const RECORDS: usize = 4096;

/// The contents of a batch, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// How many records are in it.
    pub records: u32,
    /// A `Body`.
    pub body: Vec<u8>,
}

/// A report in as many batches as it takes, one at least: that there was nothing to see is worth knowing too. The same
/// report gives the same batches.
pub fn encode(report: &Report, node: &str) -> Vec<Encoded> {
    let mut chunks: Vec<&[Observation]> = report.observations.chunks(RECORDS).collect();
    let mut losses = losses(report);
    let mut host = report.host.clone().map(described);
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let mut batches = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let records_alone = body(chunk, report.interval, node, std::mem::take(&mut losses));
        let body = Body {
            observer: observer(report.observer).into(),
            observed: micros(report.interval),
            blind: report.blind.clone(),
            host: host.take(),
            ..records_alone
        };
        // A chunk is never that long.
        let records = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        batches.push(Encoded { records, body: body.encode_to_vec() });
    }
    batches
}

const fn observer(kind: ObserverKind) -> Observer {
    match kind {
        ObserverKind::Programs => Observer::Ebpf,
        ObserverKind::Tracking => Observer::Conntrack,
    }
}

fn micros(interval: Interval) -> u64 {
    u64::try_from(interval.end.duration_since(interval.start).as_micros()).unwrap_or(0)
}

fn described(host: Host) -> WireHost {
    let Host { addresses, tags, system } = host;
    WireHost { addresses: addresses.into_iter().map(octets).collect(), tags, system }
}

/// Something that is missing, in the words of the protocol.
fn loss(reason: LossReason, count: u64) -> Option<Loss> {
    (count > 0).then(|| Loss { reason: reason.into(), count })
}

fn losses(report: &Report) -> Vec<Loss> {
    let losses = &report.losses;
    let overflow = losses.overflow;
    let full = overflow.opened + overflow.refused + overflow.closed;
    let lost =
        losses.connections_unknown + losses.no_memory + losses.unparsed + losses.conversation_room;
    let lost = lost + report.events_lost;
    [
        loss(LossReason::MapFull, full),
        loss(LossReason::EventsLost, lost),
        loss(LossReason::Unattributed, report.unattributed + losses.datagrams_unknown),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Things by their place, each once.
struct Table<K, V> {
    places: HashMap<K, u32>,
    values: Vec<V>,
}

impl<K: Eq + Hash, V> Table<K, V> {
    fn new() -> Self {
        Self { places: HashMap::new(), values: Vec::new() }
    }

    /// Its place from 0.
    fn place(&mut self, key: K, value: impl FnOnce() -> V) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        *self.places.entry(key).or_insert_with(|| {
            self.values.push(value());
            next
        })
    }
}

fn body(chunk: &[Observation], interval: Interval, node: &str, losses: Vec<Loss>) -> Body {
    let base = u64::try_from(interval.start.as_nanosecond()).unwrap_or(0);
    let length = micros(interval);
    let mut strings: Table<String, String> = Table::new();
    let mut endpoints: Table<(IpAddr, Option<Owner>), Endpoint> = Table::new();
    let mut dialled: Table<Dialled, SocketAddress> = Table::new();
    let mut records = Records::default();
    for observation in chunk {
        let Observation {
            side,
            transport,
            local,
            owner,
            remote,
            port,
            dialled: asked,
            opened,
            refused,
            sent,
            received,
        } = observation;
        records.length.push(length);
        records.side.push(match side {
            Side::Client => WireSide::Client.into(),
            Side::Server => WireSide::Server.into(),
        });
        records.protocol.push(number(*transport));
        let own = describe(*local, owner.as_ref(), node, &mut strings);
        records.local.push(endpoints.place((*local, owner.clone()), || own));
        records.remote.push(
            endpoints
                .place((*remote, None), || Endpoint { ip: octets(*remote), ..Endpoint::default() }),
        );
        records.server_port.push(u32::from(*port));
        records.dialled.push(asked.map_or(0, |asked| {
            let address = || SocketAddress { ip: octets(asked.ip), port: u32::from(asked.port) };
            dialled.place(asked, address) + 1
        }));
        records.opened.push(*opened);
        records.refused.push(*refused);
        records.bytes_sent.push(sent.bytes);
        records.bytes_received.push(received.bytes);
        records.traffic.push(sent.bytes + received.bytes > 0);
    }
    Body {
        base,
        strings: strings.values,
        endpoints: endpoints.values,
        dialled: dialled.values,
        records: Some(records),
        losses,
        ..Body::default()
    }
}

fn describe(
    ip: IpAddr,
    owner: Option<&Owner>,
    node: &str,
    strings: &mut Table<String, String>,
) -> Endpoint {
    let mut text = |text: &str| strings.place(text.to_owned(), || text.to_owned()) + 1;
    let mut endpoint = Endpoint { ip: octets(ip), ..Endpoint::default() };
    match owner {
        Some(Owner::Machine) => endpoint.node = text(node),
        Some(Owner::Pod(pod)) => {
            endpoint.pod_uid = text(&pod.uid);
            if let Some((namespace, name)) = &pod.name {
                endpoint.namespace = text(namespace);
                endpoint.pod = text(name);
            }
        }
        None => {}
    }
    endpoint
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

const fn number(transport: Transport) -> u32 {
    match transport {
        Transport::Icmp => 1,
        Transport::Tcp => 6,
        Transport::Udp => 17,
        Transport::IcmpV6 => 58,
        Transport::Sctp => 132,
    }
}

#[cfg(test)]
mod tests;
