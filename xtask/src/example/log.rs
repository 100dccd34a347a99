//! The flow log: what the agents of the nodes see of the connections.

use super::call::Class;
use super::connection::{Connection, Course, End, Transport};
use super::hubble::{
    EventType, Flow, Icmp, Ip, L4, Line, LostEvents, LostLine, ObjectName, Packet, PacketKind,
    Ports, endpoint, interface, packet, world,
};
use super::shop::{BEGIN, END, NODES, Node};
use crate::clock::{HOUR, MINUTE, Moment, SECOND};
use crate::random::Random;

/// The log, and when the first and last line about each connection was seen.
pub struct Log {
    pub text: String,
    pub lines: usize,
    /// In the order of the connections.
    pub seen: Vec<Seen>,
}

/// When a connection was seen.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub first: Moment,
    pub last: Moment,
}

/// Writes the log of the connections.
pub fn write(connections: &[Connection]) -> anyhow::Result<Log> {
    let mut log = Writer { random: Random::seeded(1101), lines: Vec::new() };
    let mut seen = Vec::with_capacity(connections.len());
    for connection in connections {
        let begin = log.lines.len();
        log.connection(connection)?;
        let times = || log.lines[begin..].iter().map(|line| line.at);
        let none = || anyhow::anyhow!("nobody saw {connection:?}");
        seen.push(Seen {
            first: times().min().ok_or_else(none)?,
            last: times().max().ok_or_else(none)?,
        });
    }
    log.losses()?;
    log.neighbour_noise()?;
    log.lines.sort_by_key(|line| line.printed_at);
    let mut text = String::new();
    for (number, line) in log.lines.iter().enumerate() {
        // Numbered rather than random, for random ones would be half of the compressed file.
        let uuid = format!("{number:08x}-5f0b-4c1e-9d00-a1b2c3d4e5f6");
        text.push_str(&line.text.replacen("\"uuid\":\"\"", &format!("\"uuid\":\"{uuid}\""), 1));
        text.push('\n');
    }
    Ok(Log { text, lines: log.lines.len(), seen })
}

struct Written {
    at: Moment,
    /// When the line reached the log: some are late.
    printed_at: Moment,
    text: String,
}

struct Writer {
    random: Random,
    lines: Vec<Written>,
}

impl Writer {
    fn push(&mut self, at: Moment, node: &'static Node, mut flow: Flow) -> anyhow::Result<()> {
        flow.time = at.to_string();
        flow.node_name = node.name;
        let line = Line { time: flow.time.clone(), node_name: node.name, flow };
        self.push_text(at, serde_json::to_string(&line)?);
        Ok(())
    }

    fn push_text(&mut self, at: Moment, text: String) {
        let delay = if self.random.percent(3) { self.random.below(4 * SECOND) } else { 0 };
        self.lines.push(Written { at, printed_at: at.plus(delay), text });
    }

    fn connection(&mut self, connection: &Connection) -> anyhow::Result<()> {
        let start = connection.start;
        match connection.course {
            Course::LongLived => return self.long_lived(connection),
            Course::Dropped => return self.dropped(connection),
            Course::Ordinary | Course::Refused => {}
        }
        self.before_translation(connection)?;
        let open = Packet { reply: false, kind: PacketKind::Open };
        self.forward(connection, open, start)?;
        self.policy_verdict(connection)?;
        if connection.class == Class::NodeportFrontdoor {
            return Ok(());
        }
        let rtt = 600 + self.random.below(2_000);
        if connection.course == Course::Refused {
            let reset = Packet { reply: true, kind: PacketKind::Reset };
            return self.backward(connection, reset, start.plus(rtt));
        }
        let fire_and_forget = connection.class == Class::HostAgent;
        if !fire_and_forget && self.random.percent(80) {
            self.backward(connection, Packet { reply: true, ..open }, start.plus(rtt))?;
        }
        if connection.transport != Transport::Tcp {
            return Ok(());
        }
        if self.random.percent(20) {
            let data = Packet { reply: false, kind: PacketKind::Data };
            self.forward(connection, data, start.plus(2 * rtt))?;
        }
        if self.random.percent(22) {
            let end = start.plus(10 * rtt + self.random.below(2 * SECOND));
            self.forward(connection, Packet { reply: false, kind: PacketKind::Close }, end)?;
            if self.random.percent(50) {
                let close = Packet { reply: true, kind: PacketKind::Close };
                self.backward(connection, close, end.plus(rtt))?;
            }
        }
        Ok(())
    }

