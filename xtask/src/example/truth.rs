//! The true edges behind the log.

use std::collections::BTreeMap;

use serde::Serialize;

use super::call::Class;
use super::connection::{Connection, Course, Dialled, End, Transport};
use super::log::Log;
use super::pod::Pod;
use super::shop::{BEGIN, END};
use crate::clock::Moment;

/// The document.
#[derive(Serialize)]
pub struct Truth {
    meta: Meta,
    edges: Vec<Edge>,
}

#[derive(Serialize)]
struct Meta {
    begin: String,
    end: String,
    lines: usize,
    counting: &'static str,
    /// Pods in the log that are not in the dump, and addresses that two pods had.
    departed: Vec<Departed>,
}

#[derive(Serialize)]
struct Departed {
    pod: String,
    workload: String,
    address: String,
    until: String,
    address_now_of: String,
}

#[derive(Serialize)]
struct Edge {
    class: Class,
    source: Peer,
    destination: Peer,
    protocol: &'static str,
    port: Option<u16>,
    service: Option<ServicePort>,
    forwarded: u64,
    dropped: u64,
    refused: u64,
    first: String,
    last: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind")]
enum Peer {
    CronJob { namespace: &'static str, name: &'static str },
    Deployment { namespace: &'static str, name: &'static str },
    StatefulSet { namespace: &'static str, name: &'static str },
    Node,
    External { ip: String },
    Unresolved { ip: String },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct ServicePort {
    namespace: &'static str,
    name: &'static str,
    port: u16,
}

type Key = (Class, Peer, Peer, &'static str, Option<u16>, Option<ServicePort>);

struct Count {
    forwarded: u64,
    dropped: u64,
    refused: u64,
    first: Moment,
    last: Moment,
}

/// Counts the connections by edge.
pub fn of(connections: &[Connection], pods: &[Pod], log: &Log) -> anyhow::Result<Truth> {
    let mut edges: BTreeMap<Key, Count> = BTreeMap::new();
    for (connection, seen) in connections.iter().zip(&log.seen) {
        let (protocol, port) = match connection.transport {
            Transport::Tcp => ("TCP", Some(connection.server_port)),
            Transport::Udp => ("UDP", Some(connection.server_port)),
            Transport::Icmp => ("ICMPv4", None),
        };
        let key = (
            connection.class,
            peer(&connection.client, &connection.source)?,
            peer(&connection.server, &connection.destination)?,
            protocol,
            port,
            connection.dialled.map(|Dialled { namespace, name, port, .. }| ServicePort {
                namespace,
                name,
                port,
            }),
        );
        let none =
            Count { forwarded: 0, dropped: 0, refused: 0, first: seen.first, last: seen.last };
        let count = edges.entry(key).or_insert(none);
        match connection.course {
            Course::Ordinary | Course::LongLived => count.forwarded += 1,
            Course::Dropped => count.dropped += 1,
            Course::Refused => {
                count.forwarded += 1;
                count.refused += 1;
            }
        }
        count.first = count.first.min(seen.first);
        count.last = count.last.max(seen.last);
    }
    let edges = edges.into_iter().map(|(key, count)| {
        let (class, source, destination, protocol, port, service) = key;
        let Count { forwarded, dropped, refused, first, last } = count;
        let (first, last) = (first.to_seconds(), last.to_seconds());
        Edge {
            class,
            source,
            destination,
            protocol,
            port,
            service,
            forwarded,
            dropped,
            refused,
            first,
            last,
        }
    });
    Ok(Truth {
        meta: Meta {
            begin: BEGIN.to_seconds(),
            end: END.to_seconds(),
            lines: log.lines,
            counting: "connections (distinct client socket pairs; pings: echo requests), however many lines \
                       speak of one; refused ones are forwarded too; first and last are those of the lines",
            departed: departed(pods),
        },
        edges: edges.collect(),
    })
}

fn peer(end: &End, address: &str) -> anyhow::Result<Peer> {
    use super::shop::Kind;
    Ok(match end {
        End::Pod(pod) => {
            let (namespace, name) = (pod.workload.namespace, pod.workload.name);
            match pod.workload.kind {
                Kind::Deployment => Peer::Deployment { namespace, name },
                Kind::StatefulSet => Peer::StatefulSet { namespace, name },
                Kind::CronJob => Peer::CronJob { namespace, name },
                Kind::DaemonSet | Kind::StaticPod => {
                    anyhow::bail!("{} is on the host network: it is its node", pod.name)
                }
            }
        }
        End::Node(..) => Peer::Node,
        End::Outside(..) => Peer::External { ip: address.to_owned() },
        End::Ghost(..) => Peer::Unresolved { ip: address.to_owned() },
    })
}

fn departed(pods: &[Pod]) -> Vec<Departed> {
    let mut departed = Vec::new();
    for old in pods {
        let Some(until) = old.until else { continue };
        let heir = pods.iter().find(|new| new.v4() == old.v4() && new.from >= until);
        departed.extend(heir.map(|new| Departed {
            pod: format!("{}/{}", old.workload.namespace, old.name),
            workload: old.workload.name.to_owned(),
            address: old.v4().to_owned(),
            until: until.to_seconds(),
            address_now_of: new.workload.name.to_owned(),
        }));
    }
    departed
}
