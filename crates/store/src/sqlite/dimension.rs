//! Clusters, peers, routes and edges by number.

use std::collections::HashMap;

use ringfence_model::{
    AddressClass, EdgeKey, L4, Name, Nature, Peer, Port, Protocol, ServicePortRef, ServiceRef,
    Timestamp, WorkloadKind, WorkloadRef,
};
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, ToSql, params};

use super::text::{malformed, name, optional_name, parsed};
use super::window::Kept;

/// A cluster as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    pub(super) id: i64,
    pub(super) kept: Kept,
    /// The first and last moment seen.
    pub(super) seen: Option<(Timestamp, Timestamp)>,
}

/// A cluster by name, unless it is still imported.
pub(super) fn find_cluster(db: &Connection, name: &Name) -> rusqlite::Result<Option<Cluster>> {
    select_cluster(db, name, "AND importing = 0")
}

fn select_cluster(db: &Connection, name: &Name, and: &str) -> rusqlite::Result<Option<Cluster>> {
    let read = |row: &Row<'_>| {
        let (first, last): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
        Ok(Cluster {
            id: row.get(0)?,
            seen: first
                .zip(last)
                .map(|(first, last)| (Timestamp::from_nanos(first), Timestamp::from_nanos(last))),
            kept: Kept { minutes: row.get(3)?, hours: row.get(4)?, days: row.get(5)? },
        })
    };
    let sql = format!(
        "SELECT id, first_seen, last_seen, minutes_from, hours_from, days_from
         FROM cluster WHERE name = ?1 {and}"
    );
    db.query_row(&sql, [name.as_str()], read).optional()
}

/// A cluster by name, which is made when it is new.
pub(super) fn cluster_or_new(db: &Connection, name: &Name) -> rusqlite::Result<Cluster> {
    if let Some(cluster) = select_cluster(db, name, "")? {
        return Ok(cluster);
    }
    let kept = Kept::ALL;
    let sql = "INSERT INTO cluster (name, minutes_from, hours_from, days_from, importing)
               VALUES (?1, ?2, ?3, ?4, 0)";
    db.execute(sql, params![name.as_str(), kept.minutes, kept.hours, kept.days])?;
    Ok(Cluster { id: db.last_insert_rowid(), kept, seen: None })
}

/// Every cluster, sorted, but those that are still imported.
pub(super) fn clusters(db: &Connection) -> rusqlite::Result<Vec<Name>> {
    let mut statement = db.prepare("SELECT name FROM cluster WHERE importing = 0 ORDER BY name")?;
    statement.query_map([], |row| name(row, 0))?.collect()
}

/// An edge with the Service ports that lead to it, by number.
#[derive(Clone, Debug)]
struct Known {
    services: Box<[ServicePortRef]>,
    id: i64,
    pair: i64,
    last_day: i64,
}

/// How many edges are remembered, so that memory has a bound. What is forgotten is looked up again.
const MOST_KNOWN: usize = 200_000;

/// The numbers of edges, as the writer remembers them. It has to forget them when a transaction is rolled back or
/// edges are removed.
#[derive(Default)]
pub(super) struct Dimensions {
    edges: HashMap<i64, HashMap<EdgeKey, Vec<Known>>>,
    count: usize,
}

impl Dimensions {
    /// Forgets all numbers.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Gives numbers to edges inside a transaction.
pub(super) struct EdgeNumbers<'c, 'd> {
    known: &'d mut Dimensions,
    pair: Numbers<'c>,
    peer: Numbers<'c>,
    route: Numbers<'c>,
    edge: Numbers<'c>,
    last_day: Statement<'c>,
}

impl<'c, 'd> EdgeNumbers<'c, 'd> {
    pub(super) fn new(db: &'c Connection, known: &'d mut Dimensions) -> rusqlite::Result<Self> {
        let edge = ["pair", "source", "destination", "protocol", "port", "own_node", "route"];
        Ok(Self {
            known,
            pair: Numbers::new(db, "pair", &["cluster", "source", "destination"])?,
            peer: Numbers::new(db, "peer", &["kind", "namespace", "name"])?,
            route: Numbers::new(db, "route", &["services"])?,
            edge: Numbers::new(db, "edge", &edge)?,
            last_day: db.prepare(
                "UPDATE edge SET last_day = max(last_day, ?2) WHERE id = ?1 RETURNING last_day",
            )?,
        })
    }

