use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::double::{Agent, Double, WINDOW};

#[tokio::test]
async fn the_stream_survives_a_server_that_is_slow() {
    let double = Double::slow(Duration::from_millis(50));
    let address = double.clone().listen(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let agent = Agent::new(address);
    for report in 1..=60 {
        agent.keep(report, Instant::now());
    }
    agent.delivered(Duration::from_secs(20)).await;
    double.has_all(60);
    // What is not on its way waits on disk, so that memory holds the window at most.
    assert_eq!(double.most_ahead(), WINDOW);
}
