use proptest::prelude::*;

use super::*;

const UP: Presence = Presence {
    rebuildable: true,
    deployed: true,
    available: true,
};
const STARTING: Presence = Presence {
    available: false,
    ..UP
};

fn facts<'a>(
    declared: &'a str,
    stable: Option<&'a str>,
    present: &[(&str, Presence)],
) -> Facts<'a> {
    Facts {
        recorded: stable,
        selected: stable,
        answered: stable.is_some(),
        declared,
        stopped: false,
        present: present
            .iter()
            .map(|(name, presence)| ((*name).to_owned(), *presence))
            .collect(),
    }
}

#[test]
fn the_first_revision_is_selected_at_once() {
    let roles = roles(&facts("a", None, &[]));
    assert_eq!((roles.stable.as_str(), roles.next), ("a", None));
}

#[test]
fn a_new_revision_waits_until_all_its_pods_are_available() {
    let waiting = roles(&facts("b", Some("a"), &[("a", UP), ("b", STARTING)]));
    assert_eq!(waiting.stable, "a");
    assert_eq!(waiting.next.as_deref(), Some("b"));
    assert!(waiting.obsolete.is_empty());

    let promoted = roles(&facts("b", Some("a"), &[("a", UP), ("b", UP)]));
    assert_eq!(promoted.stable, "b");
    assert_eq!(promoted.replaced.as_deref(), Some("a"));
    assert!(
        promoted.obsolete.is_empty(),
        "the old one stays until the promotion is recorded"
    );

    let after = roles(&facts("b", Some("b"), &[("a", UP), ("b", UP)]));
    assert_eq!(after.obsolete, ["a"]);
}

#[test]
fn going_back_to_the_stable_spec_drops_the_new_revision() {
    let roles = roles(&facts("a", Some("a"), &[("a", UP), ("b", STARTING)]));
    assert_eq!(
        (roles.stable.as_str(), roles.obsolete),
        ("a", vec!["b".to_owned()])
    );
}

#[test]
fn a_superseded_revision_goes_before_the_next_one_comes() {
    let first = roles(&facts("c", Some("a"), &[("a", UP), ("b", STARTING)]));
    assert_eq!(first.obsolete, ["b"]);
    assert!(first.next.is_none() && first.again);
    let then = roles(&facts("c", Some("a"), &[("a", UP)]));
    assert_eq!(then.next.as_deref(), Some("c"));
}

#[test]
fn a_stable_revision_that_never_answered_is_replaced_at_once() {
    // Else a first revision that asks for too much keeps the quota that its successor needs.
    let mut never = facts("b", Some("a"), &[("a", STARTING)]);
    never.answered = false;
    assert_eq!(roles(&never).stable, "b");
}

#[test]
fn a_stopped_service_changes_its_revision_without_starting_pods() {
    let mut stopped = facts("b", Some("a"), &[("a", STARTING)]);
    stopped.stopped = true;
    assert_eq!(roles(&stopped).stable, "b");
}

#[test]
fn a_lost_status_is_read_back_from_the_service() {
    let mut lost = facts("b", None, &[("a", UP)]);
    lost.selected = Some("a");
    lost.answered = true;
    let roles = roles(&lost);
    assert_eq!(
        (roles.stable.as_str(), roles.next.as_deref()),
        ("a", Some("b"))
    );
}

#[test]
fn a_stable_revision_of_which_nothing_is_left_does_not_block() {
    assert_eq!(roles(&facts("b", Some("a"), &[])).stable, "b");
}

#[test]
fn a_stable_revision_whose_deployment_was_deleted_is_kept_and_rebuilt() {
    let gone = Presence {
        rebuildable: true,
        ..Presence::default()
    };
    let roles = roles(&facts("b", Some("a"), &[("a", gone), ("b", STARTING)]));
    assert_eq!(roles.stable, "a");
    assert!(roles.obsolete.is_empty());
}