    /// A packet from the client, as the nodes of both ends see it.
    fn forward(&mut self, connection: &Connection, of: Packet, at: Moment) -> anyhow::Result<()> {
        let reason = if of.kind == PacketKind::Open { "NEW" } else { "ESTABLISHED" };
        let view = View { connection, of, reason };
        match (&connection.client, &connection.server) {
            (End::Pod(client), End::Pod(server)) if client.node == server.node => {
                let direction = if self.random.percent(90) { "INGRESS" } else { "EGRESS" };
                self.push(at, server.node, view.at(server.node, direction, "TO_ENDPOINT"))
            }
            (End::Pod(client), End::Pod(server)) => {
                // A busy agent misses one now and then, never both.
                let missed = self.random.below(20);
                if missed != 0 {
                    self.push(at, client.node, view.at(client.node, "EGRESS", "TO_OVERLAY"))?;
                }
                if missed != 1 {
                    let later = at.plus(200 + self.random.below(500));
                    self.push(later, server.node, view.at(server.node, "INGRESS", "TO_ENDPOINT"))?;
                }
                Ok(())
            }
            (End::Pod(client), End::Node(node, _)) if client.node == *node => {
                self.push(at, client.node, view.at(client.node, "EGRESS", "TO_HOST"))
            }
            (End::Pod(client), _) => {
                self.push(at, client.node, view.at(client.node, "EGRESS", "TO_STACK"))
            }
            (_, End::Pod(server)) => {
                self.push(at, server.node, view.at(server.node, "INGRESS", "TO_ENDPOINT"))
            }
            (_, end) => {
                let node = end.node().ok_or_else(|| anyhow::anyhow!("no node saw {end:?}"))?;
                self.push(at, node, view.front_door(node))
            }
        }
    }

    /// A packet from the server. `traffic_direction` stays that of the connection.
    fn backward(&mut self, connection: &Connection, of: Packet, at: Moment) -> anyhow::Result<()> {
        let view = View { connection, of, reason: "REPLY" };
        match (&connection.client, &connection.server) {
            (End::Pod(client), End::Pod(server)) => {
                if client.node != server.node && self.random.percent(45) {
                    self.push(at, server.node, view.at(server.node, "INGRESS", "TO_OVERLAY"))?;
                }
                let later = at.plus(200 + self.random.below(500));
                self.push(later, client.node, view.at(client.node, "EGRESS", "TO_ENDPOINT"))
            }
            (End::Pod(client), _) => {
                self.push(at, client.node, view.at(client.node, "EGRESS", "TO_ENDPOINT"))
            }
            (End::Node(node, _), End::Pod(server)) if server.node == *node => {
                self.push(at, server.node, view.at(server.node, "INGRESS", "TO_HOST"))
            }
            (_, End::Pod(server)) => {
                self.push(at, server.node, view.at(server.node, "INGRESS", "TO_STACK"))
            }
            (client, server) => anyhow::bail!("no pod between {client:?} and {server:?}"),
        }
    }

