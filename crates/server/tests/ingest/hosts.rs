//! Machines outside Kubernetes: what their agents say of them, and of their connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use ringfence_model::{Name, Span};
use ringfence_proto::agent::{Batch, Endpoint, Hello, Host, MachineKind};
use ringfence_server::ingest::Options;
use ringfence_server::shutdown::Shutdown;
use ringfence_server::{App, watch};
use ringfence_store::{DropReason, Ledger, ObjectVersion, Sqlite};
use tonic::Code;

use crate::agent::{Agent, Record, batch, body, hello};
use crate::server::{OBJECTS, Server, now, prod, publish, show, start};

fn host_hello(name: &str) -> Hello {
    Hello { machine: MachineKind::Host.into(), ..hello(name, 1) }
}

fn described(addresses: &[&[u8]]) -> Host {
    Host {
        addresses: addresses.iter().map(|address| address.to_vec()).collect(),
        tags: BTreeMap::from([("site".to_owned(), "east".to_owned())]),
        system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
    }
}

fn host_batch(sequence: u64, records: &[Record], host: Host) -> Batch {
    let mut body = body(now(), records, Vec::new());
    body.host = Some(host);
    let records = u32::try_from(records.len()).unwrap();
    Batch { sequence, records, body: body.encode_to_vec().into() }
}

fn call() -> Record {
    Record::client("198.51.100.5", "10.0.2.1", 8080, 3)
}

fn stored(server: &Server) -> Vec<ObjectVersion> {
    server.app.store.objects(&prod(), Span::ALL).unwrap()
}

