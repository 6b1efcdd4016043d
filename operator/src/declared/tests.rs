use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use serin_crds::contract::policy::{ApiConfig, Policy};
use serin_crds::revision::hash_of_stored;

use super::*;
use crate::child_kind::ChildObject;
use crate::desired::config_keys::{SNAPSHOT_KEY, TEMPLATE_KEY};
use crate::testing::builders::validated;

/// `spec` as an operator stored it, before policies or since.
fn stored(observed: &mut Observed, spec: &Value, reloads: bool) -> String {
    let name = format!("iris-{}", hash_of_stored(spec));
    let snapshot = json!({"spec": spec, "pinned": {"image": "i"}});
    let args = if reloads {
        json!(["--policy", "/etc/serin/policy/policy.json"])
    } else {
        json!(["--config", "/etc/serin/config.json"])
    };
    let mut config = ConfigMap {
        data: Some(BTreeMap::from([
            (SNAPSHOT_KEY.to_owned(), snapshot.to_string()),
            (TEMPLATE_KEY.to_owned(), json!({"args": args}).to_string()),
        ])),
        ..ConfigMap::default()
    };
    config.metadata.name = Some(name.clone());
    observed.insert(ChildObject::new(Arc::new(config)));
    name
}

fn spec_of(service: &ValidatedService) -> Value {
    serde_json::to_value(&service.spec).unwrap()
}

/// A service whose callers may load and unload models.
fn with_control() -> ValidatedService {
    let mut service = validated("iris");
    service.policy = Policy {
        api: ApiConfig {
            repository_control: true,
            ..ApiConfig::default()
        },
        ..Policy::default()
    };
    service
}

/// The same, as it was hashed before policies.
fn spec_with_control() -> Value {
    let mut spec = spec_of(&validated("iris"));
    spec["api"] = json!({"repositoryControl": "Enabled"});
    spec
}

fn name_of(service: ValidatedService, observed: &Observed) -> String {
    declared(service, None, observed).revision.name
}

#[test]
fn a_new_spec_is_called_by_its_own_hash() {
    let observed = Observed::of("iris");
    let service = validated("iris");
    assert_eq!(name_of(service.clone(), &observed), service.revision.name);
}

#[test]
fn a_changed_policy_is_no_new_revision() {
    let mut observed = Observed::of("iris");
    let name = stored(&mut observed, &spec_of(&validated("iris")), true);
    assert_eq!(name_of(validated("iris"), &observed), name);
    assert_eq!(name_of(with_control(), &observed), name);
}

#[test]
fn an_upgrade_from_before_policies_makes_no_new_revision() {
    let mut observed = Observed::of("iris");
    let plain = stored(&mut observed, &spec_of(&validated("iris")), false);
    assert_eq!(name_of(validated("iris"), &observed), plain);

    let mut observed = Observed::of("iris");
    let legacy = stored(&mut observed, &spec_with_control(), false);
    let service = with_control();
    assert_ne!(legacy, service.revision.name);
    assert_eq!(name_of(service, &observed), legacy);
}

#[test]
fn pods_from_before_policies_are_replaced_where_they_would_not_learn_of_a_change() {
    let mut observed = Observed::of("iris");
    let plain = stored(&mut observed, &spec_of(&validated("iris")), false);
    let changed = declared(with_control(), Some(&plain), &observed);
    assert_ne!(changed.revision.name, plain);

    let reloading = stored(&mut observed, &spec_of(&changed), true);
    assert_eq!(reloading, changed.revision.name);
    let again = declared(with_control(), Some(&plain), &observed);
    assert_eq!(again.revision.name, reloading, "it stays what it is");

    let mut observed = Observed::of("iris");
    stored(&mut observed, &spec_with_control(), false);
    let service = validated("iris");
    assert_eq!(name_of(service.clone(), &observed), service.revision.name);
}
