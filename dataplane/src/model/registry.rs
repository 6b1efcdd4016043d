//! The models of a process and their versions, found by name. They come and go while it serves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use serin_crds::contract::pod_config::ModelConfig;

use super::default_version::{DefaultVersionPolicy, VersionState, default_version};
use super::entry::{LoadPermit, ModelEntry};
use super::error::LoadError;
use super::options::LoaderOptions;
use super::serving::ServingModel;
use crate::runtime::lifecycle::Lifecycle;
use crate::telemetry::Metrics;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, ModelState, ModelStatistics};

/// Every model, whether it answers or not. Read without a lock; changed by one writer at a time.
pub struct Registry {
    models: ArcSwap<Models>,
    /// Held by a writer.
    changing: Mutex<()>,
    metrics: Arc<Metrics>,
    default_version: DefaultVersionPolicy,
}

/// The models at one time.
#[derive(Clone, Default)]
struct Models {
    /// In the order in which they were added.
    entries: Vec<Arc<ModelEntry>>,
    /// The versions of each name, in the same order. None is empty.
    by_name: HashMap<String, Vec<Arc<ModelEntry>>>,
}

impl Registry {
    /// A registry of models that are not loaded yet. Of two with the same name and version, the
    /// first counts.
    pub fn new(models: Vec<ModelConfig>, metrics: &Arc<Metrics>) -> Self {
        let registry = Self {
            models: ArcSwap::default(),
            changing: Mutex::default(),
            metrics: Arc::clone(metrics),
            default_version: DefaultVersionPolicy::default(),
        };
        for config in models {
            registry.insert(config);
        }
        registry
    }

    /// Chooses default versions by another policy than the first configured.
    #[must_use]
    pub fn with_default_version(mut self, policy: DefaultVersionPolicy) -> Self {
        self.default_version = policy;
        self
    }

    /// Adds a version, which is not loaded yet; its metrics are shown from now on. `false` where it
    /// is there already.
    pub fn insert(&self, config: ModelConfig) -> bool {
        self.add(config).is_some()
    }

    /// As [`insert`](Self::insert): the new entry, and the permit to load it, which no one else had.
    pub(super) fn add(&self, config: ModelConfig) -> Option<(Arc<ModelEntry>, LoadPermit)> {
        let _changing = self.lock();
        let mut models = Models::clone(&self.models.load());
        if models.find(&config.name, &config.version).is_some() {
            return None;
        }
        let metrics = self.metrics.register(&config.name, &config.version);
        let entry = Arc::new(ModelEntry::new(config, metrics));
        let permit = entry.permit()?;
        models.entries.push(Arc::clone(&entry));
        let versions = models.by_name.entry(entry.config.name.clone()).or_default();
        versions.push(Arc::clone(&entry));
        self.models.store(Arc::new(models));
        Some((entry, permit))
    }

    /// Removes a version; `false` where there is none. Requests that it has are answered; then its
    /// memory is freed, and its metrics are no longer shown.
    pub fn remove(&self, name: &str, version: &str) -> bool {
        let entry = self.models.load().find(name, version).cloned();
        entry.is_some_and(|entry| self.remove_entry(&entry))
    }

    /// As [`remove`](Self::remove), of this entry and of no later one with the same name.
    pub(super) fn remove_entry(&self, removed: &Arc<ModelEntry>) -> bool {
        let _changing = self.lock();
        let mut models = Models::clone(&self.models.load());
        let (name, version) = (&removed.config.name, &removed.config.version);
        let kept = |entry: &Arc<ModelEntry>| !Arc::ptr_eq(entry, removed);
        if models.entries.iter().all(kept) {
            return false;
        }
        models.entries.retain(kept);
        if let Some(versions) = models.by_name.get_mut(name) {
            versions.retain(kept);
            if versions.is_empty() {
                models.by_name.remove(name);
            }
        }
        self.models.store(Arc::new(models));
        removed.unload();
        self.metrics.unregister(name, version);
        true
    }

    fn lock(&self) -> impl Drop + '_ {
        // A writer that panicked has stored its change or none.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model that a caller means; without a version the default one of that name.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version, `NotReady` for one that does not answer.
    pub fn resolve(&self, model: &ModelRef) -> Result<Arc<ServingModel>, Fault> {
        self.entry(&self.models.load(), model)?.resolve()
    }

    /// Whether there is such a model, loaded or not.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version.
    pub fn known(&self, model: &ModelRef) -> Result<(), Fault> {
        self.entry(&self.models.load(), model).map(drop)
    }

