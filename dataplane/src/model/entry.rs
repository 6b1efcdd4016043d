//! One version of a model: what answers its requests now, or why nothing does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serin_crds::contract::pod_config::ModelConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::LoadError;
use super::load::{Counters, load};
use super::options::LoaderOptions;
use super::serving::ServingModel;
use crate::runtime::lifecycle::Lifecycle;
use crate::telemetry::ModelMetrics;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Availability, ModelState};

/// First wait before a passing failure is tried again; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// One version of a model.
pub(super) struct ModelEntry {
    pub(super) config: ModelConfig,
    pub(super) counters: Counters,
    /// What answers. Requests read it without a lock and keep what they have read: a model that is
    /// replaced or unloaded finishes its requests, then its thread and memory are freed.
    loaded: ArcSwapOption<ServingModel>,
    load_state: Mutex<LoadState>,
    /// One permit, held while the version is loaded or unloaded.
    permits: Arc<Semaphore>,
}

/// Why nothing answers; not read while something does.
#[derive(Default)]
struct LoadState {
    /// What is wrong with the model, if anything is known to be.
    reason: Option<String>,
    /// Loading has failed for good.
    failed: bool,
    /// It was unloaded; what answered until then.
    unloaded: Option<Weak<ServingModel>>,
}

/// The right to load a version or to unload it.
pub(super) type LoadPermit = OwnedSemaphorePermit;

impl ModelEntry {
    pub(super) fn new(config: ModelConfig, metrics: Arc<ModelMetrics>) -> Self {
        Self {
            config,
            counters: Counters {
                metrics,
                statistics: Arc::default(),
            },
            loaded: ArcSwapOption::empty(),
            load_state: Mutex::default(),
            permits: Arc::new(Semaphore::new(1)),
        }
    }

    /// What answers now.
    ///
    /// # Errors
    /// `NotReady`, saying why nothing does.
    pub(super) fn resolve(&self) -> Result<Arc<ServingModel>, Fault> {
        self.loaded.load_full().ok_or_else(|| self.absent())
    }

    /// Whether something answers.
    pub(super) fn is_ready(&self) -> bool {
        self.loaded.load().is_some()
    }

    /// Why nothing answers. What is wrong with a model is not in the fault: that is in status,
    /// health and log, and may name files and addresses.
    fn absent(&self) -> Fault {
        let ModelConfig { name, version, .. } = &self.config;
        let fault = |code, why: &str| {
            let message = format!("model '{name}' version '{version}' is not ready: {why}");
            Fault::new(FaultKind::NotReady, code, message)
        };
        match self.state().availability {
            Availability::Failed => fault("model_not_ready", "it could not be loaded"),
            Availability::Unloading | Availability::Unloaded => fault(
                "model_unloaded",
                &format!(
                    "it was unloaded; POST /v2/repository/models/{name}/load, or the gRPC method \
                     RepositoryModelLoad, loads it again"
                ),
            ),
            Availability::Loading | Availability::Ready | Availability::Reloading => {
                fault("model_not_ready", "it is being loaded").retry_after(Duration::from_secs(2))
            }
        }
    }

    /// The state of this version.
    pub(super) fn state(&self) -> ModelState {
        let load_state = self.load_state();
        let is_loading = self.permits.available_permits() == 0;
        let leaving = load_state
            .unloaded
            .as_ref()
            .map(|left| left.strong_count() > 0);
        let (availability, reason) = if self.is_ready() {
            (Availability::Ready, None)
        } else {
            match leaving {
                Some(_) if is_loading => (Availability::Reloading, Some("loading".to_owned())),
                Some(true) => (
                    Availability::Unloading,
                    Some("unloaded; requests in flight are finishing".to_owned()),
                ),
                Some(false) => (
                    Availability::Unloaded,
                    Some(load_state.reason.as_ref().map_or_else(
                        || "unloaded".to_owned(),
                        |why| format!("unloaded; loading it again failed: {why}"),
                    )),
                ),
                None if load_state.failed && !is_loading => {
                    (Availability::Failed, load_state.reason.clone())
                }
                None => (Availability::Loading, load_state.reason.clone()),
            }
        };
        ModelState {
            name: self.config.name.clone(),
            version: self.config.version.clone(),
            availability,
            reason,
        }
    }

    /// The right to change what answers; `None` while another caller has it.
    pub(super) fn permit(&self) -> Option<LoadPermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Loads the model for the first time, trying again for as long as a failure may pass.
    ///
    /// # Errors
    /// What cannot pass.
    pub(super) async fn start(
        &self,
        options: &LoaderOptions,
        lifecycle: &Lifecycle,
    ) -> Result<(), LoadError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let mut wait = FIRST_WAIT;
        loop {
            match self.load(options, Some(lifecycle)).await {
                Err(error) if !error.permanent => {
                    let asked = error.retry_after.unwrap_or_default().min(LONGEST_WAIT);
                    wait = wait.max(asked);
                    tracing::warn!(
                        model = self.config.name,
                        version = self.config.version,
                        retry_in_ms = wait.as_millis() as u64,
                        %error,
                        "the model is not loaded yet"
                    );
                }
                outcome => return outcome,
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Loads the model once and replaces the one before, which answers until then, and goes on where
    /// this fails.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) async fn load(
        &self,
        options: &LoaderOptions,
        starting: Option<&Lifecycle>,
    ) -> Result<(), LoadError> {
        match load(&self.config, options, &self.counters, starting).await {
            Ok(loaded) => {
                // The gauge first: a caller that finds the model may look at the metrics next.
                self.counters.metrics.set_ready(true);
                self.loaded.store(Some(Arc::new(loaded)));
                *self.load_state() = LoadState::default();
                Ok(())
            }
            Err(error) => {
                let mut load_state = self.load_state();
                load_state.reason = Some(error.public());
                // The caller of a load learns of its failure; at the start, failures that may pass
                // are retried.
                load_state.failed = error.permanent || starting.is_none();
                Err(error)
            }
        }
    }

    /// Takes what answers out of service. The caller has the permit.
    pub(super) fn unload(&self) {
        self.counters.metrics.set_ready(false);
        let mut load_state = self.load_state();
        let left = self.loaded.swap(None);
        *load_state = LoadState {
            unloaded: Some(left.as_ref().map(Arc::downgrade).unwrap_or_default()),
            ..LoadState::default()
        };
    }

    fn load_state(&self) -> MutexGuard<'_, LoadState> {
        self.load_state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between half and all of `wait`, so that the pods of a service do not ask a store in step.
fn jittered(wait: Duration) -> Duration {
    wait / 2 + wait.mul_f64(fastrand::f64() / 2.0)
}
