//! Deletes what has no role any more.

use crate::decide::Plan;
use crate::error::Error;
use crate::expectations::Expectation;
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
    for deletion in &plan.prune {
        context
            .shared
            .writer
            .delete(&service.namespace, deletion)
            .await?;
        tracing::info!(
            namespace = service.namespace,
            name = service.name,
            generation = service.generation,
            kind = deletion.kind.as_str(),
            object = deletion.name,
            "deleted"
        );
        let expected =
            Expectation::Gone(deletion.kind, deletion.name.clone(), deletion.uid.clone());
        context.shared.expectations.expect(&service.uid, expected);
    }
    Ok(())
}
