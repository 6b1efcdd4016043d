//! One decision.
//!
//! Promotion takes two of them, so that a crash between any two writes leaves callers served: in the
//! first, callers are led to the new revision and that is recorded; only one that finds both done
//! lets the old revision go.

use crate::state::{Actions, Candidate, Observations, Presence, State, UnixMillis};

/// Decides what is to be done, and the state to record once that is done. `now` never lies before
/// the moment of an earlier decision.
pub fn next(state: &State, observations: &Observations, now: UnixMillis) -> (State, Actions) {
    let actions = actions(state, observations);
    let stays = state.stable.as_ref() == Some(&actions.route);
    let since = |revision: &String| match &state.candidate {
        Some(candidate) if candidate.revision == *revision => candidate.since,
        _ => now,
    };
    let state = State {
        answered: observations.of(&actions.route).answers || stays && state.answered,
        candidate: actions.start.as_ref().map(|revision| Candidate {
            revision: revision.clone(),
            since: since(revision),
        }),
        stable: Some(actions.route.clone()),
    };
    (state, actions)
}

fn actions(state: &State, observations: &Observations) -> Actions {
    let declared = observations.declared.as_str();
    let Some(stable) = stable_so_far(state, observations) else {
        return settled(state, observations, None);
    };
    if stable == declared {
        return settled(state, observations, None);
    }
    let ready = observations.of(declared).complete;
    if ready || observations.stopped || !has_answered(state, observations) {
        return settled(state, observations, Some(stable));
    }
    let obsolete = observations.others(&[stable, declared]);
    // Room first: the next revision is made once a superseded one is gone.
    let room = obsolete.is_empty() || observations.present.contains_key(declared);
    Actions {
        route: stable.to_owned(),
        start: room.then(|| declared.to_owned()),
        again: !obsolete.is_empty(),
        delete: obsolete,
    }
}

/// The revision that answered callers when the decision began: the recorded one, or the one that
/// callers are led to where the record was lost, or where a crash came between leading them there
/// and recording it. One of which nothing is left does not count.
fn stable_so_far<'a>(state: &'a State, observations: &'a Observations) -> Option<&'a str> {
    let exists = |name: &&str| {
        let presence = observations.of(name);
        *name == observations.declared || presence.rebuildable || presence.deployed
    };
    let recorded = state.stable.as_deref().filter(exists);
    let routed = observations.routed.as_deref().filter(exists);
    match (recorded, routed) {
        (Some(recorded), Some(routed))
            if observations.of(routed).complete && !observations.of(recorded).complete =>
        {
            Some(routed)
        }
        (recorded, routed) => recorded.or(routed),
    }
}

/// Whether the stable revision ever answered callers.
fn has_answered(state: &State, observations: &Observations) -> bool {
    let stable = state.stable.as_ref().or(observations.routed.as_ref());
    state.answered || stable.is_some_and(|stable| observations.of(stable).answers)
}

/// Callers are led to the declared revision, in the place of `replaced`.
fn settled(state: &State, observations: &Observations, replaced: Option<&str>) -> Actions {
    let declared = observations.declared.as_str();
    let routed = observations.routed.as_deref();
    let leftovers = observations.others(&[declared]);
    if leftovers.len() > 1 && !observations.present.contains_key(declared) {
        return room_first(observations, replaced, leftovers);
    }
    let turned = state.stable.as_deref() == Some(declared) && routed == Some(declared);
    Actions {
        route: declared.to_owned(),
        start: None,
        again: !leftovers.is_empty() || replaced.is_some(),
        // What the record or the route still names waits for the next decision.
        delete: leftovers
            .into_iter()
            .filter(|name| turned || Some(name.as_str()) != replaced)
            .filter(|name| turned || Some(name.as_str()) != routed)
            .collect(),
    }
}

/// Two other revisions are there: one of them goes before the declared one comes. The other keeps
/// its place, or is given it where none had it: nobody answered yet, or what answered was deleted
/// by hand.
fn room_first(
    observations: &Observations,
    replaced: Option<&str>,
    leftovers: Vec<String>,
) -> Actions {
    let complete = |name: &&String| observations.of(name).complete;
    let kept = replaced
        .or_else(|| leftovers.iter().find(complete).map(String::as_str))
        .unwrap_or(&leftovers[0])
        .to_owned();
    let routed = observations.routed.as_deref();
    Actions {
        start: None,
        again: true,
        delete: leftovers
            .into_iter()
            .filter(|name| *name != kept && Some(name.as_str()) != routed)
            .collect(),
        route: kept,
    }
}

impl Observations {
    fn of(&self, revision: &str) -> Presence {
        self.present.get(revision).copied().unwrap_or_default()
    }

    fn others(&self, keep: &[&str]) -> Vec<String> {
        self.present
            .keys()
            .filter(|name| !keep.contains(&name.as_str()))
            .cloned()
            .collect()
    }
}
