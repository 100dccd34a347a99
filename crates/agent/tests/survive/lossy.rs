//! Real packets over a network that drops every second one. Needs root; skipped for everybody else, but not on CI's
//! machines.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::double::{Agent, Double};

/// Set in the process that has a network of its own.
const LOSSY: &str = "RINGFENCE_TEST_LOSSY";

const REPORTS: u64 = 12;

/// Half of all packets between the two are dropped at random, in both directions. Retransmissions come sooner than by
/// default, so that the test ends.
const NETWORK: &str = "
    ip link set lo up
    sysctl -q net.ipv4.tcp_rto_max_ms=1000 || true
    ip route change local 127.0.0.1 dev lo table local rto_min 20ms
    nft add table inet lossy
    nft add chain inet lossy input '{ type filter hook input priority 0; }'
    nft add rule inet lossy input iif lo tcp dport 7000 numgen random mod 2 == 0 counter drop
    nft add rule inet lossy input iif lo tcp sport 7000 numgen random mod 2 == 0 counter drop
";

#[test]
fn the_stream_survives_the_loss_of_every_second_packet() {
    if std::env::var_os(LOSSY).is_some() {
        return deliver_over_it();
    }
    let may = Command::new("unshare").args(["--net", "sh", "-ec", NETWORK]).output();
    if !may.as_ref().is_ok_and(|tried| tried.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "no network of one's own: {may:?}");
        println!("skipped: no network of one's own can be made");
        return;
    }
    let done = Command::new("unshare")
        .args(["--net", "sh", "-ec", &format!("{NETWORK} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lossy::the_stream_survives_the_loss_of_every_second_packet",
            "--nocapture",
        ])
        .env(LOSSY, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{told}\n{}", String::from_utf8_lossy(&done.stderr));
    println!("{told}");
}

fn deliver_over_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let begun = Instant::now();
        let double = Double::default();
        let address = double.clone().listen(SocketAddr::from(([127, 0, 0, 1], 7000))).await;
        let agent = Agent::new(address);
        for report in 1..=REPORTS {
            agent.keep(report, begun);
        }
        agent.delivered(Duration::from_secs(50)).await;
        double.has_all(REPORTS);
        println!("{REPORTS} batches came through in {:?}", begun.elapsed());
    });
    let rules = Command::new("nft").args(["list", "table", "inet", "lossy"]).output().unwrap();
    let rules = String::from_utf8(rules.stdout).unwrap();
    let dropped = rules.split("counter packets ").skip(1);
    let dropped: Vec<u64> =
        dropped.map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect();
    println!("dropped packets: {dropped:?}");
    assert!(dropped.iter().all(|&dropped| dropped > 0), "{rules}");
}
