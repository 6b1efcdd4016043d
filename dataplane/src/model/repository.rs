//! Loading and unloading configured models while the process serves.
//!
//! Only what the configuration names can be loaded, from where the configuration says: nothing of
//! a request becomes a model (CVE-2023-43654 of TorchServe shows where that leads).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::entry::{LoadPermit, ModelEntry};
use super::load::LoaderOptions;
use super::registry::Registry;
use crate::runtime::lifecycle::{Lifecycle, Phase};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelState;

/// The models, for those who may load and unload them.
pub struct Repository {
    registry: Arc<Registry>,
    options: LoaderOptions,
    lifecycle: Lifecycle,
    /// Models are loaded one after another: each may take the memory of two meanwhile.
    one_load: Arc<Semaphore>,
}

impl Repository {
    /// Control over the models of `registry`, which are loaded by `options`.
    pub fn new(registry: Arc<Registry>, options: LoaderOptions, lifecycle: Lifecycle) -> Self {
        Self {
            registry,
            options,
            lifecycle,
            one_load: Arc::new(Semaphore::new(1)),
        }
    }

    /// Loads every version of a model, or loads it again; returns once all of them answer. What
    /// answered before does so until then. A caller that leaves does not stop the load.
    ///
    /// # Errors
    /// `NotFound` for a name that is not configured; `NotReady` when it is being loaded already,
    /// or cannot be loaded: what answered before still does.
    pub async fn load(&self, name: &str) -> Result<(), Fault> {
        let taken = self.take(name)?;
        let (registry, lifecycle) = (Arc::clone(&self.registry), self.lifecycle.clone());
        let (options, one_load) = (self.options.clone(), Arc::clone(&self.one_load));
        let load = tokio::spawn(async move {
            // Never closed.
            let _alone = one_load.acquire().await;
            let mut outcome = Ok(());
            for (slot, turn) in taken {
                let version = load_one(&slot, &options).await;
                drop(turn);
                outcome = outcome.and(version);
            }
            settle(&registry, &lifecycle);
            outcome
        });
        load.await.unwrap_or_else(|_| {
            Err(Fault::new(
                FaultKind::NotReady,
                "load_failed",
                format!("model '{name}' was not loaded: the server is stopping"),
            ))
        })
    }

    /// Takes every version of a model out of service at once. Requests in flight finish, then its
    /// memory goes away.
    ///
    /// # Errors
    /// `NotFound` for a name that is not configured; `NotReady` while it is being loaded.
    pub fn unload(&self, name: &str) -> Result<(), Fault> {
        for (slot, _turn) in self.take(name)? {
            slot.unload();
            tracing::info!(
                model = slot.config.name,
                version = slot.config.version,
                "model unloaded"
            );
        }
        settle(&self.registry, &self.lifecycle);
        Ok(())
    }

    /// The right to change every version of a model.
    fn take(&self, name: &str) -> Result<Vec<(Arc<ModelEntry>, LoadPermit)>, Fault> {
        let slots = self.registry.every_version(name)?;
        let taken = slots.into_iter().map(|slot| {
            let turn = slot.turn().ok_or_else(|| {
                Fault::new(
                    FaultKind::NotReady,
                    "model_busy",
                    format!(
                        "model '{name}' version '{}' is being loaded already: \
                         wait until the index shows that it has ended",
                        slot.config.version
                    ),
                )
                .retry_after(Duration::from_secs(2))
            })?;
            Ok((slot, turn))
        });
        taken.collect()
    }
}

async fn load_one(slot: &ModelEntry, options: &LoaderOptions) -> Result<(), Fault> {
    slot.attempt(options, None).await.map_err(|error| {
        let (name, version) = (&slot.config.name, &slot.config.version);
        tracing::warn!(model = name, version, %error, "the model could not be loaded, as asked");
        let kept = if slot.state().ready() {
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

/// The process is ready as soon as no model is missing: one that failed at the start may have been
/// loaded since, or taken out of service.
fn settle(registry: &Registry, lifecycle: &Lifecycle) {
    if !registry.states().iter().any(ModelState::blocks_readiness) {
        lifecycle.advance(Phase::Ready);
    }
}