#[test]
fn edits_between_failed_first_passes_never_leave_three_revisions() {
    // Nothing is recorded or selected yet, and two earlier specs left their pods behind.
    let first = roles(&facts("c", None, &[("a", STARTING), ("b", STARTING)]));
    assert_eq!(
        (first.stable.as_str(), first.obsolete),
        ("a", vec!["b".to_owned()])
    );
    assert!(first.again);
    let mut then = facts("c", Some("a"), &[("a", STARTING)]);
    then.answered = false;
    assert_eq!(roles(&then).stable, "c");
}

#[test]
fn of_two_revisions_that_nothing_names_the_available_one_is_kept() {
    let roles = roles(&facts("c", None, &[("a", STARTING), ("b", UP)]));
    assert_eq!(
        (roles.stable.as_str(), roles.obsolete),
        ("b", vec!["a".to_owned()])
    );
}

/// A cluster of one service: what [`roles`] sees and what its writes change.
#[derive(Clone, Debug, Default)]
struct World {
    recorded: Option<String>,
    selected: Option<String>,
    answered: bool,
    stopped: bool,
    declared: usize,
    present: BTreeMap<String, Presence>,
}

/// One write.
type Step = Box<dyn FnOnce(&mut World)>;

#[derive(Clone, Debug)]
enum Happening {
    Declare(usize),
    PodsUp(usize),
    PodsDown(usize),
    Stop(bool),
    StatusLost,
    /// Somebody deletes every object of a revision.
    Deleted(usize),
    /// A pass that ends after this many of its writes.
    Pass(usize),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl World {
    fn pass(&mut self, writes: usize) {
        let roles = roles(&Facts {
            recorded: self.recorded.as_deref(),
            selected: self.selected.as_deref(),
            answered: self.answered,
            declared: NAMES[self.declared],
            stopped: self.stopped,
            present: self.present.clone(),
        });
        let mut steps: Vec<Step> = Vec::new();
        for name in roles.next.iter().chain([&roles.stable]).cloned() {
            steps.push(Box::new(move |world| {
                world.present.entry(name).or_insert(STARTING);
            }));
        }
        let stable = roles.stable.clone();
        steps.push(Box::new(move |world| world.selected = Some(stable)));
        for name in roles.obsolete {
            steps.push(Box::new(move |world| {
                world.present.remove(&name);
            }));
        }
        let stable = roles.stable;
        steps.push(Box::new(move |world| {
            world.answered =
                world.serves() || world.answered && world.recorded.as_ref() == Some(&stable);
            world.recorded = Some(stable);
        }));
        for step in steps.into_iter().take(writes) {
            step(self);
        }
    }

    fn serves(&self) -> bool {
        self.selected
            .as_ref()
            .and_then(|name| self.present.get(name))
            .is_some_and(|presence| presence.available)
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..NAMES.len()).prop_map(Happening::Declare),
        (0..NAMES.len()).prop_map(Happening::PodsUp),
        (0..NAMES.len()).prop_map(Happening::PodsDown),
        any::<bool>().prop_map(Happening::Stop),
        Just(Happening::StatusLost),
        (0..NAMES.len()).prop_map(Happening::Deleted),
        (0_usize..8).prop_map(Happening::Pass),
        Just(Happening::Pass(usize::MAX)),
        Just(Happening::Pass(usize::MAX)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Crashes between any two writes, lost status, edits at any moment.
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
                        presence.available = matches!(happening, Happening::PodsUp(_));
                    }
                }
                Happening::Stop(stopped) => world.stopped = stopped,
                Happening::StatusLost => world.recorded = None,
                Happening::Deleted(index) => {
                    world.present.remove(NAMES[index]);
                }
                Happening::Pass(writes) => {
                    world.answered |= world.serves();
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
                presence.available = true;
            }
        }
        let declared = NAMES[world.declared];
        prop_assert_eq!(world.present.keys().collect::<Vec<_>>(), [declared]);
        prop_assert_eq!(world.selected.as_deref(), Some(declared));
        prop_assert_eq!(world.recorded.as_deref(), Some(declared));
    }
}
