//! What becomes of connections that are followed no longer: evidence for edges.

use ringfence_model::resolve::Resolver;
use ringfence_model::{Evidence, L4, Protocol};

use crate::connection::{ClientSocket, Connection, Sight, SocketPair};
use crate::generations::Generations;
use crate::resolution::{Resolution, ServiceId};
use crate::sums::{EdgeId, SomeBackend, Sums};
use crate::tally::{Pings, SocketCalls, Tally};

/// How close in time two views of one connection are, when nothing but the client's socket ties them together.
const NEAR: u64 = 2_000_000_000;

/// A connection as its client dialled it.
pub(crate) struct Dialled {
    pub(crate) service: ServiceId,
    pub(crate) connection: Connection,
    /// Whether the translated view was seen, so that this one is only about the Service.
    pub(crate) paired: bool,
}

pub(crate) fn pair_edge(
    pair: SocketPair,
    sight: &Sight,
    of: &Resolution<'_, impl Resolver>,
) -> EdgeId {
    of.edge(sight.client.id, sight.server.id, L4::Port(pair.client.protocol, pair.server_port))
}

/// Finds the views in which the client dialled this connection, and takes them for what they are.
pub(crate) fn pair_up(
    pair: SocketPair,
    connection: &Connection,
    dialled: &mut Generations<ClientSocket, Vec<Dialled>>,
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    if dialled.is_empty() {
        return;
    }
    let Some(views) = dialled.peek_mut(&pair.client) else { return };
    let server = (resolution.peer_id(connection.sight.server.id), pair.server_port);
    for view in views {
        let apart = connection.sight.first.nanos().abs_diff(view.connection.sight.first.nanos());
        let near = pair.client.protocol != Protocol::Udp && apart <= NEAR;
        if near || resolution.service(view.service).backends.contains(&server) {
            view.paired = true;
            sums.add_service(pair_edge(pair, &connection.sight, resolution), view.service);
        }
    }
}

/// Counts a connection that is followed no longer.
pub(crate) fn retire(
    pair: SocketPair,
    connection: &Connection,
    dialled: &mut Generations<ClientSocket, Vec<Dialled>>,
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    pair_up(pair, connection, dialled, resolution, sums);
    if let Some(evidence) = connection.evidence() {
        sums.add(pair_edge(pair, &connection.sight, resolution), &evidence);
    }
}

/// Counts a connection that was seen before translation only.
pub(crate) fn retire_dialled(
    client: ClientSocket,
    views: &[Dialled],
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    for Dialled { service, connection, .. } in views.iter().filter(|view| !view.paired) {
        let Some(evidence) = connection.evidence() else { continue };
        let source = resolution.peer_id(connection.sight.client.id);
        let to = SomeBackend { source, service: *service, protocol: client.protocol };
        sums.add_backends(to, &evidence, resolution);
    }
}

/// Counts the connection of a socket call, unless packets tell of it.
pub(crate) fn retire_calls(
    calls: &SocketCalls,
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    let &SocketCalls { client, protocol, dialled, translated, .. } = calls;
    let service = dialled.and_then(|called| called.service);
    let source = resolution.peer_id(client.id);
    match (translated, dialled, service) {
        (None, _, Some(service)) => {
            sums.add_weak_backends(SomeBackend { source, service, protocol }, &calls.evidence());
        }
        (Some(reached), _, service) | (None, Some(reached), service) => {
            let edge = resolution.edge(client.id, reached.end, L4::Port(protocol, reached.port));
            sums.add_weak(edge, &calls.evidence());
            if let Some(service) = service {
                sums.add_service(edge, service);
            }
        }
        (None, None, None) => {}
    }
}

/// Counts what observers counted.
pub(crate) fn retire_tally(
    pair: SocketPair,
    tally: &Tally,
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    let evidence = tally.evidence();
    if evidence.forwarded == 0 && evidence.dropped == 0 {
        return;
    }
    if let Some(service) = tally.untranslated {
        let source = resolution.peer_id(tally.sight.client.id);
        let to = SomeBackend { source, service, protocol: pair.client.protocol };
        sums.add_weak_backends(to, &evidence);
        return;
    }
    let edge = pair_edge(pair, &tally.sight, resolution);
    if tally.parts.is_empty() {
        sums.add(edge, &evidence);
    }
    for part in tally.spread(&evidence) {
        sums.add(edge, &part);
    }
    if let Some(service) = tally.service {
        sums.add_service(edge, service);
    }
}

/// Counts echo requests.
pub(crate) fn retire_pings(
    l4: L4,
    pings: &mut Pings,
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    let evidence = pings.tell();
    count_pings(l4, pings, &evidence, resolution, sums);
}

/// Counts the echo requests that were there a step ago.
pub(crate) fn retire_known_pings(
    l4: L4,
    pings: &mut Pings,
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    let evidence = pings.tell_known();
    count_pings(l4, pings, &evidence, resolution, sums);
}

fn count_pings(
    l4: L4,
    pings: &Pings,
    evidence: &Evidence,
    resolution: &Resolution<'_, impl Resolver>,
    sums: &mut Sums,
) {
    if evidence.forwarded > 0 || evidence.dropped > 0 {
        let Sight { client, server, .. } = pings.sight;
        sums.add(resolution.edge(client.id, server.id, l4), evidence);
    }
}
