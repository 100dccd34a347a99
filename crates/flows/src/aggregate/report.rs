//! What an observer says of connections instead of their packets: calls of sockets, and counts.

use ringfence_model::flow::{Connections, Flow, Socket, SocketStage};
use ringfence_model::resolve::Resolver;

use super::{Aggregator, Use};
use crate::connection::{ClientSocket, Ip, Sight, SocketPair};
use crate::ends::hash_of;
use crate::retire::{pair_edge, retire_calls};
use crate::tally::{Called, SocketCalls, Tally};

impl<R: Resolver> Aggregator<'_, R> {
    pub(super) fn socket(&mut self, flow: &Flow, socket: &Socket) -> Use {
        let &Socket { cookie, protocol, port, stage } = socket;
        let key = (hash_of(&flow.observer), cookie);
        let ip = Ip::from(flow.destination.ip);
        let called = Called {
            end: self.resolution.end(&flow.destination, flow.start).id,
            port,
            service: self.resolution.service_at(ip, port, protocol),
        };
        let calls = self.sockets.touch_or_make(key, || {
            let client = self.resolution.end(&flow.source, flow.start);
            SocketCalls::new((flow.start, flow.end), client, protocol)
        });
        let before = match stage {
            SocketStage::Dialled => calls.dialled,
            SocketStage::Translated => calls.translated,
        };
        if before.is_some_and(|before| before != called) {
            // The socket is used for another destination, or its Service chose another backend.
            retire_calls(calls, &self.resolution, &mut self.sums);
            let dialled = calls.dialled.filter(|_| stage == SocketStage::Translated);
            let client = calls.client;
            *calls = SocketCalls::new((flow.start, flow.end), client, protocol);
            calls.dialled = dialled;
        }
        match stage {
            SocketStage::Dialled => calls.dialled = Some(called),
            SocketStage::Translated => calls.translated = Some(called),
        }
        calls.step = self.step;
        calls.first = calls.first.min(flow.start);
        calls.last = calls.last.max(flow.end);
        Use::Translation
    }

    pub(super) fn count(&mut self, flow: &Flow, counted: &Connections) -> Use {
        let &Connections { protocol, client_port, port, dialled, side, .. } = counted;
        let pair = SocketPair {
            client: ClientSocket { ip: Ip::from(flow.source.ip), port: client_port, protocol },
            server: Ip::from(flow.destination.ip),
            server_port: port,
        };
        if !self.first_time(&(pair, dialled, side, &flow.observer, flow.start, flow.end)) {
            return Use::Repeated;
        }
        let service =
            dialled.and_then(|(ip, port)| self.resolution.service_at(Ip::from(ip), port, protocol));
        let (times, ends) = ((flow.start, flow.end), (&flow.source, &flow.destination));
        let tally = self.tallies.touch_or_make(pair, || {
            let sight = Sight::new(times, ends, &mut self.resolution);
            Tally::new(sight, self.resolution.service_at(pair.server, port, protocol))
        });
        tally.sight.renew(times, ends, &mut self.resolution);
        tally.add(counted, times, self.sums.buckets());
        tally.step = self.step;
        if let Some(service) = service
            && tally.service != Some(service)
        {
            tally.service = Some(service);
            self.sums.add_service(pair_edge(pair, &tally.sight, &self.resolution), service);
        }
        Use::Used
    }
}
