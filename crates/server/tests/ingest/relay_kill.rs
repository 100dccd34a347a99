//! The server is killed again and again while it follows a relay.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ringfence_proto::flow::TcpFlags;
use ringfence_store::Ledger;
use ringfence_testkit::Relay;

use crate::relay::{ACK, SYN, packet_at, plain, quick, received};
use crate::server::{now, open, show, start};

const DATABASE: &str = "RINGFENCE_TEST_DATABASE";
const RELAY: &str = "RINGFENCE_TEST_RELAY";
const KILLS: u32 = 15;

/// Not a test but the server of the test below, in a process of its own so that it can be killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server that the other test kills"]
async fn victim() {
    let (Ok(database), Ok(relay)) = (std::env::var(DATABASE), std::env::var(RELAY)) else { return };
    let server = start(open(Path::new(&database)), quick()).await;
    server.ingest.relays(&[plain(&relay)]);
    std::future::pending::<()>().await;
}

fn spawn(database: &Path, relay: &Relay) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "relay_kill::victim", "--ignored", "--nocapture"])
        .env(DATABASE, database)
        .env(RELAY, relay.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the nodes observe, at moments that grow.
struct Nodes<'a> {
    relay: &'a Relay,
    last: u64,
    requests: u64,
    replies: u64,
    connections: u32,
}

impl Nodes<'_> {
    fn say(&mut self, port: u32, reply: bool, flags: TcpFlags) {
        self.last = now().max(self.last + 1);
        self.relay.say(packet_at(self.last, port, reply, flags));
        *(if reply { &mut self.replies } else { &mut self.requests }) += 1;
    }

    /// A connection begins, and all there are go on.
    fn go_on(&mut self) {
        let port = 20_000 + self.connections;
        self.connections += 1;
        self.say(port, false, SYN);
        self.say(port, true, TcpFlags { ack: true, ..SYN });
        for port in 20_000..20_000 + self.connections {
            self.say(port, false, ACK);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_it_follows_a_relay_counts_everything_once() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("store.db");
    let relay = Relay::start().await.unwrap();
    let (last, requests, replies, connections) = Default::default();
    let mut nodes = Nodes { relay: &relay, last, requests, replies, connections };
    for kill in 0..KILLS {
        let mut child = spawn(&database, &relay);
        while relay.requests().len() <= kill as usize {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Over some steps, and killed at another place of one each time.
        for _ in 0..8 {
            nodes.go_on();
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        tokio::time::sleep(Duration::from_millis(u64::from(kill * 7 % 50))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody listens to this.
        nodes.go_on();
    }
    let server = start(open(&database), quick()).await;
    server.ingest.relays(&[plain(&relay.url())]);
    let Nodes { requests, replies, connections, .. } = nodes;
    let ledger = received(&server, &relay, requests + replies).await;
    let Ledger { received, stored, duplicate, dropped } = ledger;
    assert_eq!((received - duplicate, stored), (requests + replies, requests));
    assert_eq!(dropped.values().sum::<u64>(), replies, "{dropped:?}");
    let edge = format!("shop/Pod/web -> shop/Pod/api TCP/8080: {connections}/0/0 0+0");
    assert_eq!(show(&server.edges()), edge);
    server.stop().await;
}
