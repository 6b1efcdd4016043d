//! The order in which waiting requests run: pure functions on a line of them.
//!
//! Callers take turns. Each waiting request has a round; those of a lower round run first, those of the
//! same one in order of arrival, and no caller has two in one round. A request that comes gets the round
//! after the one that runs now, or after the last of its own caller. So between a request's arrival and
//! its run, each other caller heads at most as many runs as the caller itself has requests before it, and
//! two more. Nothing is remembered of callers that do not wait.
//!
//! Within a caller's rounds its own priorities decide. Requests that access prefers run before all others;
//! among themselves they take turns as well.

use std::collections::VecDeque;

use serin_core::types::Standing;

/// A request's place in the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) standing: Standing,
    /// 1 is highest, 0 stands for "last".
    pub(super) priority: u64,
    /// Given by [`Rounds::insert`].
    pub(super) round: u64,
}

impl Place {
    fn key(&self) -> (bool, u64) {
        (!self.standing.preferred, self.round)
    }

    /// Smaller is sooner.
    fn rank(&self) -> u64 {
        self.priority.wrapping_sub(1)
    }
}

/// What waits in a line.
pub(super) trait Placed {
    /// Its place.
    fn place(&self) -> &Place;
    /// Its place, to be changed.
    fn place_mut(&mut self) -> &mut Place;
}

/// The rounds that run now: of those that access prefers, and of the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    preferred: u64,
    usual: u64,
}

impl Rounds {
    /// The round of a new request.
    fn next<T: Placed>(self, line: &VecDeque<T>, standing: Standing) -> u64 {
        let now = if standing.preferred {
            self.preferred
        } else {
            self.usual
        };
        let mut own = line.iter().rev().map(Placed::place);
        let last = own.find(|place| place.standing == standing);
        last.map_or(now, |last| last.round.max(now)) + 1
    }

    /// Adds a request to the line, which is in the order in which its requests run.
    pub(super) fn insert<T: Placed>(&mut self, line: &mut VecDeque<T>, mut new: T) {
        let standing = new.place().standing;
        let round = self.next(line, standing);
        new.place_mut().round = round;
        let mut at = behind(line, new.place());
        let rank = new.place().rank();
        line.insert(at, new);
        // Past its own caller's requests of less priority: they exchange their rounds.
        for before in (0..at).rev() {
            let other = line[before].place();
            if other.standing != standing {
                continue;
            }
            if other.rank() <= rank {
                break;
            }
            let round = other.round;
            let exchanged = std::mem::replace(&mut line[at].place_mut().round, round);
            line[before].place_mut().round = exchanged;
            line.swap(before, at);
            at = before;
        }
    }

    /// A run begins, headed by the request at this place.
    pub(super) fn begin(&mut self, head: &Place) {
        let now = if head.standing.preferred {
            &mut self.preferred
        } else {
            &mut self.usual
        };
        *now = head.round.max(*now);
    }

    /// How many requests of the line run before a new one of this standing.
    pub(super) fn ahead_of<T: Placed>(self, line: &VecDeque<T>, standing: Standing) -> usize {
        let new = Place {
            standing,
            priority: 0,
            round: self.next(line, standing),
        };
        behind(line, &new)
    }
}

/// The index behind all that run before this place.
fn behind<T: Placed>(line: &VecDeque<T>, new: &Place) -> usize {
    line.partition_point(|other| other.place().key() <= new.key())
}

#[cfg(test)]
mod tests;
