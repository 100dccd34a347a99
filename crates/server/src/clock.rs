//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use ringfence_model::Timestamp;

/// What the clock of the machine says.
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
        Err(before) => Timestamp::from_nanos(
            i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        ),
    }
}
