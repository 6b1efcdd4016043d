//! Which of the waiting requests run next: a pure function.

use std::time::Instant;

/// A waiting request as the policy sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'q, Class> {
    /// Its rows; `None` if it can only run alone.
    pub(super) rows: Option<usize>,
    /// Requests share a run only with their equals.
    pub(super) class: &'q Class,
    /// When its caller gives up.
    pub(super) deadline: Instant,
    /// Whether its caller has left.
    pub(super) left: bool,
}

/// What to do with the queue; indices into it, ascending, none twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// To run together now.
    pub(super) run: Vec<usize>,
    /// To drop: nobody waits for them.
    pub(super) left: Vec<usize>,
    /// To refuse: their deadline has passed.
    pub(super) expired: Vec<usize>,
}

/// Plans the next run: the first request, then, in their order, those of its class that fit beside it.
/// `waiting` is in the order in which requests are to run (see [`order`](super::order)).
pub(super) fn plan<'q, Class: PartialEq + 'q>(
    waiting: impl Iterator<Item = Candidate<'q, Class>> + Clone,
    max_rows: usize,
    now: Instant,
) -> Plan {
    let mut plan = Plan::default();
    let mut head: Option<(usize, Candidate<'q, Class>)> = None;
    for (at, candidate) in waiting.clone().enumerate() {
        if candidate.left {
            plan.left.push(at);
        } else if candidate.deadline <= now {
            plan.expired.push(at);
        } else if head.is_none() {
            head = Some((at, candidate));
        }
    }
    let Some((head_at, head)) = head else {
        return plan;
    };
    plan.run.push(head_at);
    let Some(mut rows) = head.rows else {
        return plan;
    };
    for (at, candidate) in waiting.enumerate() {
        let Some(more) = candidate.rows else { continue };
        let fits = rows.saturating_add(more) <= max_rows;
        let alive = !candidate.left && candidate.deadline > now;
        if at > head_at && fits && alive && candidate.class == head.class {
            rows += more;
            plan.run.push(at);
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn candidate(class: &u8, rows: Option<usize>, now: Instant) -> Candidate<'_, u8> {
        Candidate {
            rows,
            class,
            deadline: now + Duration::from_secs(1),
            left: false,
        }
    }

    #[test]
    fn the_first_runs_with_those_of_its_class_that_fit() {
        let now = Instant::now();
        let queue = [
            candidate(&1, Some(2), now),
            candidate(&2, Some(1), now),
            candidate(&1, Some(7), now),
            candidate(&1, Some(1), now),
        ];
        let plan = plan(queue.into_iter(), 4, now);
        assert_eq!(plan.run, [0, 3]);
    }

    #[test]
    fn a_request_larger_than_a_batch_runs_alone() {
        let now = Instant::now();
        let queue = [candidate(&1, Some(100), now), candidate(&1, Some(1), now)];
        assert_eq!(plan(queue.into_iter(), 8, now).run, [0]);
    }

    prop_compose! {
        fn entry()(rows in prop::option::weighted(0.8, 0usize..6), class in 0u8..3,
                   expired in prop::bool::weighted(0.2), left in prop::bool::weighted(0.2))
            -> (Option<usize>, u8, bool, bool) { (rows, class, expired, left) }
    }

    proptest! {
        #[test]
        fn any_queue_gives_a_sound_plan(entries in prop::collection::vec(entry(), 0..40), max_rows in 1usize..10) {
            let now = Instant::now() + Duration::from_secs(10);
            let queue: Vec<_> = entries.iter().map(|(rows, class, expired, left)| Candidate {
                rows: *rows,
                class,
                deadline: if *expired { now } else { now + Duration::from_secs(1) },
                left: *left,
            }).collect();
            let plan = plan(queue.iter().copied(), max_rows, now);
            let alive: Vec<usize> = (0..queue.len()).filter(|at| !queue[*at].left && queue[*at].deadline > now).collect();
            // Every request is run, dropped, refused or still waiting: exactly one of them.
            prop_assert!(plan.run.iter().all(|at| alive.contains(at)));
            prop_assert!(plan.left.iter().all(|at| queue[*at].left));
            prop_assert!(plan.expired.iter().all(|at| !queue[*at].left && queue[*at].deadline <= now));
            prop_assert_eq!(plan.left.len() + plan.expired.len() + alive.len(), queue.len());
            // Somebody always runs, the first among them.
            prop_assert_eq!(plan.run.first(), alive.first());
            // Those that share a run are alike and fit.
            if plan.run.len() > 1 {
                let rows: usize = plan.run.iter().map(|at| queue[*at].rows.unwrap_or(usize::MAX / 100)).sum();
                prop_assert!(rows <= max_rows);
                prop_assert!(plan.run.iter().all(|at| queue[*at].class == queue[plan.run[0]].class));
            }
        }
    }
}
