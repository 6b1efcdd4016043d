//! The immutable ConfigMap of a revision: the configuration of its pods, and the snapshot and the
//! pod template that the revision is rebuilt from.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;
use serin_crds::contract::pod_config::{ModelConfig, PodConfig, SOURCE_MOUNT_PATH, SourceConfig};

use crate::child::Child;
use crate::child_kind::ChildKind;
use crate::desired::config_keys::{CONFIG_KEY, SNAPSHOT_KEY, TEMPLATE_KEY};
use crate::desired::metadata::metadata;
use crate::desired::revision_snapshot::RevisionSnapshot;
use crate::desired::template::Template;
use crate::validated::{Source, ValidatedService};

/// The ConfigMap of a revision that is new.
pub fn fresh(
    service: &ValidatedService,
    snapshot: &RevisionSnapshot,
    template: &Template,
) -> Child {
    let data = BTreeMap::from([
        (
            CONFIG_KEY.to_owned(),
            pretty(&pod_config(service, snapshot)),
        ),
        (SNAPSHOT_KEY.to_owned(), pretty(&snapshot.stored())),
        // On one line: the Deployment holds a readable copy.
        (TEMPLATE_KEY.to_owned(), template.json().to_string()),
    ]);
    with_data(service, &snapshot.name, Some(data))
}

/// The ConfigMap of a revision that has one. Its content is kept, whatever this version of the
/// operator would write: it is immutable, and its pods must not restart.
pub fn kept(service: &ValidatedService, live: &ConfigMap) -> Child {
    let name = live.metadata.name.as_deref().unwrap_or_default();
    with_data(service, name, live.data.clone())
}

fn with_data(
    service: &ValidatedService,
    name: &str,
    data: Option<BTreeMap<String, String>>,
) -> Child {
    let object = ConfigMap {
        metadata: metadata(service, name, Some(name)),
        data,
        immutable: Some(true),
        ..ConfigMap::default()
    };
    Child::new(ChildKind::ConfigMap, name, &object)
}

fn pod_config(service: &ValidatedService, snapshot: &RevisionSnapshot) -> PodConfig {
    let model = &snapshot.spec.model;
    PodConfig {
        service: format!("{}/{}", service.namespace, service.name),
        revision: snapshot.name.clone(),
        models: vec![ModelConfig {
            name: model.name.clone(),
            version: snapshot.version.clone(),
            source: SourceConfig {
                uri: model.source.uri.clone(),
                path: mounted_path(&snapshot.source),
                digest: model.source.digest.clone(),
                allowed_networks: snapshot.defaults.allowed_networks.clone(),
            },
            gpu: snapshot.spec.gpu.is_some(),
            batching: model.batching,
        }],
    }
}

fn mounted_path(source: &Source) -> Option<String> {
    match source {
        Source::Https => None,
        Source::ConfigMap { key: None, .. } => Some(SOURCE_MOUNT_PATH.to_owned()),
        Source::ConfigMap {
            key: Some(path), ..
        }
        | Source::Pvc { path, .. } => Some(format!("{SOURCE_MOUNT_PATH}/{path}")),
    }
}

#[expect(
    clippy::expect_used,
    reason = "only strings, booleans, lists and maps with string keys"
)]
fn pretty<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("plain data is valid JSON")
}
