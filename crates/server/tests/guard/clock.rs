//! The machine's clock jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ringfence_model::{
    AddressClass, Counts, EdgeKey, L4, Nature, Peer, Protocol, Span, Tally, Timestamp,
};
use ringfence_server::auth::Secret;
use ringfence_server::clock::{self, Clock};
use ringfence_server::serve::Machine;
use ringfence_store::{Arrivals, Counted, EdgeQuery};

use crate::client::{ask, get};
use crate::running::{Running, start_on};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The machine's clock, set forwards or backwards.
#[derive(Clone, Default)]
struct Jump(Arc<AtomicI64>);

impl Jump {
    /// So many seconds from the true time.
    fn to(&self, seconds: i64) {
        self.0.store(seconds * 1_000_000_000, Ordering::Relaxed);
    }

    fn machine(&self) -> Machine {
        let jump = Arc::clone(&self.0);
        let now =
            move || Timestamp::from_nanos(clock::now().nanos() + jump.load(Ordering::Relaxed));
        Machine { clock: Clock::new(now), ..Machine::default() }
    }
}

/// What ends at a moment ends by the clock; what lasts so long lasts so long.
#[tokio::test]
async fn logins_last_as_long_as_they_should() {
    let directory = tempfile::tempdir().unwrap();
    let (token, short) = (Secret::token().unwrap(), Secret::token().unwrap());
    let soon = Timestamp::from_nanos(clock::now().nanos() + 12 * HOUR * 1_000_000_000);
    let entries = format!(
        "tokens:\n- {{name: ci, role: viewer, hash: '{}'}}\n- {{name: guest, role: viewer, hash: '{}', expires: '{soon}'}}",
        token.digest(),
        short.digest()
    );
    std::fs::write(directory.path().join("tokens.yaml"), entries).unwrap();
    let jump = Jump::default();
    let text = "authentication: {tokens: tokens.yaml}\nlimits: {requestsPerSecond: 1, burst: 40}";
    let Running { server, directory: _directory } = start_on(directory, text, jump.machine()).await;
    let url = server.url();
    let login = format!(r#"{{"token":"{}"}}"#, token.reveal());
    let json = [("content-type", "application/json")];
    let cookie = ask("POST", &format!("{url}api/v1/login"), &json, login).await.cookies();
    let bearer = format!("Bearer {}", short.reveal());
    let status = async |header: (&str, &str)| {
        get(&format!("{url}api/v1/me"), &[header]).await.status.as_u16()
    };
    for (seconds, guest) in [(0, 200), (DAY, 401), (-HOUR, 200), (400 * DAY, 401), (0, 200)] {
        jump.to(seconds);
        assert_eq!(status(("cookie", &cookie)).await, 200, "the session at {seconds} s");
        assert_eq!(status(("authorization", &bearer)).await, guest, "the token at {seconds} s");
    }
    // The rate is not measured by the clock either.
    for seconds in [DAY, -HOUR] {
        while status(("cookie", &cookie)).await != 429 {}
        jump.to(seconds);
        assert_eq!(status(("cookie", &cookie)).await, 429, "at {seconds} s");
    }
    server.stop().await;
}

/// A clock that is ahead counts for a week after the newest observation: by it nothing goes that was kept a week
/// shorter than it should be.
#[tokio::test]
async fn retention_keeps_what_there_is() {
    let jump = Jump::default();
    let text = "retention: {minuteDays: 30, hourDays: 30, days: 30}";
    let mut directory = tempfile::tempdir().unwrap();
    let now = clock::now();
    let at = |days: i64| Timestamp::from_nanos(now.nanos() - days * DAY * 1_000_000_000);
    let address = |ip: &str| Peer::Address(ip.parse().unwrap(), AddressClass::External);
    let cluster: ringfence_model::Name = "prod".parse().unwrap();
    let edge = |days: i64| Counted {
        cluster: cluster.clone(),
        at: at(days),
        key: EdgeKey {
            source: address("192.0.2.1"),
            destination: address("192.0.2.2"),
            l4: L4::Port(Protocol::Tcp, 443.try_into().unwrap()),
            nature: Nature::Ordinary,
        },
        counts: Counts {
            alone: Tally { opened: 1, ..Tally::default() },
            ..Counts::seen(at(days), at(days))
        },
        services: Vec::new(),
    };
    for (seconds, kept) in [(0, 4), (DAY, 4), (3_650 * DAY, 3), (-HOUR, 3), (0, 3)] {
        jump.to(seconds);
        let running = start_on(directory, text, jump.machine()).await;
        let store = Arc::clone(&running.server.app().store);
        if seconds == 0 && kept == 4 {
            let edges = [0, 10, 20, 26].map(edge).into();
            store.record(&Arrivals { edges, ..Arrivals::default() }).unwrap();
        }
        // The store is tidied when the server starts.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let query = EdgeQuery { cluster: cluster.clone(), window: Span::ALL, namespace: None };
        let edges = store.edges(&query).unwrap();
        let forwarded: u64 = edges.iter().map(|edge| edge.counts.evidence().forwarded).sum();
        assert_eq!(forwarded, kept, "at {seconds} s");
        drop(store);
        running.server.stop().await;
        directory = running.directory;
    }
}
