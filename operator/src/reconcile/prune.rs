//! Deletes the objects that are not needed any more.

use crate::decide::Plan;
use crate::error::Error;
use crate::expectations::Expectation;
use crate::reconcile::context::Context;
use crate::validated::ValidatedService;

/// Deletes the plan's objects, each only if its uid and resource version are unchanged.
///
/// # Errors
/// The first failed deletion; earlier ones stand.
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
