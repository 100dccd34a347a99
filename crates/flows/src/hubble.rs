//! Hubble's flows as `hubble observe -o jsonpb` and `-o json` print them.
//!
//! The format is the JSON form of the protobuf messages `observer.GetFlowsResponse` and `flow.Flow`
//! (`cilium/api/v1/flow/flow.proto`). Unknown fields are passed over.

use std::sync::Arc;

use ringfence_model::flow::{
    End, Flow, IcmpKind, Packet, Seen, Sense, Socket, SocketStage, TcpFlags, Transport, Verdict,
};
use ringfence_model::{Port, Protocol, Timestamp};

use crate::address;
use crate::ends::{Descriptions, Nodes};
use crate::fault::Fault;
use crate::json::{Cursor, unsigned};
use crate::ledger::Skip;
use crate::moment::Moments;
use crate::reader::Item;

mod description;
pub(crate) mod stream;

use description::Description;

/// The fields of `flow.Flow` that matter, as text.
#[derive(Default)]
struct Raw<'a> {
    flow: bool,
    time: Option<Time<'a>>,
    node: Option<&'a [u8]>,
    verdict: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    source: RawEnd<'a>,
    destination: RawEnd<'a>,
    transport: Option<RawTransport<'a>>,
    is_reply: Option<&'a [u8]>,
    reply: Option<&'a [u8]>,
    event_type: Option<u8>,
    point: Option<&'a [u8]>,
    xlate_point: Option<&'a [u8]>,
    cookie: Option<Number<'a>>,
    lost: Option<&'a [u8]>,
    other: bool,
}

/// A moment, as text in JSON.
#[derive(Clone, Copy)]
enum Time<'a> {
    Text(&'a [u8]),
    Known(Timestamp),
}

/// A number, as text in JSON.
#[derive(Clone, Copy)]
enum Number<'a> {
    Text(&'a [u8]),
    Known(u64),
}

/// One end.
#[derive(Default)]
struct RawEnd<'a> {
    ip: Option<&'a [u8]>,
    text: Option<&'a [u8]>,
    /// What the text says, when it was recognised.
    description: Option<Description>,
}

/// The one member of `l4`.
#[derive(Default)]
struct RawTransport<'a> {
    name: &'a [u8],
    source: Option<Number<'a>>,
    destination: Option<Number<'a>>,
    icmp_type: Option<Number<'a>>,
    flags: TcpFlags,
}

/// Turns lines into flows.
pub(crate) struct Hubble {
    ends: Descriptions<Description>,
    nodes: Nodes,
    moments: Moments,
}

impl Hubble {
    pub(crate) fn new() -> Self {
        Self { ends: Descriptions::new(), nodes: Nodes::new(), moments: Moments::new() }
    }

    /// Whether the top-level key shows that a line is Hubble's.
    pub(crate) fn is_key(key: &[u8]) -> bool {
        matches!(
            key,
            b"flow"
                | b"lost_events"
                | b"node_status"
                | b"agent_event"
                | b"debug_event"
                | b"verdict"
                | b"IP"
                | b"event_type"
        )
    }

    /// What one line says.
    pub(crate) fn decode(&mut self, line: &[u8]) -> Result<Item, Fault> {
        let mut raw = Raw::default();
        let mut cursor = Cursor::new(line);
        cursor.object(|key, at| raw.member(key, at, &mut self.ends))?;
        cursor.finish()?;
        if let Some(lost) = raw.lost {
            return lost_events(lost).map(Item::Lost);
        }
        if !raw.flow {
            return if raw.other { Ok(Item::Skip(Skip::OtherEvent)) } else { Err(Fault::Unknown) };
        }
        self.flow(raw)
    }

