//! The contents of a batch, checked.

use std::net::IpAddr;
use std::sync::Arc;

use prost::Message as _;
use ringfence_model::flow::{End, Side};
use ringfence_model::object::Host;
use ringfence_model::resolve::Hint;
use ringfence_model::{L4, Name, Origin, PodRef, Port, Protocol, Tally, Timestamp};
use ringfence_proto::agent::{self, Batch, Records};

use super::presence::Said;

/// What is wrong with the whole of a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("it is not protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("column {column} has {entries} entries; the batch has {records} records")]
    Column { column: &'static str, entries: usize, records: usize },
    #[error("the host is described {0}")]
    Host(&'static str),
    #[error("it is of {0}, which is no name of a machine")]
    Name(String),
}

/// What the machine of an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// A node of the cluster.
    Node,
    /// A machine outside Kubernetes.
    Host,
}

/// A batch whose tables are looked through.
pub(super) struct Body {
    /// Nanoseconds since 1970.
    base: u64,
    /// `None` for those that are not what they should be.
    endpoints: Vec<Option<Endpoint>>,
    dialled: Vec<Option<(IpAddr, Port)>>,
    records: Records,
    /// What the agent says of itself.
    pub(super) said: Said,
    /// The host that the agent runs on.
    pub(super) host: Option<Host>,
}

struct Endpoint {
    end: End,
    /// As a local end, where that says more: of a host every local end is its own.
    local: Option<End>,
}

/// One record.
pub(super) struct Row<'a> {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) side: Side,
    pub(super) local: &'a End,
    pub(super) remote: &'a End,
    pub(super) l4: L4,
    pub(super) dialled: Option<(IpAddr, Port)>,
    pub(super) counts: Tally,
    pub(super) traffic: bool,
}

impl Body {
    /// Reads the batch of an agent on a machine.
    pub(super) fn read(batch: &Batch, machine: Machine, name: &str) -> Result<Self, BodyError> {
        let agent::Body {
            base,
            strings,
            endpoints,
            dialled,
            records,
            losses,
            host,
            observer,
            observed: micros,
            blind,
        } = agent::Body::decode(batch.body.clone())?;
        // One that is newer than this server is not taken for one that sees everything.
        let observer = agent::Observer::try_from(observer).unwrap_or(agent::Observer::Conntrack);
        let records = records.unwrap_or_default();
        check(&records, batch.records as usize)?;
        let named = || Name::new(name).map_err(|_| BodyError::Name(name.to_owned()));
        let (own, host) = match (machine, host) {
            (Machine::Node, None) => (None, None),
            (Machine::Node, Some(_)) => return Err(BodyError::Host("by a node")),
            (Machine::Host, host) => {
                let host = host.map(|host| self::host(named()?, host)).transpose()?;
                (Some(Arc::new(Hint::Host(named()?))), host)
            }
        };
        let endpoints =
            endpoints.iter().map(|endpoint| Endpoint::read(endpoint, &strings, own.as_ref()));
        let dialled = dialled.iter().map(|to| Some((address(&to.ip)?, port(to.port)?)));
        Ok(Self {
            base,
            endpoints: endpoints.collect(),
            dialled: dialled.collect(),
            said: Said::new(base, observer, micros, blind, &losses),
            records,
            host,
        })
    }

    /// The moment that the times of the batch count from; `None` when there is no such moment.
    pub(super) fn base(&self) -> Option<Timestamp> {
        moment(self.base)
    }

    /// A record; `None` when it is not what it should be.
    pub(super) fn row(&self, n: usize) -> Option<Row<'_>> {
        let records = &self.records;
        let start = after(self.base, at(&records.start, n))?;
        let end = after(start, at(&records.length, n))?;
        let side = match agent::Side::try_from(at(&records.side, n)).ok()? {
            agent::Side::Client => Side::Client,
            agent::Side::Server => Side::Server,
            agent::Side::Unspecified => return None,
        };
        let number = at(&records.server_port, n);
        let l4 = match (at(&records.protocol, n), number) {
            (6, number) => L4::Port(Protocol::Tcp, port(number)?),
            (17, number) => L4::Port(Protocol::Udp, port(number)?),
            (132, number) => L4::Port(Protocol::Sctp, port(number)?),
            (1, 0) => L4::Icmp,
            (58, 0) => L4::IcmpV6,
            _ => return None,
        };
        let local = self.endpoint(at(&records.local, n))?;
        let local = local.local.as_ref().unwrap_or(&local.end);
        let Endpoint { end: remote, .. } = self.endpoint(at(&records.remote, n))?;
        let dialled = match at(&records.dialled, n) {
            0 => None,
            place => Some((*self.dialled.get(place as usize - 1)?)?),
        };
        let counts = Tally {
            opened: at(&records.opened, n),
            refused: at(&records.refused, n),
            denied: at(&records.denied, n),
            sent: at(&records.bytes_sent, n),
            received: at(&records.bytes_received, n),
        };
        if counts.refused > counts.opened || u16::try_from(at(&records.client_port, n)).is_err() {
            return None;
        }
        let traffic = at(&records.traffic, n) || counts.sent > 0 || counts.received > 0;
        let (start, end) = (moment(start)?, moment(end)?);
        Some(Row { start, end, side, local, remote, l4, dialled, counts, traffic })
    }

    fn endpoint(&self, place: u32) -> Option<&Endpoint> {
        self.endpoints.get(place as usize)?.as_ref()
    }
}

