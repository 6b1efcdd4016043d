//! The last status reports of pods.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use serin_crds::contract::status_report::StatusReport;

/// The last report of each polled pod, by the pod's uid.
#[derive(Debug, Default)]
pub struct Reports {
    reports: Mutex<HashMap<String, Arc<StatusReport>>>,
}

impl Reports {
    /// The reports of these pods, by the pod's name.
    pub fn of<'a>(
        &self,
        pods: impl IntoIterator<Item = &'a Arc<Pod>>,
    ) -> BTreeMap<String, Arc<StatusReport>> {
        let reports = self.lock();
        let report = |pod: &Pod| {
            let report = reports.get(pod.metadata.uid.as_ref()?)?;
            Some((pod.metadata.name.clone()?, Arc::clone(report)))
        };
        pods.into_iter().filter_map(|pod| report(pod)).collect()
    }

    /// Keeps the report of the pod of this uid; returns whether it changes what a status may say.
    pub fn keep(&self, uid: &str, report: StatusReport) -> bool {
        let report = Arc::new(report);
        let before = self.lock().insert(uid.to_owned(), Arc::clone(&report));
        before.is_none_or(|before| differs(&before, &report))
    }

    /// Drops the reports of all pods but these.
    pub fn retain(&self, uids: &HashSet<&str>) {
        self.lock().retain(|uid, _| uids.contains(uid.as_str()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<StatusReport>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two reports differ in a member that a status is made from. The age of a policy is none.
fn differs(a: &StatusReport, b: &StatusReport) -> bool {
    (a.phase, &a.message, &a.models) != (b.phase, &b.message, &b.models)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(message: &str, age: f64) -> StatusReport {
        serde_json::from_value(json!({
            "phase": "Loading", "message": message,
            "policy": {"hash": "h", "ageSeconds": age},
        }))
        .unwrap()
    }

    #[test]
    fn only_what_a_status_says_counts_as_a_change() {
        let reports = Reports::default();
        assert!(reports.keep("u", report("fetching", 1.0)), "the first one");
        assert!(
            !reports.keep("u", report("fetching", 3.0)),
            "an older policy"
        );
        assert!(reports.keep("u", report("loading", 5.0)));
    }
}
