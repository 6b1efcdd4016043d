use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const UP: Presence = Presence {
    rebuildable: true,
    deployed: true,
    answers: true,
    complete: true,
};
const STARTING: Presence = Presence {
    answers: false,
    complete: false,
    ..UP
};

/// What is recorded, and what there is.
#[derive(Clone)]
struct Facts {
    state: State,
    observations: Observations,
}

/// Callers are led to `stable`, which is recorded and has answered.
fn facts(declared: &str, stable: Option<&str>, present: &[(&str, Presence)]) -> Facts {
    let stable = stable.map(str::to_owned);
    Facts {
        state: State {
            answered: stable.is_some(),
            stable: stable.clone(),
            candidate: None,
        },
        observations: Observations {
            declared: declared.into(),
            stopped: false,
            routed: stable,
            present: present
                .iter()
                .map(|(name, presence)| ((*name).to_owned(), *presence))
                .collect(),
        },
    }
}

fn actions(facts: &Facts) -> Actions {
    next(&facts.state, &facts.observations, 0).1
}

#[test]
fn the_first_revision_is_routed_at_once() {
    let actions = actions(&facts("a", None, &[]));
    assert_eq!((actions.route.as_str(), actions.start), ("a", None));
}

#[test]
fn a_new_revision_waits_until_all_its_pods_are_available() {
    let waiting = actions(&facts("b", Some("a"), &[("a", UP), ("b", STARTING)]));
    assert_eq!(waiting.route, "a");
    assert_eq!(waiting.start.as_deref(), Some("b"));
    assert!(waiting.delete.is_empty() && !waiting.again);

    let promoted = actions(&facts("b", Some("a"), &[("a", UP), ("b", UP)]));
    assert_eq!(promoted.route, "b");
    assert!(promoted.again);
    assert!(
        promoted.delete.is_empty(),
        "the old one stays until the promotion is recorded"
    );

    let after = actions(&facts("b", Some("b"), &[("a", UP), ("b", UP)]));
    assert_eq!(after.delete, ["a"]);
}

#[test]
fn a_revision_of_which_only_some_pods_answer_is_not_promoted() {
    let some = Presence {
        complete: false,
        ..UP
    };
    let actions = actions(&facts("b", Some("a"), &[("a", UP), ("b", some)]));
    assert_eq!(actions.route, "a");
}

#[test]
fn a_candidate_is_known_by_the_moment_of_its_start() {
    let Facts {
        state,
        mut observations,
    } = facts("b", Some("a"), &[("a", UP)]);
    let since = |state: &State| state.candidate.as_ref().map(|candidate| candidate.since);
    let (started, _) = next(&state, &observations, 1_000);
    observations.present.insert("b".into(), STARTING);
    let (later, _) = next(&started, &observations, 5_000);
    assert_eq!((since(&started), since(&later)), (Some(1_000), Some(1_000)));

    observations.declared = "c".into();
    let (room, _) = next(&later, &observations, 6_000);
    assert_eq!(room.candidate, None);
    observations.present.remove("b");
    let (other, _) = next(&room, &observations, 7_000);
    assert_eq!(since(&other), Some(7_000));

    observations.present.insert("c".into(), UP);
    let (promoted, _) = next(&other, &observations, 8_000);
    assert_eq!((promoted.candidate, promoted.answered), (None, true));
}

#[test]
fn going_back_to_the_stable_spec_drops_the_new_revision() {
    let actions = actions(&facts("a", Some("a"), &[("a", UP), ("b", STARTING)]));
    assert_eq!(
        (actions.route.as_str(), actions.delete),
        ("a", vec!["b".to_owned()])
    );
}

#[test]
fn a_superseded_revision_goes_before_the_next_one_comes() {
    let first = actions(&facts("c", Some("a"), &[("a", UP), ("b", STARTING)]));
    assert_eq!(first.delete, ["b"]);
    assert!(first.start.is_none() && first.again);
    let then = actions(&facts("c", Some("a"), &[("a", UP)]));
    assert_eq!(then.start.as_deref(), Some("c"));
}

#[test]
fn a_stable_revision_that_never_answered_is_replaced_at_once() {
    // Else a first revision that asks for too much keeps the quota that its successor needs.
    let mut never = facts("b", Some("a"), &[("a", STARTING)]);
    never.state.answered = false;
    assert_eq!(actions(&never).route, "b");
}

#[test]
fn a_stable_revision_that_answers_now_has_answered() {
    let mut lost = facts("b", Some("a"), &[("a", UP)]);
    lost.state.answered = false;
    assert_eq!(actions(&lost).route, "a");
}

#[test]
fn a_stopped_service_changes_its_revision_without_starting_pods() {
    let mut stopped = facts("b", Some("a"), &[("a", STARTING)]);
    stopped.observations.stopped = true;
    assert_eq!(actions(&stopped).route, "b");
}

#[test]
fn a_lost_record_is_read_back_from_the_route() {
    let mut lost = facts("b", None, &[("a", UP)]);
    lost.observations.routed = Some("a".into());
    lost.state.answered = true;
    let actions = actions(&lost);
    assert_eq!(
        (actions.route.as_str(), actions.start.as_deref()),
        ("a", Some("b"))
    );
}

#[test]
fn a_stable_revision_of_which_nothing_is_left_does_not_block() {
    assert_eq!(actions(&facts("b", Some("a"), &[])).route, "b");
}

