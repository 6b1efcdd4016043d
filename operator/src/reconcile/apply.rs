//! Writes what differs from the plan, and nothing else.

use kube::ResourceExt;
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::Value;
use serin_crds::GROUP;

use crate::barrier::Expected;
use crate::call::{Question, ask};
use crate::child::{Child, Kind};
use crate::decide::Plan;
use crate::drift::up_to_date;
use crate::error::Error;
use crate::live::{Live, replicas_are_owned};
use crate::reconcile::context::Context;
use crate::reconcile::gather::is_owned;
use crate::validated::ValidatedService;
use crate::writer::{MAIN_MANAGER, children};

/// Brings the children to the plan. `live` becomes what the API server answered.
///
/// # Errors
/// What the first claim or write that fails ends with; what was written before it stands.
pub async fn apply(
    service: &ValidatedService,
    plan: &Plan,
    live: &mut Live,
    context: &Context,
) -> Result<(), Error> {
    // All names first: where one is taken, nothing is written.
    for child in &plan.children {
        claim(service, child, live, context).await?;
    }
    for child in &plan.children {
        write(service, plan, child, live, context).await?;
    }
    Ok(())
}

/// Makes sure that a child's name is free or the child ours: a forced apply would silently take
/// over somebody else's object.
async fn claim(
    service: &ValidatedService,
    child: &Child,
    live: &mut Live,
    context: &Context,
) -> Result<(), Error> {
    let still_there = || Error::StillThere {
        kind: child.kind,
        name: child.name.clone(),
    };
    if let Some(meta) = live.meta(child.kind, &child.name) {
        // Only objects of ours are gathered.
        return if meta.deletion_timestamp.is_some() {
            Err(still_there())
        } else {
            Ok(())
        };
    }
    let question = Question {
        verb: "get",
        kind: child.kind.as_str(),
        name: &child.name,
    };
    let api = children(&context.shared.client, &service.namespace, child.kind);
    let Some(found) = ask(question, api.get_opt(&child.name)).await? else {
        return Ok(());
    };
    if found.metadata.deletion_timestamp.is_some() || is_predecessors(&found, service) {
        return Err(still_there());
    }
    if !is_owned(&found.metadata, Some(&service.uid)) {
        return Err(Error::NameConflict(format!(
            "{} {} exists in namespace {} and {}. Rename it or delete it, or give this \
             InferenceService another name; nothing of it was changed",
            child.kind.as_str(),
            child.name,
            service.namespace,
            owner_of(&found.metadata),
        )));
    }
    record(live, child.kind, &child.name, found)
}

/// Whether the object belonged to a service of the same name that was deleted: the garbage
/// collector will take it. KServe's kind has the same name as ours, and nothing of it will go.
fn is_predecessors(object: &DynamicObject, service: &ValidatedService) -> bool {
    object.owner_references().iter().any(|owner| {
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
    live: &mut Live,
    context: &Context,
) -> Result<(), Error> {
    let writer = &context.shared.writer;
    let namespace = &service.namespace;
    let size = plan.sizes.get(&child.name).copied();
    let mut wrote = false;
    if live.meta(child.kind, &child.name).is_none() {
        let answer = writer.create(namespace, child, size).await?;
        note(service, child, answer, live, context)?;
        wrote = true;
    }
    let uid = uid_of(child, live);
    if child.kind == Kind::Deployment
        && let Some(replicas) = size_to_apply(&child.name, size, live)
    {
        let answer = writer.scale(namespace, &child.name, &uid, replicas).await?;
        note(service, child, answer, live, context)?;
        wrote = true;
    }
    let holds = live
        .json(child.kind, &child.name)
        .is_some_and(|live| up_to_date(child, &live));
    if !holds {
        let answer = writer.update(namespace, child, &uid).await?;
        note(service, child, answer, live, context)?;
        wrote = true;
    }
    if !wrote {
        writer.skipped(child.kind);
    }
    Ok(())
}

/// The size to apply before anything else of a Deployment is: the planned one, or the live one
/// where nobody but the main field manager owns it, as between creating and sizing.
fn size_to_apply(name: &str, planned: Option<i32>, live: &Live) -> Option<i32> {
    let revision = live.revision(name);
    let deployment = revision.deployment.as_deref()?;
    let differs = planned.filter(|planned| revision.wanted() != Some(*planned));
    let unowned = !replicas_are_owned(deployment, MAIN_MANAGER);
    differs.or_else(|| revision.wanted().filter(|_| unowned))
}

fn uid_of(child: &Child, live: &Live) -> String {
    live.meta(child.kind, &child.name)
        .and_then(|meta| meta.uid.clone())
        .unwrap_or_default()
}

/// Takes the API server's answer into what is known, and waits for the watch to show it.
fn note(
    service: &ValidatedService,
    child: &Child,
    answer: Value,
    live: &mut Live,
    context: &Context,
) -> Result<(), Error> {
    if let Some(version) = answer["metadata"]["resourceVersion"].as_str() {
        let expected = Expected::Child(child.kind, child.name.clone(), version.to_owned());
        context.shared.barrier.wrote(&service.uid, expected);
    }
    live.record(child.kind, &child.name, answer)
        .map_err(|source| Error::Unreadable {
            kind: child.kind,
            name: child.name.clone(),
            source,
        })
}

fn record(live: &mut Live, kind: Kind, name: &str, object: DynamicObject) -> Result<(), Error> {
    let unreadable = |source| Error::Unreadable {
        kind,
        name: name.to_owned(),
        source,
    };
    let object = serde_json::to_value(object).map_err(unreadable)?;
    live.record(kind, name, object).map_err(unreadable)
}
