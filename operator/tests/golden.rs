//! Whole objects, reviewed as text: what the operator makes of a spec.
//!
//! `tests/golden/NAME.service.yaml` is what a user writes, `NAME.children.yaml` what the operator
//! applies. A change of a pod template reaches revisions that are made after it, and earlier ones
//! whose Deployment is gone: with the data plane of their day, which must understand it. Think
//! twice, then write the files anew with `SERIN_UPDATE_GOLDEN=1`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its files must fail"
)]

use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;
use serin_crds::{InferenceService, InferenceServiceStatus};
use serin_operator::decide::decide;
use serin_operator::desired::revision_snapshot::OperatorDefaults;
use serin_operator::observed::Observed;
use serin_operator::validated::validate;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn cases() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".service.yaml").map(str::to_owned)
        })
        .collect();
    names.sort_unstable();
    names
}

fn children_of(case: &str) -> String {
    let text = std::fs::read_to_string(folder().join(format!("{case}.service.yaml"))).unwrap();
    let mut service: InferenceService = serde_saphyr::from_str(&text).unwrap();
    service.metadata.namespace = Some("demo".into());
    service.metadata.uid = Some("11111111-2222-3333-4444-555555555555".into());
    service.metadata.generation = Some(1);
    let defaults = OperatorDefaults {
        image: "registry.example/serin-dataplane:0.1.0".into(),
        image_pull_policy: Some("IfNotPresent".into()),
        image_pull_secrets: vec!["registry".into()],
        allowed_networks: vec!["10.0.0.0/8".into()],
    };
    let wanted = validate(&service).unwrap();
    let plan = decide(
        &wanted,
        &InferenceServiceStatus::default(),
        &Observed::default(),
        &defaults,
        Timestamp::UNIX_EPOCH,
    );
    let mut out = String::new();
    for child in &plan.children {
        out.push_str("---\n");
        out.push_str(&serde_saphyr::to_string(&child.body).unwrap());
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    for (deployment, replicas) in &plan.sizes {
        out.push_str(&format!("# {deployment} is created with {replicas} pods\n"));
    }
    out
}

#[test]
fn the_children_of_each_example_are_the_reviewed_ones() {
    let update = std::env::var_os("SERIN_UPDATE_GOLDEN").is_some();
    let cases = cases();
    assert!(cases.len() >= 4, "{cases:?}");
    for case in cases {
        let path = folder().join(format!("{case}.children.yaml"));
        let made = children_of(&case);
        if update {
            std::fs::write(&path, &made).unwrap();
            continue;
        }
        let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            made, reviewed,
            "{case}: if this is meant, run with SERIN_UPDATE_GOLDEN=1"
        );
    }
}