async fn server() -> Server {
    start(Arc::new(Sqlite::in_memory().unwrap()), Options::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_a_peer_by_its_name() {
    let server = server().await;
    let mut agent = Agent::connect(server.address, host_hello("mail")).await.unwrap();
    let first = described(&[&[198, 51, 100, 5]]);
    agent.send(host_batch(1, &[call()], first.clone())).await.unwrap();
    // Said again, and without anything new.
    agent.send(host_batch(2, &[call()], first)).await.unwrap();
    agent.send(batch(3, now(), &[Record::server("172.17.0.2", "10.0.1.1", 25, 1)])).await.unwrap();
    agent.acknowledged(3).await.unwrap();
    assert_eq!(
        show(&server.edges()),
        "shop/Pod/web -> Host/mail TCP/25: 1/0/0 100+1000\n\
         Host/mail -> shop/Pod/api TCP/8080: 6/0/0 200+2000"
    );
    let [version] = &stored(&server)[..] else { panic!("{:?}", stored(&server)) };
    assert_eq!((&*version.key.kind, &*version.key.name), ("Host", "mail"));
    assert!(version.json.contains(r#""addresses":["198.51.100.5"]"#), "{}", version.json);
    assert!(version.json.contains(r#""site":"east""#), "{}", version.json);

    // Another address from now on; the one before is history.
    let moved = described(&[&[198, 51, 100, 6], &[198, 51, 100, 5]]);
    agent.send(host_batch(4, &[], moved)).await.unwrap();
    agent.acknowledged(4).await.unwrap();
    let versions = stored(&server);
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert!(versions[1].json.contains(r#""addresses":["198.51.100.5","198.51.100.6"]"#));
    assert_eq!(versions[0].valid.until, versions[1].valid.from);
}

/// Both sides report: each connection counts once, whoever names the host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_know_a_host_by_its_addresses() {
    let server = server().await;
    let host = r#"{"apiVersion":"ringfence.dev/v1alpha1","kind":"Host","metadata":{"name":"mail"},
        "spec":{"addresses":["198.51.100.5"]}}"#;
    publish(&server.app, &format!("{OBJECTS}\n---\n{host}"));
    let mut agent = Agent::connect(server.address, host_hello("mail")).await.unwrap();
    let mut node = Agent::connect(server.address, hello("n2", 1)).await.unwrap();
    agent.send(batch(1, now(), &[call()])).await.unwrap();
    let seen = Record::server("10.0.2.1", "198.51.100.5", 8080, 3);
    node.send(batch(1, now(), &[seen])).await.unwrap();
    agent.acknowledged(1).await.unwrap();
    node.acknowledged(1).await.unwrap();
    let expected = "Host/mail -> shop/Pod/api TCP/8080: 3/0/0 100+1000";
    assert_eq!(show(&server.edges()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_speaks_for_itself_alone() {
    let server = server().await;
    let refused = Agent::connect(server.address, host_hello("n1")).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let mut agent = Agent::connect(server.address, host_hello("mail")).await.unwrap();
    let claiming = |sequence, claim: &dyn Fn(&mut Endpoint), end: usize| {
        let mut body = body(now(), &[call()], Vec::new());
        body.strings = ["shop", "web", "other", "mail"].map(str::to_owned).to_vec();
        claim(&mut body.endpoints[end]);
        Batch { sequence, records: 1, body: body.encode_to_vec().into() }
    };
    let pod = |end: &mut Endpoint| (end.namespace, end.pod) = (1, 2);
    let other = |end: &mut Endpoint| end.node = 3;
    let own = |end: &mut Endpoint| end.node = 4;
    agent.send(claiming(1, &pod, 0)).await.unwrap();
    agent.send(claiming(2, &other, 0)).await.unwrap();
    agent.send(claiming(3, &pod, 1)).await.unwrap();
    agent.send(claiming(4, &other, 1)).await.unwrap();
    agent.send(claiming(5, &own, 0)).await.unwrap();
    agent.acknowledged(5).await.unwrap();
    let dropped = [(DropReason::ForeignNode, 4)].into();
    assert_eq!(server.ledger("mail"), Ledger { received: 5, stored: 1, duplicate: 0, dropped });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_that_cannot_be_is_not_taken() {
    let server = server().await;
    let mut agent = Agent::connect(server.address, host_hello("mail")).await.unwrap();
    let mut node = Agent::connect(server.address, hello("n1", 1)).await.unwrap();
    let good = || described(&[&[198, 51, 100, 5]]);
    let tagged = |key: &str, value: &str| {
        let tags = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Host { tags, ..good() }
    };
    let bad = [
        described(&[&[198, 51, 100]]),
        described(&[&[127, 0, 0, 1]]),
        described(&[&[169, 254, 1, 1]]),
        Host { addresses: vec![vec![198, 51, 100, 5]; 257], ..good() },
        Host { system: "a\nb".to_owned(), ..good() },
        tagged("site", &"x".repeat(257)),
        tagged("\u{1b}", "x"),
    ];
    let last = bad.len() as u64;
    for (bad, sequence) in bad.into_iter().zip(1..) {
        agent.send(host_batch(sequence, &[call()], bad)).await.unwrap();
    }
    agent.acknowledged(last).await.unwrap();
    let dropped = [(DropReason::Malformed, last)].into();
    assert_eq!(server.ledger("mail"), Ledger { received: last, stored: 0, duplicate: 0, dropped });
    // A node is described by its cluster.
    node.send(host_batch(1, &[call()], good())).await.unwrap();
    node.acknowledged(1).await.unwrap();
    assert_eq!(server.ledger("n1").dropped, [(DropReason::Malformed, 1)].into());
    assert!(stored(&server).is_empty());
}

/// A cluster of which nothing is known but the hosts that write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_described_host_shows_without_a_restart() {
    let store = Arc::new(Sqlite::in_memory().unwrap());
    let server = start(store.clone(), Options::default()).await;
    let (trigger, shutdown) = Shutdown::new();
    let watches = watch::start(Arc::clone(&server.app), &[], shutdown).await;
    let mut agent = Agent::connect(server.address, host_hello("mail")).await.unwrap();
    agent.send(host_batch(1, &[], described(&[&[198, 51, 100, 5]]))).await.unwrap();
    agent.acknowledged(1).await.unwrap();
    let mail: Name = "mail".parse().unwrap();
    let known = |app: &App| {
        let view = app.cluster(&prod()).unwrap().view();
        view.inventory.host(&mail).is_some()
    };
    let until_known = async {
        while !known(&server.app) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), until_known).await.unwrap();
    trigger.request();
    watches.ended().await;

    // And after one.
    let app = Arc::new(App::new(store));
    let (trigger, shutdown) = Shutdown::new();
    let watches = watch::start(Arc::clone(&app), &[], shutdown).await;
    assert!(known(&app));
    trigger.request();
    watches.ended().await;
}
