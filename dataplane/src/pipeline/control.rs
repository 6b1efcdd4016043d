//! The catalogue of models, and loading and unloading.

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelDescription, ModelRef, ModelState, ModelStatistics};

use super::Pipeline;

/// Describes the configured models.
pub trait Catalog: Send + Sync + 'static {
    /// The description of a model, with every version of its name.
    ///
    /// # Errors
    /// `NotFound` for an unknown model or version, `NotReady` while it loads or if it failed to.
    fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault>;

    /// Every configured model, loaded or not, in configuration order.
    fn models(&self) -> Vec<ModelState>;

    /// The statistics of one version, of every version of a name, or of all models.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version.
    fn statistics(&self, model: Option<&ModelRef>) -> Result<Vec<ModelStatistics>, Fault> {
        let _ = model;
        Ok(Vec::new())
    }
}

/// Loads and unloads models. The layer above decides whether a caller is allowed to.
pub trait RepositoryControl: Send + Sync + 'static {
    /// Loads or reloads every version of a model, and returns when all of them answer.
    ///
    /// # Errors
    /// `NotFound` for an unknown name, `NotReady` when it is being loaded already or cannot be
    /// loaded.
    fn load(&self, name: &str) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = name;
        async { Err(no_repository()) }
    }

    /// Unloads every version of a model.
    ///
    /// # Errors
    /// `NotFound` for an unknown name, `NotReady` while it is being loaded.
    fn unload(&self, name: &str) -> Result<(), Fault> {
        let _ = name;
        Err(no_repository())
    }
}

fn no_repository() -> Fault {
    Fault::new(
        FaultKind::NotImplemented,
        "not_implemented",
        "the models of this server cannot be changed while it runs",
    )
}

impl Catalog for Pipeline {
    fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault> {
        let mut description = ModelDescription::clone(&self.registry.resolve(model)?.description);
        description.versions = self.registry.versions(&description.name);
        Ok(description)
    }

    fn models(&self) -> Vec<ModelState> {
        self.registry.states()
    }

    fn statistics(&self, model: Option<&ModelRef>) -> Result<Vec<ModelStatistics>, Fault> {
        self.registry.statistics(model)
    }
}

impl RepositoryControl for Pipeline {
    async fn load(&self, name: &str) -> Result<(), Fault> {
        match &self.repository {
            Some(repository) => repository.load(name).await,
            None => Err(no_repository()),
        }
    }

    fn unload(&self, name: &str) -> Result<(), Fault> {
        let repository = self.repository.as_ref().ok_or_else(no_repository)?;
        repository.unload(name)
    }
}
