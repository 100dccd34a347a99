//! Which buckets answer for a window.

use std::ops::Range;

use ringfence_model::Span;

use crate::granularity::{Granularity, minute};

/// From which minute, counted from 1970, the edges of a cluster are kept by the minute, by the hour and at all.
/// The first is a multiple of an hour, the others of a day, so that every coarser bucket is kept either in all its
/// finer ones or in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) minutes: i64,
    pub(super) hours: i64,
    pub(super) days: i64,
}

impl Kept {
    /// Everything: a day before any moment that can be told.
    pub(super) const ALL: Self = Self { minutes: EVER, hours: EVER, days: EVER };

    pub(super) const fn from(self, granularity: Granularity) -> i64 {
        match granularity {
            Granularity::Minute => self.minutes,
            Granularity::Hour => self.hours,
            Granularity::Day => self.days,
        }
    }
}

const EVER: i64 = -200_000 * Granularity::Day.minutes();

/// Buckets of one length, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) granularity: Granularity,
    pub(super) buckets: Range<i64>,
}

/// The fewest buckets that cover a window. Its ends are cut outwards, to [`Granularity::of_window`] or to what is
/// still kept.
pub(super) fn cover(window: Span, kept: Kept) -> Vec<Run> {
    if window.from >= window.until {
        return Vec::new();
    }
    let (mut from, mut until) = (minute(window.from), minute(window.until));
    // The window ends before this moment: the minute counts only when some of it lies inside.
    if Granularity::Minute.start(until) < window.until {
        until += 1;
    }
    (from, until) = outwards(from, until, Granularity::of_window(window));
    if from < kept.minutes {
        from = outwards(from, from, Granularity::Hour).0;
    }
    if until < kept.minutes {
        until = outwards(until, until, Granularity::Hour).1;
    }
    if from < kept.hours {
        from = outwards(from, from, Granularity::Day).0;
    }
    if until < kept.hours {
        until = outwards(until, until, Granularity::Day).1;
    }
    let mut runs = Vec::new();
    split(from.max(kept.days), until, Granularity::Day, &mut runs);
    runs
}

fn outwards(from: i64, until: i64, granularity: Granularity) -> (i64, i64) {
    let length = granularity.minutes();
    (from.div_euclid(length) * length, -(-until).div_euclid(length) * length)
}

/// Whole buckets inside, and finer ones for what is left at both ends.
fn split(from: i64, until: i64, granularity: Granularity, runs: &mut Vec<Run>) {
    if from >= until {
        return;
    }
    let length = granularity.minutes();
    let buckets = -(-from).div_euclid(length)..until.div_euclid(length);
    let finer = match granularity {
        Granularity::Day => Granularity::Hour,
        Granularity::Hour | Granularity::Minute => Granularity::Minute,
    };
    if buckets.is_empty() {
        split(from, until, finer, runs);
        return;
    }
    let (inner_from, inner_until) = (buckets.start * length, buckets.end * length);
    split(from, inner_from, finer, runs);
    runs.push(Run { granularity, buckets });
    split(inner_until, until, finer, runs);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ringfence_model::Timestamp;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn shown(window: Span, kept: Kept) -> String {
        let run = |Run { granularity, buckets }: Run| {
            let (first, end) = (granularity.start(buckets.start), granularity.start(buckets.end));
            format!("{granularity:?} {first} {end}")
        };
        cover(window, kept).into_iter().map(run).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn long_windows_take_few_buckets() {
        let window = Span { from: at("2026-03-02T10:58:30Z"), until: at("2026-03-02T13:01:00Z") };
        assert_eq!(
            shown(window, Kept::ALL),
            "Minute 2026-03-02T10:58:00Z 2026-03-02T11:00:00Z\n\
             Hour 2026-03-02T11:00:00Z 2026-03-02T13:00:00Z\n\
             Minute 2026-03-02T13:00:00Z 2026-03-02T13:01:00Z"
        );
        let week = Span { from: at("2026-03-02T10:58:30Z"), until: at("2026-03-09T10:58:30Z") };
        assert_eq!(
            shown(week, Kept::ALL),
            "Hour 2026-03-02T10:00:00Z 2026-03-03T00:00:00Z\n\
             Day 2026-03-03T00:00:00Z 2026-03-09T00:00:00Z\n\
             Hour 2026-03-09T00:00:00Z 2026-03-09T11:00:00Z"
        );
    }

    #[test]
    fn what_is_no_longer_kept_by_the_minute_is_taken_by_the_hour() {
        let window = Span { from: at("2026-03-02T10:58:30Z"), until: at("2026-03-02T12:01:00Z") };
        let kept = Kept { minutes: minute(at("2026-03-02T12:00:00Z")), ..Kept::ALL };
        assert_eq!(
            shown(window, kept),
            "Hour 2026-03-02T10:00:00Z 2026-03-02T12:00:00Z\n\
             Minute 2026-03-02T12:00:00Z 2026-03-02T12:01:00Z"
        );
        let day = minute(at("2026-03-03T00:00:00Z"));
        assert_eq!(
            shown(window, Kept { minutes: day, hours: day, ..kept }),
            "Day 2026-03-02T00:00:00Z 2026-03-03T00:00:00Z"
        );
        assert_eq!(shown(window, Kept { minutes: day, hours: day, days: day }), "");
    }

    #[test]
    fn all_time_and_no_time_are_windows_too() {
        let all = cover(Span::ALL, Kept::ALL);
        assert!(matches!(&all[..], [Run { granularity: Granularity::Day, buckets }]
            if Granularity::Day.start(buckets.start) == Timestamp::MIN
                && buckets.end * 1440 > minute(Timestamp::MAX)));
        let moment = Timestamp::from_secs(60);
        assert_eq!(cover(Span { from: moment, until: moment }, Kept::ALL), []);
        let one = Span { from: moment, until: Timestamp::from_nanos(moment.nanos() + 1) };
        assert_eq!(
            cover(one, Kept::ALL),
            [Run { granularity: Granularity::Minute, buckets: 1..2 }]
        );
    }

    proptest! {
        /// Every minute of the window lies in exactly one bucket, and only kept buckets are used.
        #[test]
        fn each_minute_is_covered_once(
            from in 0_i64..6 * 1440,
            length in 1_i64..4 * 1440,
            hours in 0_i64..4 * 24,
            days in 0_i64..4,
            gone in 0_i64..4,
        ) {
            let kept = Kept {
                minutes: hours.max(days * 24) * 60,
                hours: days * 1440,
                days: gone.min(days) * 1440,
            };
            let window = Span {
                from: Timestamp::from_secs(from * 60),
                until: Timestamp::from_secs((from + length) * 60),
            };
            let mut covered = std::collections::BTreeSet::new();
            for Run { granularity, buckets } in cover(window, kept) {
                let length = granularity.minutes();
                prop_assert!(buckets.start * length >= kept.from(granularity));
                for minute in buckets.start * length..buckets.end * length {
                    prop_assert!(covered.insert(minute), "{minute} twice");
                }
            }
            for minute in from.max(kept.days)..from + length {
                prop_assert!(covered.contains(&minute), "{minute} of {kept:?}");
            }
        }
    }
}
