use std::sync::Arc;

use ringfence_bpf::{Counts, Losses};
use ringfence_flows::Volume;

use super::*;
use crate::owner::Pod;

fn observation(port: u16) -> Observation {
    let name = Some(("shop".to_owned(), "web-1".to_owned()));
    Observation {
        side: Side::Client,
        transport: Transport::Tcp,
        local: "10.1.0.5".parse().unwrap(),
        owner: Some(Owner::Pod(Arc::new(Pod { uid: "u".to_owned(), name }))),
        remote: "fd00::9".parse().unwrap(),
        port,
        dialled: Some(Dialled { ip: "10.96.0.1".parse().unwrap(), port: 80 }),
        opened: 5,
        refused: 2,
        sent: Volume { bytes: 500, packets: 10 },
        received: Volume::default(),
    }
}

fn report(observations: Vec<Observation>) -> Report {
    Report {
        interval: Interval {
            start: "2026-03-02T01:00:00Z".parse().unwrap(),
            end: "2026-03-02T01:00:10Z".parse().unwrap(),
        },
        number: (1, 1),
        observations,
        losses: Losses::default(),
        unattributed: 0,
        events_lost: 0,
        observer: ObserverKind::Tracking,
        blind: vec!["refused UDP".to_owned()],
        host: None,
    }
}

fn decode(encoded: &Encoded) -> Body {
    Body::decode(&*encoded.body).unwrap()
}

#[test]
fn what_repeats_is_said_once() {
    let machine = Observation { owner: Some(Owner::Machine), dialled: None, ..observation(82) };
    let batches = encode(&report(vec![observation(80), observation(81), machine]), "node-1");
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    let Body {
        base, strings, endpoints, dialled, records, losses, observer, observed, blind, ..
    } = decode(batch);
    assert_eq!((batch.records, base, losses), (3, 1_772_413_200_000_000_000, vec![]));
    assert_eq!(strings, ["u", "shop", "web-1", "node-1"]);
    let pod =
        Endpoint { ip: vec![10, 1, 0, 5], namespace: 2, pod: 3, pod_uid: 1, ..Endpoint::default() };
    let own = Endpoint { ip: vec![10, 1, 0, 5], node: 4, ..Endpoint::default() };
    assert_eq!(endpoints[0], pod);
    assert_eq!((endpoints[1].ip.len(), &endpoints[2], endpoints.len()), (16, &own, 3));
    assert_eq!(dialled, [SocketAddress { ip: vec![10, 96, 0, 1], port: 80 }]);
    let records = records.unwrap();
    assert_eq!((records.local, records.remote), (vec![0, 0, 2], vec![1, 1, 1]));
    assert_eq!((records.server_port, records.dialled), (vec![80, 81, 82], vec![1, 1, 0]));
    assert_eq!((records.opened, records.refused), (vec![5; 3], vec![2; 3]));
    assert_eq!((records.length, records.traffic), (vec![10_000_000; 3], vec![true; 3]));
    assert_eq!(records.side, [1; 3]);
    assert_eq!((observer, observed), (Observer::Conntrack.into(), 10_000_000));
    assert_eq!(blind, ["refused UDP"]);
}

#[test]
fn long_reports_are_cut_and_losses_told_once() {
    let observations = (0..10_000).map(|port| observation(port + 1)).collect();
    let mut report = report(observations);
    report.losses.unparsed = 7;
    let batches = encode(&report, "node-1");
    let records: Vec<u32> = batches.iter().map(|batch| batch.records).collect();
    assert_eq!(records, [4096, 4096, 1808]);
    let losses: Vec<usize> = batches.iter().map(|batch| decode(batch).losses.len()).collect();
    assert_eq!(losses, [1, 0, 0]);
    assert_eq!(encode(&report, "node-1"), batches);
}

#[test]
fn losses_are_told_without_records() {
    let mut report = report(vec![]);
    report.events_lost = 2;
    report.losses.overflow = Counts { opened: 3, refused: 1, ..Counts::default() };
    report.losses.datagrams_unknown = 5;
    let body = decode(&encode(&report, "node-1")[0]);
    let told: Vec<_> = body.losses.iter().map(|loss| (loss.reason(), loss.count)).collect();
    let expected =
        [(LossReason::MapFull, 4), (LossReason::EventsLost, 2), (LossReason::Unattributed, 5)];
    assert_eq!(told, expected);
}

#[test]
fn that_nothing_was_seen_is_told() {
    let batches = encode(&report(vec![]), "node-1");
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    let body = decode(batch);
    assert_eq!((batch.records, body.losses.len(), body.observed), (0, 0, 10_000_000));
}

#[test]
fn a_host_is_described_once_a_report_and_without_records() {
    let host = Host {
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        tags: [("site".to_owned(), "east".to_owned())].into(),
        system: "Debian".to_owned(),
    };
    for (observations, batches) in [(0, 1), (10_000, 3)] {
        let observations = (0..observations).map(|port| observation(port + 1)).collect();
        let report = Report { host: Some(host.clone()), ..report(observations) };
        let encoded = encode(&report, "mail");
        assert_eq!(encoded.len(), batches);
        let described: Vec<_> = encoded.iter().filter_map(|batch| decode(batch).host).collect();
        let [described] = &described[..] else { panic!("{described:?}") };
        assert_eq!(described.addresses[0], [192, 0, 2, 1]);
        assert_eq!((described.addresses[1].len(), &*described.system), (16, "Debian"));
        assert_eq!(described.tags, host.tags);
    }
}
