//! What a decision is made from, and what comes of it.

use std::collections::BTreeMap;

/// A moment: milliseconds since 1970-01-01T00:00:00Z. The caller reads the clock.
pub type UnixMillis = i64;

/// What is known of a rollout from one decision to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The revision that answers callers, as it was last recorded; `None` before there is one and
    /// where the record was lost.
    pub stable: Option<String>,
    /// The stable revision has answered callers.
    pub answered: bool,
    /// The revision that is being started, to become the stable one.
    pub candidate: Option<Candidate>,
}

/// A revision on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub revision: String,
    /// When it was started.
    pub since: UnixMillis,
}

/// What there is when a decision is made.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// The revision that the spec describes.
    pub declared: String,
    /// The user wants no pods.
    pub stopped: bool,
    /// The revision that callers are led to now.
    pub routed: Option<String>,
    /// The revisions that have objects now.
    pub present: BTreeMap<String, Presence>,
}

/// What there is of a revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Its snapshot can be read: its pods can be rebuilt.
    pub rebuildable: bool,
    /// The object that runs its pods exists.
    pub deployed: bool,
    /// A pod of it answers.
    pub answers: bool,
    /// Every pod that is wanted of it, and at least one, answers.
    pub complete: bool,
}

/// What is to be done: everything is made before anything is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions {
    /// The revision that callers are led to. It is made where it is missing.
    pub route: String,
    /// The revision that is started, or goes on, beside it.
    pub start: Option<String>,
    /// The revisions that are deleted.
    pub delete: Vec<String>,
    /// The decision is not the last one for what was observed: decide again once it is carried out.
    pub again: bool,
}
