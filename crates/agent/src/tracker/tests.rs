use super::*;
use crate::conntrack;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// 10.1.0.5 lives on this machine, and dials the Service port of a server elsewhere.
fn tracker() -> Tracker {
    let mut tracker = Tracker::new("/proc".into(), Vec::new());
    tracker.places.insert(ip("10.1.0.5"), 7);
    tracker
}

fn tracked(transport: Transport) -> Tracked {
    let (client, port) = (ip("10.1.0.5"), 40_000);
    Tracked {
        id: 1,
        transport,
        original: Tuple {
            source: client,
            source_port: port,
            destination: ip("10.96.0.1"),
            destination_port: 80,
        },
        reply: Tuple {
            source: ip("10.2.0.9"),
            source_port: 8080,
            destination: client,
            destination_port: port,
        },
        answered: Some(false),
        progress: (transport == Transport::Tcp).then_some(Progress::Opening),
        volume: None,
    }
}

fn opened() -> Tracked {
    let volume = |packets| conntrack::Volume { packets, bytes: packets * 100 };
    Tracked {
        answered: Some(true),
        progress: Some(Progress::Opened),
        volume: Some((volume(3), volume(2))),
        ..tracked(Transport::Tcp)
    }
}

/// Side, addresses, opened, refused, bytes both ways.
fn told(tracker: &mut Tracker) -> Vec<String> {
    let mut all = Vec::new();
    for (ends, sum) in std::mem::take(&mut tracker.sums) {
        for side in [Side::Client, Side::Server] {
            let local = if side == Side::Client { ends.client } else { ends.server.ip };
            let told = ends.observation(side, sum).filter(|_| tracker.places.contains_key(&local));
            all.extend(told.map(|o| {
                let dialled =
                    o.dialled.map_or("-".to_owned(), |to| format!("{}:{}", to.ip, to.port));
                let Observation { local, remote, port, opened, refused, sent, received, .. } = o;
                let bytes = (sent.bytes, received.bytes);
                format!("{side:?} {local} {remote}:{port} {dialled} {opened} {refused} {bytes:?}")
            }));
        }
    }
    all
}

#[test]
fn a_connection_counts_once_when_it_is_opened() {
    let mut tracker = tracker();
    tracker.take(Event::New(tracked(Transport::Tcp)));
    assert_eq!(told(&mut tracker), [""; 0]);
    tracker.take(Event::Changed(opened()));
    tracker.update(&opened());
    assert_eq!(told(&mut tracker), ["Client 10.1.0.5 10.2.0.9:8080 10.96.0.1:80 1 0 (300, 200)"]);
    tracker.take(Event::Gone(opened()));
    assert_eq!(told(&mut tracker), [""; 0]);
    assert!(tracker.connections.is_empty() && tracker.tracked.is_empty());
}

#[test]
fn both_ends_of_a_connection_on_one_machine_tell_of_it() {
    let mut tracker = tracker();
    tracker.places.insert(ip("10.2.0.9"), 8);
    tracker.take(Event::New(opened()));
    assert_eq!(
        told(&mut tracker),
        [
            "Client 10.1.0.5 10.2.0.9:8080 10.96.0.1:80 1 0 (300, 200)",
            "Server 10.2.0.9 10.1.0.5:8080 10.96.0.1:80 1 0 (300, 200)"
        ]
    );
}

#[test]
fn an_attempt_that_is_gone_at_once_was_refused() {
    let mut tracker = tracker();
    tracker.take(Event::New(tracked(Transport::Tcp)));
    tracker.take(Event::Gone(tracked(Transport::Tcp)));
    assert_eq!(told(&mut tracker), ["Client 10.1.0.5 10.2.0.9:8080 10.96.0.1:80 1 1 (0, 0)"]);
    // One that went unanswered for long was not.
    tracker.take(Event::New(tracked(Transport::Tcp)));
    for known in tracker.connections.values_mut() {
        known.begun = Instant::now().checked_sub(REFUSED_WITHIN).unwrap();
    }
    tracker.take(Event::Gone(tracked(Transport::Tcp)));
    assert_eq!(told(&mut tracker), [""; 0]);
}

#[test]
fn a_conversation_counts_when_it_begins() {
    let mut tracker = tracker();
    tracker.take(Event::New(tracked(Transport::Udp)));
    tracker.take(Event::Changed(Tracked { answered: Some(true), ..tracked(Transport::Udp) }));
    assert_eq!(told(&mut tracker), ["Client 10.1.0.5 10.2.0.9:8080 10.96.0.1:80 1 0 (0, 0)"]);
}

#[test]
fn what_passes_through_is_told_by_others() {
    let mut tracker = tracker();
    tracker.places.clear();
    tracker.take(Event::New(opened()));
    assert_eq!(told(&mut tracker), [""; 0]);
}

fn socket(local: &str, remote: &str, stage: Stage, sent: u64) -> TcpSocket {
    TcpSocket {
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        stage,
        sent,
        received: 0,
        sent_packets: sent / 10,
        received_packets: 0,
    }
}

/// Direction, port, opened, bytes sent.
fn followed(tracker: &mut Tracker) -> Vec<(Direction, u16, u64, u64)> {
    let flows = std::mem::take(&mut tracker.flows);
    flows.into_iter().map(|(k, c)| (k.direction, k.port, c.opened, c.sent_bytes)).collect()
}

#[test]
fn a_socket_that_is_not_tracked_counts_when_it_is_found() {
    let mut tracker = tracker();
    let listener = socket("[::]:8080", "[::]:0", Stage::Listening, 0);
    let mut place = Place { addresses: Vec::new(), sockets: vec![listener] };
    let connected = |sent| socket("10.2.0.9:8080", "10.1.0.7:999", Stage::Connected, sent);
    place.sockets.push(connected(10));
    tracker.follow(8, &place, &connected(10), 1, false);
    tracker.follow(8, &place, &connected(30), 2, false);
    assert_eq!(followed(&mut tracker), [(Direction::In, 8080, 1, 30)]);
    // Without counters at the end.
    tracker.follow(8, &place, &connected(0), 3, false);
    assert_eq!(followed(&mut tracker), []);
    let older = socket("10.2.0.9:1234", "10.1.0.7:443", Stage::Connected, 50);
    tracker.follow(8, &place, &older, 1, true);
    tracker.follow(8, &place, &TcpSocket { sent: 70, ..older }, 2, false);
    assert_eq!(followed(&mut tracker), [(Direction::Out, 443, 0, 20)]);
}

#[test]
fn a_socket_that_was_tracked_does_not_count_again_when_it_is_no_longer() {
    let mut tracker = tracker();
    tracker.take(Event::New(opened()));
    let own = socket("10.1.0.5:40000", "10.96.0.1:80", Stage::Connected, 100);
    tracker.follow(7, &Place::default(), &own, 1, false);
    tracker.take(Event::Gone(opened()));
    tracker.follow(7, &Place::default(), &own, 2, false);
    assert_eq!(followed(&mut tracker), []);
}
