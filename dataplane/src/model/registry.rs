//! The configured models, found by name.

use std::sync::Arc;

use futures_util::future::join_all;
use serin_crds::contract::pod_config::ModelConfig;

use super::LoadError;
use super::entry::ModelEntry;
use super::load::{LoaderOptions, ServingModel};
use crate::runtime::lifecycle::Lifecycle;
use crate::telemetry::Metrics;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, ModelState, ModelStatistics};

/// Every configured model, in configuration order.
pub struct Registry {
    slots: Vec<Arc<ModelEntry>>,
}

impl Registry {
    /// A registry of models that are not loaded yet.
    pub fn new(models: Vec<ModelConfig>, metrics: &Metrics) -> Self {
        let slots = models
            .into_iter()
            .map(|config| {
                let metrics = metrics.model(&config.name, Some(&config.version));
                Arc::new(ModelEntry::new(config, metrics))
            })
            .collect();
        Self { slots }
    }

    /// The model that a caller means; without a version the first of that name.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version, `NotReady` for one that does not answer.
    pub fn resolve(&self, model: &ModelRef) -> Result<Arc<ServingModel>, Fault> {
        self.slot(model)?.resolve()
    }

    fn slot(&self, model: &ModelRef) -> Result<&ModelEntry, Fault> {
        let mut named = self.named(&model.name).peekable();
        if named.peek().is_none() {
            return Err(model_not_found(&model.name));
        }
        let wanted = model.version.as_deref();
        named
            .find(|slot| wanted.is_none_or(|version| version == slot.config.version))
            .map(Arc::as_ref)
            .ok_or_else(|| {
                let message = format!(
                    "model '{}' has no version '{}'",
                    model.name,
                    wanted.unwrap_or_default()
                );
                Fault::new(FaultKind::NotFound, "version_not_found", message).with_param("version")
            })
    }

    fn named<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a Arc<ModelEntry>> + use<'a, 'n> {
        self.slots
            .iter()
            .filter(move |slot| slot.config.name == name)
    }

    /// Every version of a model, to be loaded or taken away together.
    ///
    /// # Errors
    /// `NotFound` for an unknown name.
    pub(super) fn every_version(&self, name: &str) -> Result<Vec<Arc<ModelEntry>>, Fault> {
        let slots: Vec<_> = self.named(name).cloned().collect();
        if slots.is_empty() {
            return Err(model_not_found(name));
        }
        Ok(slots)
    }

    /// Every version of a name.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.named(name)
            .map(|slot| slot.config.version.clone())
            .collect()
    }

    /// Where every model stands.
    pub fn states(&self) -> Vec<ModelState> {
        self.slots.iter().map(|slot| slot.state()).collect()
    }

    /// What has been counted of one version, of every version of a name, or of all models.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version.
    pub fn statistics(&self, model: Option<&ModelRef>) -> Result<Vec<ModelStatistics>, Fault> {
        if let Some(model) = model {
            self.slot(model)?;
        }
        let meant = |slot: &&Arc<ModelEntry>| {
            model.is_none_or(|model| {
                let version = model.version.as_ref();
                model.name == slot.config.name
                    && version.is_none_or(|version| *version == slot.config.version)
            })
        };
        let counted = |slot: &Arc<ModelEntry>| ModelStatistics {
            name: slot.config.name.clone(),
            version: slot.config.version.clone(),
            statistics: slot.statistics.snapshot(),
        };
        Ok(self.slots.iter().filter(meant).map(counted).collect())
    }
}

fn model_not_found(name: &str) -> Fault {
    let message = format!("model '{name}' not found");
    Fault::new(FaultKind::NotFound, "model_not_found", message).with_param("model")
}

/// Loads every model; the phase is `Warming` from when the first one runs. Failures that may pass are retried for ever. A process that can serve other
/// models goes on without one that cannot be loaded.
///
/// # Errors
/// The first permanent failure, when no model can be served.
pub async fn load_all(
    registry: &Registry,
    options: &LoaderOptions,
    lifecycle: &Lifecycle,
) -> Result<(), LoadError> {
    let outcomes = join_all(registry.slots.iter().map(|slot| async move {
        let outcome = slot.start(options, lifecycle).await;
        // Of an only model, the caller says it.
        if registry.slots.len() > 1
            && let Err(error) = &outcome
        {
            tracing::error!(
                model = slot.config.name,
                version = slot.config.version,
                %error,
                "the model cannot be loaded"
            );
        }
        outcome
    }))
    .await;
    let serves = outcomes.iter().any(Result::is_ok);
    match outcomes.into_iter().find_map(Result::err) {
        Some(error) if !serves => Err(error),
        _ => Ok(()),
    }
}
