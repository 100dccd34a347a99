use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::double::{Agent, Double};

/// Ten minutes of reports, a report every ten seconds, by a clock that the test sets.
#[tokio::test]
async fn the_stream_survives_a_server_that_is_away_for_ten_minutes() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let agent = Agent::new(nobody);
    let (begun, every) = (Instant::now(), Duration::from_secs(10));
    for report in 1..=60 {
        agent.keep(report, begun + every * u32::try_from(report).unwrap());
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let double = Double::default();
    double.clone().listen(SocketAddr::from(([127, 0, 0, 1], nobody.port()))).await;
    agent.delivered(Duration::from_secs(20)).await;
    double.has_all(60);
}
