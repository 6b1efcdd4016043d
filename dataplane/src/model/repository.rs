//! Models loaded and unloaded, added and removed while the process serves.
//!
//! A request can only load configured models from their configured sources; no part of a request
//! becomes a source (CVE-2023-43654 of TorchServe is what happens otherwise).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serin_crds::contract::pod_config::ModelConfig;

use super::entry::{LoadPermit, ModelEntry};
use super::options::LoaderOptions;
use super::registry::{Registry, version_not_found};
use crate::runtime::lifecycle::{Lifecycle, Phase};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelState;

/// Control over the models of a registry. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    registry: Arc<Registry>,
    options: LoaderOptions,
    lifecycle: Lifecycle,
}

impl Repository {
    /// Control over the models of `registry`, which are loaded by `options`.
    pub fn new(registry: Arc<Registry>, options: LoaderOptions, lifecycle: Lifecycle) -> Self {
        Self {
            registry,
            options,
            lifecycle,
        }
    }

    /// Loads every version of a model, or loads it again; returns once all of them answer. What
    /// answered before does so until then. Loads of several models run beside each other. A caller
    /// that leaves does not stop the load.
    ///
    /// # Errors
    /// `NotFound` for a name that is not configured; `NotReady` when it is being loaded already,
    /// or cannot be loaded: what answered before still does.
    pub async fn load(&self, name: &str) -> Result<(), Fault> {
        let permits = self.permits(name)?;
        self.load_with(name, permits).await
    }

    /// Adds a version and loads it; returns once it answers. One that cannot be loaded is removed
    /// again. A caller that leaves does not stop the load.
    ///
    /// # Errors
    /// `NotReady` where the version is there already, or cannot be loaded.
    pub async fn insert(&self, config: ModelConfig) -> Result<(), Fault> {
        let (name, version) = (config.name.clone(), config.version.clone());
        let Some((entry, permit)) = self.registry.add(config) else {
            return Err(busy(&name, &version, "is there already"));
        };
        let repository = self.clone();
        let insert = tokio::spawn(async move {
            let outcome = repository.load_entry(&entry).await;
            if outcome.is_err() {
                repository.registry.remove_entry(&entry);
            }
            drop(permit);
            repository.settle();
            outcome
        });
        insert.await.unwrap_or_else(|_| Err(stopping(&name)))
    }

    /// Takes every version of a model out of service at once. Requests in flight finish, then its
    /// memory is freed.
    ///
    /// # Errors
    /// `NotFound` for a name that is not configured; `NotReady` while it is being loaded.
    pub fn unload(&self, name: &str) -> Result<(), Fault> {
        for (entry, _permit) in self.permits(name)? {
            entry.unload();
            tracing::info!(
                model = entry.config.name,
                version = entry.config.version,
                "model unloaded"
            );
        }
        self.settle();
        Ok(())
    }

    /// Removes a version: from then on it is unknown. Requests in flight finish, then its memory is
    /// freed.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version; `NotReady` while it is being loaded.
    pub fn remove(&self, name: &str, version: &str) -> Result<(), Fault> {
        let entry = self.registry.one_version(name, version)?;
        let _permit = entry.permit().ok_or_else(|| being_loaded(&entry))?;
        if !self.registry.remove_entry(&entry) {
            return Err(version_not_found(name, version));
        }
        tracing::info!(model = name, version, "model removed");
        self.settle();
        Ok(())
    }

    /// Loads entries beside each other, in a task of its own, so that a caller that leaves does not
    /// stop the loads.
    async fn load_with(
        &self,
        name: &str,
        permits: Vec<(Arc<ModelEntry>, LoadPermit)>,
    ) -> Result<(), Fault> {
        let repository = self.clone();
        let load = tokio::spawn(async move {
            let loads = permits.into_iter().map(async |(entry, permit)| {
                let outcome = repository.load_entry(&entry).await;
                drop(permit);
                outcome
            });
            let outcomes = join_all(loads).await;
            repository.settle();
            outcomes.into_iter().collect()
        });
        load.await.unwrap_or_else(|_| Err(stopping(name)))
    }

    /// Loads an entry. The caller has its permit.
    async fn load_entry(&self, entry: &ModelEntry) -> Result<(), Fault> {
        entry.load(&self.options, None).await.map_err(|error| {
            let (name, version) = (&entry.config.name, &entry.config.version);
            tracing::warn!(model = name, version, %error, "the model could not be loaded, as asked");
            let kept = if entry.is_ready() {
                "; the one that was loaded before goes on answering"
            } else {
                ""
            };
            Fault::new(
                FaultKind::NotReady,
                "load_failed",
                format!(
                    "model '{name}' version '{version}' could not be loaded: {}{kept}",
                    error.public()
                ),
            )
        })
    }

    /// The right to change every version of a model.
    fn permits(&self, name: &str) -> Result<Vec<(Arc<ModelEntry>, LoadPermit)>, Fault> {
        let entries = self.registry.every_version(name)?;
        let permits = entries.into_iter().map(|entry| {
            let permit = entry.permit().ok_or_else(|| being_loaded(&entry))?;
            Ok((entry, permit))
        });
        permits.collect()
    }

    /// Makes the process ready once no model is missing: one that failed at the start may have been
    /// loaded since, or unloaded.
    fn settle(&self) {
        let states = self.registry.states();
        if !states.iter().any(ModelState::blocks_readiness) {
            self.lifecycle.advance(Phase::Ready);
        }
    }
}

fn being_loaded(entry: &ModelEntry) -> Fault {
    let why = "is being loaded already: wait until the index shows that it has ended";
    busy(&entry.config.name, &entry.config.version, why)
}

fn busy(name: &str, version: &str, why: &str) -> Fault {
    Fault::new(
        FaultKind::NotReady,
        "model_busy",
        format!("model '{name}' version '{version}' {why}"),
    )
    .retry_after(Duration::from_secs(2))
}

fn stopping(name: &str) -> Fault {
    Fault::new(
        FaultKind::NotReady,
        "load_failed",
        format!("model '{name}' was not loaded: the server is stopping"),
    )
}
