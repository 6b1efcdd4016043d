use proptest::prelude::*;
use serin_core::types::CallerId;

use super::*;

/// A request, numbered in order of arrival.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    place: Place,
    number: usize,
}

impl Placed for Waiting {
    fn place(&self) -> &Place {
        &self.place
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }
}

#[derive(Default)]
struct Line {
    line: VecDeque<Waiting>,
    rounds: Rounds,
    arrived: usize,
}

impl Line {
    fn come(&mut self, caller: u64, priority: u64, preferred: bool) -> usize {
        let place = Place {
            standing: Standing {
                caller: CallerId(caller),
                preferred,
            },
            priority,
            round: 0,
        };
        let number = self.arrived;
        self.arrived += 1;
        self.rounds
            .insert(&mut self.line, Waiting { place, number });
        number
    }

    fn run(&mut self) -> Option<Waiting> {
        let head = self.line.pop_front()?;
        self.rounds.begin(&head.place);
        Some(head)
    }

    /// The callers of what runs, one after another.
    fn callers(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.run().map(|head| head.place.standing.caller.0)).collect()
    }
}

#[test]
fn requests_of_one_caller_run_in_their_order() {
    let mut line = Line::default();
    for _ in 0..4 {
        line.come(7, 0, false);
    }
    let numbers: Vec<_> = std::iter::from_fn(|| line.run().map(|head| head.number)).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[test]
fn a_caller_with_one_request_waits_for_one_of_each_other_caller() {
    let mut line = Line::default();
    for _ in 0..5 {
        line.come(1, 0, false);
    }
    line.come(2, 0, false);
    line.come(2, 0, false);
    line.come(3, 0, false);
    assert_eq!(line.callers(), [1, 2, 3, 1, 2, 1, 1, 1]);
}

#[test]
fn a_caller_that_has_just_had_its_turn_goes_behind_those_that_wait() {
    let mut line = Line::default();
    line.come(1, 0, false);
    line.come(2, 0, false);
    line.come(2, 0, false);
    assert_eq!(line.run().unwrap().place.standing.caller.0, 1);
    line.come(1, 0, false);
    assert_eq!(line.callers(), [2, 2, 1]);
}

#[test]
fn a_priority_overtakes_the_callers_own_requests_and_nobody_elses() {
    let mut line = Line::default();
    line.come(1, 0, false);
    line.come(1, 0, false);
    line.come(2, 0, false);
    let urgent = line.come(1, 1, false);
    let urgent_first: Vec<_> = std::iter::from_fn(|| line.run().map(|head| head.number)).collect();
    assert_eq!(urgent_first, [urgent, 2, 0, 1]);
}

#[test]
fn what_access_prefers_goes_first() {
    let mut line = Line::default();
    line.come(1, 1, false);
    line.come(2, 0, true);
    assert_eq!(line.callers(), [2, 1]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Come(u64, u64),
    Run,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u64..5, 0u64..3).prop_map(|(caller, priority)| Step::Come(caller, priority)),
        2 => Just(Step::Run),
    ]
}

proptest! {
    /// Whatever others send, with whatever priority, and however they time it.
    #[test]
    fn each_other_caller_runs_at_most_twice_more_than_ones_own_requests(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut line = Line::default();
        // Of each waiting request: its caller's requests before it, and what ran since it came.
        let mut waiting: Vec<(Waiting, usize, Vec<u64>)> = Vec::new();
        for step in steps {
            match step {
                Step::Come(caller, priority) => {
                    // The observed caller, 0, asks for nothing special.
                    let priority = if caller == 0 { 0 } else { priority };
                    let number = line.come(caller, priority, false);
                    let new = *line.line.iter().find(|one| one.number == number).unwrap();
                    let own = line.line.iter().filter(|one| one.place.standing.caller.0 == caller).count() - 1;
                    waiting.push((new, own, Vec::new()));
                }
                Step::Run => {
                    let Some(head) = line.run() else { continue };
                    waiting.retain(|(one, ..)| one.number != head.number);
                    for (one, own, ran) in &mut waiting {
                        ran.push(head.place.standing.caller.0);
                        if one.place.standing.caller.0 != 0 {
                            continue;
                        }
                        for other in 1..5 {
                            let times = ran.iter().filter(|caller| **caller == other).count();
                            prop_assert!(times <= *own + 2, "caller {other} ran {times} times before {own} own and {one:?}");
                        }
                    }
                }
            }
            let keys: Vec<_> = line.line.iter().map(|one| one.place.key()).collect();
            prop_assert!(keys.is_sorted(), "{keys:?}");
            for caller in 0..5 {
                let own: Vec<_> = line.line.iter().filter(|one| one.place.standing.caller.0 == caller)
                    .map(|one| (one.place.rank(), one.number)).collect();
                prop_assert!(own.is_sorted(), "by priority, then in order of arrival: {own:?}");
            }
        }
    }

    #[test]
    fn how_many_are_ahead_is_where_a_request_would_stand(callers in prop::collection::vec(0u64..5, 0..30), caller in 0u64..6) {
        let mut line = Line::default();
        for one in callers {
            line.come(one, 0, false);
        }
        let standing = Standing { caller: CallerId(caller), preferred: false };
        let ahead = line.rounds.ahead_of(&line.line, standing);
        let number = line.come(caller, 0, false);
        prop_assert_eq!(line.line.iter().position(|one| one.number == number), Some(ahead));
    }
}
