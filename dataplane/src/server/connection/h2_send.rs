//! Answers on their way out over HTTP/2, where the peer says how much of each may be sent: it could
//! have many made and take none of them, and the socket would never be blocked.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many times longer than all of a connection's answers a single one may stand still: its
/// peer may be busy taking the others.
const ONE_OF_MANY: u32 = 10;

/// The answers of one connection. Times are [`ConnectionState`](super::state::ConnectionState)'s.
#[derive(Default)]
pub(super) struct H2SendTracker(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    /// Since when the peer has a piece of each to take; 0 while there is none.
    waiting: Vec<u64>,
    free: Vec<usize>,
    /// When a piece of any was last taken.
    taken: u64,
}

impl H2SendTracker {
    fn change<T>(&self, change: impl FnOnce(&mut Answers) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tracker of an answer that has no bytes yet.
    pub(super) fn enter(&self) -> usize {
        self.change(|answers| {
            answers.free.pop().unwrap_or_else(|| {
                answers.waiting.push(0);
                answers.waiting.len() - 1
            })
        })
    }

    /// A piece was taken, and the next one waits.
    pub(super) fn offered(&self, place: usize, now: u64) {
        self.change(|answers| {
            answers.taken = now;
            answers.waiting[place] = now;
        });
    }

    /// The next piece is not made yet.
    pub(super) fn making(&self, place: usize) {
        self.change(|answers| answers.waiting[place] = 0);
    }

    /// The answer has ended, either way.
    pub(super) fn leave(&self, place: usize, now: u64) {
        self.change(|answers| {
            answers.taken = now;
            answers.waiting[place] = 0;
            answers.free.push(place);
        });
    }

    /// The time, and how long after it the connection is given up: nothing may be taken of any
    /// answer for `stall`, and of one for ten times that.
    pub(super) fn blocked(&self, stall: Duration) -> Option<(u64, Duration)> {
        self.change(|answers| {
            let oldest = answers.waiting.iter().filter(|since| **since > 0).min()?;
            let (all, one) = ((answers.taken, stall), (*oldest, stall * ONE_OF_MANY));
            let ends = |(since, wait): (u64, Duration)| Duration::from_millis(since) + wait;
            Some(if ends(one) < ends(all) { one } else { all })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    #[test]
    fn only_what_the_peer_could_take_counts_as_standing_still() {
        let sending = H2SendTracker::default();
        let place = sending.enter();
        assert_eq!(sending.blocked(STALL), None);
        sending.offered(place, 5);
        assert_eq!(sending.blocked(STALL), Some((5, STALL)));
        sending.making(place);
        assert_eq!(sending.blocked(STALL), None);
        sending.offered(place, 9);
        sending.leave(place, 10);
        assert_eq!(sending.blocked(STALL), None);
        assert_eq!(sending.enter(), place, "places are used again");
    }

    #[test]
    fn one_answer_may_wait_longer_than_all_of_them() {
        let sending = H2SendTracker::default();
        let (still, moving) = (sending.enter(), sending.enter());
        sending.offered(still, 1);
        sending.offered(moving, 1_000);
        assert_eq!(sending.blocked(STALL), Some((1_000, STALL)));
        sending.offered(moving, 299_000);
        assert_eq!(sending.blocked(STALL), Some((1, STALL * ONE_OF_MANY)));
    }
}