    /// The numbers of an edge and its pair of namespaces, which are made when they are new. It was seen on a day.
    pub(super) fn find(
        &mut self,
        cluster: i64,
        key: &EdgeKey,
        services: &[ServicePortRef],
        day: i64,
    ) -> rusqlite::Result<(i64, i64)> {
        let of_cluster = self.known.edges.get(&cluster);
        let routes = of_cluster.and_then(|edges| edges.get(key)).map_or(&[][..], Vec::as_slice);
        let known = routes.iter().find(|known| *known.services == *services);
        if let Some(Known { id, pair, last_day, .. }) = known
            && *last_day >= day
        {
            return Ok((*pair, *id));
        }
        let (pair, id) = match known {
            Some(known) => (known.pair, known.id),
            None => self.number(cluster, key, services)?,
        };
        let last_day = self.last_day.query_row([id, day], |row| row.get(0))?;
        self.remember(cluster, key, Known { services: services.into(), id, pair, last_day });
        Ok((pair, id))
    }

    fn remember(&mut self, cluster: i64, key: &EdgeKey, known: Known) {
        if self.known.count >= MOST_KNOWN {
            self.known.forget();
        }
        let of_cluster = self.known.edges.entry(cluster).or_default();
        let routes = of_cluster.entry(key.clone()).or_default();
        match routes.iter_mut().find(|route| route.id == known.id) {
            Some(route) => *route = known,
            None => {
                routes.push(known);
                self.known.count += 1;
            }
        }
    }

    fn number(
        &mut self,
        cluster: i64,
        key: &EdgeKey,
        services: &[ServicePortRef],
    ) -> rusqlite::Result<(i64, i64)> {
        let EdgeKey { source, destination, l4, nature } = key;
        let namespace = |peer: &Peer| peer.namespace().map_or(String::new(), Name::to_string);
        let pair = self.pair.find(params![cluster, namespace(source), namespace(destination)])?;
        let (source, destination) = (self.peer(source)?, self.peer(destination)?);
        let text = services.iter().map(ServicePortRef::to_string).collect::<Vec<_>>().join(" ");
        let route = self.route.find(params![text])?;
        let (protocol, port) = match l4 {
            L4::Port(protocol, port) => (protocol.as_str(), port.get()),
            L4::Icmp => ("ICMP", 0),
            L4::IcmpV6 => ("ICMPv6", 0),
        };
        let own_node = *nature == Nature::OwnNode;
        let key = params![pair, source, destination, protocol, port, own_node, route];
        Ok((pair, self.edge.find(key)?))
    }

    fn peer(&mut self, peer: &Peer) -> rusqlite::Result<i64> {
        let (kind, namespace, name) = match peer {
            Peer::Workload(WorkloadRef { namespace, kind, name }) => {
                (format!("workload/{kind}"), namespace.as_str(), name.to_string())
            }
            Peer::Service(ServiceRef { namespace, name }) => {
                ("service".to_owned(), namespace.as_str(), name.to_string())
            }
            Peer::Node(name) => ("node".to_owned(), "", name.to_string()),
            Peer::Host(name) => ("host".to_owned(), "", name.to_string()),
            Peer::Alias(name) => ("alias".to_owned(), "", name.to_string()),
            Peer::Address(ip, class) => (format!("address/{class}"), "", ip.to_string()),
        };
        self.peer.find(params![kind, namespace, name])
    }
}

/// Gives numbers to the rows of a table by their unique columns.
pub(super) struct Numbers<'c> {
    select: Statement<'c>,
    insert: Statement<'c>,
}

impl<'c> Numbers<'c> {
    pub(super) fn new(db: &'c Connection, table: &str, columns: &[&str]) -> rusqlite::Result<Self> {
        let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let wanted: Vec<String> = columns
            .iter()
            .zip(&places)
            .map(|(column, place)| format!("{column} = {place}"))
            .collect();
        let (wanted, columns, places) =
            (wanted.join(" AND "), columns.join(", "), places.join(", "));
        Ok(Self {
            select: db.prepare(&format!("SELECT id FROM {table} WHERE {wanted}"))?,
            insert: db.prepare(&format!("INSERT INTO {table} ({columns}) VALUES ({places})"))?,
        })
    }

    /// The number of a row, which is inserted when it is new.
    pub(super) fn find(&mut self, key: &[&dyn ToSql]) -> rusqlite::Result<i64> {
        match self.select.query_row(key, |row| row.get(0)).optional()? {
            Some(id) => Ok(id),
            None => self.insert.insert(key),
        }
    }
}

