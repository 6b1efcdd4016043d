//! The plan of one pass: from the validated spec and the observed objects to the writes. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serin_crds::InferenceServiceStatus;
use serin_crds::status::Role;
use serin_rollout::{Actions, Candidate, Observations, Presence, State};

use crate::child::Child;
use crate::child_kind::{ChildKind, ChildObject, Deleted};
use crate::desired::replicas::{Sizes, to_write};
use crate::desired::revision_snapshot::{OperatorDefaults, RevisionSnapshot};
use crate::desired::template::Template;
use crate::desired::{of_new_revision, of_service, of_stored_revision};
use crate::observed::{Observed, ObservedRevision};
use crate::validated::ValidatedService;

/// The writes of one pass.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The rollout's decision.
    pub actions: Actions,
    /// Objects that should exist, in the order of applying.
    pub children: Vec<Child>,
    /// `spec.replicas` to write, by Deployment.
    pub sizes: BTreeMap<String, i32>,
    /// Objects to delete, in this order.
    pub prune: Vec<Deletion>,
    /// The user's name for the version of each revision that is routed or started.
    pub versions: BTreeMap<String, String>,
}

/// An object to delete, identified by uid and resource version: a newer one of the same name stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its kind.
    pub kind: ChildKind,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub resource_version: String,
}

/// Plans the writes of one pass.
pub fn decide(
    service: &ValidatedService,
    recorded: &InferenceServiceStatus,
    observed: &Observed,
    defaults: &OperatorDefaults,
    now: Timestamp,
) -> Plan {
    let state = state(recorded, observed, now);
    let observations = observations(service, observed);
    let (_, actions) = serin_rollout::next(&state, &observations, now.as_millisecond());
    let mut children = Vec::new();
    let mut sizes = BTreeMap::new();
    let mut versions = BTreeMap::new();

    for revision in [Some(&actions.route), actions.start.as_ref()]
        .into_iter()
        .flatten()
    {
        let stored = observed.revision(revision);
        let Some((snapshot, its_children)) =
            revision_children(service, revision, &stored, defaults)
        else {
            // Without a snapshot the revision cannot be rebuilt. Its remaining objects stay.
            continue;
        };
        versions.insert(revision.clone(), snapshot.version);
        children.extend(its_children);

        // The size is not written while an autoscaler that is to be deleted still exists.
        let held = stored.autoscaler.is_some()
            && service.autoscaling().is_none()
            && stored.deployment.is_some();
        let of_route = (*revision != actions.route).then(|| observed.revision(&actions.route));
        let sized = Sizes {
            live: stored.wanted(),
            stable: of_route.map(|route| route.wanted().or(recorded.replicas).unwrap_or(0)),
            last: recorded.replicas,
        };
        if let Some(replicas) = to_write(service, sized).filter(|_| !held) {
            sizes.insert(revision.clone(), replicas);
        }
    }
    children.extend(of_service(service, &actions.route));
    children.sort_by_key(|child| child.kind);
    Plan {
        prune: prune(&actions, &children, observed),
        actions,
        children,
        sizes,
        versions,
    }
}

/// The children of a stored revision, or of the declared one where it is new.
fn revision_children(
    service: &ValidatedService,
    revision: &str,
    stored: &ObservedRevision,
    defaults: &OperatorDefaults,
) -> Option<(RevisionSnapshot, Vec<Child>)> {
    let config = stored.config.as_deref();
    let read = config.and_then(|config| Some((config, RevisionSnapshot::read(config).ok()?)));
    if let Some((config, snapshot)) = read {
        let deployment = stored.deployment.as_deref();
        let template = deployment
            .and_then(|deployment| Template::kept(config, deployment))
            .unwrap_or_else(|| Template::fresh(service, &snapshot));
        let children = of_stored_revision(service, config, &snapshot, &template);
        return Some((snapshot, children));
    }
    (revision == service.revision.name).then(|| {
        let snapshot = RevisionSnapshot::new(service, defaults);
        let template = Template::fresh(service, &snapshot);
        let children = of_new_revision(service, &snapshot, &template);
        (snapshot, children)
    })
}

/// The rollout as the status records it.
fn state(recorded: &InferenceServiceStatus, observed: &Observed, now: Timestamp) -> State {
    let next = recorded
        .versions
        .iter()
        .find(|version| version.role == Role::Next);
    State {
        stable: recorded.stable_revision.clone(),
        answered: recorded.version.is_some(),
        candidate: next.map(|next| {
            let deployment = observed.metadata(ChildKind::Deployment, &next.revision);
            let created = deployment.and_then(|meta| meta.creation_timestamp.as_ref());
            Candidate {
                revision: next.revision.clone(),
                since: created.map_or(now, |created| created.0).as_millisecond(),
            }
        }),
    }
}

fn observations(service: &ValidatedService, observed: &Observed) -> Observations {
    let presence = |name: String| {
        let revision = observed.revision(&name);
        let config = revision.config.as_deref();
        let presence = Presence {
            rebuildable: config.is_some_and(|config| RevisionSnapshot::read(config).is_ok()),
            deployed: revision.deployment.is_some(),
            answers: revision.available() > 0,
            complete: revision.is_complete(),
        };
        (name, presence)
    };
    Observations {
        declared: service.revision.name.clone(),
        stopped: service.is_stopped(),
        routed: observed.selected().map(str::to_owned),
        present: observed.revisions().into_iter().map(presence).collect(),
    }
}

fn prune(actions: &Actions, children: &[Child], observed: &Observed) -> Vec<Deletion> {
    let goes = |child: &&ChildObject| match child.kind().deleted() {
        Deleted::WithService => false,
        Deleted::WithRevision => observed
            .revision_of(child)
            .is_some_and(|revision| actions.delete.iter().any(|name| name == revision)),
        Deleted::WhenNotPlanned => !children.iter().any(|planned| {
            planned.kind == child.kind()
                && Some(planned.name.as_str()) == child.metadata().name.as_deref()
        }),
    };
    let children = observed.in_order_of_deleting().filter(goes);
    children.filter_map(deletion).collect()
}

/// `None` where the object is being deleted already.
fn deletion(child: &ChildObject) -> Option<Deletion> {
    let meta = child.metadata();
    if meta.deletion_timestamp.is_some() {
        return None;
    }
    Some(Deletion {
        kind: child.kind(),
        name: meta.name.clone()?,
        uid: meta.uid.clone()?,
        resource_version: meta.resource_version.clone()?,
    })
}
