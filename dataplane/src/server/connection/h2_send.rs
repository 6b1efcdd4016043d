//! Answers being sent over HTTP/2, where the peer's window bounds each: a peer could
//! request many answers and read none of them, and the socket would never block.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many times longer than all of a connection's answers a single one may stall: its
/// peer may be reading the others.
const ONE_OF_MANY: u32 = 10;

/// The answers of one connection. Times are [`ConnectionState`](super::state::ConnectionState)'s.
#[derive(Default)]
pub(super) struct H2SendTracker(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    /// The time since which a piece of each waits for the peer; 0 without one.
    waiting: Vec<u64>,
    free: Vec<usize>,
    /// The time at which the peer last took a piece.
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
    pub(super) fn offered(&self, index: usize, now: u64) {
        self.change(|answers| {
            answers.taken = now;
            answers.waiting[index] = now;
        });
    }

    /// The next piece is not made yet.
    pub(super) fn making(&self, index: usize) {
        self.change(|answers| answers.waiting[index] = 0);
    }

    /// The answer has ended, completely or not.
    pub(super) fn leave(&self, index: usize, now: u64) {
        self.change(|answers| {
            answers.taken = now;
            answers.waiting[index] = 0;
            answers.free.push(index);
        });
    }

    /// The time of the last progress, and how long after it the connection is closed: no piece of any
    /// answer is taken for `stall`, or of one answer for ten times that.
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
        let index = sending.enter();
        assert_eq!(sending.blocked(STALL), None);
        sending.offered(index, 5);
        assert_eq!(sending.blocked(STALL), Some((5, STALL)));
        sending.making(index);
        assert_eq!(sending.blocked(STALL), None);
        sending.offered(index, 9);
        sending.leave(index, 10);
        assert_eq!(sending.blocked(STALL), None);
        assert_eq!(sending.enter(), index, "indices are used again");
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
