//! One pass over one service: gather, decide, apply, prune, report.

pub mod apply;
pub mod blocked;
pub mod context;
pub mod gather;
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

use crate::backoff::resync;
use crate::decide::{Plan, decide};
use crate::error::Error;
use crate::live::{Live, MetricsApi};
use crate::observe::conditions::Verdict;
use crate::reconcile::blocked::{Blocked, blocked};
use crate::reconcile::context::Context;
use crate::reconcile::report::Outcome;
use crate::validated::{ValidatedService, validate};
use crate::watches::Guarded;

/// How long a pass may take: some thirty calls that all answer late.
const PASS_DEADLINE: Duration = Duration::from_secs(60);
/// When to look again while something of our own doing is to show.
const AGAIN: Duration = Duration::from_millis(300);
/// When to look again at a service on its way: what its pods say of themselves comes as no event.
const MOVING: Duration = Duration::from_secs(5);
/// When to look again at a service that needs help.
const STUCK: Duration = Duration::from_secs(15);

/// From this wait on, what is usual for a moment (a leftover, an old picture of what there is) is
/// worth a line in the log.
const LASTING: Duration = Duration::from_secs(4);

/// When a service should be looked at again if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is as it should be.
    Settled,
    /// The same, but its autoscaler has nothing to go by.
    Unmeasured,
    /// Another step is due.
    Again,
    /// Its pods are on their way.
    Moving,
    /// Somebody must help.
    Stuck,
}

/// Runs one pass, whatever it may do: panic, hang, or meet an object that cannot be read.
///
/// # Errors
/// Why the pass ended early; [`on_error`] says when to try again.
pub async fn reconcile(service: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let shared = &context.shared;
    // Never closed; and one controller alone already keeps within the bound.
    let _slot = shared.slots.acquire().await;
    let uid = service.meta().uid.clone().unwrap_or_default();
    let began = Instant::now();
    shared.metrics.pass_began();
    let pass = AssertUnwindSafe(one_pass(&service, &context)).catch_unwind();
    let outcome = match tokio::time::timeout(PASS_DEADLINE, pass).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(Error::Panicked(words(panic.as_ref()))),
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

/// When to try again after a failure: later each time.
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
    let is_usual = matches!(error, Error::StillThere { .. }) || error.is_conflict();
    if is_usual && wait < LASTING {
        tracing::debug!(namespace, name, %error, "trying again soon");
    } else {
        tracing::warn!(namespace, name, generation = meta.generation, reason = error.label(), %error, "the pass failed");
    }
    Action::requeue(wait)
}

async fn one_pass(service: &Guarded, context: &Context) -> Result<Next, Error> {
    context.stores.ready().await;
    let seen = context.stores.of(service.meta());
    let uid = service.meta().uid.as_deref().unwrap_or_default();
    if !context.shared.barrier.is_open(uid, &seen) {
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
    let greeted = report::greet(service, context).await?;
    let mut live = gather::gather(&greeted.service, context).await?;
    let wanted = match validate(&greeted.service) {
        Ok(wanted) => wanted,
        Err(invalid) => return report::invalid(&greeted, &live, &invalid, context).await,
    };
    let recorded = greeted.service.status.clone().unwrap_or_default();
    let plan = decide(&wanted, &recorded, &live, &context.shared.pinned);
    let failures = context.shared.backoff.failures(&wanted.uid);
    let promoted = {
        let stable = Some(plan.roles.stable.as_str());
        recorded.stable_revision.as_deref() == stable && live.selected() == stable
    };
    let written = write(&wanted, &plan, promoted, &mut live, context).await;
    let blocked = blocked(written, failures)?;
    let outcome = Outcome {
        wanted: &wanted,
        plan: &plan,
        live: &live,
        blocked: blocked.as_ref().map(|blocked| &blocked.trouble),
    };
    let verdict = report::report(&greeted, &outcome, context).await?;
    match blocked {
        // It may pass by itself: tried again as any failure is.
        Some(Blocked { trouble, error }) if !trouble.stalled => Err(error),
        blocked => Ok(match next(&plan, &verdict, blocked.is_some()) {
            // That the cluster begins or ends to measure pods comes as no event.
            Next::Settled if !matches!(live.metrics_api, MetricsApi::NotAsked) => Next::Unmeasured,
            next => next,
        }),
    }
}

/// Nothing is deleted before everything that takes its place is applied; but once a promotion is
/// recorded, what it replaced goes, whatever is refused besides.
async fn write(
    wanted: &ValidatedService,
    plan: &Plan,
    promoted: bool,
    live: &mut Live,
    context: &Context,
) -> Result<(), Error> {
    let applied = apply::apply(wanted, plan, live, context).await;
    if let Err(error) = &applied
        && !(promoted && error.is_refusal())
    {
        return applied;
    }
    prune::prune(wanted, plan, context).await?;
    applied
}

fn next(plan: &Plan, verdict: &Verdict, blocked: bool) -> Next {
    let unfinished = plan.roles.again || plan.roles.replaced.is_some() || !plan.prune.is_empty();
    match verdict {
        _ if unfinished && !blocked => Next::Again,
        Verdict::Stuck(..) => Next::Stuck,
        Verdict::Moving(..) | Verdict::Stopped { stopping: true } => Next::Moving,
        Verdict::Done(_) | Verdict::Stopped { stopping: false } => Next::Settled,
    }
}

impl Next {
    fn label(self) -> &'static str {
        match self {
            Self::Settled | Self::Unmeasured => "settled",
            Self::Again => "again",
            Self::Moving => "moving",
            Self::Stuck => "stuck",
        }
    }

    fn action(self) -> Action {
        Action::requeue(match self {
            Self::Settled => resync(),
            Self::Unmeasured => STUCK,
            Self::Again => AGAIN,
            Self::Moving => MOVING,
            Self::Stuck => STUCK,
        })
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests;
