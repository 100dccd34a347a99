use std::net::IpAddr;
use std::num::NonZeroU16;

use proptest::prelude::*;
use ringfence_model::resolve::{Hint, Resolved, Resolver, ServiceTarget};
use ringfence_model::{
    AddressClass, Counts, EdgeKey, L4, Name, Nature, Observers, Peer, Port, Protocol,
    ServicePortRef, ServiceRef, Span, Tally, Timestamp, WorkloadKind, WorkloadRef,
};

use super::{EdgeRecord, KnownEdge};

fn name() -> impl Strategy<Value = Name> {
    "[a-z]{1,3}".prop_map(|text| text.parse().unwrap())
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        (name(), "[A-Z][a-z]{0,3}|Pod|Job", name()).prop_map(|(namespace, kind, name)| {
            let kind = WorkloadKind::from(kind.as_str());
            Peer::Workload(WorkloadRef { namespace, kind, name })
        }),
        (name(), name())
            .prop_map(|(namespace, name)| Peer::Service(ServiceRef { namespace, name })),
        name().prop_map(Peer::Node),
        name().prop_map(Peer::Host),
        "\\PC{0,5}".prop_map(|alias| Peer::Alias(alias.into())),
        (any::<IpAddr>(), 0..3_usize).prop_map(|(ip, class)| {
            let classes = [AddressClass::Internal, AddressClass::External, AddressClass::Unknown];
            Peer::Address(ip, classes[class])
        }),
    ]
}

fn tally() -> impl Strategy<Value = Tally> {
    (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(opened, refused, denied, sent, received)| Tally {
            opened,
            refused,
            denied,
            sent,
            received,
        },
    )
}

fn edge() -> impl Strategy<Value = KnownEdge> {
    let port = || (1..=u16::MAX).prop_map(|port| NonZeroU16::new(port).unwrap());
    let l4 = prop_oneof![
        (0..3_usize, port()).prop_map(|(protocol, port)| {
            L4::Port([Protocol::Tcp, Protocol::Udp, Protocol::Sctp][protocol], port)
        }),
        Just(L4::Icmp),
        Just(L4::IcmpV6),
    ];
    let service = (name(), name(), port()).prop_map(|(namespace, name, port)| ServicePortRef {
        service: ServiceRef { namespace, name },
        port,
    });
    let seen = (any::<i64>(), any::<i64>(), any::<i64>());
    let tallies = (tally(), tally(), tally(), 0..1_u16 << 12);
    let services = proptest::collection::btree_set(service, 0..3);
    (peer(), peer(), l4, any::<bool>(), seen, tallies, services).prop_map(
        |(source, destination, l4, own, (at, a, b), (alone, client, server, bits), services)| {
            KnownEdge {
                at: Timestamp::from_nanos(at),
                bucket_minutes: own.then_some(60),
                key: EdgeKey {
                    source,
                    destination,
                    l4,
                    nature: if own { Nature::OwnNode } else { Nature::Ordinary },
                },
                counts: Counts {
                    first_seen: Timestamp::from_nanos(a.min(b)),
                    last_seen: Timestamp::from_nanos(a.max(b)),
                    alone,
                    client,
                    server,
                    observers: Observers::from_bits(bits).unwrap(),
                },
                services: services.into_iter().collect(),
            }
        },
    )
}

fn line(edge: &KnownEdge) -> String {
    serde_json::to_string(&EdgeRecord::from(edge)).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_reads_back(edge in edge()) {
        prop_assert_eq!(EdgeRecord::decode(line(&edge).as_bytes()), Ok(edge));
    }
}

const WEB: &str = r#"{"edgeVersion":1,"at":"2026-03-02T01:00:00Z","source":{"workload":{"namespace":"shop","kind":"Deployment","name":"web"}},"destination":{"workload":{"namespace":"shop","kind":"Deployment","name":"cart"}},"l4":{"port":{"protocol":"TCP","port":8080}},"firstSeen":"2026-03-02T01:00:01Z","lastSeen":"2026-03-02T01:10:00Z","client":{"opened":5},"server":{"opened":3,"denied":1},"services":[{"namespace":"shop","name":"cart","port":80}]}"#;

#[test]
fn faults_are_named() {
    let fault = |line: &str| EdgeRecord::decode(line.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        fault(&WEB.replace("\"edgeVersion\":1", "\"edgeVersion\":2")),
        "not an edge: edgeVersion 2 is not known; this version of ringfence reads 1"
    );
    assert!(fault(&WEB.replace("shop", "Shop")).contains("\"Shop\" is not a name"));
    assert!(fault(&WEB.replace("8080", "0")).contains("nonzero"));
    assert!(fault(&WEB.replace("\"at\"", "\"when\"")).contains("unknown field `when`"));
    assert!(fault(&WEB.replace("01:10:00", "00:10:00")).contains("lies before"));
}

struct Nobody;

impl Resolver for Nobody {
    fn resolve(&self, ip: IpAddr, _: Timestamp, _: Option<&Hint>) -> Resolved {
        let peer = Peer::Address(ip, AddressClass::Unknown);
        Resolved { peer, node: None, valid: Span::ALL }
    }
    fn service(&self, _: IpAddr, _: Protocol, _: Port) -> Option<ServiceTarget> {
        None
    }
}

#[test]
fn records_of_one_edge_add_up_as_in_the_store() {
    let later = WEB.replace("T01:", "T02:").replace("\"opened\":5", "\"opened\":2");
    let log = format!("{WEB}\n{later}\nnonsense\n");
    let mut aggregator = crate::Aggregator::new(&Nobody, crate::Options::default());
    let options = crate::ReadOptions::default();
    crate::read_flows(log.as_bytes(), "edges", options, &mut aggregator, |_| {}).unwrap();
    let observations = aggregator.finish();
    assert_eq!(observations.ledger.used, 2);
    assert_eq!(observations.ledger.malformed, 1);
    let [edge] = &observations.edges[..] else { panic!("{:?}", observations.edges) };
    let mut counts = EdgeRecord::decode(WEB.as_bytes()).unwrap().counts;
    counts.add(&EdgeRecord::decode(later.as_bytes()).unwrap().counts);
    assert_eq!(edge.evidence, counts.evidence());
    assert_eq!((edge.evidence.forwarded, edge.evidence.dropped), (6, 2));
    assert_eq!(edge.services.len(), 1);
}

#[test]
fn the_window_counts() {
    let window = Span {
        from: "2026-03-02T03:00:00Z".parse().unwrap(),
        until: "2026-03-02T04:00:00Z".parse().unwrap(),
    };
    let options = crate::Options { window, ..crate::Options::default() };
    let mut aggregator = crate::Aggregator::new(&Nobody, options);
    for hour in ["T01:", "T03:", "T04:"] {
        let record = WEB.replace("T01:", hour);
        aggregator.know(EdgeRecord::decode(record.as_bytes()).unwrap());
    }
    assert_eq!(aggregator.ledger().used, 1);
    assert_eq!(aggregator.ledger().outside_window, 2);
}

/// `UPDATE_SCHEMAS=1` writes the file.
#[test]
fn the_published_schema_is_that_of_the_record() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/edge.v1.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(EdgeRecord)).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    assert_eq!(published, schema, "run the test with UPDATE_SCHEMAS=1");
}
