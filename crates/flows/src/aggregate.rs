//! Flows to edges.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use ringfence_model::flow::{
    Connections, End, Flow, IcmpKind, Packet, Seen, Sense, Socket, SocketStage, TcpFlags, Transport,
};
use ringfence_model::resolve::Resolver;
use ringfence_model::{
    Counts, Diagnostic, Edge, EdgeKey, L4, Origin, Port, ServicePortRef, Span, Timestamp,
};

use crate::connection::{ClientSocket, Connection, Ip, Sight, SocketPair, Told};
use crate::ends::hash_of;
use crate::fault::Fault;
use crate::generations::{Generations, Touched};
use crate::known::KnownEdge;
use crate::ledger::{Ledger, Skip};
use crate::resolution::{Resolution, ServiceId};
use crate::retire::{
    Dialled, pair_edge, pair_up, retire, retire_calls, retire_dialled, retire_pings, retire_tally,
};
use crate::sums::{Bucket, Buckets, Sums};
use crate::tally::{Called, Pings, SocketCalls, Tally};

/// How many places of bad lines to name.
const PLACES: u64 = 5;

/// What to aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Only flows that start inside.
    pub window: Span,
    /// How many connections to keep in mind. When there are more, those not seen for longest are forgotten; if more
    /// of one comes later, it counts as another connection.
    pub connections: usize,
    /// The length of the time buckets that edges are told in; `None` for all time as one.
    pub bucket: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self { window: Span::ALL, connections: 900_000, bucket: None }
    }
}

/// What was observed.
#[derive(Clone, Debug)]
pub struct Observations {
    /// The edges, sorted by key.
    pub edges: Vec<Edge>,
    /// What became of every line.
    pub ledger: Ledger,
    /// From the first flow inside the window of the options to just after the last; `None` without flows.
    pub window: Option<Span>,
    /// What to tell the user: bad lines, lost events, forgotten connections.
    pub diagnostics: Vec<Diagnostic>,
}

/// What was observed, by time bucket.
#[derive(Clone, Debug)]
pub struct Bucketed {
    /// The buckets, in their order.
    pub buckets: Vec<Bucket>,
    /// What became of every line.
    pub ledger: Ledger,
    /// From the first flow inside the window of the options to just after the last; `None` without flows.
    pub window: Option<Span>,
    /// What to tell the user.
    pub diagnostics: Vec<Diagnostic>,
}

/// Turns flows into edges in bounded memory: it keeps recent connections, and one entry for each edge.
///
/// The order of flows does not matter, as long as what belongs together is not further apart than the table of
/// connections reaches, and neither does a flow that comes twice.
pub struct Aggregator<'a, R> {
    window: Span,
    resolution: Resolution<'a, R>,
    /// Connections by socket pair.
    connections: Generations<SocketPair, Connection>,
    /// Whether connections may be there whose client is a guess.
    guesses: bool,
    /// Connections as their clients dialled them, before translation.
    dialled: Generations<ClientSocket, Vec<Dialled>>,
    /// Socket calls by observer and cookie.
    sockets: Generations<(u64, u64), SocketCalls>,
    /// Counted connections.
    tallies: Generations<SocketPair, Tally>,
    /// Echo requests.
    pings: Generations<(Ip, Ip, L4), Pings>,
    /// Hashes of what counts by itself, so that it does not count twice.
    counted: Generations<u64, ()>,
    sums: Sums,
    /// Edges that came resolved, by bucket.
    known: BTreeMap<(Timestamp, EdgeKey), (Counts, Vec<ServicePortRef>)>,
    /// How often was settled.
    step: u32,
    observed: Option<(Timestamp, Timestamp)>,
    ledger: Ledger,
    diagnostics: Vec<Diagnostic>,
}

/// What a flow turned out to be.
enum Use {
    Used,
    Repeated,
    Reply,
    Translation,
    Skip(Skip),
}