    /// What some agents log of a dialled Service before its address is translated.
    fn before_translation(&mut self, connection: &Connection) -> anyhow::Result<()> {
        let Some(dialled) = connection.dialled else { return Ok(()) };
        let (Some(address), End::Pod(client)) = (dialled.cluster_ip, &connection.client) else {
            return Ok(());
        };
        let name = ObjectName { name: dialled.name, namespace: dialled.namespace };
        let mut flow = packet(connection, Packet { reply: false, kind: PacketKind::Open });
        flow.is_reply = None;
        flow.source = endpoint(&connection.client, client.node, false);
        let at = connection.start;
        match self.random.below(100) {
            0..12 => {
                address.clone_into(&mut flow.ip.destination);
                set_port(&mut flow.l4, dialled.port);
                flow.destination = world();
                flow.destination_service = Some(name);
                flow.event_type = EventType { kind: 4, sub_type: Some(5) };
                flow.trace_observation_point = Some("FROM_ENDPOINT");
                self.push(Moment(at.0 - 150), client.node, flow)
            }
            12..22 => {
                flow.ethernet = None;
                flow.kind = "SOCK";
                flow.socket_cookie = Some(self.random.below(100_000_000).to_string());
                let protocol = if connection.transport == Transport::Udp { "UDP" } else { "TCP" };
                protocol.clone_into(&mut flow.summary);
                forget_client(&mut flow.l4);
                let mut before = flow.clone();
                before.verdict = "TRACED";
                address.clone_into(&mut before.ip.destination);
                set_port(&mut before.l4, dialled.port);
                before.destination = world();
                before.destination_service = Some(name);
                before.event_type = EventType { kind: 7, sub_type: Some(1) };
                before.sock_xlate_point = Some("SOCK_XLATE_POINT_PRE_DIRECTION_FWD");
                flow.verdict = "TRANSLATED";
                flow.destination = endpoint(&connection.server, client.node, true);
                flow.event_type = EventType { kind: 7, sub_type: Some(2) };
                flow.sock_xlate_point = Some("SOCK_XLATE_POINT_POST_DIRECTION_FWD");
                self.push(Moment(at.0 - 151), client.node, before)?;
                self.push(Moment(at.0 - 150), client.node, flow)
            }
            _ => Ok(()),
        }
    }

    /// The policy's own event for some of the connections that `cache-guard` lets in.
    fn policy_verdict(&mut self, connection: &Connection) -> anyhow::Result<()> {
        let End::Pod(server) = &connection.server else { return Ok(()) };
        let guarded = server.workload.name == "cache" && connection.class != Class::Probe;
        if !guarded || !self.random.percent(10) {
            return Ok(());
        }
        let open = Packet { reply: false, kind: PacketKind::Open };
        let view = View { connection, of: open, reason: "NEW" };
        let mut flow = view.at(server.node, "INGRESS", "TO_ENDPOINT");
        flow.event_type = EventType { kind: 5, sub_type: None };
        flow.trace_observation_point = None;
        flow.trace_reason = None;
        flow.interface = None;
        flow.policy_match_type = Some(1);
        flow.ingress_allowed_by = vec![ObjectName { name: "cache-guard", namespace: "shop" }];
        self.push(connection.start.plus(180), server.node, flow)
    }

    /// A SYN and its retransmission, both dropped. The client's node, where it is another, forwarded them.
    fn dropped(&mut self, connection: &Connection) -> anyhow::Result<()> {
        let (End::Pod(client), End::Pod(server)) = (&connection.client, &connection.server) else {
            anyhow::bail!("a policy drops between pods: {connection:?}");
        };
        let open = Packet { reply: false, kind: PacketKind::Open };
        let view = View { connection, of: open, reason: "NEW" };
        for at in [connection.start, connection.start.plus(SECOND + 24_000)] {
            if client.node != server.node {
                self.push(at, client.node, view.at(client.node, "EGRESS", "TO_OVERLAY"))?;
            }
            let mut flow = view.at(server.node, "INGRESS", "TO_ENDPOINT");
            flow.verdict = "DROPPED";
            flow.drop_reason = Some(133);
            flow.drop_reason_desc = Some("POLICY_DENIED");
            flow.trace_observation_point = None;
            flow.trace_reason = None;
            flow.interface = None;
            flow.is_reply = None;
            for (event, later) in [((5, None), 300), ((1, Some(133)), 420)] {
                let mut flow = flow.clone();
                flow.event_type = EventType { kind: event.0, sub_type: event.1 };
                self.push(at.plus(later), server.node, flow)?;
            }
        }
        Ok(())
    }

    /// Data both ways, about once in two hours; the opening was before the log.
    fn long_lived(&mut self, connection: &Connection) -> anyhow::Result<()> {
        let mut at = connection.start;
        while at.plus(MINUTE) < END {
            let data = Packet { reply: false, kind: PacketKind::Data };
            self.forward(connection, data, at)?;
            self.backward(connection, Packet { reply: true, ..data }, at.plus(1_500))?;
            at = at.plus(HOUR + self.random.below(2 * HOUR));
        }
        Ok(())
    }

