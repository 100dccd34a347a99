//! Protocols, ports and addresses.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use ipnet::IpNet;

/// A port number, 1 to 65535.
pub type Port = NonZeroU16;

/// The transport protocols that a NetworkPolicy can name (`networking.k8s.io/v1` `NetworkPolicyPort.protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, the default when a policy names none.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// All of them, in the order of their bits and of every listing.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The protocol as Kubernetes spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = NetError;
    fn from_str(s: &str) -> Result<Self, NetError> {
        match s {
            "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            "SCTP" => Ok(Self::Sctp),
            _ => Err(NetError::Protocol(s.into())),
        }
    }
}

/// What is wrong with a protocol, port or address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Not a protocol that a NetworkPolicy can name.
    #[error("protocol {0:?} is not TCP, UDP or SCTP")]
    Protocol(String),
    /// A port outside 1 to 65535.
    #[error("port {0} is not between 1 and 65535")]
    Port(i64),
    /// A range that ends before it begins.
    #[error("endPort {last} is below port {first}")]
    PortRange {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
    /// Not an address prefix at all.
    #[error("{0:?} is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32")]
    Cidr(String),
    /// An address with bits set outside its prefix.
    #[error("CIDR {given} has host bits set; did you mean {meant}?")]
    HostBits {
        /// As written.
        given: String,
        /// The prefix it lies in.
        meant: Cidr,
    },
    /// An exception that is not a strict subset of its CIDR, or of the other family.
    #[error("except {except} is not a strict subset of {cidr}")]
    Except {
        /// The exception.
        except: Cidr,
        /// The block it should lie in.
        cidr: Cidr,
    },
}

/// What a connection is addressed to, above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum L4 {
    /// A port of a transport protocol, at the server's side.
    Port(Protocol, Port),
    /// ICMP for IPv4. No NetworkPolicy can name it.
    Icmp,
    /// ICMP for IPv6. No NetworkPolicy can name it.
    IcmpV6,
}

impl fmt::Display for L4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(protocol, port) => write!(f, "{protocol}/{port}"),
            Self::Icmp => f.write_str("ICMP"),
            Self::IcmpV6 => f.write_str("ICMPv6"),
        }
    }
}

/// Consecutive ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { first: Port::MIN, last: Port::MAX };

    /// From `first` to `last`, both included.
    pub fn new(first: Port, last: Port) -> Result<Self, NetError> {
        if first <= last {
            Ok(Self { first, last })
        } else {
            Err(NetError::PortRange { first: first.get(), last: last.get() })
        }
    }

    /// One port.
    pub const fn single(port: Port) -> Self {
        Self { first: port, last: port }
    }

    /// First port.
    pub const fn first(self) -> Port {
        self.first
    }

    /// Last port.
    pub const fn last(self) -> Port {
        self.last
    }

    /// Whether the port lies inside.
    pub fn contains(self, port: Port) -> bool {
        self.first <= port && port <= self.last
    }
}

/// `80` or `8000-8080`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A set of ports of one protocol: sorted ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// No port.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Every port.
    pub fn all() -> Self {
        Self(vec![PortRange::ALL])
    }

    /// Whether it holds no port.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds every port.
    pub fn is_all(&self) -> bool {
        self.0 == [PortRange::ALL]
    }

    /// The ranges in ascending order.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether the port is in the set.
    pub fn contains(&self, port: Port) -> bool {
        let at = self.0.partition_point(|r| r.last < port);
        self.0.get(at).is_some_and(|r| r.contains(port))
    }

    /// Ports in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// Ports in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut out = Vec::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            if let Ok(both) = PortRange::new(x.first.max(y.first), x.last.min(y.last)) {
                out.push(both);
            }
            if x.last <= y.last {
                a.next();
            } else {
                b.next();
            }
        }
        Self(out)
    }

    /// Ports of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    fn complement(&self) -> Self {
        let mut out = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(Port::MIN);
        for range in &self.0 {
            let before = Port::new(range.first.get() - 1);
            if let (Some(first), Some(last)) = (next, before)
                && first <= last
            {
                out.push(PortRange { first, last });
            }
            next = range.last.checked_add(1);
        }
        if let Some(first) = next {
            out.push(PortRange { first, last: Port::MAX });
        }
        Self(out)
    }
}

impl FromIterator<PortRange> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortRange>>(ranges: I) -> Self {
        let mut ranges: Vec<PortRange> = ranges.into_iter().collect();
        ranges.sort_unstable();
        let mut out: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match out.last_mut() {
                Some(last) if u32::from(range.first.get()) <= u32::from(last.last.get()) + 1 => {
                    last.last = last.last.max(range.last);
                }
                _ => out.push(range),
            }
        }
        Self(out)
    }
}

impl FromIterator<Port> for PortSet {
    fn from_iter<I: IntoIterator<Item = Port>>(ports: I) -> Self {
        ports.into_iter().map(PortRange::single).collect()
    }
}

