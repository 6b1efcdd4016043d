//! Reading and awaiting the state of an `InferenceService`.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serin_crds::{ConditionType, InferenceService, InferenceServiceStatus, Reason};

use crate::namespace::TestNamespace;
use crate::wait::eventually;

/// What kstatus (Flux, `kubectl wait` of others, Config Sync) makes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kstatus {
    /// It is what was asked for.
    Current,
    /// It is on its way.
    InProgress,
    /// It will not get there by itself.
    Failed,
}

/// The generic rules of kstatus, in its order.
pub fn kstatus(service: &InferenceService) -> Kstatus {
    let status = status_of(service);
    let is = |type_: &str, value: &str| {
        status
            .conditions
            .iter()
            .any(|c| c.type_ == type_ && c.status == value)
    };
    if status.observed_generation != service.metadata.generation || is("Reconciling", "True") {
        Kstatus::InProgress
    } else if is("Stalled", "True") {
        Kstatus::Failed
    } else if is("Ready", "False") || is("Ready", "Unknown") {
        Kstatus::InProgress
    } else {
        Kstatus::Current
    }
}

/// The status, empty before the operator wrote one.
pub fn status_of(service: &InferenceService) -> InferenceServiceStatus {
    service.status.clone().unwrap_or_default()
}

/// One condition.
pub fn condition(service: &InferenceService, type_: ConditionType) -> Option<Condition> {
    status_of(service)
        .conditions
        .into_iter()
        .find(|c| c.type_ == type_.as_str())
}

/// The conditions in one line, for messages.
pub fn described(service: &InferenceService) -> String {
    let generation = service.metadata.generation.unwrap_or_default();
    let status = status_of(service);
    let seen = status.observed_generation.unwrap_or_default();
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|c| format!("{}={} ({}: {})", c.type_, c.status, c.reason, c.message))
        .collect();
    format!(
        "generation {generation}, observed {seen}; {}",
        conditions.join("; ")
    )
}

/// A condition that speaks of the spec as it stands now.
pub struct Wanted {
    /// Which.
    pub type_: ConditionType,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why; any reason will do where this is `None`.
    pub reason: Option<Reason>,
}

impl TestNamespace {
    /// The service as it stands.
    ///
    /// # Panics
    /// When there is none.
    pub async fn service(&self, name: &str) -> InferenceService {
        self.services()
            .get(name)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Waits until the operator says of the present generation that it is ready, and nothing is
    /// left to do.
    pub async fn ready(&self, name: &str, limit: Duration) -> InferenceService {
        eventually(&format!("{name} is ready"), limit, || async {
            let service = self.service(name).await;
            match kstatus(&service) {
                Kstatus::Current => Ok(service),
                _ => Err(described(&service)),
            }
        })
        .await
    }

    /// Waits for a condition of the present generation, and gives the object that has it.
    pub async fn reaches(
        &self,
        name: &str,
        wanted: &Wanted,
        limit: Duration,
    ) -> (InferenceService, Condition) {
        let Wanted {
            type_,
            status,
            reason,
        } = wanted;
        let what = format!(
            "{name} has {}={status}{}",
            type_.as_str(),
            reason
                .map(|reason| format!(" ({})", reason.as_str()))
                .unwrap_or_default()
        );
        eventually(&what, limit, || async {
            let service = self.service(name).await;
            let generation = service.metadata.generation;
            let found = condition(&service, *type_).filter(|c| {
                c.status == *status
                    && c.observed_generation == generation
                    && status_of(&service).observed_generation == generation
                    && reason.is_none_or(|reason| c.reason == reason.as_str())
            });
            found
                .map(|c| (service.clone(), c))
                .ok_or_else(|| described(&service))
        })
        .await
    }
}
