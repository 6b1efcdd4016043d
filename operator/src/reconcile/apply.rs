//! Applies the children that differ from the plan, and no others.

use kube::core::ObjectMeta;
use serin_crds::GROUP;

use crate::child::Child;
use crate::child_kind::{ChildKind, ChildObject};
use crate::decide::Plan;
use crate::drift::up_to_date;
use crate::error::Error;
use crate::expectations::Expectation;
use crate::observed::{Observed, replicas_are_owned};
use crate::reader::read;
use crate::reconcile::context::Context;
use crate::stores::is_owned;
use crate::validated::ValidatedService;
use crate::writer::MAIN_MANAGER;

/// Applies the plan's children. The API server's answers replace the objects in `observed`.
///
/// # Errors
/// The first failure of a claim or write; earlier writes stand.
pub async fn apply(
    service: &ValidatedService,
    plan: &Plan,
    observed: &mut Observed,
    context: &Context,
) -> Result<(), Error> {
    // Claims first: where one name is taken, nothing is written.
    for child in &plan.children {
        claim(service, child, observed, context).await?;
    }
    for child in &plan.children {
        write(service, plan, child, observed, context).await?;
    }
    Ok(())
}

/// Checks that a child's name is free or that the service controls the object: a forced apply would
/// silently take over a foreign object.
async fn claim(
    service: &ValidatedService,
    child: &Child,
    observed: &mut Observed,
    context: &Context,
) -> Result<(), Error> {
    let pending_deletion = || Error::PendingDeletion {
        kind: child.kind,
        name: child.name.clone(),
    };
    if let Some(meta) = observed.metadata(child.kind, &child.name) {
        // `observed` holds only objects that the service controls.
        return if meta.deletion_timestamp.is_some() {
            Err(pending_deletion())
        } else {
            Ok(())
        };
    }
    let client = &context.shared.client;
    let Some(found) = read(client, &service.namespace, child.kind, &child.name).await? else {
        return Ok(());
    };
    let meta = found.metadata();
    if meta.deletion_timestamp.is_some() || is_predecessors(meta, service) {
        return Err(pending_deletion());
    }
    if !is_owned(meta, Some(&service.uid)) {
        return Err(Error::NameConflict(format!(
            "{} {} exists in namespace {} and {}. Rename it or delete it, or give this \
             InferenceService another name; nothing of it was changed",
            child.kind.as_str(),
            child.name,
            service.namespace,
            owner_of(meta),
        )));
    }
    observed.insert(found);
    Ok(())
}

/// Whether the object belonged to a deleted service of the same name, so that the garbage collector
/// deletes it. The group is compared too: KServe's kind has the same name.
fn is_predecessors(object: &ObjectMeta, service: &ValidatedService) -> bool {
    object.owner_references.iter().flatten().any(|owner| {
        let group = owner.api_version.split_once('/').map(|(group, _)| group);
        group == Some(GROUP)
            && owner.kind == "InferenceService"
            && owner.name == service.name
            && owner.uid != service.uid
    })
}

fn owner_of(object: &ObjectMeta) -> String {
    let owner = object
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true));
    owner.map_or_else(
        || "was not made by Serin".to_owned(),
        |owner| {
            format!(
                "belongs to {} {} ({})",
                owner.kind, owner.name, owner.api_version
            )
        },
    )
}

async fn write(
    service: &ValidatedService,
    plan: &Plan,
    child: &Child,
    observed: &mut Observed,
    context: &Context,
) -> Result<(), Error> {
    let writer = &context.shared.writer;
    let namespace = &service.namespace;
    let size = plan.sizes.get(&child.name).copied();
    let mut wrote = false;
    if observed.metadata(child.kind, &child.name).is_none() {
        let answer = writer.create(namespace, child, size).await?;
        note(service, child, answer, observed, context);
        wrote = true;
    }
    let uid = uid_of(child, observed);
    if child.kind == ChildKind::Deployment
        && let Some(replicas) = size_to_apply(&child.name, size, observed)
    {
        let answer = writer.scale(namespace, &child.name, &uid, replicas).await?;
        note(service, child, answer, observed, context);
        wrote = true;
    }
    let holds = observed
        .get(child.kind, &child.name)
        .is_some_and(|live| up_to_date(child, live));
    if !holds {
        let answer = writer.update(namespace, child, &uid).await?;
        note(service, child, answer, observed, context);
        wrote = true;
    }
    if !wrote {
        writer.skipped(child.kind);
    }
    Ok(())
}

/// The size to apply before the rest of a Deployment: the planned one, or the live one where only
/// the main field manager owns it, as between creating and sizing.
fn size_to_apply(name: &str, planned: Option<i32>, observed: &Observed) -> Option<i32> {
    let revision = observed.revision(name);
    let deployment = revision.deployment.as_deref()?;
    let differs = planned.filter(|planned| revision.wanted() != Some(*planned));
    let unowned = !replicas_are_owned(deployment, MAIN_MANAGER);
    differs.or_else(|| revision.wanted().filter(|_| unowned))
}

fn uid_of(child: &Child, observed: &Observed) -> String {
    observed
        .metadata(child.kind, &child.name)
        .and_then(|meta| meta.uid.clone())
        .unwrap_or_default()
}

/// Records the API server's answer in `observed`, and expects the watch to show it.
fn note(
    service: &ValidatedService,
    child: &Child,
    answer: ChildObject,
    observed: &mut Observed,
    context: &Context,
) {
    if let Some(version) = answer.metadata().resource_version.clone() {
        let expected = Expectation::Child(child.kind, child.name.clone(), version);
        context.shared.expectations.expect(&service.uid, expected);
    }
    observed.insert(answer);
}
