//! How long a bucket is.

use ringfence_model::{Span, Timestamp};

/// How long a bucket is. Buckets begin at whole minutes, hours and days of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Granularity {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

const NANOS_PER_MINUTE: i64 = 60_000_000_000;

impl Granularity {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How many minutes a bucket is long.
    pub const fn minutes(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
            Self::Day => 24 * 60,
        }
    }

    /// How exactly a window is cut: to the minute up to 12 hours, to the hour up to 62 days, beyond that to the day.
    pub const fn of_window(window: Span) -> Self {
        let minutes = window.until.nanos().saturating_sub(window.from.nanos()) / NANOS_PER_MINUTE;
        if minutes <= 12 * Self::Hour.minutes() {
            Self::Minute
        } else if minutes <= 62 * Self::Day.minutes() {
            Self::Hour
        } else {
            Self::Day
        }
    }

    /// When a bucket begins.
    pub(crate) const fn start(self, bucket: i64) -> Timestamp {
        Timestamp::from_nanos(
            bucket.saturating_mul(self.minutes()).saturating_mul(NANOS_PER_MINUTE),
        )
    }
}

/// The minute that a moment lies in, counted from 1970.
pub(crate) const fn minute(at: Timestamp) -> i64 {
    at.nanos().div_euclid(NANOS_PER_MINUTE)
}
