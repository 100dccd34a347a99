//! Hubble's flows as they come over gRPC, with the meaning that their JSON has.

use ringfence_model::flow::TcpFlags;
use ringfence_model::resolve::Resolver;
use ringfence_model::{Origin, Timestamp};

use super::{Description, Hubble, Number, Raw, RawEnd, RawTransport, Time};
use crate::aggregate::Aggregator;
use crate::ends::hash_of;
use crate::fault::Fault;
use crate::generations::{Generations, Touched};
use crate::ledger::Skip;
use crate::reader::Item;

/// `flow.Flow`, as far as it matters. Enumerations are given by the names that they have in the `.proto` files, which
/// are those that they have in JSON; the empty name stands for the unset one.
#[derive(Clone, Copy, Debug, Default)]
pub struct HubbleFlow<'a> {
    /// `time`.
    pub time: Option<Timestamp>,
    /// `node_name`.
    pub node_name: &'a str,
    /// `verdict`.
    pub verdict: &'a str,
    /// `Type`.
    pub kind: &'a str,
    /// `IP.source` and `source`.
    pub source: HubbleEnd<'a>,
    /// `IP.destination` and `destination`.
    pub destination: HubbleEnd<'a>,
    /// `l4`.
    pub transport: Option<HubbleTransport>,
    /// `is_reply`.
    pub is_reply: Option<bool>,
    /// `reply`.
    pub reply: bool,
    /// `event_type.type`.
    pub event_type: Option<i32>,
    /// `trace_observation_point`.
    pub point: &'a str,
    /// `sock_xlate_point`.
    pub translation_point: &'a str,
    /// `socket_cookie`.
    pub cookie: u64,
}

/// An address and the `flow.Endpoint` at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HubbleEnd<'a> {
    /// The address as text.
    pub ip: &'a str,
    /// `namespace`.
    pub namespace: &'a str,
    /// `pod_name`.
    pub pod: &'a str,
    /// `labels`.
    pub labels: &'a [String],
    /// Kind and name of the first of `workloads`.
    pub workload: Option<(&'a str, &'a str)>,
}

/// `flow.Layer4`.
#[derive(Clone, Copy, Debug)]
pub struct HubbleTransport {
    /// The name of the member that is there, such as `TCP` or `ICMPv4`.
    pub protocol: &'static str,
    /// `source_port`.
    pub source: u32,
    /// `destination_port`.
    pub destination: u32,
    /// `flags`.
    pub flags: TcpFlags,
    /// `type` of ICMP.
    pub icmp_type: u32,
}

/// Takes flows from a Hubble Relay into an aggregator.
pub struct HubbleStream {
    hubble: Hubble,
    /// What endpoints mean, by the hash of everything about them.
    ends: Generations<u64, Description>,
    origin: Origin,
}

/// How many endpoints to remember.
const CAPACITY: usize = 1 << 16;

impl HubbleStream {
    /// Nothing taken yet. `name` is for messages.
    pub fn new(name: &str) -> Self {
        let ends = Generations::new(CAPACITY);
        Self { hubble: Hubble::new(), ends, origin: Origin::new(name, 0) }
    }

    /// Takes a flow in.
    pub fn flow(&mut self, flow: &HubbleFlow<'_>, aggregator: &mut Aggregator<'_, impl Resolver>) {
        match self.read(flow) {
            Ok(Item::Flow(flow)) => aggregator.add(&flow),
            Ok(Item::Known(edge)) => aggregator.know(*edge),
            Ok(Item::Lost(events)) => aggregator.lost(events),
            Ok(Item::Skip(reason)) => aggregator.skip(reason),
            Err(fault) => aggregator.malformed(&fault, self.origin.clone()),
        }
    }

    /// Takes note of a message that is not about flows.
    pub fn other(&mut self, aggregator: &mut Aggregator<'_, impl Resolver>) {
        aggregator.skip(Skip::OtherEvent);
    }

    fn read(&mut self, flow: &HubbleFlow<'_>) -> Result<Item, Fault> {
        let &HubbleFlow { time, node_name, verdict, kind, source, destination, .. } = flow;
        let text = |text: &'static str| Some(text.as_bytes());
        let raw = Raw {
            flow: true,
            time: time.map(Time::Known),
            node: some(node_name),
            verdict: some(verdict),
            kind: some(kind),
            source: self.end("source", source)?,
            destination: self.end("destination", destination)?,
            transport: flow.transport.as_ref().map(|transport| RawTransport {
                name: transport.protocol.as_bytes(),
                source: Some(Number::Known(transport.source.into())),
                destination: Some(Number::Known(transport.destination.into())),
                icmp_type: Some(Number::Known(transport.icmp_type.into())),
                flags: transport.flags,
            }),
            is_reply: flow.is_reply.and_then(|reply| text(if reply { "true" } else { "false" })),
            reply: text(if flow.reply { "true" } else { "false" }),
            event_type: flow.event_type.and_then(|event| u8::try_from(event).ok()),
            point: some(flow.point),
            xlate_point: some(flow.translation_point),
            cookie: Some(Number::Known(flow.cookie)),
            lost: None,
            other: false,
        };
        self.hubble.flow(raw)
    }

    fn end<'a>(&mut self, field: &'static str, end: HubbleEnd<'a>) -> Result<RawEnd<'a>, Fault> {
        let HubbleEnd { ip, namespace, pod, labels, workload } = end;
        let key = hash_of(&(ip, namespace, pod, labels, workload));
        if self.ends.is_full() {
            self.ends.age().for_each(drop);
        }
        let description = match self.ends.touch(key) {
            Some(Touched { value, .. }) => value.clone(),
            None => {
                let described = Description::of(namespace, pod, labels, workload)
                    .ok_or_else(|| Fault::value(field, format!("{namespace}/{pod}").as_bytes()))?;
                self.ends.insert(key, described).clone()
            }
        };
        Ok(RawEnd { ip: some(ip), text: None, description: Some(description) })
    }
}

fn some(text: &str) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text.as_bytes())
}
