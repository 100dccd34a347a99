//! A relay that speaks TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringfence_server::config;
use ringfence_server::ingest::RelayState;
use ringfence_store::Sqlite;
use ringfence_testkit::authority::LATE;
use ringfence_testkit::{Authority, Relay};

use crate::relay::{SYN, key, packet_at, plain, quick, received};
use crate::server::{now, start};

/// What is written where the configuration says.
struct Files<'a>(&'a Path);

impl Files<'_> {
    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn pair(&self, name: &str, (certificate, key): &(String, String)) -> (PathBuf, PathBuf) {
        (self.put(&format!("{name}.crt"), certificate), self.put(&format!("{name}.key"), key))
    }
}

/// How a relay is, once that was tried.
async fn outcome(relay: &Relay, settings: config::Relay) -> RelayState {
    let server = start(Arc::new(Sqlite::in_memory().unwrap()), quick()).await;
    server.ingest.relays(&[settings]);
    let state = loop {
        if let Some(state) = server.app.relays.get(&key(relay)) {
            break state;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    if state == RelayState::Connected {
        assert_eq!(server.app.relays.away(), 0);
        relay.say(packet_at(now(), 40_000, false, SYN));
        assert_eq!(received(&server, relay, 1).await.stored, 1);
    } else {
        assert_eq!(server.app.relays.away(), 1);
    }
    server.stop().await;
    state
}

fn fault(state: RelayState) -> String {
    match state {
        RelayState::Connected => "connected".to_owned(),
        RelayState::Away { fault, .. } => fault,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_is_known_by_its_certificate_and_knows_the_server_by_its() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files(directory.path());
    let (own, servers) = (Authority::new("own").unwrap(), Authority::new("servers").unwrap());
    let foreign = Authority::new("foreign").unwrap();
    let relay = Relay::start_tls(&own.loopback(LATE).unwrap(), &servers.pem).await.unwrap();
    let good = config::Relay {
        ca: Some(files.put("ca.crt", &own.pem)),
        identity: Some(files.pair("server", &servers.host("ringfence", LATE).unwrap())),
        ..plain(&relay.url())
    };
    assert_eq!(outcome(&relay, good.clone()).await, RelayState::Connected);

    let not_trusted = "its certificate is signed by an authority that is not trusted here";
    let ca = Some(files.put("foreign.crt", &foreign.pem));
    let found = fault(outcome(&relay, config::Relay { ca, ..good.clone() }).await);
    assert_eq!(found, not_trusted, "signed by somebody else");
    let found = fault(outcome(&relay, config::Relay { ca: None, ..good.clone() }).await);
    assert_eq!(found, not_trusted, "the system does not know it either");
    let ca = Some(files.0.join("none.crt"));
    let found = fault(outcome(&relay, config::Relay { ca, ..good.clone() }).await);
    assert!(found.contains("none.crt cannot be read"), "{found}");

    let nobody = config::Relay { identity: None, ..good.clone() };
    let found = fault(outcome(&relay, nobody).await);
    assert!(found.to_lowercase().contains("certificate"), "{found}");
    let stranger = files.pair("stranger", &foreign.host("ringfence", LATE).unwrap());
    let stranger = config::Relay { identity: Some(stranger), ..good };
    assert_ne!(fault(outcome(&relay, stranger).await), "connected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relays_certificate_that_has_expired_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files(directory.path());
    let own = Authority::new("own").unwrap();
    let relay = Relay::start_tls(&own.loopback(2021).unwrap(), &own.pem).await.unwrap();
    let settings = config::Relay { ca: Some(files.put("ca.crt", &own.pem)), ..plain(&relay.url()) };
    assert_eq!(fault(outcome(&relay, settings).await), "its certificate has expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relays_certificate_may_be_for_another_name_when_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files(directory.path());
    let own = Authority::new("own").unwrap();
    let pair = own.host("relay.example.org", LATE).unwrap();
    let relay = Relay::start_tls(&pair, &own.pem).await.unwrap();
    let unnamed = config::Relay {
        ca: Some(files.put("ca.crt", &own.pem)),
        identity: Some(files.pair("server", &own.host("ringfence", LATE).unwrap())),
        ..plain(&relay.url())
    };
    let found = fault(outcome(&relay, unnamed.clone()).await);
    assert_eq!(found, "its certificate is not for the name 127.0.0.1");
    let server_name = Some("relay.example.org".to_owned());
    let named = config::Relay { server_name, ..unnamed };
    assert_eq!(outcome(&relay, named).await, RelayState::Connected);
}
