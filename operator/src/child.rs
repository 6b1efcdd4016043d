//! The desired state of one object that an `InferenceService` owns.

use serde::Serialize;
use serde_json::Value;
use serin_crds::revision::sha256_of;

use crate::child_kind::ChildKind;

/// Annotation with the hash of the last applied body. A child that still carries the
/// hash, and still holds every applied field, is not written again.
pub const APPLIED_HASH: &str = "serin.dev/applied-hash";

/// The desired state of an object: only the fields that Serin decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: ChildKind,
    /// Its name, in the namespace of the service.
    pub name: String,
    /// The body to apply, the hash annotation included.
    pub body: Value,
    /// Hash of `body` without its annotation.
    pub hash: String,
}

impl Child {
    /// Wraps a built object and adds the annotation with its hash.
    #[expect(
        clippy::expect_used,
        reason = "Kubernetes types have string keys and no fallible serializer"
    )]
    pub fn new<T: Serialize>(kind: ChildKind, name: &str, object: &T) -> Self {
        let mut body = serde_json::to_value(object).expect("a Kubernetes object is valid JSON");
        if let Some(fields) = body.as_object_mut() {
            fields.remove("status");
        }
        let mut hash = sha256_of(&body);
        hash.truncate(16);
        body["metadata"]["annotations"][APPLIED_HASH] = Value::String(hash.clone());
        Self {
            kind,
            name: name.to_owned(),
            body,
            hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn a_child_says_what_was_applied_to_it() {
        let mut map = ConfigMap::default();
        map.metadata.name = Some("a".into());
        let one = Child::new(ChildKind::ConfigMap, "a", &map);
        assert_eq!(
            one.body["metadata"]["annotations"][APPLIED_HASH],
            one.hash.as_str()
        );
        map.immutable = Some(true);
        assert_ne!(Child::new(ChildKind::ConfigMap, "a", &map).hash, one.hash);
    }
}
