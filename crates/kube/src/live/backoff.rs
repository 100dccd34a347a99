//! How long to wait before trying again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Delays that double up to a limit, each cut by chance to no less than its half, so that those who lost the same
/// server do not return all at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    chance: RandomState,
    taken: u64,
}

impl Backoff {
    /// Begins with `first` and does not exceed `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, chance: RandomState::new(), taken: 0 }
    }

    /// The next delay.
    pub fn delay(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = whole.saturating_mul(2);
        self.jitter(whole)
    }

    /// Half to all of a delay.
    pub(super) fn jitter(&mut self, whole: Duration) -> Duration {
        self.taken += 1;
        let chance = u32::try_from(self.chance.hash_one(self.taken) % 1024).unwrap_or_default();
        whole / 2 + whole / 2 * chance / 1024
    }

    /// Begins anew, after something worked.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_begin_anew() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, longest);
        for _ in 0..2 {
            let mut whole = first;
            for _ in 0..20 {
                let delay = backoff.delay();
                assert!(whole / 2 <= delay && delay <= whole, "{delay:?} of {whole:?}");
                whole = (whole * 2).min(longest);
            }
            backoff.reset();
        }
    }

    #[test]
    fn two_do_not_return_together() {
        let mut one = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let mut other = one.clone();
        other.chance = RandomState::new();
        let delays = |b: &mut Backoff| (0..20).map(|_| b.delay()).collect::<Vec<_>>();
        assert_ne!(delays(&mut one), delays(&mut other));
    }
}
