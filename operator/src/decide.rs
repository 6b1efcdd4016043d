//! From a checked spec and what there is to what is to be written. Pure.

use std::collections::BTreeMap;

use serin_crds::InferenceServiceStatus;

use crate::child::{Child, Kind};
use crate::desired::blueprint::{Blueprint, Pinned};
use crate::desired::replicas::{Sizes, to_write};
use crate::desired::template::Template;
use crate::desired::{autoscaler, config, deployment, service as address};
use crate::live::Live;
use crate::rollout::{Facts, Presence, Roles, roles};
use crate::validated::{Size, ValidatedService};

/// What one pass writes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which revision does what.
    pub roles: Roles,
    /// Objects that should exist, in the order of applying.
    pub children: Vec<Child>,
    /// `spec.replicas` to write, by Deployment.
    pub sizes: BTreeMap<String, i32>,
    /// Objects to delete, in this order.
    pub prune: Vec<Doomed>,
    /// The user's name for the version of each revision that has a role.
    pub versions: BTreeMap<String, String>,
}

/// An object to delete, exactly as it was seen: a newer one of the same name is spared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub resource_version: String,
}

/// Decides what one pass writes.
pub fn decide(
    service: &ValidatedService,
    recorded: &InferenceServiceStatus,
    live: &Live,
    pinned: &Pinned,
) -> Plan {
    let roles = roles(&facts(service, recorded, live));
    let mut children = Vec::new();
    let mut sizes = BTreeMap::new();
    let mut versions = BTreeMap::new();
    let scaled_by = autoscaling(service);

    for revision in [Some(&roles.stable), roles.next.as_ref()]
        .into_iter()
        .flatten()
    {
        let stored = live.revision(revision);
        let is_declared = *revision == service.revision.name;
        let read = stored
            .config
            .as_deref()
            .map(|config| (config, Blueprint::read(config)));
        let (blueprint, template, config) = match read {
            Some((live, Ok(blueprint))) => {
                let deployment = stored.deployment.as_deref();
                let template = deployment
                    .and_then(|deployment| Template::kept(live, deployment))
                    .unwrap_or_else(|| Template::fresh(service, &blueprint));
                (blueprint, template, config::kept(service, live))
            }
            _ if is_declared => {
                let blueprint = Blueprint::new(service, pinned);
                let template = Template::fresh(service, &blueprint);
                let config = config::fresh(service, &blueprint, &template);
                (blueprint, template, config)
            }
            // Nothing to rebuild it from: what is left of it goes on serving.
            _ => continue,
        };
        versions.insert(revision.clone(), blueprint.version);
        children.push(config);
        children.push(deployment::deployment(service, revision, &template));

        // An autoscaler that is to go must be gone before anybody else writes the size.
        let held =
            stored.autoscaler.is_some() && scaled_by.is_none() && stored.deployment.is_some();
        let of_stable = (*revision != roles.stable).then(|| live.revision(&roles.stable));
        let sized = Sizes {
            live: stored.wanted(),
            stable: of_stable.map(|stable| stable.wanted().or(recorded.replicas).unwrap_or(0)),
            last: recorded.replicas,
        };
        if let Some(replicas) = to_write(service, sized).filter(|_| !held) {
            sizes.insert(revision.clone(), replicas);
        }
    }
    children.push(address::service(service, &roles.stable));
    if let Some(bounds) = scaled_by {
        children.push(autoscaler::autoscaler(service, &roles.stable, bounds));
    }
    children.sort_by_key(|child| child.kind);
    Plan {
        prune: prune(service, &roles, live),
        roles,
        children,
        sizes,
        versions,
    }
}

fn autoscaling(service: &ValidatedService) -> Option<&serin_crds::inference_service::Autoscaling> {
    match &service.size {
        Size::Autoscaled(bounds) if !service.suspended => Some(bounds),
        _ => None,
    }
}

fn facts<'a>(
    service: &'a ValidatedService,
    recorded: &'a InferenceServiceStatus,
    live: &'a Live,
) -> Facts<'a> {
    let present = live
        .revisions
        .iter()
        .filter(|(_, revision)| revision.exists())
        .map(|(name, revision)| {
            let presence = Presence {
                rebuildable: revision
                    .config
                    .as_deref()
                    .is_some_and(|config| Blueprint::read(config).is_ok()),
                deployed: revision.deployment.is_some(),
                available: revision.is_complete(),
            };
            (name.clone(), presence)
        })
        .collect();
    let stable = recorded.stable_revision.as_deref().or(live.selected());
    Facts {
        recorded: recorded.stable_revision.as_deref(),
        selected: live.selected(),
        answered: recorded.version.is_some()
            || stable.is_some_and(|stable| live.revision(stable).available() > 0),
        declared: &service.revision.name,
        stopped: service.is_stopped(),
        present,
    }
}

fn prune(service: &ValidatedService, roles: &Roles, live: &Live) -> Vec<Doomed> {
    let mut doomed = Vec::new();
    for (name, revision) in &live.revisions {
        let is_obsolete = roles.obsolete.contains(name);
        let keeps_autoscaler = *name == roles.stable && autoscaling(service).is_some();
        let kinds = [
            // First, or it would go on writing the size of what is being deleted.
            (
                Kind::HorizontalPodAutoscaler,
                !keeps_autoscaler && revision.autoscaler.is_some(),
            ),
            (Kind::Deployment, is_obsolete),
            (Kind::ConfigMap, is_obsolete),
        ];
        for (kind, _) in kinds.into_iter().filter(|(_, goes)| *goes) {
            let Some(meta) = live.meta(kind, name) else {
                continue;
            };
            if let (Some(uid), Some(version), None) =
                (&meta.uid, &meta.resource_version, &meta.deletion_timestamp)
            {
                doomed.push(Doomed {
                    kind,
                    name: name.clone(),
                    uid: uid.clone(),
                    resource_version: version.clone(),
                });
            }
        }
    }
    doomed
}
