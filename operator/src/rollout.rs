//! Which revision answers callers, which is on its way, which is to go. Pure.
//!
//! Promotion takes two passes, so that a crash between any two writes leaves callers served:
//! in the first the Service turns to the new revision and the status records that; only a pass
//! that finds both done lets the old revision go.

use std::collections::BTreeMap;

/// What is known before the decision.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// `status.stableRevision`.
    pub recorded: Option<&'a str>,
    /// The revision that the live Service selects.
    pub selected: Option<&'a str>,
    /// Whether the stable revision ever answered callers.
    pub answered: bool,
    /// The revision that the spec describes.
    pub declared: &'a str,
    /// The user wants no pods.
    pub stopped: bool,
    /// The revisions that have objects now.
    pub present: BTreeMap<String, Presence>,
}

/// What there is of a revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Its snapshot can be read: its pods can be rebuilt.
    pub rebuildable: bool,
    /// Its Deployment exists.
    pub deployed: bool,
    /// Every pod that its Deployment wants, and at least one, is available.
    pub available: bool,
}

/// Who does what after this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Answers callers: the Service selects it.
    pub stable: String,
    /// Is being started, to become stable.
    pub next: Option<String>,
    /// To be deleted in this pass.
    pub obsolete: Vec<String>,
    /// The revision that answered until now, where this pass turns the Service away from it.
    pub replaced: Option<String>,
    /// Something waits for the deletions of this pass: run another one soon.
    pub again: bool,
}

/// Decides the roles. At most two revisions have objects after any pass, and the Service never
/// turns to a revision that cannot answer while another one can.
pub fn roles(facts: &Facts<'_>) -> Roles {
    let declared = facts.declared;
    let Some(stable) = stable_so_far(facts) else {
        return settled(facts, None);
    };
    if stable == declared {
        return settled(facts, None);
    }
    let ready = facts
        .present
        .get(declared)
        .is_some_and(|presence| presence.available);
    if ready || facts.stopped || !facts.answered {
        return settled(facts, Some(stable));
    }
    let obsolete = others(facts, &[stable, declared]);
    // Room first: the next revision is made once a superseded one is gone.
    let room = obsolete.is_empty() || facts.present.contains_key(declared);
    Roles {
        stable: stable.to_owned(),
        next: room.then(|| declared.to_owned()),
        again: !obsolete.is_empty(),
        obsolete,
        replaced: None,
    }
}

/// The revision that answered callers when the pass began: the recorded one, or the one that the
/// Service selects where the status was lost, or where a crash came between turning the Service
/// and recording it. One of which nothing is left does not count.
fn stable_so_far<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    let presence = |name: &str| facts.present.get(name).copied().unwrap_or_default();
    let exists = |name: &&str| {
        *name == facts.declared || presence(name).rebuildable || presence(name).deployed
    };
    let recorded = facts.recorded.filter(exists);
    let selected = facts.selected.filter(exists);
    match (recorded, selected) {
        (Some(recorded), Some(selected))
            if presence(selected).available && !presence(recorded).available =>
        {
            Some(selected)
        }
        (recorded, selected) => recorded.or(selected),
    }
}

/// The declared revision answers callers.
fn settled(facts: &Facts<'_>, replaced: Option<&str>) -> Roles {
    let declared = facts.declared;
    let leftovers = others(facts, &[declared]);
    if leftovers.len() > 1 && !facts.present.contains_key(declared) {
        return room_first(facts, replaced, leftovers);
    }
    let turned = facts.recorded == Some(declared) && facts.selected == Some(declared);
    Roles {
        stable: declared.to_owned(),
        next: None,
        again: !leftovers.is_empty(),
        // What the status or the Service still names waits for the next pass.
        obsolete: leftovers
            .into_iter()
            .filter(|name| turned || Some(name.as_str()) != replaced)
            .filter(|name| turned || Some(name.as_str()) != facts.selected)
            .collect(),
        replaced: replaced.map(str::to_owned),
    }
}

/// Two other revisions are there: one of them goes before the declared one comes. The other keeps
/// its place, or is given it where none had it: nobody answered yet, or what answered was deleted
/// by hand.
fn room_first(facts: &Facts<'_>, replaced: Option<&str>, leftovers: Vec<String>) -> Roles {
    let available = |name: &&String| facts.present[*name].available;
    let kept = replaced
        .or_else(|| leftovers.iter().find(available).map(String::as_str))
        .unwrap_or(&leftovers[0])
        .to_owned();
    Roles {
        next: None,
        again: true,
        obsolete: leftovers
            .into_iter()
            .filter(|name| *name != kept && Some(name.as_str()) != facts.selected)
            .collect(),
        replaced: None,
        stable: kept,
    }
}

fn others(facts: &Facts<'_>, keep: &[&str]) -> Vec<String> {
    facts
        .present
        .keys()
        .filter(|name| !keep.contains(&name.as_str()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
