//! What time it is.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ringfence_model::Timestamp;

/// What the server takes the time from. It may jump in both directions; what must not is measured with
/// [`tokio::time::Instant`].
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that says what the function says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    /// The clock of the machine.
    fn default() -> Self {
        Self::new(now)
    }
}

/// What the clock of the machine says.
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
        Err(before) => Timestamp::from_nanos(
            i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        ),
    }
}
