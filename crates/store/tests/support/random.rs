//! Random contents of a store. Values come from small sets, so that they meet.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use ringfence_model::{
    AddressClass, EdgeKey, L4, Name, Nature, Observers, Peer, Port, Protocol, ServicePortRef,
    ServiceRef, Span, Timestamp, WorkloadKind, WorkloadRef,
};
use ringfence_store::{
    Advance, Arrivals, AuditEntry, Counted, Counts, DropReason, EdgeQuery, Ledger, NewReview,
    ObjectChange, ObjectKey, ReviewKey, SourceKey, SourceKind, Store, StoreError, Tally,
};

use super::{at, name, service, tcp, workload};

/// Something done to a store.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Record(Arrivals),
    Objects(Name, Vec<ObjectChange>),
    Review(NewReview),
    Settings(Vec<(String, Option<String>)>, AuditEntry),
    Audit(AuditEntry),
}

impl Deed {
    /// Does it, and says how it ended.
    pub(crate) fn apply(&self, store: &dyn Store) -> String {
        let ended = match self {
            Self::Record(arrivals) => store.record(arrivals),
            Self::Objects(cluster, changes) => store.record_objects(cluster, changes),
            Self::Review(review) => {
                let key = format!("cluster/{}/note", review.key.cluster);
                store.put_review_and_settings(review, &[(&key, Some(&review.note))]).map(|_| ())
            }
            Self::Settings(changes, audit) => {
                let changes: Vec<_> =
                    changes.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
                store.put_settings(&changes, audit)
            }
            Self::Audit(entry) => store.audit(entry),
        };
        match ended {
            Ok(()) => "done".into(),
            Err(error @ (StoreError::Repeated { .. } | StoreError::Conflict { .. })) => {
                error.to_string()
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => arrivals().prop_map(Deed::Record),
        2 => (cluster(), vec(change(), 0..6)).prop_map(|(c, changes)| Deed::Objects(c, changes)),
        2 => review().prop_map(Deed::Review),
        1 => (vec(setting(), 1..3), audit())
            .prop_map(|(changes, audit)| Deed::Settings(changes, audit)),
        1 => audit().prop_map(Deed::Audit),
    ]
}

fn setting() -> impl Strategy<Value = (String, Option<String>)> {
    let keys = vec!["cluster/prod/profile", "cluster/test/profile", "ui/theme"];
    (select(keys), option::of("[a-c]")).prop_map(|(key, value)| (key.into(), value))
}

pub(crate) fn cluster() -> impl Strategy<Value = Name> {
    select(vec![name("prod"), name("test")])
}

/// Mostly within some hours, sometimes days or months apart, rarely years.
pub(crate) fn moment() -> impl Strategy<Value = Timestamp> {
    let origin = at("2026-03-02T22:30:00Z").nanos();
    let minute = 60_000_000_000_i64;
    let offset = prop_oneof![
        4 => 0..3 * 60 * minute,
        2 => -5 * 1440 * minute..5 * 1440 * minute,
        1 => -200 * 1440 * minute..200 * 1440 * minute,
        1 => (-300_i64..300).prop_map(move |minutes| minutes * minute),
    ];
    prop_oneof![
        20 => offset.prop_map(move |offset| Timestamp::from_nanos(origin + offset)),
        1 => select(vec![Timestamp::MIN, Timestamp::from_nanos(-1), Timestamp::from_nanos(i64::MAX - 1)]),
    ]
}

pub(crate) fn window() -> impl Strategy<Value = Span> {
    prop_oneof![
        1 => Just(Span::ALL),
        8 => (moment(), moment()).prop_map(|(a, b)| Span { from: a.min(b), until: a.max(b) }),
        1 => (moment(), moment()).prop_map(|(from, until)| Span { from, until }),
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    let node = name("node-1");
    select(vec![
        workload("shop/cart"),
        workload("shop/web"),
        workload("pay/api"),
        workload("dns/dns"),
        Peer::Workload(WorkloadRef {
            namespace: name("shop"),
            kind: WorkloadKind::Custom("Rollout".into()),
            name: name("cart"),
        }),
        Peer::Service(ServiceRef { namespace: name("shop"), name: name("cart") }),
        Peer::Node(node.clone()),
        Peer::Host(node),
        Peer::Alias("data centre, 2nd / floor".into()),
        Peer::Address("192.0.2.7".parse().unwrap(), AddressClass::External),
        Peer::Address("192.0.2.7".parse().unwrap(), AddressClass::Unknown),
        Peer::Address("2001:db8::7".parse().unwrap(), AddressClass::Internal),
    ])
}

fn key() -> impl Strategy<Value = EdgeKey> {
    let l4 = select(vec![
        L4::Port(Protocol::Tcp, Port::MIN),
        L4::Port(Protocol::Tcp, Port::MAX),
        L4::Port(Protocol::Udp, Port::MIN),
        L4::Port(Protocol::Sctp, Port::MIN),
        L4::Icmp,
        L4::IcmpV6,
    ]);
    let nature = select(vec![Nature::Ordinary, Nature::Ordinary, Nature::OwnNode]);
    let key = (peer(), peer(), l4, nature).prop_map(|(source, destination, l4, nature)| EdgeKey {
        source,
        destination,
        l4,
        nature,
    });
    prop_oneof![3 => Just(tcp(workload("shop/web"), workload("shop/cart"), 80)), 5 => key]
}

fn tally() -> impl Strategy<Value = Tally> {
    let number = prop_oneof![3 => Just(0), 2 => 0_u64..100, 1 => 0_u64..1 << 40];
    [number.clone(), number.clone(), number.clone(), number.clone(), number].prop_map(
        |[opened, refused, denied, sent, received]| Tally {
            opened,
            refused,
            denied,
            sent,
            received,
        },
    )
}

fn services() -> impl Strategy<Value = Vec<ServicePortRef>> {
    let sets = [&["shop/cart:80"][..], &["shop/cart:443", "shop/cart:80"], &["pay/api:80"], &[]];
    select(sets.map(|set| set.iter().map(|port| service(port)).collect()).to_vec())
}

pub(crate) fn counted() -> impl Strategy<Value = Counted> {
    let counts = (moment(), 0..90_000_000_000_i64, tally(), tally(), tally(), 0..1_u16 << 12);
    (cluster(), counts, key(), services()).prop_map(
        |(cluster, (at, length, alone, client, server, bits), key, services)| {
            let last = Timestamp::from_nanos(at.nanos().saturating_add(length).min(i64::MAX - 1));
            let observers = Observers::from_bits(bits).unwrap();
            let counts = Counts { alone, client, server, observers, ..Counts::seen(at, last) };
            Counted { cluster, at, key, counts, services }
        },
    )
}

fn ledger() -> impl Strategy<Value = Ledger> {
    let dropped = btree_map(select(DropReason::ALL.to_vec()), 0..100_u64, 0..3);
    (0..50_u64, select(vec![0, 0, 5, 1000_u64]), 0..50_u64, dropped).prop_map(
        |(received, stored, duplicate, dropped)| Ledger { received, stored, duplicate, dropped },
    )
}

fn advance() -> impl Strategy<Value = Advance> {
    let kinds = [SourceKind::Agent, SourceKind::Hubble, SourceKind::File];
    let source = (cluster(), select(kinds.to_vec()), select(vec!["a", "b"]))
        .prop_map(|(cluster, kind, name)| SourceKey { cluster, kind, name: name.into() });
    let incarnation = select(vec![1, 2, u64::MAX]);
    let sequence = prop_oneof![9 => 0..20_u64, 1 => Just(u64::MAX)];
    (source, incarnation, sequence, moment(), ledger()).prop_map(
        |(source, incarnation, sequence, at, ledger)| Advance {
            source,
            incarnation,
            sequence,
            at,
            ledger,
        },
    )
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    (vec(counted(), 0..12), vec(advance(), 0..3)).prop_map(|(edges, advances)| Arrivals {
        edges,
        advances,
        ..Arrivals::default()
    })
}

fn change() -> impl Strategy<Value = ObjectChange> {
    let key = (
        select(vec!["Pod", "Node"]),
        option::of(select(vec![name("shop"), name("pay")])),
        select(vec!["a", "b"]),
        select(vec!["", "1"]),
    );
    let json = option::weighted(0.7, select(vec!["{}", r#"{"a":1}"#, r#"{"a":2}"#]));
    (key, moment(), json).prop_map(|((kind, namespace, name, uid), at, json)| ObjectChange {
        key: ObjectKey { kind: kind.into(), namespace, name: name.into(), uid: uid.into() },
        at,
        json: json.map(Arc::from),
    })
}

fn review() -> impl Strategy<Value = NewReview> {
    (review_key(), 0..4_u64, moment(), "[a-z]{1,3}", "[a-z]{1,3}").prop_map(
        |(key, base, at, note, yaml)| NewReview { key, base, at, who: "ann".into(), note, yaml },
    )
}

pub(crate) fn review_key() -> impl Strategy<Value = ReviewKey> {
    (cluster(), option::of(select(vec![name("shop"), name("pay")])))
        .prop_map(|(cluster, namespace)| ReviewKey { cluster, namespace })
}

fn audit() -> impl Strategy<Value = AuditEntry> {
    let object = select(vec!["prod", "prod/shop", "test", "all", "production"]);
    (moment(), object, "[a-z]{1,3}").prop_map(|(at, object, detail)| AuditEntry {
        at,
        who: "bob".into(),
        action: "data.import".into(),
        object: object.into(),
        detail,
    })
}

pub(crate) fn query() -> impl Strategy<Value = EdgeQuery> {
    let namespace = option::of(select(vec![name("shop"), name("pay"), name("none")]));
    (cluster(), window(), namespace).prop_map(|(cluster, window, namespace)| EdgeQuery {
        cluster,
        window,
        namespace,
    })
}
