//! Moments and time windows, without a clock.

use std::fmt;
use std::str::FromStr;

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before everything.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds since the epoch, saturating.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds from `earlier` to `self`, negative when `earlier` is later.
    #[expect(clippy::cast_precision_loss, reason = "reported to people, never compared")]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }
}

/// Why a string is not a [`Timestamp`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time between 1678 and 2262, such as 2026-03-02T01:00:00Z")]
pub struct TimestampError(String);

/// RFC 3339.
impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(s: &str) -> Result<Self, TimestampError> {
        let error = || TimestampError(s.chars().take(100).collect());
        let parsed: jiff::Timestamp = s.parse().map_err(|_| error())?;
        i64::try_from(parsed.as_nanosecond()).map(Self).map_err(|_| error())
    }
}

/// RFC 3339 in UTC, to the second.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = jiff::Timestamp::from_nanosecond(i128::from(self.0)).and_then(|t| {
            jiff::Timestamp::from_second(t.as_second() - i64::from(t.subsec_nanosecond() < 0))
        });
        match seconds {
            Ok(seconds) => seconds.fmt(f),
            Err(_) => write!(f, "{} ns since 1970-01-01", self.0),
        }
    }
}

/// A half-open time window: `from` belongs to it, `until` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First moment inside.
    pub from: Timestamp,
    /// First moment after it.
    pub until: Timestamp,
}

impl Span {
    /// All time.
    pub const ALL: Self = Self { from: Timestamp::MIN, until: Timestamp::MAX };

    /// Whether the moment lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        let at: Timestamp = "2026-03-02T01:00:04.171879056+09:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-03-01T16:00:04Z");
        assert_eq!(Timestamp::from_nanos(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(Timestamp::MAX.to_string(), "2262-04-11T23:47:16Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!("2300-01-01T00:00:00Z".parse::<Timestamp>().is_err());
    }
}
