//! Objects for tests, as users and the API server would make them.

use serin_crds::InferenceService;
use serin_crds::inference_service::{Model, ModelSource};

use crate::desired::revision_snapshot::{OperatorDefaults, RevisionSnapshot};
use crate::validated::{ValidatedService, validate};

/// A stored service whose model is `configmap://iris-model/iris.onnx`.
pub fn service(name: &str) -> InferenceService {
    let mut service = InferenceService::default();
    service.metadata.name = Some(name.into());
    service.metadata.namespace = Some("demo".into());
    service.metadata.uid = Some(format!("uid-of-{name}"));
    service.metadata.generation = Some(1);
    service.metadata.resource_version = Some("1".into());
    service.spec.model = Model {
        source: ModelSource {
            uri: "configmap://iris-model/iris.onnx".into(),
            digest: None,
        },
        ..Model::default()
    };
    service
}

/// The same, checked.
pub fn validated(name: &str) -> ValidatedService {
    validate(&service(name)).expect("the builder makes a valid spec")
}

/// The flags of the operator of the tests.
pub fn defaults() -> OperatorDefaults {
    OperatorDefaults {
        image: "serin-dataplane:test".into(),
        ..OperatorDefaults::default()
    }
}

/// The revision of a service.
pub fn snapshot(service: &ValidatedService) -> RevisionSnapshot {
    RevisionSnapshot::new(service, &defaults())
}