    fn losses(&mut self) -> anyhow::Result<()> {
        for (hour, node, count) in [(8, 1, 16), (13, 2, 40), (19, 0, 8)] {
            let at = BEGIN.plus(hour * HOUR + self.random.below(HOUR));
            let line = LostLine {
                lost_events: LostEvents {
                    source: "HUBBLE_RING_BUFFER",
                    num_events_lost: format!("{count}"),
                },
                node_name: NODES[node].name,
                time: at.to_string(),
            };
            self.push_text(at, serde_json::to_string(&line)?);
        }
        Ok(())
    }

    /// Router solicitations of starting pods, which the datapath drops and whose ends it does not know.
    fn neighbour_noise(&mut self) -> anyhow::Result<()> {
        for (index, node) in NODES.iter().enumerate() {
            let at = BEGIN.plus((6 + 5 * index as u64) * HOUR);
            let flow = Flow {
                verdict: "DROPPED",
                drop_reason: Some(132),
                ip: Ip {
                    source: format!("fe80::8c1:{:x}ff:fe4e:77b0", 0x60 + index),
                    destination: "ff02::2".to_owned(),
                    version: "IPv6",
                },
                l4: L4 { icmp6: Some(Icmp { kind: Some(133) }), ..L4::default() },
                kind: "L3_L4",
                event_type: EventType { kind: 1, sub_type: Some(132) },
                drop_reason_desc: Some("INVALID_SOURCE_IP"),
                summary: "ICMPv6 RouterSolicitation".to_owned(),
                ..Flow::default()
            };
            self.push(at, node, flow)?;
        }
        Ok(())
    }
}

/// A packet of a connection, to be seen from a node.
#[derive(Clone, Copy)]
struct View<'a> {
    connection: &'a Connection,
    of: Packet,
    reason: &'static str,
}

impl View<'_> {
    fn at(self, node: &'static Node, direction: &'static str, point: &'static str) -> Flow {
        let Self { connection, of, reason } = self;
        let mut flow = packet(connection, of);
        let api_server = connection.class == Class::ApiServer;
        let client = endpoint(&connection.client, node, api_server);
        let server = endpoint(&connection.server, node, api_server);
        (flow.source, flow.destination) =
            if of.reply { (server, client) } else { (client, server) };
        if let End::Outside(name, _) = connection.server
            && !name.is_empty()
        {
            let names = if of.reply { &mut flow.source_names } else { &mut flow.destination_names };
            names.push(name);
        }
        let sub_type = match point {
            "TO_HOST" => Some(2),
            "TO_STACK" => Some(3),
            "TO_OVERLAY" => Some(4),
            _ => None,
        };
        flow.event_type = EventType { kind: 4, sub_type };
        flow.traffic_direction = Some(direction);
        flow.trace_observation_point = Some(point);
        flow.trace_reason = Some(reason);
        let receiver = if of.reply { &connection.client } else { &connection.server };
        if let (End::Pod(pod), "TO_ENDPOINT") = (receiver, point) {
            flow.interface = Some(interface(pod));
        }
        flow
    }

    /// A packet from outside on its way in.
    fn front_door(self, node: &'static Node) -> Flow {
        let mut flow = packet(self.connection, self.of);
        flow.source = endpoint(&self.connection.client, node, false);
        flow.destination = endpoint(&self.connection.server, node, false);
        flow.event_type = EventType { kind: 4, sub_type: Some(10) };
        flow.trace_observation_point = Some("FROM_NETWORK");
        flow.is_reply = None;
        flow.destination_service = self
            .connection
            .dialled
            .map(|dialled| ObjectName { name: dialled.name, namespace: dialled.namespace });
        flow
    }
}

fn ports(l4: &mut L4) -> Option<&mut Ports> {
    l4.tcp.as_mut().or(l4.udp.as_mut())
}

fn set_port(l4: &mut L4, port: u16) {
    if let Some(ports) = ports(l4) {
        ports.destination_port = port;
    }
}

/// A socket event comes before the kernel has chosen the client's port.
fn forget_client(l4: &mut L4) {
    if let Some(ports) = ports(l4) {
        ports.source_port = None;
        ports.flags = None;
    }
}
