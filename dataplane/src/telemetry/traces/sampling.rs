//! Which requests are traced, which may change while the process runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Random trace ids by their last 56 bits: those are random in any version of the standard.
const IDS: u64 = 1 << 56;

/// Which requests are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Whether requests are traced; if not, not even those whose callers ask for it.
    pub on: bool,
    /// One in so many of the requests whose caller made no decision; none of them if 0.
    pub one_in: u64,
}

/// The same, to be asked for each request.
pub(super) struct Sampling {
    start: Sampled,
    /// Exact, where `start` is rounded.
    start_below: u64,
    on: AtomicBool,
    one_in: AtomicU64,
    /// Ids below this are traced.
    below: AtomicU64,
}

impl Sampling {
    pub(super) fn of_percent(percent: u32) -> Self {
        let percent = u64::from(percent.min(100));
        let below = if percent == 100 {
            IDS
        } else {
            IDS / 100 * percent
        };
        // To the nearest.
        let one_in = (100 + percent / 2).checked_div(percent).unwrap_or(0);
        Self {
            start: Sampled { on: true, one_in },
            start_below: below,
            on: AtomicBool::new(true),
            one_in: AtomicU64::new(one_in),
            below: AtomicU64::new(below),
        }
    }

    pub(super) fn start(&self) -> Sampled {
        self.start
    }

    pub(super) fn now(&self) -> Sampled {
        Sampled {
            on: self.is_on(),
            one_in: self.one_in.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set(&self, sampled: Sampled) {
        let below = if sampled == self.start {
            self.start_below
        } else {
            IDS.checked_div(sampled.one_in).unwrap_or(0)
        };
        self.below.store(below, Ordering::Relaxed);
        self.one_in.store(sampled.one_in, Ordering::Relaxed);
        self.on.store(sampled.on, Ordering::Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(super) fn takes(&self, trace_id: u128) -> bool {
        let low = u64::try_from(trace_id & u128::from(IDS - 1)).unwrap_or_default();
        low < self.below.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u128 = (1 << 56) - 1;

    #[test]
    fn percents_are_exact_and_shown_as_one_in_so_many() {
        for (percent, one_in) in [(100, 1), (50, 2), (10, 10), (1, 100), (30, 3), (0, 0)] {
            let sampling = Sampling::of_percent(percent);
            assert_eq!(sampling.now(), Sampled { on: true, one_in }, "{percent}");
        }
        let all = Sampling::of_percent(100);
        assert!(all.takes(0) && all.takes(LAST) && all.takes(u128::MAX));
        let none = Sampling::of_percent(0);
        assert!(!none.takes(0));
        let third = Sampling::of_percent(30);
        assert!(third.takes(LAST * 29 / 100) && !third.takes(LAST * 31 / 100));
    }

    #[test]
    fn a_change_holds_until_it_is_taken_back() {
        let sampling = Sampling::of_percent(30);
        sampling.set(Sampled {
            on: true,
            one_in: 2,
        });
        assert!(sampling.takes(LAST * 49 / 100) && !sampling.takes(LAST * 51 / 100));
        sampling.set(Sampled {
            on: false,
            one_in: 1,
        });
        assert!(!sampling.is_on());
        sampling.set(sampling.start());
        assert!(sampling.is_on() && !sampling.takes(LAST * 31 / 100));
    }
}