#[test]
fn a_stable_revision_whose_pods_were_deleted_is_kept_and_rebuilt() {
    let gone = Presence {
        rebuildable: true,
        ..Presence::default()
    };
    let actions = actions(&facts("b", Some("a"), &[("a", gone), ("b", STARTING)]));
    assert_eq!(actions.route, "a");
    assert!(actions.delete.is_empty());
}

#[test]
fn edits_between_failed_first_passes_never_leave_three_revisions() {
    // Nothing is recorded or routed yet, and two earlier specs left their pods behind.
    let first = actions(&facts("c", None, &[("a", STARTING), ("b", STARTING)]));
    assert_eq!(
        (first.route.as_str(), first.delete),
        ("a", vec!["b".to_owned()])
    );
    assert!(first.again);
    let mut then = facts("c", Some("a"), &[("a", STARTING)]);
    then.state.answered = false;
    assert_eq!(actions(&then).route, "c");
}

#[test]
fn of_two_revisions_that_nothing_names_the_complete_one_is_kept() {
    let actions = actions(&facts("c", None, &[("a", STARTING), ("b", UP)]));
    assert_eq!(
        (actions.route.as_str(), actions.delete),
        ("b", vec!["a".to_owned()])
    );
}

/// A cluster of one service: what [`next`] sees and what its writes change.
#[derive(Clone, Debug, Default)]
struct World {
    state: State,
    routed: Option<String>,
    stopped: bool,
    declared: usize,
    present: BTreeMap<String, Presence>,
    now: UnixMillis,
}

/// One write.
type Step = Box<dyn FnOnce(&mut World)>;

#[derive(Clone, Debug)]
enum Happening {
    Declare(usize),
    PodsUp(usize),
    PodsDown(usize),
    Stop(bool),
    RecordLost,
    /// Somebody deletes every object of a revision.
    Deleted(usize),
    /// A pass that ends after this many of its writes.
    Pass(usize),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl World {
    fn pass(&mut self, writes: usize) {
        self.now += 1;
        let observations = Observations {
            declared: NAMES[self.declared].into(),
            stopped: self.stopped,
            routed: self.routed.clone(),
            present: self.present.clone(),
        };
        let (state, actions) = next(&self.state, &observations, self.now);
        let mut steps: Vec<Step> = Vec::new();
        for name in actions.start.iter().chain([&actions.route]).cloned() {
            steps.push(Box::new(move |world| {
                world.present.entry(name).or_insert(STARTING);
            }));
        }
        let route = actions.route;
        steps.push(Box::new(move |world| world.routed = Some(route)));
        for name in actions.delete {
            steps.push(Box::new(move |world| {
                world.present.remove(&name);
            }));
        }
        steps.push(Box::new(move |world| world.state = state));
        for step in steps.into_iter().take(writes) {
            step(self);
        }
    }

    fn serves(&self) -> bool {
        self.routed
            .as_ref()
            .and_then(|name| self.present.get(name))
            .is_some_and(|presence| presence.complete)
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..NAMES.len()).prop_map(Happening::Declare),
        (0..NAMES.len()).prop_map(Happening::PodsUp),
        (0..NAMES.len()).prop_map(Happening::PodsDown),
        any::<bool>().prop_map(Happening::Stop),
        Just(Happening::RecordLost),
        (0..NAMES.len()).prop_map(Happening::Deleted),
        (0_usize..8).prop_map(Happening::Pass),
        Just(Happening::Pass(usize::MAX)),
        Just(Happening::Pass(usize::MAX)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Crashes between any two writes, a lost record, edits at any moment.
    #[test]
    fn a_pass_never_stops_service_and_never_keeps_three_revisions(
        happenings in proptest::collection::vec(happening(), 1..60)
    ) {
        let mut world = World::default();
        for happening in happenings {
            match happening {
                Happening::Declare(index) => world.declared = index,
                Happening::PodsUp(index) | Happening::PodsDown(index) => {
                    if let Some(presence) = world.present.get_mut(NAMES[index]) {
                        let up = matches!(happening, Happening::PodsUp(_));
                        (presence.answers, presence.complete) = (up, up);
                    }
                }
                Happening::Stop(stopped) => world.stopped = stopped,
                Happening::RecordLost => world.state = State::default(),
                Happening::Deleted(index) => {
                    world.present.remove(NAMES[index]);
                }
                Happening::Pass(writes) => {
                    let served = world.serves();
                    world.pass(writes);
                    prop_assert!(world.present.len() <= 2, "{world:?}");
                    prop_assert!(!served || world.stopped || world.serves(), "{world:?}");
                }
            }
        }
        // Left alone with healthy pods, it arrives at the spec within a few passes.
        world.stopped = false;
        for _ in 0..6 {
            world.pass(usize::MAX);
            for presence in world.present.values_mut() {
                (presence.answers, presence.complete) = (true, true);
            }
        }
        let declared = NAMES[world.declared];
        prop_assert_eq!(world.present.keys().collect::<Vec<_>>(), [declared]);
        prop_assert_eq!(world.routed.as_deref(), Some(declared));
        prop_assert_eq!(world.state.stable.as_deref(), Some(declared));
        prop_assert_eq!(world.state.candidate, None);
    }
}