/// An entry of a column, which may be left out when it is all zeros.
fn at<T: Copy + Default>(column: &[T], n: usize) -> T {
    column.get(n).copied().unwrap_or_default()
}

fn check(columns: &Records, records: usize) -> Result<(), BodyError> {
    let Records {
        start,
        length,
        side,
        protocol,
        local,
        remote,
        client_port,
        server_port,
        dialled,
        opened,
        refused,
        denied,
        bytes_sent,
        bytes_received,
        traffic,
    } = columns;
    let all = [
        ("start", start.len()),
        ("length", length.len()),
        ("side", side.len()),
        ("protocol", protocol.len()),
        ("local", local.len()),
        ("remote", remote.len()),
        ("client_port", client_port.len()),
        ("server_port", server_port.len()),
        ("dialled", dialled.len()),
        ("opened", opened.len()),
        ("refused", refused.len()),
        ("denied", denied.len()),
        ("bytes_sent", bytes_sent.len()),
        ("bytes_received", bytes_received.len()),
        ("traffic", traffic.len()),
    ];
    let odd = all.into_iter().find(|(_, entries)| *entries != 0 && *entries != records);
    odd.map_or(Ok(()), |(column, entries)| Err(BodyError::Column { column, entries, records }))
}

impl Row<'_> {
    /// Whether the agent speaks of a machine or a pod that is not its own. A node may speak of every pod, because pods
    /// come and go; a host has none.
    pub(super) fn is_foreign(&self, machine: Machine, name: &str) -> bool {
        let foreign = |end: &End| match end.hint.as_deref() {
            Some(Hint::Node(Some(other)) | Hint::Host(other)) => other.as_str() != name,
            Some(Hint::Pod { .. }) => machine == Machine::Host,
            Some(Hint::Node(None) | Hint::OtherNode | Hint::World) | None => false,
        };
        foreign(self.local) || machine == Machine::Host && foreign(self.remote)
    }
}

impl Endpoint {
    /// `None` when something in it is not what it should be.
    fn read(
        endpoint: &agent::Endpoint,
        strings: &[String],
        host: Option<&Arc<Hint>>,
    ) -> Option<Self> {
        let agent::Endpoint { ip, namespace, pod, pod_uid: _, node, process: _ } = endpoint;
        let name = |place: u32| match place {
            0 => Some(None),
            place => Name::new(strings.get(place as usize - 1)?.as_str()).ok().map(Some),
        };
        let machine = |name| match host {
            Some(_) => Hint::Host(name),
            None => Hint::Node(Some(name)),
        };
        let hint = match (name(*namespace)?, name(*pod)?, name(*node)?) {
            (Some(namespace), Some(name), _) => {
                let pod = PodRef { namespace, name };
                Some(Hint::Pod { pod, workload: None, labels: None })
            }
            (None, None, Some(node)) => Some(machine(node)),
            (None, None, None) => None,
            (Some(_), None, _) | (None, Some(_), _) => return None,
        };
        let ip = address(ip)?;
        let local = host.filter(|_| hint.is_none()).map(|own| End { ip, hint: Some(own.clone()) });
        Some(Self { end: End { ip, hint: hint.map(Arc::new) }, local })
    }
}

/// The most addresses and tags of a host, and bytes of a text about it.
const MOST: usize = 256;

/// A host as its agent describes it.
fn host(name: Name, host: agent::Host) -> Result<Host, BodyError> {
    let agent::Host { addresses, tags, system } = host;
    if addresses.len() > MOST || tags.len() > MOST {
        return Err(BodyError::Host("by too much"));
    }
    let is_odd = |text: &str| text.len() > MOST || text.chars().any(char::is_control);
    if is_odd(&system) || tags.iter().any(|(key, value)| is_odd(key) || is_odd(value)) {
        return Err(BodyError::Host("with texts that are too long or not for people"));
    }
    let read = |bytes: &Vec<u8>| address(bytes).filter(|ip| Host::can_have(*ip));
    let addresses: Option<Vec<IpAddr>> = addresses.iter().map(read).collect();
    let mut addresses = addresses.ok_or(BodyError::Host("with addresses that it cannot have"))?;
    addresses.sort_unstable();
    addresses.dedup();
    Ok(Host {
        name,
        labels: tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        addresses,
        system: Some(system).filter(|system| !system.is_empty()).map(Into::into),
        origin: Origin::default(),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn port(number: u32) -> Option<Port> {
    Port::new(u16::try_from(number).ok()?)
}

fn after(nanos: u64, micros: u64) -> Option<u64> {
    nanos.checked_add(micros.checked_mul(1_000)?)
}

fn moment(nanos: u64) -> Option<Timestamp> {
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}
