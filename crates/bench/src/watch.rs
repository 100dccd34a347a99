//! Stop-watches.

use std::time::{Duration, Instant};

use nix::time::ClockId;

/// A time, and what of it the processor worked: the rest was waiting for the disk, or for others on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// As a clock on the wall has it.
    pub time: Duration,
    /// As the processor counts for this thread.
    pub processor: Duration,
}

/// Measures a piece of work of one thread.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    begin: Instant,
    processor: Duration,
}

impl Watch {
    /// Starts.
    pub fn start() -> Self {
        Self { begin: Instant::now(), processor: thread_time() }
    }

    /// What it took until now.
    pub fn stop(&self) -> Took {
        Took { time: self.begin.elapsed(), processor: thread_time().saturating_sub(self.processor) }
    }
}

/// Zero on systems without such a clock.
fn thread_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}

/// So many hundredths of the times are not longer; of time and work apart. Zero of no times.
pub fn percentile(times: &[Took], hundredths: usize) -> Took {
    let of = |part: fn(&Took) -> Duration| {
        let mut times: Vec<Duration> = times.iter().map(part).collect();
        times.sort_unstable();
        let place = (times.len() * hundredths / 100).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default()
    };
    Took { time: of(|took| took.time), processor: of(|took| took.processor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times: Vec<Took> = (1..=100)
            .rev()
            .map(|n| Took { time: Duration::from_millis(n), processor: Duration::from_millis(2) })
            .collect();
        assert_eq!(percentile(&times, 50).time, Duration::from_millis(51));
        assert_eq!(percentile(&times, 99).time, Duration::from_millis(100));
        assert_eq!(percentile(&times, 100).time, Duration::from_millis(100));
        assert_eq!(percentile(&times, 50).processor, Duration::from_millis(2));
        assert_eq!(percentile(&[], 50), Took::default());
    }
}
