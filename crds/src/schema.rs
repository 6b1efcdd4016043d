//! The CustomResourceDefinition as it is shipped.
//!
//! What `kube` derives from the types is close to it. What differs, and why:
//!
//! * No `nullable`: with it, an explicit `replicas: null` (templates often write one) would count
//!   as present in a rule. Without it, the API server drops the null before any rule sees it.
//! * No `default`: the operator never writes `spec`, and a default that the API server writes
//!   there shows up as drift in every tool that compares with Git. Defaults live in the code that
//!   acts on the field and in the field's description.
//! * Short descriptions below types that are Kubernetes' own: in full they make the definition
//!   too large for the annotation that `kubectl apply` keeps (262,144 bytes).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use crate::inference_service::InferenceService;
use crate::revision::sha256_of;

/// Annotation of the definition: the hash of its schema. The operator compares it with its own to
/// tell a user whose definition is older than the operator.
pub const SCHEMA_HASH_ANNOTATION: &str = "serin.dev/schema-hash";

/// Where the generated file lies, from the root of the repository.
pub const CRD_FILE: &str = "crds/serin.dev_inferenceservices.yaml";

/// The chart's copy of the generated file, from the root of the repository.
pub const CHART_CRD_FILE: &str = "charts/serin/files/crds/serin.dev_inferenceservices.yaml";

/// Where Kubernetes' own types stand in the schema: below these, descriptions are shortened.
pub const EMBEDDED: [&str; 5] = [
    "spec.autoscaling.behavior",
    "spec.podTemplate.spec.affinity",
    "spec.podTemplate.spec.tolerations",
    "spec.podTemplate.spec.topologySpreadConstraints",
    "status.conditions",
];

/// The definition that the chart installs, `serin crd` prints and local mode checks against.
pub fn shipped_crd() -> CustomResourceDefinition {
    let mut crd = InferenceService::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|validation| validation.open_api_v3_schema.as_mut())
        {
            ship(schema, "");
        }
    }
    let spec = serde_json::to_value(&crd.spec).unwrap_or_default();
    crd.metadata.annotations.get_or_insert_default().insert(
        SCHEMA_HASH_ANNOTATION.to_owned(),
        sha256_of(&spec)[..16].to_owned(),
    );
    crd
}

/// The OpenAPI schema of the one version that is served.
pub fn shipped_schema() -> JSONSchemaProps {
    shipped_crd()
        .spec
        .versions
        .into_iter()
        .find_map(|version| version.schema.and_then(|schema| schema.open_api_v3_schema))
        .unwrap_or_default()
}

fn ship(schema: &mut JSONSchemaProps, path: &str) {
    schema.nullable = None;
    schema.default = None;
    if EMBEDDED
        .iter()
        .any(|root| path.starts_with(&format!("{root}.")))
    {
        schema.description = schema.description.take().map(|text| first_sentence(&text));
    }
    for (name, field) in schema.properties.iter_mut().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        ship(field, &path);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        ship(items, path);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        ship(values, path);
    }
}

fn first_sentence(text: &str) -> String {
    let line = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    match line.find(". ") {
        Some(end) => line[..=end].to_owned(),
        None => line,
    }
}

/// The definition as YAML, the text of [`CRD_FILE`].
///
/// # Errors
/// None for a definition that this crate made; the YAML writer's otherwise.
#[cfg(feature = "manifest")]
pub fn shipped_crd_yaml() -> Result<String, serde_saphyr::ser_error::Error> {
    let body = serde_saphyr::to_string(&shipped_crd())?;
    Ok(format!(
        "# Generated from the types in crds/src by `cargo run -p serin-crds --bin crdgen`; do not edit.\n{body}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(schema: &JSONSchemaProps, path: &str, check: &mut dyn FnMut(&JSONSchemaProps, &str)) {
        check(schema, path);
        for (name, field) in schema.properties.iter().flatten() {
            each(field, &format!("{path}.{name}"), check);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            each(items, &format!("{path}[]"), check);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            each(values, &format!("{path}{{}}"), check);
        }
    }

    #[test]
    fn nothing_is_nullable_defaulted_unsigned_or_a_float() {
        each(&shipped_schema(), "", &mut |field, path| {
            assert_eq!(field.nullable, None, "{path}");
            assert_eq!(
                field.default, None,
                "{path}: manifest.rs applies no defaults"
            );
            assert_ne!(field.type_.as_deref(), Some("number"), "{path}");
            assert!(
                field
                    .format
                    .as_deref()
                    .is_none_or(|format| ["int32", "int64", "date-time"].contains(&format)),
                "{path}: {:?}",
                field.format
            );
        });
    }

    #[test]
    fn every_list_map_and_string_of_our_own_is_bounded() {
        let schema = shipped_schema();
        let spec = &schema.properties.as_ref().unwrap()["spec"];
        each(spec, "spec", &mut |field, path| {
            let embedded = EMBEDDED
                .iter()
                .any(|root| path.replace("[]", "").starts_with(&format!("{root}.")));
            if embedded || path == "spec.podTemplate.spec.topologySpreadConstraints[]" {
                return;
            }
            let bounded = match field.type_.as_deref() {
                Some("array") => field.max_items.is_some(),
                Some("object") => {
                    field.additional_properties.is_none() || field.max_properties.is_some()
                }
                Some("string") => {
                    field.enum_.is_some()
                        || field.max_length.is_some()
                        || field
                            .pattern
                            .as_deref()
                            .is_some_and(|pattern| pattern.ends_with("{64}$"))
                        || path.ends_with("annotations{}")
                }
                _ => true,
            };
            assert!(
                bounded,
                "{path} has no bound: its rules would cost too much"
            );
        });
    }

    #[test]
    fn every_field_of_our_own_is_described() {
        each(&shipped_schema(), "", &mut |field, path| {
            let owned = !["apiVersion", "kind", "metadata"]
                .iter()
                .any(|name| path.contains(name));
            if owned && !path.ends_with("[]") && !path.ends_with("{}") {
                assert!(field.description.is_some(), "{path} has no description");
            }
        });
    }

    #[test]
    fn descriptions_of_kubernetes_types_are_one_sentence() {
        assert_eq!(first_sentence("One. Two."), "One.");
        assert_eq!(first_sentence("One\nline\n\nMore"), "One line");
    }
}
