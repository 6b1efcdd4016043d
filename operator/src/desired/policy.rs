//! The ConfigMap of a service's policy, which its pods reload while they run. It belongs to no
//! revision, and a change of it restarts no pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serin_crds::contract::policy::{POLICY_KEY, Policy};

use crate::child::Child;
use crate::child_kind::ChildKind;
use crate::desired::metadata::metadata;
use crate::validated::ValidatedService;

/// The ConfigMap of the policy.
#[expect(
    clippy::expect_used,
    reason = "only strings, integers, booleans and lists"
)]
pub fn policy(service: &ValidatedService) -> Child {
    let name = Policy::config_map_name(&service.name);
    let document = serde_json::to_string(&service.policy).expect("plain data is valid JSON");
    let object = ConfigMap {
        metadata: metadata(service, &name, None),
        data: Some(BTreeMap::from([(POLICY_KEY.to_owned(), document)])),
        ..ConfigMap::default()
    };
    Child::new(ChildKind::ConfigMap, &name, &object)
}
