//! Connections, and the sets of them that policies allow.

use std::fmt;
use std::net::IpAddr;

use ringfence_model::{Port, PortRange, PortSet, Protocol};

use crate::index::PodIx;

/// One end of a connection.
///
/// A node is one of its addresses. An address is judged as an address even when a pod has it:
/// [`PolicySet::end`](crate::PolicySet::end) resolves addresses to pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A pod.
    Pod(PodIx),
    /// Anything else.
    Address(IpAddr),
}

/// A connection as the destination sees it: the pod or address reached and the port there, after any Service
/// address was translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// Who opens it.
    pub source: End,
    /// Who is reached.
    pub destination: End,
    /// Its transport protocol.
    pub protocol: Protocol,
    /// The port reached.
    pub port: Port,
}

/// The ports of every protocol that are allowed between two ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionSet([PortSet; 3]);

impl ConnectionSet {
    /// No connection.
    pub const fn empty() -> Self {
        Self([PortSet::empty(), PortSet::empty(), PortSet::empty()])
    }

    /// Every port of every protocol.
    pub fn all() -> Self {
        Self(Protocol::ALL.map(|_| PortSet::all()))
    }

    /// Ports of one protocol.
    pub fn ports(protocol: Protocol, ports: PortSet) -> Self {
        let mut set = Self::empty();
        set.0[protocol as usize] = ports;
        set
    }

    /// The ports of a protocol.
    pub const fn get(&self, protocol: Protocol) -> &PortSet {
        &self.0[protocol as usize]
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(PortSet::is_empty)
    }

    /// Whether everything is allowed.
    pub fn is_all(&self) -> bool {
        self.0.iter().all(PortSet::is_all)
    }

    /// Whether a port of a protocol is in the set.
    pub fn contains(&self, protocol: Protocol, port: Port) -> bool {
        self.get(protocol).contains(port)
    }

    /// The ranges of every protocol, in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = (Protocol, PortRange)> {
        Protocol::ALL.into_iter().flat_map(|p| self.get(p).ranges().iter().map(move |r| (p, *r)))
    }

    /// Connections in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, PortSet::union)
    }

    /// Connections in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, PortSet::intersection)
    }

    /// Connections of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, PortSet::difference)
    }

    fn zip(&self, other: &Self, f: impl Fn(&PortSet, &PortSet) -> PortSet) -> Self {
        Self(Protocol::ALL.map(|p| f(self.get(p), other.get(p))))
    }
}

impl FromIterator<(Protocol, PortRange)> for ConnectionSet {
    fn from_iter<I: IntoIterator<Item = (Protocol, PortRange)>>(ranges: I) -> Self {
        let mut by_protocol = [Vec::new(), Vec::new(), Vec::new()];
        for (protocol, range) in ranges {
            by_protocol[protocol as usize].push(range);
        }
        Self(by_protocol.map(|ranges| ranges.into_iter().collect()))
    }
}

/// `TCP 80,443; UDP all`, `all` or `none`.
impl fmt::Display for ConnectionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        if self.is_all() {
            return f.write_str("all");
        }
        let mut separator = "";
        for protocol in Protocol::ALL {
            let ports = self.get(protocol);
            if !ports.is_empty() {
                write!(f, "{separator}{protocol} {ports}")?;
                separator = "; ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(Port::new(first).unwrap(), Port::new(last).unwrap()).unwrap()
    }

    #[test]
    fn connection_sets_keep_protocols_apart() {
        let web: ConnectionSet = [(Protocol::Tcp, range(443, 443)), (Protocol::Tcp, range(80, 80))]
            .into_iter()
            .collect();
        let dns = ConnectionSet::ports(Protocol::Udp, [range(53, 53)].into_iter().collect());
        assert_eq!(web.union(&dns).to_string(), "TCP 80,443; UDP 53");
        assert_eq!(web.intersection(&dns).to_string(), "none");
        assert_eq!(
            ConnectionSet::all().difference(&web).to_string(),
            "TCP 1-79,81-442,444-65535; UDP all; SCTP all"
        );
        assert_eq!(web.union(&ConnectionSet::all()).to_string(), "all");
        assert!(web.contains(Protocol::Tcp, Port::new(80).unwrap()));
        assert!(!web.contains(Protocol::Udp, Port::new(80).unwrap()));
    }
}
