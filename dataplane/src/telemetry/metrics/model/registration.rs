//! How long the series of a version are shown: until the last user of its handles is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::families::ModelFamilies;
use super::labels::ModelLabels;

type Table<H> = HashMap<ModelLabels, Weak<H>>;

/// The handles in use, by their labels. Clones share the table.
pub(super) struct Registrations<H>(Arc<Mutex<Table<H>>>);

impl<H> Clone for Registrations<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H> Default for Registrations<H> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<H> Registrations<H> {
    fn lock(&self) -> MutexGuard<'_, Table<H>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handles of these labels that are in use, or else new ones.
    pub(super) fn get_or_insert(&self, labels: &ModelLabels, new: impl FnOnce() -> H) -> Arc<H> {
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
pub(super) struct Registration<H> {
    pub(super) registrations: Registrations<H>,
    pub(super) families: ModelFamilies,
    pub(super) labels: ModelLabels,
}

impl<H> Drop for Registration<H> {
    fn drop(&mut self) {
        let mut registrations = self.registrations.lock();
        // The version may have been added again since: its series are the new handles'.
        let is_unused = |handles: &Weak<H>| handles.strong_count() == 0;
        if registrations.get(&self.labels).is_some_and(is_unused) {
            registrations.remove(&self.labels);
            self.families.remove(&self.labels);
        }
    }
}
