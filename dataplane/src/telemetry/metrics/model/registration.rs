//! How long the series of a version are shown: until the last user of its handles is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::ModelMetrics;
use super::families::{ModelFamilies, ModelLabels};

/// The handles in use, by their labels. Clones share the table.
#[derive(Clone, Default)]
pub(super) struct Registrations(Arc<Mutex<HashMap<ModelLabels, Weak<ModelMetrics>>>>);

impl Registrations {
    fn lock(&self) -> MutexGuard<'_, HashMap<ModelLabels, Weak<ModelMetrics>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handles of these labels that are in use, or else new ones.
    pub(super) fn get_or_insert(
        &self,
        labels: &ModelLabels,
        new: impl FnOnce() -> ModelMetrics,
    ) -> Arc<ModelMetrics> {
        let mut registrations = self.lock();
        if let Some(metrics) = registrations.get(labels).and_then(Weak::upgrade) {
            return metrics;
        }
        let metrics = Arc::new(new());
        registrations.insert(labels.clone(), Arc::downgrade(&metrics));
        metrics
    }
}

/// Part of a version's handles: removes the series when it is dropped. What would create a series
/// needs the handles, so none is created after that.
pub(super) struct Registration {
    pub(super) families: ModelFamilies,
    pub(super) labels: ModelLabels,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registrations = self.families.registrations.lock();
        // The version may have been added again since: its series are the new handles'.
        let is_unused = |handles: &Weak<ModelMetrics>| handles.strong_count() == 0;
        if registrations.get(&self.labels).is_some_and(is_unused) {
            registrations.remove(&self.labels);
            self.families.remove(&self.labels);
        }
    }
}