    fn entry<'m>(&self, models: &'m Models, model: &ModelRef) -> Result<&'m ModelEntry, Fault> {
        let versions = models
            .by_name
            .get(&model.name)
            .ok_or_else(|| model_not_found(&model.name))?;
        if let Some(version) = &model.version {
            let named = versions
                .iter()
                .find(|entry| entry.config.version == *version);
            return named
                .map(Arc::as_ref)
                .ok_or_else(|| version_not_found(&model.name, version));
        }
        let chosen = match versions.as_slice() {
            [only] => Some(only),
            _ => self.default_of(versions),
        };
        chosen
            .map(Arc::as_ref)
            .ok_or_else(|| model_not_found(&model.name))
    }

    fn default_of<'m>(&self, versions: &'m [Arc<ModelEntry>]) -> Option<&'m Arc<ModelEntry>> {
        let states: Vec<_> = versions
            .iter()
            .map(|entry| VersionState {
                version: &entry.config.version,
                ready: entry.is_ready(),
            })
            .collect();
        versions.get(default_version(&states, &self.default_version)?)
    }

    /// Every version of a model, to be loaded or unloaded together.
    ///
    /// # Errors
    /// `NotFound` for an unknown name.
    pub(super) fn every_version(&self, name: &str) -> Result<Vec<Arc<ModelEntry>>, Fault> {
        let models = self.models.load();
        let versions = models.by_name.get(name);
        versions.cloned().ok_or_else(|| model_not_found(name))
    }

    /// The entry of one version.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version.
    pub(super) fn one_version(&self, name: &str, version: &str) -> Result<Arc<ModelEntry>, Fault> {
        let versions = self.every_version(name)?;
        let named = versions
            .into_iter()
            .find(|entry| entry.config.version == version);
        named.ok_or_else(|| version_not_found(name, version))
    }

    /// Every version of a name.
    pub fn versions(&self, name: &str) -> Vec<String> {
        let models = self.models.load();
        let versions = models.by_name.get(name).into_iter().flatten();
        versions.map(|entry| entry.config.version.clone()).collect()
    }

    /// The state of every version, in the order in which they were added.
    pub fn states(&self) -> Vec<ModelState> {
        let models = self.models.load();
        models.entries.iter().map(|entry| entry.state()).collect()
    }

    /// The statistics of one version, of every version of a name, or of all models.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version.
    pub fn statistics(&self, model: Option<&ModelRef>) -> Result<Vec<ModelStatistics>, Fault> {
        let models = self.models.load();
        if let Some(model) = model {
            self.entry(&models, model)?;
        }
        let meant = |entry: &&Arc<ModelEntry>| {
            model.is_none_or(|model| {
                let version = model.version.as_ref();
                model.name == entry.config.name
                    && version.is_none_or(|version| *version == entry.config.version)
            })
        };
        let counted = |entry: &Arc<ModelEntry>| ModelStatistics {
            name: entry.config.name.clone(),
            version: entry.config.version.clone(),
            statistics: entry.counters.statistics.snapshot(),
        };
        Ok(models.entries.iter().filter(meant).map(counted).collect())
    }
}

impl Models {
    fn find(&self, name: &str, version: &str) -> Option<&Arc<ModelEntry>> {
        let versions = self.by_name.get(name)?;
        versions
            .iter()
            .find(|entry| entry.config.version == version)
    }
}

fn model_not_found(name: &str) -> Fault {
    let message = format!("model '{name}' not found");
    Fault::new(FaultKind::NotFound, "model_not_found", message).with_param("model")
}

pub(super) fn version_not_found(name: &str, version: &str) -> Fault {
    let message = format!("model '{name}' has no version '{version}'");
    Fault::new(FaultKind::NotFound, "version_not_found", message).with_param("version")
}

/// Loads every model, beside each other; the phase is `Warming` from when the first one runs.
/// Failures that may pass are retried without end. A process that can serve other models goes on
/// without one that cannot be loaded.
///
/// # Errors
/// The first permanent failure, when no model can be served.
pub async fn load_all(
    registry: &Registry,
    options: &LoaderOptions,
    lifecycle: &Lifecycle,
) -> Result<(), LoadError> {
    let entries = registry.models.load().entries.clone();
    let several = entries.len() > 1;
    let outcomes = join_all(entries.iter().map(|entry| async move {
        let outcome = entry.start(options, lifecycle).await;
        // The failure of an only model is the caller's to report.
        if let (true, Err(error)) = (several, &outcome) {
            tracing::error!(
                model = entry.config.name,
                version = entry.config.version,
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

#[cfg(test)]
mod tests;
