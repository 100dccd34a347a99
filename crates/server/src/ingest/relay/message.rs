//! Messages of a relay as the reader of Hubble's JSON sees them.

use ringfence_flows::{HubbleEnd, HubbleFlow, HubbleTransport};
use ringfence_model::Timestamp;
use ringfence_model::flow::TcpFlags;
use ringfence_proto::flow::{self, Flow, layer4};
use ringfence_proto::observer::GetFlowsResponse;
use ringfence_proto::observer::get_flows_response::ResponseTypes;

/// When a message was observed, if it says so.
pub(super) fn time(message: &GetFlowsResponse) -> Option<Timestamp> {
    let own = message.time.and_then(moment);
    own.or_else(|| match &message.response_types {
        Some(ResponseTypes::Flow(flow)) => flow.time.and_then(moment),
        _ => None,
    })
}

/// A moment as messages have it.
pub(super) fn wire(at: Timestamp) -> flow::Time {
    flow::Time {
        seconds: at.nanos().div_euclid(1_000_000_000),
        nanos: i32::try_from(at.nanos().rem_euclid(1_000_000_000)).unwrap_or_default(),
    }
}

fn moment(time: flow::Time) -> Option<Timestamp> {
    let flow::Time { seconds, nanos } = time;
    let nanos = seconds.checked_mul(1_000_000_000)?.checked_add(nanos.into())?;
    Some(Timestamp::from_nanos(nanos))
}

/// A flow as the reader of Hubble's JSON sees it.
pub(super) fn hubble(flow: &Flow) -> HubbleFlow<'_> {
    let ip = flow.ip.as_ref();
    HubbleFlow {
        time: flow.time.and_then(moment),
        node_name: &flow.node_name,
        verdict: flow.verdict().as_str_name(),
        kind: flow.r#type().as_str_name(),
        source: end(ip.map(|ip| &*ip.source), flow.source.as_ref()),
        destination: end(ip.map(|ip| &*ip.destination), flow.destination.as_ref()),
        transport: flow.l4.as_ref().and_then(|l4| l4.protocol.as_ref()).map(transport),
        is_reply: flow.is_reply.as_ref().map(|flag| flag.value),
        reply: flow.reply,
        event_type: flow.event_type.as_ref().map(|event| event.r#type),
        point: match flow.trace_observation_point() {
            flow::TraceObservationPoint::UnknownPoint => "",
            point => point.as_str_name(),
        },
        translation_point: flow.sock_xlate_point().as_str_name(),
        cookie: flow.socket_cookie,
    }
}

fn end<'a>(ip: Option<&'a str>, endpoint: Option<&'a flow::Endpoint>) -> HubbleEnd<'a> {
    let ip = ip.unwrap_or_default();
    let Some(endpoint) = endpoint else { return HubbleEnd { ip, ..HubbleEnd::default() } };
    let flow::Endpoint { namespace, labels, pod_name, workloads } = endpoint;
    let workload = workloads.first().map(|workload| (&*workload.kind, &*workload.name));
    HubbleEnd { ip, namespace, pod: pod_name, labels, workload }
}

fn transport(protocol: &layer4::Protocol) -> HubbleTransport {
    let ports = |protocol, source, destination| HubbleTransport {
        protocol,
        source,
        destination,
        flags: TcpFlags::NONE,
        icmp_type: 0,
    };
    match protocol {
        layer4::Protocol::Tcp(flow::Tcp { source_port, destination_port, flags }) => {
            let flags = flags.unwrap_or_default();
            let set = [
                (flags.fin, TcpFlags::FIN),
                (flags.syn, TcpFlags::SYN),
                (flags.rst, TcpFlags::RST),
                (flags.psh, TcpFlags::PSH),
                (flags.ack, TcpFlags::ACK),
            ];
            let flags = set.into_iter().filter(|(set, _)| *set);
            let flags = flags.fold(TcpFlags::NONE, |all, (_, flag)| all.with(flag));
            HubbleTransport { flags, ..ports("TCP", *source_port, *destination_port) }
        }
        layer4::Protocol::Udp(flow::Udp { source_port, destination_port }) => {
            ports("UDP", *source_port, *destination_port)
        }
        layer4::Protocol::Sctp(flow::Sctp { source_port, destination_port }) => {
            ports("SCTP", *source_port, *destination_port)
        }
        layer4::Protocol::IcmPv4(flow::IcmPv4 { r#type }) => {
            HubbleTransport { icmp_type: *r#type, ..ports("ICMPv4", 0, 0) }
        }
        layer4::Protocol::IcmPv6(flow::IcmPv6 { r#type }) => {
            HubbleTransport { icmp_type: *r#type, ..ports("ICMPv6", 0, 0) }
        }
    }
}
