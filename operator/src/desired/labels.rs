//! Labels and selectors.

use std::collections::BTreeMap;

use serin_crds::labels::{MANAGED_BY, MANAGER, REVISION, SERVICE, VERSION};

use crate::desired::revision_snapshot::RevisionSnapshot;
use crate::validated::ValidatedService;

/// Labels of a child; `revision` where it belongs to one.
pub fn of_child(service: &ValidatedService, revision: Option<&str>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (MANAGED_BY.to_owned(), MANAGER.to_owned()),
        (SERVICE.to_owned(), service.name.clone()),
    ]);
    if let Some(revision) = revision {
        labels.insert(REVISION.to_owned(), revision.to_owned());
    }
    labels
}

/// The pod selector of a revision. A Deployment's selector is immutable, so it holds nothing that
/// may change.
pub fn selector(service: &str, revision: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (SERVICE.to_owned(), service.to_owned()),
        (REVISION.to_owned(), revision.to_owned()),
    ])
}

/// The selector as text, for the `scale` subresource.
pub fn selector_text(service: &str, revision: &str) -> String {
    selector(service, revision)
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// Labels of a revision's pods, the user's included.
pub fn of_pod(service: &ValidatedService, snapshot: &RevisionSnapshot) -> BTreeMap<String, String> {
    let mut labels = snapshot
        .pod_metadata()
        .map(|metadata| metadata.labels.clone())
        .unwrap_or_default();
    // Serin's labels last: a user's label must not take a pod out of its Service.
    labels.extend(of_child(service, Some(&snapshot.name)));
    labels.insert(VERSION.to_owned(), snapshot.version.clone());
    labels
}
