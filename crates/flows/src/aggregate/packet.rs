//! Packets that an observer saw go by.

use ringfence_model::flow::{End, Flow, IcmpKind, Packet, Sense, TcpFlags, Transport};
use ringfence_model::resolve::Resolver;
use ringfence_model::{L4, Port, Timestamp};

use super::{Aggregator, Use};
use crate::connection::{ClientSocket, Connection, Ip, Sight, SocketPair};
use crate::generations::Touched;
use crate::ledger::Skip;
use crate::resolution::ServiceId;
use crate::retire::{Dialled, pair_up};
use crate::tally::Pings;

impl<R: Resolver> Aggregator<'_, R> {
    pub(super) fn packet(&mut self, flow: &Flow, packet: &Packet) -> Use {
        let (protocol, source_port, destination_port, flags) = match packet.transport {
            Transport::Ports { protocol, source, destination, flags } => {
                (protocol, source, destination, flags)
            }
            Transport::Icmp(kind) => return self.icmp(flow, packet, L4::Icmp, kind),
            Transport::IcmpV6(kind) => return self.icmp(flow, packet, L4::IcmpV6, kind),
        };
        let pair = |client: &End, client_port, server: &End, server_port| SocketPair {
            client: ClientSocket { ip: Ip::from(client.ip), port: Some(client_port), protocol },
            server: Ip::from(server.ip),
            server_port,
        };
        let sent = pair(&flow.source, source_port, &flow.destination, destination_port);
        let answered = pair(&flow.destination, destination_port, &flow.source, source_port);
        let known = packet.sense.or_else(|| handshake(flags));
        let sense = known.unwrap_or_else(|| self.guess(&sent, &answered, flow.start));
        let (pair, other, ends) = match sense {
            Sense::Request => (sent, answered, (&flow.source, &flow.destination)),
            Sense::Reply => (answered, sent, (&flow.destination, &flow.source)),
        };
        if known.is_some() && self.guesses {
            self.turn(other, pair);
        }
        let see = |connection: &mut Connection| {
            connection.see(sense, flags, packet.verdict);
            connection.oriented |= known.is_some();
        };
        let times = (flow.start, flow.end);
        if let Some(Touched { value: connection, renewed }) = self.connections.touch(pair) {
            see(connection);
            connection.sight.renew(times, ends, &mut self.resolution);
            if renewed {
                pair_up(pair, connection, &mut self.dialled, &self.resolution, &mut self.sums);
            }
            return match sense {
                Sense::Request => Use::Repeated,
                Sense::Reply => Use::Reply,
            };
        }
        let service = self.resolution.service_at(pair.server, pair.server_port, protocol);
        if let Some(service) = service {
            self.dialled(pair.client, service, times, ends, see);
            return Use::Translation;
        }
        let sight = Sight::new(times, ends, &mut self.resolution);
        let mut connection = Connection::new(sight, known.is_some(), self.step);
        see(&mut connection);
        self.guesses |= known.is_none();
        pair_up(pair, &connection, &mut self.dialled, &self.resolution, &mut self.sums);
        self.connections.insert(pair, connection);
        Use::Used
    }

    /// Whether a packet is from the client or the server when neither connection tracking nor a handshake tells:
    /// as other packets of the connection say; else the side with a Service address is the server; else the one
    /// side with a port of the range that clients are given (32768 and above on Linux) is the client; else the
    /// sender of the earliest packet.
    fn guess(&mut self, sent: &SocketPair, answered: &SocketPair, at: Timestamp) -> Sense {
        let said_so = |c: Option<&mut Connection>| c.is_some_and(|c| c.oriented);
        if said_so(self.connections.peek_mut(sent)) {
            return Sense::Request;
        }
        if said_so(self.connections.peek_mut(answered)) {
            return Sense::Reply;
        }
        let mut is_service = |pair: &SocketPair| {
            let protocol = pair.client.protocol;
            self.resolution.service_at(pair.server, pair.server_port, protocol).is_some()
        };
        if is_service(sent) {
            return Sense::Request;
        }
        if is_service(answered) {
            return Sense::Reply;
        }
        let ephemeral = |port: Port| port.get() >= 32_768;
        match (ephemeral(answered.server_port), ephemeral(sent.server_port)) {
            (true, false) => return Sense::Request,
            (false, true) => return Sense::Reply,
            _ => {}
        }
        match self.connections.peek_mut(answered) {
            None => Sense::Request,
            Some(c) if (c.sight.first, answered) <= (at, sent) => Sense::Reply,
            Some(_) => {
                self.turn(*answered, *sent);
                Sense::Request
            }
        }
    }

    /// Changes a connection's client and server over, if they were only guessed.
    fn turn(&mut self, from: SocketPair, to: SocketPair) {
        if self.connections.peek_mut(&from).is_some_and(|c| !c.oriented)
            && let Some(mut connection) = self.connections.remove(&from)
        {
            connection.turn();
            match self.connections.peek_mut(&to) {
                Some(known) => known.absorb(&connection),
                None => drop(self.connections.insert(to, connection)),
            }
        }
    }

    /// A view of a connection before translation.
    fn dialled(
        &mut self,
        client: ClientSocket,
        service: ServiceId,
        times: (Timestamp, Timestamp),
        ends: (&End, &End),
        see: impl FnOnce(&mut Connection),
    ) {
        let views = self.dialled.touch_or_make(client, Vec::new);
        let at = if let Some(at) = views.iter().position(|view| view.service == service) {
            views[at].connection.sight.renew(times, ends, &mut self.resolution);
            at
        } else {
            let sight = Sight::new(times, ends, &mut self.resolution);
            let connection = Connection::new(sight, true, self.step);
            views.push(Dialled { service, connection, paired: false });
            views.len() - 1
        };
        see(&mut views[at].connection);
    }

    fn icmp(&mut self, flow: &Flow, packet: &Packet, l4: L4, kind: IcmpKind) -> Use {
        match kind {
            IcmpKind::EchoRequest => {}
            IcmpKind::EchoReply => return Use::Reply,
            IcmpKind::Other => return Use::Skip(Skip::IcmpMessage),
        }
        let key = (Ip::from(flow.source.ip), Ip::from(flow.destination.ip), l4);
        if !self.first_time(&(key, packet.point, flow.start)) {
            return Use::Repeated;
        }
        let (times, ends) = ((flow.start, flow.end), (&flow.source, &flow.destination));
        let pings = self
            .pings
            .touch_or_make(key, || Pings::new(Sight::new(times, ends, &mut self.resolution)));
        pings.sight.renew(times, ends, &mut self.resolution);
        pings.add(packet.point, packet.verdict);
        Use::Used
    }
}

/// What a TCP handshake tells.
fn handshake(flags: TcpFlags) -> Option<Sense> {
    flags
        .has(TcpFlags::SYN)
        .then(|| if flags.has(TcpFlags::ACK) { Sense::Reply } else { Sense::Request })
}