impl<'a, R: Resolver> Aggregator<'a, R> {
    /// Nothing observed yet.
    pub fn new(resolver: &'a R, options: Options) -> Self {
        let few = options.connections / 8;
        let buckets = match options.bucket {
            None => Buckets::One,
            Some(length) => {
                Buckets::Of(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX).max(1))
            }
        };
        Self {
            window: options.window,
            resolution: Resolution::new(resolver),
            connections: Generations::new(options.connections),
            guesses: false,
            dialled: Generations::new(options.connections),
            sockets: Generations::new(few),
            tallies: Generations::new(options.connections),
            pings: Generations::new(few),
            counted: Generations::new(options.connections),
            sums: Sums::new(buckets),
            known: BTreeMap::new(),
            step: 0,
            observed: None,
            ledger: Ledger::default(),
            diagnostics: Vec::new(),
        }
    }

    /// Takes a flow in.
    pub fn add(&mut self, flow: &Flow) {
        if !self.window.contains(flow.start) {
            self.ledger.outside_window += 1;
            return;
        }
        let (first, last) = self.observed.get_or_insert((flow.start, flow.end));
        *first = flow.start.min(*first);
        *last = flow.end.max(*last);
        self.make_room();
        let unfit = unfit(flow.source.ip).or_else(|| unfit(flow.destination.ip));
        let fate = match (&flow.seen, unfit) {
            (_, Some(reason)) => Use::Skip(reason),
            (Seen::Packet(packet), None) => self.packet(flow, packet),
            (Seen::Socket(socket), None) => self.socket(flow, socket),
            (Seen::Connections(counted), None) => self.count(flow, counted),
        };
        match fate {
            Use::Used => self.ledger.used += 1,
            Use::Repeated => self.ledger.repeated += 1,
            Use::Reply => self.ledger.replies += 1,
            Use::Translation => self.ledger.translations += 1,
            Use::Skip(reason) => self.ledger.skip(reason),
        }
    }

    /// Takes in an edge that was resolved and counted before. It counts as seen when its bucket reaches into the
    /// window.
    pub fn know(&mut self, edge: KnownEdge) {
        let KnownEdge { at, bucket_minutes: _, key, counts, services } = edge;
        if counts.last_seen < self.window.from || counts.first_seen >= self.window.until {
            self.ledger.outside_window += 1;
            return;
        }
        let (first, last) = self.observed.get_or_insert((counts.first_seen, counts.last_seen));
        *first = counts.first_seen.min(*first);
        *last = counts.last_seen.max(*last);
        match self.known.entry((self.sums.buckets().at(at), key)) {
            Entry::Vacant(entry) => {
                entry.insert((counts, services));
            }
            Entry::Occupied(entry) => {
                let (sum, all) = entry.into_mut();
                sum.add(&counts);
                all.extend(services);
                all.sort_unstable();
                all.dedup();
            }
        }
        self.ledger.used += 1;
    }

    /// Notes that the source lost events.
    pub fn lost(&mut self, events: u64) {
        self.ledger.loss_reports += 1;
        self.ledger.lost_events = self.ledger.lost_events.saturating_add(events);
    }

    /// Notes a line that is no evidence.
    pub fn skip(&mut self, reason: Skip) {
        self.ledger.skip(reason);
    }

    /// Notes a line that could not be read.
    pub(crate) fn malformed(&mut self, fault: &Fault, at: Origin) {
        self.ledger.malformed += 1;
        if self.ledger.malformed <= PLACES {
            let diagnostic =
                Diagnostic::warning("malformed-flow", format!("line skipped: {fault}"));
            self.diagnostics.push(diagnostic.at(at));
        }
    }

    /// Notes a line over the limit.
    pub(crate) fn oversized(&mut self, at: Origin) {
        self.ledger.oversized += 1;
        if self.ledger.oversized <= PLACES {
            let message = "line skipped: longer than the limit";
            self.diagnostics.push(Diagnostic::warning("oversized-flow", message).at(at));
        }
    }

    /// What became of the lines so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The edges of connections that have been known for a whole step at least, and were not told of before; and
    /// without counts those of connections told of before that went on. A step is from one call to the next: what
    /// the observers see of one connection should not arrive further apart.
    ///
    /// What is told is not taken back: packets that come later and show that a connection was refused or dropped
    /// after all change nothing.
    pub fn settle(&mut self) -> Vec<Bucket> {
        let Self { connections, dialled, resolution, sums, step, .. } = self;
        let known = |connection: &Connection| connection.born < *step;
        for (pair, connection) in connections.iter_mut() {
            if connection.told == Told::Before || (connection.told == Told::No && known(connection))
            {
                retire(*pair, connection, dialled, resolution, sums);
                connection.told = Told::Yes;
            }
        }
        for (socket, views) in dialled.iter_mut() {
            for view in views.iter_mut() {
                let told = view.connection.told;
                if told == Told::Before || (told == Told::No && known(&view.connection)) {
                    retire_dialled(*socket, std::slice::from_ref(view), resolution, sums);
                    view.connection.told = Told::Yes;
                }
            }
        }
        for (_, calls) in self.sockets.give_up(|calls| calls.step < *step) {
            retire_calls(&calls, resolution, sums);
        }
        for (pair, tally) in self.tallies.give_up(|tally| tally.step < *step) {
            retire_tally(pair, &tally, resolution, sums);
        }
        for ((_, _, l4), pings) in self.pings.iter_mut() {
            retire_pings(*l4, pings, resolution, sums);
        }
        *step = step.saturating_add(1);
        sums.take(resolution)
    }

    /// Asks the resolver anew from now on, because it has learned something.
    pub fn resolve_anew(&mut self) {
        self.resolution.forget();
    }

    /// How many distinct ends are kept in mind. It grows for as long as new ones come.
    pub fn ends(&self) -> usize {
        self.resolution.len()
    }

    /// Everything that was observed, and not told of before.
    pub fn finish(self) -> Observations {
        let Bucketed { buckets, ledger, window, diagnostics } = self.finish_in_buckets();
        let mut edges: Vec<Edge> = buckets.into_iter().flat_map(|bucket| bucket.edges).collect();
        edges.sort_by(|a, b| a.key.cmp(&b.key));
        edges.dedup_by(|later, first| {
            let same = later.key == first.key;
            if same {
                first.evidence.merge(&later.evidence);
            }
            same
        });
        Observations { edges, ledger, window, diagnostics }
    }

    /// Everything that was observed and not told of before, by time bucket.
    pub fn finish_in_buckets(mut self) -> Bucketed {
        // Connections before what they may be paired with.
        for (pair, connection) in self.connections.drain() {
            retire(pair, &connection, &mut self.dialled, &self.resolution, &mut self.sums);
        }
        for (socket, dialled) in self.dialled.drain() {
            retire_dialled(socket, &dialled, &self.resolution, &mut self.sums);
        }
        for (_, calls) in self.sockets.drain() {
            retire_calls(&calls, &self.resolution, &mut self.sums);
        }
        for (pair, tally) in self.tallies.drain() {
            retire_tally(pair, &tally, &self.resolution, &mut self.sums);
        }
        for ((_, _, l4), mut pings) in self.pings.drain() {
            retire_pings(l4, &mut pings, &self.resolution, &mut self.sums);
        }
        let mut buckets = self.sums.take(&self.resolution);
        join(&mut buckets, self.known);
        let window = self.observed.map(|(first, last)| Span {
            from: first,
            until: Timestamp::from_nanos(last.nanos().saturating_add(1)),
        });
        let mut diagnostics = self.diagnostics;
        diagnostics.extend(summaries(&self.ledger));
        Bucketed { buckets, ledger: self.ledger, window, diagnostics }
    }

    /// Gives up what was not seen for longest where a table is full.
    fn make_room(&mut self) {
        if self.connections.is_full() || self.dialled.is_full() {
            for (pair, connection) in self.connections.age() {
                self.ledger.evicted += 1;
                retire(pair, &connection, &mut self.dialled, &self.resolution, &mut self.sums);
            }
            // Only now: a connection and its dialled view age together, and each looks for the other before it goes.
            for (socket, dialled) in self.dialled.age() {
                retire_dialled(socket, &dialled, &self.resolution, &mut self.sums);
            }
        }
        if self.sockets.is_full() {
            for (_, calls) in self.sockets.age() {
                retire_calls(&calls, &self.resolution, &mut self.sums);
            }
        }
        if self.tallies.is_full() {
            for (pair, tally) in self.tallies.age() {
                self.ledger.evicted += 1;
                retire_tally(pair, &tally, &self.resolution, &mut self.sums);
            }
        }
        if self.pings.is_full() {
            for ((_, _, l4), mut pings) in self.pings.age() {
                retire_pings(l4, &mut pings, &self.resolution, &mut self.sums);
            }
        }
        if self.counted.is_full() {
            self.counted.age().for_each(drop);
        }
    }

    fn packet(&mut self, flow: &Flow, packet: &Packet) -> Use {
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

    fn socket(&mut self, flow: &Flow, socket: &Socket) -> Use {
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

    fn count(&mut self, flow: &Flow, counted: &Connections) -> Use {
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

    /// Whether what is counted by itself was not counted before.
    fn first_time(&mut self, what: &impl Hash) -> bool {
        let mut first = false;
        self.counted.touch_or_make(hash_of(what), || first = true);
        first
    }
}

/// What a TCP handshake tells.
fn handshake(flags: TcpFlags) -> Option<Sense> {
    flags
        .has(TcpFlags::SYN)
        .then(|| if flags.has(TcpFlags::ACK) { Sense::Reply } else { Sense::Request })
}

/// Why no edge can have the address.
pub(crate) fn unfit(ip: IpAddr) -> Option<Skip> {
    let ip = ip.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_multicast() || ip.is_unspecified() || ip.is_loopback() || broadcast {
        return Some(Skip::NotUnicast);
    }
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()).then_some(Skip::LinkLocal)
}

/// What the user should know about the whole.
fn summaries(ledger: &Ledger) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    if ledger.malformed > PLACES {
        let more = ledger.malformed - PLACES;
        let message = format!("{more} more lines skipped that could not be read");
        out.push(Diagnostic::warning("malformed-flow", message));
    }
    if ledger.oversized > PLACES {
        let more = ledger.oversized - PLACES;
        let message = format!("{more} more lines skipped that are longer than the limit");
        out.push(Diagnostic::warning("oversized-flow", message));
    }
    if ledger.lost_events > 0 {
        let message =
            format!("the source lost {} events: edges may be missing", ledger.lost_events);
        let hint =
            "a longer observation makes up for it; larger event buffers at the source avoid it";
        out.push(Diagnostic::warning("lost-events", message).hint(hint));
    }
    if ledger.evicted > 0 {
        let message = format!(
            "{} connections were forgotten to bound memory; any that went on counts twice",
            ledger.evicted
        );
        out.push(Diagnostic::note("connections-forgotten", message));
    }
    out
}

/// Adds edges that came resolved to those of the flows.
fn join(
    buckets: &mut Vec<Bucket>,
    known: BTreeMap<(Timestamp, EdgeKey), (Counts, Vec<ServicePortRef>)>,
) {
    for ((at, key), (counts, services)) in known {
        let place = match buckets.binary_search_by_key(&at, |bucket| bucket.at) {
            Ok(place) => place,
            Err(place) => {
                buckets.insert(place, Bucket { at, edges: Vec::new() });
                place
            }
        };
        let edges = &mut buckets[place].edges;
        let evidence = counts.evidence();
        match edges.binary_search_by(|edge| edge.key.cmp(&key)) {
            Ok(same) => {
                let edge = &mut edges[same];
                edge.evidence.merge(&evidence);
                edge.services.extend(services);
                edge.services.sort_unstable();
                edge.services.dedup();
            }
            Err(place) => edges.insert(place, Edge { key, evidence, services }),
        }
    }
}
