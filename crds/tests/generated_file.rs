//! The generated definition in the repository is the one that the types describe.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use serin_crds::schema::{CHART_CRD_FILE, CRD_FILE, shipped_crd_yaml};

fn at_root(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{file}: {error}; run `cargo run -p serin-crds --bin crdgen`")
    })
}

#[test]
fn the_generated_files_are_what_the_types_describe() {
    let wanted = shipped_crd_yaml().unwrap();
    for file in [CRD_FILE, CHART_CRD_FILE] {
        assert!(
            at_root(file) == wanted,
            "{file} differs from the types; run `cargo run -p serin-crds --bin crdgen`"
        );
    }
}

#[test]
fn the_definition_stays_under_100_kb() {
    let bytes = at_root(CRD_FILE).len();
    assert!(bytes < 100_000, "{CRD_FILE} has {bytes} bytes");
}

#[test]
fn the_yaml_reads_back_as_the_same_definition() {
    let text = at_root(CRD_FILE);
    let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let made = serde_json::to_value(serin_crds::schema::shipped_crd()).unwrap();
    assert_eq!(read, made);
}
