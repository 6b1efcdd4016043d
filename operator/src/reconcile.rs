//! One pass over one service: gather, decide, apply, prune, report.

pub mod apply;
pub mod blocked;
pub mod context;
pub mod gather;
pub mod next;
pub mod prune;
pub mod report;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kube::Resource;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use serin_crds::InferenceService;
use tokio::time::Instant;

use crate::decide::{Plan, decide};
use crate::declared::declared;
use crate::error::Error;
use crate::observed::Observed;
use crate::reconcile::blocked::{Blocked, blocked};
use crate::reconcile::context::Context;
use crate::reconcile::next::Next;
use crate::reconcile::report::Outcome;
use crate::stores::Guarded;
use crate::validated::{ValidatedService, validate};

/// Deadline of a pass: some thirty slow calls.
const PASS_DEADLINE: Duration = Duration::from_secs(60);
/// From this wait on, an error that is usual for a moment (a pending deletion, a conflict) is logged
/// as a warning.
const LASTING: Duration = Duration::from_secs(4);

/// Runs one pass, contained: it may panic, hang, or meet an object that cannot be decoded.
///
/// # Errors
/// Why the pass ended early; [`on_error`] says when to try again.
pub async fn reconcile(service: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let shared = &context.shared;
    // The semaphore is never closed.
    let _slot = shared.slots.acquire().await;
    let uid = service.meta().uid.clone().unwrap_or_default();
    let began = Instant::now();
    shared.metrics.pass_began();
    let pass = AssertUnwindSafe(one_pass(&service, &context)).catch_unwind();
    let outcome = match tokio::time::timeout(PASS_DEADLINE, pass).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(Error::Panicked(text_of(panic.as_ref()))),
        Err(_) => Err(Error::Overlong(PASS_DEADLINE)),
    };
    let label = outcome
        .as_ref()
        .map_or_else(Error::label, |next| next.label());
    shared.metrics.pass_ended(label, began.elapsed());
    let next = outcome?;
    shared.backoff.forget(&uid);
    Ok(next.action())
}

/// The wait before the next try after a failure: exponential backoff.
#[expect(
    clippy::needless_pass_by_value,
    reason = "kube calls it with owned arguments"
)]
pub fn on_error(service: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let meta = service.meta();
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let wait = context
        .shared
        .backoff
        .failed(meta.uid.as_deref().unwrap_or_default());
    let is_usual = matches!(error, Error::PendingDeletion { .. }) || error.is_conflict();
    if is_usual && wait < LASTING {
        tracing::debug!(namespace, name, %error, "trying again soon");
    } else {
        tracing::warn!(namespace, name, generation = meta.generation, reason = error.label(), %error, "the pass failed");
    }
    Action::requeue(wait)
}

async fn one_pass(service: &Guarded, context: &Context) -> Result<Next, Error> {
    context.stores.ready().await;
    let seen = context.stores.view(service.meta());
    let uid = service.meta().uid.as_deref().unwrap_or_default();
    if !context.shared.expectations.satisfied(uid, &seen) {
        return Ok(Next::Again);
    }
    match &service.0 {
        Ok(service) if service.metadata.deletion_timestamp.is_some() => Ok(Next::Settled),
        Ok(service) => steps(service, context).await,
        Err(InvalidObject { error, metadata }) => {
            report::undecodable(metadata, error, context).await
        }
    }
}

async fn steps(service: &InferenceService, context: &Context) -> Result<Next, Error> {
    let service = report::ensure_status(service, context).await?;
    let recorded = service.status.clone().unwrap_or_default();
    let stable = recorded.stable_revision.as_deref();
    let now = (context.shared.clock)();

    let mut observed = gather::gather(&service, context).await?;
    let wanted = match validate(&service) {
        Ok(wanted) => declared(wanted, stable, &observed),
        Err(invalid) => return report::invalid(&service, &observed, &invalid, context).await,
    };
    let plan = decide(&wanted, &recorded, &observed, &context.shared.defaults, now);

    let failures = context.shared.backoff.failures(&wanted.uid);
    let route = Some(plan.actions.route.as_str());
    let promoted = stable == route && observed.selected() == route;
    let written = write(&wanted, &plan, promoted, &mut observed, context).await;
    let blocked = blocked(written, failures)?;

    let outcome = Outcome {
        wanted: &wanted,
        plan: &plan,
        observed: &observed,
        blocked: blocked.as_ref().map(|blocked| &blocked.issue),
    };
    let progress = report::report(&service, &outcome, context).await?;
    match blocked {
        // It may resolve itself: the pass is retried with backoff.
        Some(Blocked { issue, error }) if !issue.stalled => Err(error),
        blocked => Ok(Next::after(
            &plan,
            &progress,
            blocked.is_some(),
            &observed.metrics_api,
        )),
    }
}

/// Applies, then deletes. A failed apply prevents deletions, with one exception: once a promotion is
/// recorded, the replaced revision is deleted although the API server refuses another object.
async fn write(
    wanted: &ValidatedService,
    plan: &Plan,
    promoted: bool,
    observed: &mut Observed,
    context: &Context,
) -> Result<(), Error> {
    let applied = apply::apply(wanted, plan, observed, context).await;
    if let Err(error) = &applied
        && !(promoted && error.is_refusal())
    {
        return applied;
    }
    prune::prune(wanted, plan, context).await?;
    applied
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests;