/// Edges by number, read one by one. What many of them share is read once.
pub(super) struct EdgeReader<'c> {
    edge: rusqlite::Statement<'c>,
    peer: rusqlite::Statement<'c>,
    route: rusqlite::Statement<'c>,
    peers: HashMap<i64, Peer>,
    routes: HashMap<i64, Vec<ServicePortRef>>,
}

impl<'c> EdgeReader<'c> {
    pub(super) fn new(db: &'c Connection) -> rusqlite::Result<Self> {
        let edge = "SELECT source, destination, protocol, port, own_node, route
                    FROM edge WHERE id = ?1";
        Ok(Self {
            edge: db.prepare(edge)?,
            peer: db.prepare("SELECT kind, namespace, name FROM peer WHERE id = ?1")?,
            route: db.prepare("SELECT services FROM route WHERE id = ?1")?,
            peers: HashMap::new(),
            routes: HashMap::new(),
        })
    }

    /// The edge of a number, with the Service ports dialled.
    pub(super) fn read(&mut self, id: i64) -> rusqlite::Result<(EdgeKey, Vec<ServicePortRef>)> {
        let (source, destination, l4, nature, route) = self.edge.query_row([id], |row| {
            let nature = if row.get(4)? { Nature::OwnNode } else { Nature::Ordinary };
            Ok((row.get(0)?, row.get(1)?, l4(row)?, nature, row.get(5)?))
        })?;
        let key = EdgeKey {
            source: self.peer(source)?,
            destination: self.peer(destination)?,
            l4,
            nature,
        };
        Ok((key, self.route(route)?))
    }

    fn peer(&mut self, id: i64) -> rusqlite::Result<Peer> {
        if let Some(peer) = self.peers.get(&id) {
            return Ok(peer.clone());
        }
        let peer = self.peer.query_row([id], peer)?;
        self.peers.insert(id, peer.clone());
        Ok(peer)
    }

    fn route(&mut self, id: i64) -> rusqlite::Result<Vec<ServicePortRef>> {
        if let Some(route) = self.routes.get(&id) {
            return Ok(route.clone());
        }
        let route = self.route.query_row([id], |row| {
            let text: String = row.get(0)?;
            let ports = text.split(' ').filter(|port| !port.is_empty()).map(service_port);
            ports.collect::<Option<Vec<_>>>().ok_or_else(|| malformed(0, &text))
        })?;
        self.routes.insert(id, route.clone());
        Ok(route)
    }
}

fn l4(row: &Row<'_>) -> rusqlite::Result<L4> {
    let text: String = row.get(2)?;
    match text.as_str() {
        "ICMP" => Ok(L4::Icmp),
        "ICMPv6" => Ok(L4::IcmpV6),
        protocol => {
            let protocol: Protocol = parsed(2, protocol)?;
            Ok(L4::Port(protocol, row.get(3)?))
        }
    }
}

fn peer(row: &Row<'_>) -> rusqlite::Result<Peer> {
    let kind: String = row.get(0)?;
    let (kind, detail) = kind.split_once('/').unwrap_or((&kind, ""));
    let namespace = || optional_name(row, 1)?.ok_or_else(|| malformed(1, ""));
    Ok(match (kind, detail) {
        ("workload", kind) => Peer::Workload(WorkloadRef {
            namespace: namespace()?,
            kind: WorkloadKind::from(kind),
            name: name(row, 2)?,
        }),
        ("service", "") => {
            Peer::Service(ServiceRef { namespace: namespace()?, name: name(row, 2)? })
        }
        ("node", "") => Peer::Node(name(row, 2)?),
        ("host", "") => Peer::Host(name(row, 2)?),
        ("alias", "") => Peer::Alias(row.get::<_, String>(2)?.into()),
        ("address", class) => {
            let class = match class {
                "Internal" => AddressClass::Internal,
                "External" => AddressClass::External,
                "Unknown" => AddressClass::Unknown,
                other => return Err(malformed(0, other)),
            };
            Peer::Address(parsed(2, &row.get::<_, String>(2)?)?, class)
        }
        (other, _) => return Err(malformed(0, other)),
    })
}

/// Reads `namespace/name:port`.
fn service_port(text: &str) -> Option<ServicePortRef> {
    let (service, port) = text.rsplit_once(':')?;
    let (namespace, name) = service.split_once('/')?;
    let service = ServiceRef { namespace: Name::new(namespace).ok()?, name: Name::new(name).ok()? };
    Some(ServicePortRef { service, port: port.parse::<Port>().ok()? })
}
