//! How long what is kept.

use std::time::Duration;

use ringfence_model::Timestamp;

/// How long what is kept. Reviews, settings, sources and the audit trail are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long edges are kept by the minute.
    pub minutes_for: Duration,
    /// How long edges are kept by the hour, after which they are kept by the day.
    pub hours_for: Duration,
    /// How long edges, and objects that are gone or have changed, are kept at all.
    pub age: Duration,
    /// How many bytes the file should have at most. Minutes go first, then hours, then days, the oldest of each first.
    pub size: Option<u64>,
}

impl Default for Retention {
    /// A week by the minute, two months by the hour and a year and a month in all, whatever the size.
    fn default() -> Self {
        let days = |days: u64| Duration::from_hours(24 * days);
        Self { minutes_for: days(7), hours_for: days(62), age: days(396), size: None }
    }
}

impl Retention {
    /// Before this moment nothing is kept.
    pub fn oldest(&self, now: Timestamp) -> Timestamp {
        before(now, self.age)
    }
}

/// A moment so long before another.
pub(crate) fn before(at: Timestamp, time: Duration) -> Timestamp {
    let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(at.nanos().saturating_sub(nanos))
}

/// What a call of [`Sqlite::maintain`](crate::Sqlite::maintain) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// How many rows it removed.
    pub removed: u64,
    /// How many bytes the file has, its log apart.
    pub size: u64,
    /// Whether nothing is left to do for now.
    pub is_done: bool,
}
