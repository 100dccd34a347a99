use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::conntrack::Tuple;

const ASKED: &str = "10.96.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A connection from 10.1.0.5 to the Service port, which a server got.
fn tracked(port: u16, server: u8) -> Tracked {
    let client = ip("10.1.0.5");
    let server = IpAddr::from(Ipv4Addr::new(10, 2, 0, server));
    Tracked {
        id: 1,
        transport: Transport::Tcp,
        original: Tuple {
            source: client,
            source_port: port,
            destination: ip(ASKED),
            destination_port: 80,
        },
        reply: Tuple {
            source: server,
            source_port: 8080,
            destination: client,
            destination_port: port,
        },
        answered: None,
        progress: None,
        volume: None,
    }
}

fn at_client(opened: u64, bytes: u64) -> Observation {
    Observation {
        side: Side::Client,
        transport: Transport::Tcp,
        local: ip("10.1.0.5"),
        owner: None,
        remote: ip(ASKED),
        port: 80,
        dialled: None,
        opened,
        refused: 0,
        sent: Volume { bytes, packets: bytes / 100 },
        received: Volume::default(),
    }
}

fn at_server(opened: u64) -> Observation {
    Observation {
        side: Side::Server,
        local: ip("10.2.0.1"),
        remote: ip("10.1.0.5"),
        port: 8080,
        ..at_client(opened, 0)
    }
}

/// Remote address, port, address dialled, connections, bytes sent.
fn told(observations: Vec<Observation>) -> Vec<String> {
    let one = |o: Observation| {
        let dialled = o.dialled.map_or("-".to_owned(), |to| format!("{}:{}", to.ip, to.port));
        format!("{}:{} {dialled} {} {}", o.remote, o.port, o.opened, o.sent.bytes)
    };
    observations.into_iter().map(one).collect()
}

#[test]
fn parallel_connections_go_to_the_servers_that_they_were_tracked_to() {
    let mut translations = Translations::default();
    for (port, server) in [(1, 1), (2, 2), (3, 1), (4, 1)] {
        translations.learn(&tracked(port, server));
    }
    let all = translations.apply(vec![at_client(4, 4000)]);
    assert_eq!(
        told(all),
        ["10.2.0.1:8080 10.96.0.1:80 3 3000", "10.2.0.2:8080 10.96.0.1:80 1 1000"]
    );
    // What is still open shows by its bytes.
    let all = translations.apply(vec![at_client(0, 400)]);
    assert_eq!(told(all), ["10.2.0.1:8080 10.96.0.1:80 0 300", "10.2.0.2:8080 10.96.0.1:80 0 100"]);
}

#[test]
fn a_connection_on_the_brink_of_an_interval_is_joined_in_the_next() {
    let mut translations = Translations::default();
    translations.learn(&tracked(1, 1));
    translations.learn(&tracked(2, 2));
    assert_eq!(told(translations.apply(vec![])), [""; 0]);
    translations.learn(&tracked(3, 2));
    let all = translations.apply(vec![at_client(3, 0)]);
    assert_eq!(told(all), ["10.2.0.1:8080 10.96.0.1:80 1 0", "10.2.0.2:8080 10.96.0.1:80 2 0"]);
}

#[test]
fn attempts_that_nobody_answered_are_forgotten() {
    let mut translations = Translations::default();
    translations.learn(&tracked(1, 1));
    translations.apply(vec![]);
    translations.apply(vec![]);
    translations.learn(&tracked(2, 2));
    let all = translations.apply(vec![at_client(1, 0)]);
    assert_eq!(told(all), ["10.2.0.2:8080 10.96.0.1:80 1 0"]);
}

#[test]
fn a_server_tells_what_was_dialled_from_what_was_not() {
    let mut translations = Translations::default();
    translations.learn(&tracked(1, 1));
    translations.learn(&tracked(2, 1));
    let all = translations.apply(vec![at_server(5)]);
    assert_eq!(told(all), ["10.1.0.5:8080 10.96.0.1:80 2 0", "10.1.0.5:8080 - 3 0"]);
}

