//! The configured models, found by name; loaded once each.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serin_crds::pod_config::ModelConfig;

use super::LoadError;
use super::load::{Loaded, LoaderOptions, load};
use crate::fault::{Fault, FaultKind};
use crate::lifecycle::Lifecycle;
use crate::telemetry::{Metrics, ModelMetrics};
use crate::types::{ModelRef, ModelState};

/// First wait before a passing failure is tried again; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Every configured model, in configuration order.
pub struct Registry {
    slots: Vec<Slot>,
}

struct Slot {
    config: ModelConfig,
    metrics: Arc<ModelMetrics>,
    /// Set once: reading it takes no lock.
    loaded: OnceLock<Loaded>,
    state: Mutex<Waiting>,
}

/// Where a model that does not answer stands.
#[derive(Clone, Debug, Default)]
struct Waiting {
    reason: Option<String>,
    failed: bool,
}

impl Registry {
    /// A registry of models that are not loaded yet.
    pub fn new(models: Vec<ModelConfig>, metrics: &Metrics) -> Self {
        let slots = models
            .into_iter()
            .map(|config| Slot {
                metrics: Arc::clone(metrics.model(&config.name, Some(&config.version))),
                config,
                loaded: OnceLock::new(),
                state: Mutex::default(),
            })
            .collect();
        Self { slots }
    }

    /// The model that a caller means; without a version the first of that name.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or version, `NotReady` for one that does not answer.
    pub fn resolve(&self, model: &ModelRef) -> Result<&Loaded, Fault> {
        let slot = self.slot(model)?;
        slot.loaded.get().ok_or_else(|| {
            let state = slot.state();
            // Why is for those who run the service, where it stands in status, health and log: a
            // reason may name places that are no business of callers.
            let reason = if state.failed {
                "it could not be loaded"
            } else {
                "it is being loaded"
            };
            let message = format!(
                "model '{}' version '{}' is not ready: {reason}",
                slot.config.name, slot.config.version
            );
            let fault = Fault::new(FaultKind::NotReady, "model_not_ready", message);
            if state.failed {
                fault
            } else {
                fault.retry_after(Duration::from_secs(2))
            }
        })
    }

    fn slot(&self, model: &ModelRef) -> Result<&Slot, Fault> {
        let mut named = self
            .slots
            .iter()
            .filter(|slot| slot.config.name == model.name)
            .peekable();
        if named.peek().is_none() {
            let message = format!("model '{}' not found", model.name);
            return Err(
                Fault::new(FaultKind::NotFound, "model_not_found", message).with_param("model")
            );
        }
        let wanted = model.version.as_deref();
        named
            .find(|slot| wanted.is_none_or(|version| version == slot.config.version))
            .ok_or_else(|| {
                let message = format!(
                    "model '{}' has no version '{}'",
                    model.name,
                    wanted.unwrap_or_default()
                );
                Fault::new(FaultKind::NotFound, "version_not_found", message).with_param("version")
            })
    }

    /// Every version of a name.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.slots
            .iter()
            .filter(|slot| slot.config.name == name)
            .map(|slot| slot.config.version.clone())
            .collect()
    }

    /// Where every model stands.
    pub fn states(&self) -> Vec<ModelState> {
        self.slots
            .iter()
            .map(|slot| ModelState {
                name: slot.config.name.clone(),
                version: slot.config.version.clone(),
                ready: slot.loaded.get().is_some(),
                reason: slot.state().reason,
            })
            .collect()
    }
}

impl Slot {
    fn state(&self) -> Waiting {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_state(&self, reason: Option<String>, failed: bool) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Waiting { reason, failed };
    }

    async fn load(&self, options: &LoaderOptions, lifecycle: &Lifecycle) -> Result<(), LoadError> {
        let mut wait = FIRST_WAIT;
        loop {
            match load(&self.config, options, &self.metrics, lifecycle).await {
                Ok(loaded) => {
                    self.set_state(None, false);
                    // Only this task sets it.
                    let _ = self.loaded.set(loaded);
                    self.metrics.set_ready(true);
                    return Ok(());
                }
                Err(error) if error.permanent => {
                    self.set_state(Some(error.public()), true);
                    return Err(error);
                }
                Err(error) => {
                    let asked = error.retry_after.unwrap_or_default().min(LONGEST_WAIT);
                    wait = wait.max(asked);
                    tracing::warn!(
                        model = self.config.name,
                        version = self.config.version,
                        retry_in_ms = wait.as_millis() as u64,
                        %error,
                        "the model is not loaded yet"
                    );
                    self.set_state(Some(error.public()), false);
                }
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Between half and all of `wait`, so that the pods of a service do not ask a store in step.
fn jittered(wait: Duration) -> Duration {
    let noise = uuid::Uuid::now_v7().as_u128() as u32;
    wait / 2 + wait.mul_f64(f64::from(noise) / f64::from(u32::MAX) / 2.0)
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
        let outcome = slot.load(options, lifecycle).await;
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