    fn flow(&mut self, raw: Raw<'_>) -> Result<Item, Fault> {
        let time = raw.time.ok_or(Fault::Missing("time"))?;
        let time = match time {
            Time::Text(text) => {
                self.moments.parse(text).ok_or_else(|| Fault::value("time", text))?
            }
            Time::Known(time) => time,
        };
        let verdict = raw.verdict.unwrap_or_default();
        let socket = match raw.kind {
            Some(b"SOCK") => true,
            Some(b"L3_L4" | b"UNKNOWN_TYPE") | None => false,
            Some(_) => return Ok(Item::Skip(Skip::OtherEvent)),
        };
        if raw.source.ip.is_none() || raw.destination.ip.is_none() {
            return Ok(Item::Skip(Skip::NoAddress));
        }
        let Some(transport) = &raw.transport else {
            return Ok(Item::Skip(Skip::OtherProtocol));
        };
        let seen = if socket {
            let stage = match raw.xlate_point {
                Some(b"SOCK_XLATE_POINT_PRE_DIRECTION_FWD") => SocketStage::Dialled,
                Some(b"SOCK_XLATE_POINT_POST_DIRECTION_FWD") => SocketStage::Translated,
                _ => return Ok(Item::Skip(Skip::OtherEvent)),
            };
            match transport.socket(raw.cookie, stage)? {
                Some(socket) => Seen::Socket(socket),
                None => return Ok(Item::Skip(Skip::OtherProtocol)),
            }
        } else {
            let verdict = match verdict {
                // Audit mode lets pass what a policy would deny; a redirected packet goes through Cilium's own proxy.
                b"FORWARDED" | b"AUDIT" | b"REDIRECTED" => Verdict::Forwarded,
                b"DROPPED" | b"ERROR" => Verdict::Dropped,
                b"" | b"VERDICT_UNKNOWN" | b"TRACED" | b"TRANSLATED" => {
                    return Ok(Item::Skip(Skip::NoVerdict));
                }
                other => return Err(Fault::value("verdict", other)),
            };
            let Some(transport) = transport.transport()? else {
                return Ok(Item::Skip(Skip::OtherProtocol));
            };
            Seen::Packet(Packet { transport, verdict, sense: raw.sense()?, point: raw.point() })
        };
        let node = self.nodes.get(raw.node.unwrap_or_default())?;
        let mut end = |field, raw: RawEnd<'_>| -> Result<End, Fault> {
            let ip = raw.ip.unwrap_or_default();
            let description = match (raw.description, raw.text) {
                (Some(description), _) => description,
                (None, Some(text)) => self.ends.get(ip, text, |t| Description::parse(field, t))?,
                (None, None) => Description::Nothing,
            };
            let hint = match description {
                Description::Nothing => None,
                Description::Observer => node.as_ref().map(|node| Arc::clone(&node.hint)),
                Description::Says(hint) => Some(hint),
            };
            let address = address::parse(ip).ok_or_else(|| Fault::value("IP address", ip))?;
            Ok(End { ip: address, hint })
        };
        let source = end("source", raw.source)?;
        let destination = end("destination", raw.destination)?;
        let observer = node.map(|node| node.name.clone());
        Ok(Item::Flow(Flow { start: time, end: time, source, destination, observer, seen }))
    }
}

impl<'a> Raw<'a> {
    /// Takes a member of the wrapper or of the flow.
    fn member(
        &mut self,
        key: &'a [u8],
        at: &mut Cursor<'a>,
        ends: &mut Descriptions<Description>,
    ) -> Result<(), Fault> {
        match key {
            b"flow" if at.at_object()? => {
                self.flow = true;
                return at.object(|key, at| self.member(key, at, ends));
            }
            b"time" => self.time = self.time.or(at.string()?.map(Time::Text)),
            b"node_name" => self.node = self.node.or(at.string()?),
            b"verdict" => {
                self.flow = true;
                self.verdict = at.string()?;
            }
            b"Type" => self.kind = at.string()?,
            b"IP" if at.at_object()? => {
                return at.object(|key, at| {
                    match key {
                        b"source" => self.source.ip = at.string()?,
                        b"destination" => self.destination.ip = at.string()?,
                        _ => drop(at.value()?),
                    }
                    Ok(())
                });
            }
            b"l4" if at.at_object()? => {
                return at.object(|name, at| {
                    self.transport = Some(RawTransport::read(name, at)?);
                    Ok(())
                });
            }
            b"source" => self.source.read(at, ends)?,
            b"destination" => self.destination.read(at, ends)?,
            b"is_reply" => self.is_reply = Some(at.value()?),
            b"reply" => self.reply = Some(at.value()?),
            b"event_type" if at.at_object()? => {
                return at.object(|key, at| {
                    let value = at.value()?;
                    if key == b"type" {
                        self.event_type = unsigned(value).and_then(|n| u8::try_from(n).ok());
                    }
                    Ok(())
                });
            }
            b"trace_observation_point" => self.point = at.string()?,
            b"sock_xlate_point" => self.xlate_point = at.string()?,
            b"socket_cookie" => self.cookie = Some(Number::Text(at.value()?)),
            b"lost_events" => self.lost = Some(at.value()?),
            b"node_status" | b"agent_event" | b"debug_event" => {
                self.other = true;
                at.value()?;
            }
            _ => drop(at.value()?),
        }
        Ok(())
    }

    /// `is_reply`, which is missing when connection tracking did not know; older versions have only `reply`, of
    /// which `false` says nothing, because protobuf leaves it out.
    fn sense(&self) -> Result<Option<Sense>, Fault> {
        match self.is_reply {
            Some(b"true") => Ok(Some(Sense::Reply)),
            Some(b"false") => Ok(Some(Sense::Request)),
            None | Some(b"null") => Ok((self.reply == Some(b"true")).then_some(Sense::Reply)),
            Some(other) => Err(Fault::value("is_reply", other)),
        }
    }

