//! Writes the status where it changed, and publishes events.

use kube::api::{ApiResource, DynamicObject};
use kube::core::ObjectMeta;
use kube::{Api, Resource};
use serin_crds::status::Reason;
use serin_crds::{InferenceService, InferenceServiceStatus};

use crate::deadline::{Call, with_deadline};
use crate::decide::Plan;
use crate::error::Error;
use crate::events::between;
use crate::expectations::Expectation;
use crate::observe::Issue;
use crate::observe::conditions::Progress;
use crate::observe::invalid;
use crate::observe::pass::Pass;
use crate::observe::status::{status, unknown};
use crate::observed::Observed;
use crate::reconcile::context::Context;
use crate::reconcile::next::Next;
use crate::validated::{Invalid, ValidatedService};

/// Writes the first status of a new object, before any child is written. Returns the service with
/// its status.
///
/// # Errors
/// Where the write fails.
pub async fn ensure_status(
    service: &InferenceService,
    context: &Context,
) -> Result<InferenceService, Error> {
    let mut service = service.clone();
    if service.status.is_none() {
        let generation = service.metadata.generation.unwrap_or_default();
        let first = unknown(generation, (context.shared.clock)());
        let meta = write(&service.metadata, &first, context).await?;
        service.metadata.resource_version = meta.resource_version;
        service.status = Some(first);
    }
    Ok(service)
}

/// The result of a pass.
#[derive(Clone, Copy)]
pub struct Outcome<'a> {
    /// The validated spec.
    pub wanted: &'a ValidatedService,
    /// The plan.
    pub plan: &'a Plan,
    /// The observed state after the writes.
    pub observed: &'a Observed,
    /// Why the pass could not write everything.
    pub blocked: Option<&'a Issue>,
}

/// Reports the result of a pass.
///
/// # Errors
/// Where the write fails.
pub async fn report(
    service: &InferenceService,
    outcome: &Outcome<'_>,
    context: &Context,
) -> Result<Progress, Error> {
    let previous = service.status.clone().unwrap_or_default();
    let (status, progress) = status(&Pass {
        service: outcome.wanted,
        plan: outcome.plan,
        observed: outcome.observed,
        blocked: outcome.blocked,
        previous: &previous,
        now: (context.shared.clock)(),
    });
    settle(service, &previous, status, context).await?;
    Ok(progress)
}

/// Reports a spec that cannot be served.
///
/// # Errors
/// Where the write fails.
pub async fn invalid(
    service: &InferenceService,
    observed: &Observed,
    why: &Invalid,
    context: &Context,
) -> Result<Next, Error> {
    let previous = service.status.clone().unwrap_or_default();
    let issue = Issue {
        reason: Reason::InvalidSpec,
        message: why.to_string(),
        stalled: true,
    };
    let now = (context.shared.clock)();
    let status = invalid::status(&previous, observed, &service.metadata, &issue, now);
    settle(service, &previous, status, context).await?;
    Ok(Next::Stalled)
}

/// Reports an object that this version of the operator cannot decode, as after a downgrade.
///
/// # Errors
/// Where it cannot be read or written.
pub async fn undecodable(meta: &ObjectMeta, why: &str, context: &Context) -> Result<Next, Error> {
    let name = meta.name.as_deref().unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(
        context.shared.client.clone(),
        namespace,
        &ApiResource::erase::<InferenceService>(&()),
    );
    let call = Call {
        verb: "get",
        kind: "InferenceService",
        name,
    };
    let Some(object) = with_deadline(call, api.get_opt(name)).await? else {
        return Ok(Next::Settled);
    };
    let previous: InferenceServiceStatus =
        serde_json::from_value(object.data["status"].clone()).unwrap_or_default();
    let issue = Issue {
        reason: Reason::InvalidSpec,
        message: format!(
            "this version of the operator cannot read the object: {why}. Upgrade the operator, or \
             remove what it does not know; what serves goes on serving"
        ),
        stalled: true,
    };
    let observed = context.stores.observed(meta);
    let now = (context.shared.clock)();
    let status = invalid::status(&previous, &observed, &object.metadata, &issue, now);
    if status != previous {
        write(&object.metadata, &status, context).await?;
    }
    Ok(Next::Stalled)
}

/// Writes a status that differs from the stored one, and publishes the events of the transition.
async fn settle(
    service: &InferenceService,
    previous: &InferenceServiceStatus,
    status: InferenceServiceStatus,
    context: &Context,
) -> Result<(), Error> {
    if status == *previous {
        return Ok(());
    }
    write(&service.metadata, &status, context).await?;
    let meta = &service.metadata;
    for event in between(previous, &status) {
        tracing::info!(
            namespace = meta.namespace,
            name = meta.name,
            generation = meta.generation,
            reason = event.reason,
            "{}",
            event.note.as_deref().unwrap_or_default()
        );
        let call = Call {
            verb: "create",
            kind: "Event",
            name: &event.reason,
        };
        let recorder = &context.shared.recorder;
        if let Err(error) =
            with_deadline(call, recorder.publish(&event, &service.object_ref(&()))).await
        {
            // The condition says the same.
            tracing::debug!(%error, "an event was not published");
        }
    }
    Ok(())
}

async fn write(
    meta: &ObjectMeta,
    status: &InferenceServiceStatus,
    context: &Context,
) -> Result<ObjectMeta, Error> {
    let written = context.shared.writer.report(meta, status).await?;
    if let (Some(uid), Some(version)) = (&meta.uid, &written.resource_version) {
        context
            .shared
            .expectations
            .expect(uid, Expectation::Service(version.clone()));
    }
    Ok(written)
}