/// `80,8000-8080`, `all` or `none`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        if self.is_all() {
            return f.write_str("all");
        }
        for (n, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// An address prefix without host bits. IPv4-mapped IPv6 (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2) is
/// held as the IPv4 prefix it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Takes a prefix; fails when bits are set outside it.
    pub fn new(net: IpNet) -> Result<Self, NetError> {
        if net.trunc() == net {
            Ok(Self::canonical(net))
        } else {
            Err(NetError::HostBits { given: net.to_string(), meant: Self::canonical(net.trunc()) })
        }
    }

    /// The prefix that holds just this address.
    pub fn host(ip: IpAddr) -> Self {
        Self(IpNet::from(ip.to_canonical()))
    }

    fn canonical(net: IpNet) -> Self {
        if let IpNet::V6(v6) = net
            && v6.prefix_len() >= 96
            && let Some(v4) = v6.addr().to_ipv4_mapped()
            && let Ok(v4) = ipnet::Ipv4Net::new(v4, v6.prefix_len() - 96)
        {
            return Self(IpNet::V4(v4));
        }
        Self(net)
    }

    /// The prefix as an `ipnet` type.
    pub const fn net(&self) -> IpNet {
        self.0
    }

    /// Whether the address lies inside. An IPv4-mapped address counts as the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }

    /// Whether every address of `other` lies inside.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether it holds one address only.
    pub fn is_host(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }
}

impl FromStr for Cidr {
    type Err = NetError;
    fn from_str(s: &str) -> Result<Self, NetError> {
        s.parse().map_err(|_| NetError::Cidr(s.chars().take(100).collect())).and_then(Self::new)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A CIDR less its exceptions (`networking.k8s.io/v1` `IPBlock`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpBlock {
    cidr: Cidr,
    except: Vec<Cidr>,
}

impl IpBlock {
    /// Each exception must be a strict subset of the CIDR (`ValidateIPBlock`).
    pub fn new(cidr: Cidr, mut except: Vec<Cidr>) -> Result<Self, NetError> {
        if let Some(&bad) = except.iter().find(|e| !cidr.covers(e) || **e == cidr) {
            return Err(NetError::Except { except: bad, cidr });
        }
        except.sort_unstable();
        except.dedup();
        Ok(Self { cidr, except })
    }

    /// A whole CIDR.
    pub const fn whole(cidr: Cidr) -> Self {
        Self { cidr, except: Vec::new() }
    }

    /// The block before exceptions.
    pub const fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// The exceptions, sorted.
    pub fn except(&self) -> &[Cidr] {
        &self.except
    }

    /// Whether the address is in the CIDR and in no exception.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.cidr.contains(ip) && !self.except.iter().any(|e| e.contains(ip))
    }
}

/// `10.0.0.0/8` or `10.0.0.0/8 except 10.1.0.0/16,10.2.0.0/16`.
impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cidr.fmt(f)?;
        for (n, except) in self.except.iter().enumerate() {
            write!(f, "{}{except}", if n == 0 { " except " } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ports(max: u16) -> impl Strategy<Value = PortSet> {
        prop::collection::vec((1..=max, 0..=5u16), 0..8).prop_map(|ranges| {
            ranges
                .into_iter()
                .filter_map(|(first, len)| {
                    PortRange::new(Port::new(first)?, Port::new(first.saturating_add(len))?).ok()
                })
                .collect()
        })
    }

    /// The ends of the port space are where off-by-one errors live.
    fn low_or_high() -> impl Strategy<Value = PortSet> {
        (ports(40), ports(40)).prop_map(|(low, high)| {
            let mirrored = high.ranges().iter().filter_map(|r| {
                PortRange::new(
                    Port::new(0u16.wrapping_sub(r.last().get()))?,
                    Port::new(0u16.wrapping_sub(r.first().get()))?,
                )
                .ok()
            });
            low.ranges().iter().copied().chain(mirrored).collect()
        })
    }

    proptest! {
        #[test]
        fn set_operations_agree_with_single_ports(a in low_or_high(), b in low_or_high()) {
            let (union, both, less) = (a.union(&b), a.intersection(&b), a.difference(&b));
            for port in (1..=60).chain(65470..=65535).filter_map(Port::new) {
                let (x, y) = (a.contains(port), b.contains(port));
                prop_assert_eq!(union.contains(port), x || y);
                prop_assert_eq!(both.contains(port), x && y);
                prop_assert_eq!(less.contains(port), x && !y);
            }
            for set in [&union, &both, &less] {
                let gaps = set.ranges().windows(2).all(|w| u32::from(w[0].last().get()) + 1 < u32::from(w[1].first().get()));
                prop_assert!(gaps, "ranges touch: {}", set);
            }
        }
    }

    #[test]
    fn cidrs_with_host_bits_name_the_prefix_that_was_meant() {
        let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "CIDR 10.1.2.3/8 has host bits set; did you mean 10.0.0.0/8?"
        );
    }

    #[test]
    fn mapped_prefixes_are_ipv4() {
        assert_eq!("::ffff:10.0.0.0/104".parse::<Cidr>().unwrap(), "10.0.0.0/8".parse().unwrap());
        assert!("10.0.0.0/8".parse::<Cidr>().unwrap().contains("::ffff:10.1.2.3".parse().unwrap()));
    }

    #[test]
    fn exceptions_are_strict_subsets() {
        let cidr: Cidr = "10.0.0.0/8".parse().unwrap();
        for bad in ["10.0.0.0/8", "11.0.0.0/16", "2001:db8::/64", "0.0.0.0/0"] {
            assert!(IpBlock::new(cidr, vec![bad.parse().unwrap()]).is_err(), "{bad}");
        }
        let block = IpBlock::new(cidr, vec!["10.1.0.0/16".parse().unwrap()]).unwrap();
        assert!(block.contains("10.2.0.1".parse().unwrap()));
        assert!(!block.contains("10.1.0.1".parse().unwrap()));
    }
}