#[test]
fn the_address_of_the_node_stands_for_a_client_that_is_hidden_behind_it() {
    let mut translations = Translations::default();
    let mut hidden = tracked(1, 1);
    hidden.reply.destination = ip("192.0.2.1");
    translations.learn(&hidden);
    let from_node = Observation { remote: ip("192.0.2.1"), ..at_server(1) };
    let all = translations.apply(vec![from_node, at_server(1)]);
    assert_eq!(told(all), ["192.0.2.1:8080 10.96.0.1:80 1 0", "10.1.0.5:8080 - 1 0"]);
}

#[test]
fn older_connections_show_by_their_bytes() {
    let mut translations = Translations::default();
    translations.remember(&tracked(1, 2));
    assert_eq!(
        told(translations.apply(vec![at_client(0, 70)])),
        ["10.2.0.2:8080 10.96.0.1:80 0 70"]
    );
}

#[test]
fn what_the_socket_translated_and_what_nobody_did_stays() {
    let mut translations = Translations::default();
    let mut direct = tracked(1, 1);
    direct.original.destination = direct.reply.source;
    direct.original.destination_port = 8080;
    translations.learn(&direct);
    translations.learn(&tracked(2, 1));
    let dialled = Some(Dialled { ip: ip("10.96.0.9"), port: 1 });
    let other = Observation { remote: ip("10.9.9.9"), ..at_client(1, 0) };
    let own = Observation { dialled, ..at_client(1, 0) };
    let all = translations.apply(vec![other.clone(), own.clone()]);
    assert_eq!(all, [other, own]);
}

#[test]
fn memory_has_a_bound() {
    let mut translations = Translations::default();
    let most = u32::try_from(MOST).unwrap();
    for n in 0..most {
        let mut tracked = tracked(1, 1);
        tracked.original.source = IpAddr::from(Ipv4Addr::from(n));
        tracked.reply.destination = tracked.original.source;
        translations.learn(&tracked);
    }
    assert!(translations.ends.len() <= MOST, "{}", translations.ends.len());
    // The latest is remembered.
    let last = IpAddr::from(Ipv4Addr::from(most - 1));
    let all = translations.apply(vec![Observation { local: last, ..at_client(1, 0) }]);
    assert_eq!(told(all), ["10.2.0.1:8080 10.96.0.1:80 1 0"]);
}

proptest! {
    /// Each connection by itself is the oracle: where it went, in which interval it was tracked, and whether the
    /// socket's count came in that interval or in the next.
    #[test]
    fn every_connection_counts_for_its_server(
        intervals in prop::collection::vec(
            prop::collection::vec((1_u8..4, any::<bool>()), 0..20), 1..8),
    ) {
        let mut translations = Translations::default();
        let mut expected = [0; 4];
        let mut found = [0; 4];
        let mut late = 0;
        for interval in intervals.iter().chain([&Vec::new()]) {
            let mut now = std::mem::take(&mut late);
            for (port, (server, is_late)) in (1..).zip(interval) {
                translations.learn(&tracked(port, *server));
                expected[usize::from(*server)] += 1;
                *(if *is_late { &mut late } else { &mut now }) += 1;
            }
            let counted = if now > 0 { vec![at_client(now, now * 7)] } else { Vec::new() };
            let all = translations.apply(counted);
            prop_assert_eq!(all.iter().map(|o| o.opened).sum::<u64>(), now);
            prop_assert_eq!(all.iter().map(|o| o.sent.bytes).sum::<u64>(), now * 7);
            for part in all {
                prop_assert!(part.dialled.is_some());
                let IpAddr::V4(server) = part.remote else { panic!("{part:?}") };
                found[usize::from(server.octets()[3])] += part.opened;
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn shares_add_up(number in any::<u64>(), weights in prop::collection::vec(0..1_u64 << 48, 1..9)) {
        let all = shares(number, &weights);
        let sum = if weights.iter().all(|weight| *weight == 0) { 0 } else { number };
        prop_assert_eq!(all.iter().sum::<u64>(), sum);
        for (share, weight) in all.iter().zip(&weights) {
            prop_assert!(*weight > 0 || *share == 0);
        }
    }
}
