//! Where traces go, as the policy in force says.
//!
//! Another endpoint or another share of requests gets an exporter and a tracer of its own. A request
//! that is being traced keeps the tracer that it began with, so nothing that was traced under one
//! policy is sent to the endpoint of another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serin_crds::contract::policy::{Policy, TracesConfig};
use tokio_util::task::TaskTracker;

use super::{Exporter, Process, Settings, SettingsError, Tracer, TracerHandle};
use crate::policy::PolicyFollower;
use crate::telemetry::Metrics;

/// How long the last traces of an exporter may take to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Gives the value of an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Starts and ends exporters as policies ask for them.
pub struct TraceSwitch {
    handle: TracerHandle,
    metrics: Arc<Metrics>,
    process: Process,
    environment: Environment,
    active: Mutex<Option<Active>>,
    /// Exporters of earlier policies, which send what is left.
    retiring: TaskTracker,
}

/// The exporter of the policy in force.
struct Active {
    settings: Settings,
    exporter: Exporter,
}

impl TraceSwitch {
    /// Sends traces where `traces` says; where it says nothing, where the environment does. Must be
    /// called inside the runtime.
    ///
    /// # Errors
    /// [`SettingsError`] of what `traces` says. A fault of the environment is logged, and no traces
    /// are sent.
    pub fn start(
        traces: Option<&TracesConfig>,
        process: Process,
        environment: Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SettingsError> {
        let switch = Self {
            handle: TracerHandle::default(),
            metrics,
            process,
            environment,
            active: Mutex::default(),
            retiring: TaskTracker::new(),
        };
        switch.turn_to(switch.wanted(traces)?)?;
        Ok(switch)
    }

    /// The tracer of the policy in force.
    pub fn handle(&self) -> TracerHandle {
        self.handle.clone()
    }

    /// Sends what is left, of earlier policies too, and ends; gives up after 3 s.
    pub async fn finish(&self) {
        self.handle.replace(None);
        if let Some(active) = self.take() {
            self.retiring.spawn(active.exporter.flush(FLUSH_TIMEOUT));
        }
        self.retiring.close();
        // Each of them ends within its own 3 s.
        self.retiring.wait().await;
    }

    fn wanted(&self, traces: Option<&TracesConfig>) -> Result<Option<Settings>, SettingsError> {
        match Settings::find(traces, &self.process, &self.environment) {
            // Variables come from whoever set up the machine or the cluster: they stop no model.
            Err(error) if traces.is_none() => {
                tracing::warn!(%error, "no traces are sent");
                Ok(None)
            }
            found => found,
        }
    }

    fn turn_to(&self, wanted: Option<Settings>) -> Result<(), SettingsError> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.as_ref().map(|active| &active.settings) == wanted.as_ref() {
            return Ok(());
        }
        let started = wanted
            .map(|settings| self.start_exporter(settings))
            .transpose();
        let (next, outcome) = match started {
            Ok(started) => (started, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let (tracer, next) = next.unzip();
        self.handle.replace(tracer);
        if let Some(old) = std::mem::replace(&mut *active, next) {
            if active.is_none() {
                tracing::info!(endpoint = %old.settings.endpoint, "traces are no longer sent");
            }
            self.retiring.spawn(old.exporter.retire(FLUSH_TIMEOUT));
        }
        outcome
    }

    fn start_exporter(&self, settings: Settings) -> Result<(Tracer, Active), SettingsError> {
        let (tracer, exporter) = Exporter::start(settings.clone(), &self.metrics)?;
        Ok((tracer, Active { settings, exporter }))
    }

    fn take(&self) -> Option<Active> {
        self.active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl PolicyFollower for TraceSwitch {
    fn accept(&self, policy: &Policy) -> Result<(), String> {
        let traces = policy.telemetry.traces.as_ref();
        if traces.is_none() {
            return Ok(());
        }
        Settings::find(traces, &self.process, &self.environment)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn apply(&self, policy: &Policy) {
        let turned = self
            .wanted(policy.telemetry.traces.as_ref())
            .and_then(|wanted| self.turn_to(wanted));
        if let Err(error) = turned {
            tracing::warn!(%error, "no traces are sent");
        }
    }
}

#[cfg(test)]
mod tests;
