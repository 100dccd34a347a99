//! Figures beside their aims.

use std::fmt;
use std::time::Duration;

/// Something measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A time.
    Time(Duration),
    /// So many a second.
    Rate(f64),
    /// Bytes.
    Memory(u64),
    /// A number of things.
    Count(u64),
    /// A part of something else.
    Ratio(f64),
}

use Quantity::{Count, Memory, Rate, Ratio, Time};

/// What a figure is meant to be, in the unit of the figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// Nothing in particular.
    None,
    /// This much, or less.
    AtMost(Quantity),
    /// This much, or more.
    AtLeast(Quantity),
}

impl Quantity {
    #[expect(clippy::cast_precision_loss, reason = "figures are for people")]
    fn amount(self) -> f64 {
        match self {
            Time(time) => time.as_secs_f64(),
            Rate(amount) | Ratio(amount) => amount,
            Memory(amount) | Count(amount) => amount as f64,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Time(time) if time < Duration::from_millis(1) => {
                format!("{:.1} us", time.as_secs_f64() * 1e6)
            }
            Time(time) if time < Duration::from_secs(1) => {
                format!("{:.1} ms", time.as_secs_f64() * 1e3)
            }
            Time(time) => format!("{:.2} s", time.as_secs_f64()),
            Rate(rate) => format!("{rate:.0}/s"),
            Memory(bytes) => format!("{} MB", bytes / 1_000_000),
            Count(count) => count.to_string(),
            Ratio(ratio) => format!("{ratio:.3}"),
        };
        f.pad(&text)
    }
}

impl Aim {
    fn is_met(self, figure: Quantity) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(most) => Some(figure.amount() <= most.amount()),
            Self::AtLeast(least) => Some(figure.amount() >= least.amount()),
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("-"),
            Self::AtMost(quantity) => f.pad(&format!("<= {quantity}")),
            Self::AtLeast(quantity) => f.pad(&format!(">= {quantity}")),
        }
    }
}

/// Prints the head of a table of figures.
pub fn heading(title: &str) {
    println!("\n{title:<62} {:>12} {:>14}", "figure", "aim");
}

/// Prints a figure.
pub fn figure(what: &str, figure: Quantity, aim: Aim) {
    let verdict = match aim.is_met(figure) {
        None => "",
        Some(true) => "  met",
        Some(false) => "  MISSED",
    };
    println!("{what:<62} {figure:>12} {aim:>14}{verdict}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_have_a_direction() {
        let tenth = Time(Duration::from_millis(100));
        assert_eq!(Aim::AtMost(tenth).is_met(Time(Duration::from_millis(100))), Some(true));
        assert_eq!(Aim::AtMost(tenth).is_met(Time(Duration::from_millis(101))), Some(false));
        assert_eq!(Aim::AtLeast(Rate(500.0)).is_met(Rate(499.0)), Some(false));
        assert_eq!(Aim::AtLeast(Rate(500.0)).is_met(Rate(500.0)), Some(true));
        assert_eq!(Aim::None.is_met(Count(1)), None);
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!(Time(Duration::from_micros(820)).to_string(), "820.0 us");
        assert_eq!(Time(Duration::from_micros(23_040)).to_string(), "23.0 ms");
        assert_eq!(Time(Duration::from_millis(3_420)).to_string(), "3.42 s");
        assert_eq!(Memory(144_000_000).to_string(), "144 MB");
        assert_eq!(Aim::AtLeast(Ratio(0.92)).to_string(), ">= 0.920");
    }
}
