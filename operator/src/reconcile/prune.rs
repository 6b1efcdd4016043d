//! Deletes what has no role any more.

use crate::barrier::Expected;
use crate::decide::Plan;
use crate::error::Error;
use crate::reconcile::context::Context;
use crate::validated::ValidatedService;

/// Deletes what the plan says, each object only if it still is the one that was seen.
///
/// # Errors
/// Where a deletion fails; those before it stand.
pub async fn prune(
    service: &ValidatedService,
    plan: &Plan,
    context: &Context,
) -> Result<(), Error> {
    for doomed in &plan.prune {
        context
            .shared
            .writer
            .delete(&service.namespace, doomed)
            .await?;
        tracing::info!(
            namespace = service.namespace,
            name = service.name,
            generation = service.generation,
            kind = doomed.kind.as_str(),
            object = doomed.name,
            "deleted"
        );
        let expected = Expected::Gone(doomed.kind, doomed.name.clone(), doomed.uid.clone());
        context.shared.barrier.wrote(&service.uid, expected);
    }
    Ok(())
}
