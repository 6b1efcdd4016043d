//! What the control interfaces need: models loaded, unloaded and counted while others are served.

use super::Pipeline;
use crate::model::Repository;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, ModelStatistics};

/// Control over the configured models. What is not implemented here is a service of which nothing
/// can be loaded or unloaded, and nothing is counted.
pub trait Control: Send + Sync + 'static {
    /// Whether callers may load and unload models here.
    fn allows_repository_control(&self) -> bool {
        false
    }

    /// What has been counted of one version, of every version of a name, or of all models.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version.
    fn statistics(&self, model: Option<&ModelRef>) -> Result<Vec<ModelStatistics>, Fault> {
        let _ = model;
        Ok(Vec::new())
    }

    /// Whether a model may be `verb` (loaded, unloaded) by a request.
    ///
    /// # Errors
    /// `Forbidden`, saying what would allow it.
    fn may_control(&self, verb: &str, name: &str) -> Result<(), Fault> {
        Err(forbidden(verb, name))
    }

    /// Loads every version of a model, or loads it again, and returns once all of them answer.
    ///
    /// # Errors
    /// `Forbidden` where callers may not, `NotFound` for an unknown name, `NotReady` when it is
    /// being loaded already or cannot be loaded.
    fn load(&self, name: &str) -> impl Future<Output = Result<(), Fault>> + Send {
        async move { self.may_control("loaded", name) }
    }

    /// Takes every version of a model out of service.
    ///
    /// # Errors
    /// `Forbidden` where callers may not, `NotFound` for an unknown name, `NotReady` while it is
    /// being loaded.
    fn unload(&self, name: &str) -> Result<(), Fault> {
        self.may_control("unloaded", name)
    }
}

impl Pipeline {
    fn repository(&self, verb: &str, name: &str) -> Result<&Repository, Fault> {
        self.repository
            .as_ref()
            .ok_or_else(|| forbidden(verb, name))
    }
}

fn forbidden(verb: &str, name: &str) -> Fault {
    Fault::new(
        FaultKind::Forbidden,
        "permission_denied",
        format!(
            "model '{name}' cannot be {verb} by a request: this service does not allow it; \
             spec.api.repositoryControl: Enabled in its InferenceService does"
        ),
    )
}

impl Control for Pipeline {
    fn allows_repository_control(&self) -> bool {
        self.repository.is_some()
    }

    fn may_control(&self, verb: &str, name: &str) -> Result<(), Fault> {
        self.repository(verb, name).map(drop)
    }

    fn statistics(&self, model: Option<&ModelRef>) -> Result<Vec<ModelStatistics>, Fault> {
        self.registry.statistics(model)
    }

    async fn load(&self, name: &str) -> Result<(), Fault> {
        self.repository("loaded", name)?.load(name).await
    }

    fn unload(&self, name: &str) -> Result<(), Fault> {
        self.repository("unloaded", name)?.unload(name)
    }
}
