//! How often one client may ask: a token bucket for each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;

use crate::auth::Remote;
use crate::problem::Problem;

/// How many clients are told apart. When there are more, the rest shares one bucket.
const MOST: usize = 10_000;

/// A token bucket for each client.
pub(super) struct Rate {
    /// Requests a second.
    second: f64,
    /// Requests at once.
    burst: f64,
    buckets: Mutex<HashMap<Option<IpAddr>, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rate {
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        Self { second: rate.into(), burst: burst.into(), buckets: Mutex::default() }
    }

    /// Takes a token, or says how long to wait for one.
    fn take(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(network(client));
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            // A bucket that is full again says nothing any longer.
            buckets.retain(|_, bucket| self.tokens(bucket, now) < self.burst);
            if buckets.len() >= MOST {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, filled: now });
        bucket.tokens = self.tokens(bucket, now);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    fn tokens(&self, bucket: &Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        (bucket.tokens + since * self.second).min(self.burst)
    }
}

/// One client has a whole /64 of IPv6 (RFC 4291): it is one client.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(client) => IpAddr::V4(client),
        IpAddr::V6(client) => {
            let [a, b, c, d, ..] = client.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Refuses requests of a client that asks too often.
pub(super) async fn limit(State(rate): State<Arc<Rate>>, request: Request, next: Next) -> Response {
    if let Some(Remote(client)) = request.extensions().get::<Remote>()
        && let Err(wait) = rate.take(*client, Instant::now())
    {
        return Problem::too_many(wait).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{MOST, Rate};

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn a_burst_then_the_rate() {
        let (rate, now) = (Rate::new(2, 3), Instant::now());
        let took = |client, after| rate.take(client, now + Duration::from_millis(after));
        for _ in 0..3 {
            assert_eq!(took(ONE, 0), Ok(()));
        }
        assert_eq!(took(ONE, 0), Err(Duration::from_millis(500)));
        assert_eq!(took(OTHER, 0), Ok(()));
        assert_eq!(took(ONE, 500), Ok(()));
        assert!(took(ONE, 600).is_err());
        assert_eq!(took(ONE, 60_000), Ok(()));
        assert_eq!(took(ONE, 60_000), Ok(()));
        assert_eq!(took(ONE, 60_000), Ok(()));
        assert!(took(ONE, 60_000).is_err(), "never more than the burst");
    }

    #[test]
    fn a_network_is_one_client() {
        let (rate, now) = (Rate::new(1, 1), Instant::now());
        let take = |ip: &str| rate.take(ip.parse().expect("an address"), now).is_ok();
        assert!(take("2001:db8::1"));
        assert!(!take("2001:db8::2"));
        assert!(take("2001:db8:0:1::2"));
        assert!(take("192.0.2.1"));
        assert!(!take("::ffff:192.0.2.1"));
    }

    #[test]
    fn memory_is_bounded() {
        let (rate, now) = (Rate::new(1, 2), Instant::now());
        for i in 0..2 * u32::try_from(MOST).expect("small") {
            let _ = rate.take(IpAddr::V4(Ipv4Addr::from_bits(i)), now);
        }
        assert!(rate.buckets.lock().expect("no panic").len() <= MOST + 1);
        assert!(rate.take(ONE, now).is_err(), "the rest shares a bucket, which is empty");
        assert!(rate.take(ONE, now + Duration::from_secs(9)).is_ok());
    }
}
