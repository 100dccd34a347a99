//! Moments as RFC 3339 writes them.

use ringfence_model::Timestamp;

/// A reader of moments, which remembers a minute, because one line tells of nearly the same moment as the last.
pub(crate) struct Moments {
    /// As text, with the colon behind it, and in seconds since the epoch.
    minute: ([u8; 17], i64),
}

impl Moments {
    pub(crate) fn new() -> Self {
        Self { minute: (*b"1970-01-01T00:00:", 0) }
    }

    /// Reads `2026-03-02T01:00:04.171879056Z`; with an offset too, more slowly. `None` when it is no such moment, or
    /// beyond what nanoseconds in 64 bits can say (the years 1678 to 2261).
    pub(crate) fn parse(&mut self, text: &[u8]) -> Option<Timestamp> {
        self.utc(text).or_else(|| {
            let moment: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
            i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_nanos)
        })
    }

    /// The one form that observers write, without the generality.
    fn utc(&mut self, text: &[u8]) -> Option<Timestamp> {
        let (text, [s1, s2, rest @ ..]) = text.split_first_chunk()? else { return None };
        if self.minute.0 != *text {
            self.minute = (*text, minute(*text)?);
        }
        let second = number(&[*s1, *s2])?;
        let nanos = match rest.strip_suffix(b"Z")? {
            [] => 0,
            [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
                (digits.len()..9).fold(number(digits)?, |n, _| 10 * n)
            }
            _ => return None,
        };
        if second > 59 {
            return None;
        }
        let seconds = self.minute.1 + second;
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(Timestamp::from_nanos)
    }
}

/// `2026-03-02T01:00:` in seconds since the epoch.
fn minute(text: [u8; 17]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':'] = text
    else {
        return None;
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute) = (number(&[h1, h2])?, number(&[n1, n2])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    // Days since the epoch of a proleptic Gregorian date, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day
            - 719_469;
    Some(days * 86_400 + hour * 3_600 + minute * 60)
}

fn number(digits: &[u8]) -> Option<i64> {
    let digit = |n: i64, b: &u8| b.is_ascii_digit().then(|| 10 * n + i64::from(b - b'0'));
    digits.iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_moment_reads_as_the_library_wrote_it(
            moments in prop::collection::vec((any::<i64>(), 0..200_000_000_000i64), 1..4)
        ) {
            let mut reader = Moments::new();
            // Each twice and with another close by, so that the minute is remembered or nearly so.
            for (nanos, apart) in moments {
                for nanos in [nanos, nanos, nanos.saturating_add(apart)] {
                    let text = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap().to_string();
                    let read = reader.utc(text.as_bytes());
                    prop_assert_eq!(read, Some(Timestamp::from_nanos(nanos)), "{}", text);
                }
            }
        }

        #[test]
        fn what_the_short_way_accepts_the_library_accepts(
            text in "(1[6-9]|2[0-3])[0-9]{2}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-5][0-9](\\.[0-9]{1,10})?Z?"
        ) {
            let library = text.parse::<jiff::Timestamp>().ok()
                .and_then(|t| i64::try_from(t.as_nanosecond()).ok())
                .map(Timestamp::from_nanos);
            if let Some(short) = Moments::new().utc(text.as_bytes()) {
                prop_assert_eq!(Some(short), library, "{}", text);
            }
            prop_assert_eq!(Moments::new().parse(text.as_bytes()), library, "{}", text);
        }
    }

    #[test]
    fn offsets_are_read_and_nonsense_is_not() {
        let zero = Timestamp::from_nanos(0);
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(zero)),
            ("1970-01-01T09:00:00+09:00", Some(zero)),
            ("1969-02-29T00:00:00Z", None),
            ("2026-03-02", None),
            ("", None),
        ] {
            assert_eq!(Moments::new().parse(text.as_bytes()), expected, "{text}");
        }
    }
}