    /// A number for the point where the packet was seen. Drops and policy verdicts have no observation point.
    fn point(&self) -> u8 {
        const POINTS: [&[u8]; 13] = [
            b"TO_PROXY",
            b"TO_HOST",
            b"TO_STACK",
            b"TO_OVERLAY",
            b"TO_ENDPOINT",
            b"FROM_ENDPOINT",
            b"FROM_PROXY",
            b"FROM_HOST",
            b"FROM_STACK",
            b"FROM_OVERLAY",
            b"FROM_NETWORK",
            b"TO_NETWORK",
            b"FROM_CRYPTO",
        ];
        // Event types: 1 drop, 5 policy verdict (`pkg/monitor/api`).
        match (self.point, self.event_type) {
            (Some(point), _) => (32u8..)
                .zip(POINTS)
                .find_map(|(n, name)| (name == point).then_some(n))
                .unwrap_or(31),
            (None, Some(event)) => event.min(30),
            (None, None) => 0,
        }
    }
}

impl<'a> RawEnd<'a> {
    fn read(
        &mut self,
        at: &mut Cursor<'a>,
        ends: &mut Descriptions<Description>,
    ) -> Result<(), Fault> {
        if let Some(ip) = self.ip
            && let Some((length, description)) = ends.recognise(ip, at.rest())
        {
            at.advance(length);
            self.description = Some(description);
        } else {
            self.text = Some(at.value()?);
        }
        Ok(())
    }
}

impl<'a> RawTransport<'a> {
    fn read(name: &'a [u8], at: &mut Cursor<'a>) -> Result<Self, Fault> {
        let mut raw = Self { name, ..Self::default() };
        at.object(|key, at| {
            match key {
                b"source_port" => raw.source = Some(Number::Text(at.value()?)),
                b"destination_port" => raw.destination = Some(Number::Text(at.value()?)),
                b"type" => raw.icmp_type = Some(Number::Text(at.value()?)),
                b"flags" if at.at_object()? => {
                    return at.object(|flag, at| {
                        let flag = match flag {
                            b"SYN" => TcpFlags::SYN,
                            b"ACK" => TcpFlags::ACK,
                            b"FIN" => TcpFlags::FIN,
                            b"RST" => TcpFlags::RST,
                            b"PSH" => TcpFlags::PSH,
                            _ => TcpFlags::NONE,
                        };
                        if at.value()? == b"true" {
                            raw.flags = raw.flags.with(flag);
                        }
                        Ok(())
                    });
                }
                _ => drop(at.value()?),
            }
            Ok(())
        })
        .map(|()| raw)
    }

    fn protocol(&self) -> Option<Protocol> {
        match self.name {
            b"TCP" => Some(Protocol::Tcp),
            b"UDP" => Some(Protocol::Udp),
            b"SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }

    /// `None` for protocols that edges do not know.
    fn transport(&self) -> Result<Option<Transport>, Fault> {
        if let Some(protocol) = self.protocol() {
            return Ok(Some(Transport::Ports {
                protocol,
                source: port("source_port", self.source)?,
                destination: port("destination_port", self.destination)?,
                flags: self.flags,
            }));
        }
        // The types: RFC 792 and RFC 4443. Protobuf leaves out a zero, which is the echo reply of IPv4.
        let kind = self.icmp_type.map_or(Some(0), Number::get);
        let kind = |request, reply| match kind {
            Some(kind) if kind == request => IcmpKind::EchoRequest,
            Some(kind) if kind == reply => IcmpKind::EchoReply,
            _ => IcmpKind::Other,
        };
        Ok(match self.name {
            b"ICMPv4" => Some(Transport::Icmp(kind(8, 0))),
            b"ICMPv6" => Some(Transport::IcmpV6(kind(128, 129))),
            _ => None,
        })
    }

    fn socket(
        &self,
        cookie: Option<Number<'_>>,
        stage: SocketStage,
    ) -> Result<Option<Socket>, Fault> {
        let Some(protocol) = self.protocol() else { return Ok(None) };
        let number = cookie.ok_or(Fault::Missing("socket_cookie"))?;
        let cookie = number.get().ok_or_else(|| number.fault("socket_cookie"))?;
        let port = port("destination_port", self.destination)?;
        Ok(Some(Socket { cookie, protocol, port, stage }))
    }
}

impl Number<'_> {
    fn get(self) -> Option<u64> {
        match self {
            Self::Text(text) => unsigned(text),
            Self::Known(number) => Some(number),
        }
    }

    fn fault(self, field: &'static str) -> Fault {
        match self {
            Self::Text(text) => Fault::value(field, text),
            Self::Known(number) => Fault::value(field, number.to_string().as_bytes()),
        }
    }
}

fn port(field: &'static str, number: Option<Number<'_>>) -> Result<Port, Fault> {
    let number = number.ok_or(Fault::Missing(field))?;
    number
        .get()
        .and_then(|n| u16::try_from(n).ok())
        .and_then(Port::new)
        .ok_or_else(|| number.fault(field))
}

/// How many events Hubble says it lost.
fn lost_events(text: &[u8]) -> Result<u64, Fault> {
    let mut number = None;
    Cursor::new(text).object(|key, at| {
        let value = at.value()?;
        if key == b"num_events_lost" {
            number = Some(unsigned(value).ok_or_else(|| Fault::value("num_events_lost", value))?);
        }
        Ok::<_, Fault>(())
    })?;
    Ok(number.unwrap_or(0))
}
