//! Files and folders of manifests: which are read, and what is said about those that cannot be.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serin_crds::manifest::{Service, load, parse};

const IRIS: &str = "\
apiVersion: serin.dev/v1alpha1
kind: InferenceService
metadata: {name: iris}
spec: {model: {source: {uri: \"configmap://iris-model/iris.onnx\"}}}
";

fn wrong(text: &str) -> String {
    parse("m.yaml", text).unwrap_err().to_string()
}

fn wrong_at(path: &Path) -> String {
    load(&[path.to_owned()]).unwrap_err().to_string()
}

#[test]
fn a_folder_is_read_in_order_of_names_and_without_what_lies_below_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("below")).unwrap();
    for (file, name) in [
        ("b.yaml", "second"),
        ("a.yml", "first"),
        ("below/c.yaml", "hidden"),
        ("d.txt", "text"),
    ] {
        fs::write(
            folder.path().join(file),
            IRIS.replace("iris}", &format!("{name}}}")),
        )
        .unwrap();
    }
    let manifest = load(&[folder.path().to_owned()]).unwrap();
    let names: Vec<_> = manifest.services.iter().map(Service::name).collect();
    assert_eq!(names, ["first", "second"]);
}

#[test]
fn an_empty_folder_and_a_missing_file_are_faults_with_help() {
    let folder = tempfile::tempdir().unwrap();
    let message = wrong_at(folder.path());
    assert!(
        message.contains("the folder holds no manifest; put a file that ends in .yaml"),
        "{message}"
    );
    let message = wrong_at(&folder.path().join("none.yaml"));
    assert!(
        message.contains("none.yaml: cannot be read") && message.contains("check the path"),
        "{message}"
    );
}

#[test]
fn the_faults_of_all_files_come_at_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("b.yaml"),
        IRIS.replace("spec: {", "spec: {replicas: -1, suspend: 1, "),
    )
    .unwrap();
    fs::write(folder.path().join("a.yaml"), "a: [").unwrap();
    let problems = load(&[folder.path().to_owned()]).unwrap_err().0;
    let seen: Vec<_> = problems
        .iter()
        .map(|problem| (problem.file().ends_with("a.yaml"), problem.field()))
        .collect();
    assert_eq!(
        seen,
        [
            (true, ""),
            (false, "spec.replicas"),
            (false, "spec.suspend")
        ]
    );
}

#[test]
fn a_file_that_is_no_text_or_too_large_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
    assert!(wrong_at(&file).contains("m.yaml:2: not UTF-8 text"));
    fs::write(&file, vec![b'#'; 5 << 20]).unwrap();
    assert!(wrong_at(&file).contains("larger than 4194304 bytes"));
}

#[test]
fn a_key_that_stands_twice_is_named_with_its_line() {
    let message = wrong(&IRIS.replace("metadata:", "kind: InferenceService\nmetadata:"));
    assert!(
        message.starts_with("m.yaml:3:1: the key `kind` stands here twice; keep one of them"),
        "{message}"
    );
}

#[test]
fn text_that_is_no_yaml_is_a_fault_with_its_line() {
    let message = wrong("apiVersion: v1\nkind: [\n");
    assert!(
        message.starts_with("m.yaml:2:7: not YAML that can be read: unclosed bracket '['; "),
        "{message}"
    );
    let message = wrong("just a text");
    assert!(
        message.contains("m.yaml:1:1: apiVersion: required"),
        "{message}"
    );
}

#[test]
fn an_alias_bomb_is_stopped() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    let started = std::time::Instant::now();
    assert!(wrong(&text).contains("not YAML that can be read"));
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn documents_lists_and_other_kinds_are_told_apart() {
    let text = format!(
        "{IRIS}---\n# nothing\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\n---\napiVersion: v1\nkind: List\nitems:\n- {}\n- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{k: v}}}}\n",
        r#"{apiVersion: serin.dev/v1alpha1, kind: InferenceService, metadata: {name: two}, spec: {model: {source: {uri: "pvc://a/b"}}}}"#
    );
    let manifest = parse("m.yaml", &text).unwrap();
    let names: Vec<_> = manifest.services.iter().map(Service::name).collect();
    assert_eq!(names, ["iris", "two"]);
    assert_eq!(manifest.config_maps[0].data["k"], b"v");
    assert_eq!(
        (manifest.others[0].kind.as_str(), manifest.others[0].line),
        ("Secret", 8)
    );
}

#[test]
fn json_with_tabs_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("iris.json");
    let text = "{\n\t\"apiVersion\": \"serin.dev/v1alpha1\",\n\t\"kind\": \"InferenceService\",\n\t\"metadata\": {\"name\": \"iris\"},\n\t\"spec\": {\"model\": {\"source\": {\"uri\": \"pvc://a/b\"}}}\n}";
    fs::write(&file, text).unwrap();
    assert_eq!(load(&[file]).unwrap().services[0].name(), "iris");
}

#[test]
fn two_services_of_one_name_are_refused() {
    let message = wrong(&format!("{IRIS}---\n{IRIS}"));
    assert!(message.contains("m.yaml:8:18: metadata.name: an InferenceService of this name stands at m.yaml:3 already"), "{message}");
}

#[test]
fn a_config_map_holds_text_and_bytes() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a.txt: hello}\nbinaryData:\n  b: |\n    aGVs\n    bG8=\n";
    let manifest = parse("m.yaml", text).unwrap();
    assert_eq!(manifest.config_maps[0].data["b"], b"hello");
    let message = wrong(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a/b: x, c: 3}\nbinaryData: {d: '***', e: ''}\n",
    );
    assert!(
        message.contains("data[a/b]: not a key of a ConfigMap"),
        "{message}"
    );
    assert!(
        message.contains("data[c]: must be a text, found the number 3; put quotes around it"),
        "{message}"
    );
    assert!(
        message.contains("m.yaml:5:14: binaryData[d]: not base64"),
        "{message}"
    );
}

#[test]
fn a_list_in_a_place_of_a_document_is_refused() {
    assert!(wrong("- a\n- b\n").contains("apiVersion: required"));
    assert!(parse("m.yaml", "").unwrap().services.is_empty());
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in ".{0,200}") {
        let _ = parse("m.yaml", &text).map_err(|problems| problems.to_string());
    }

    #[test]
    fn no_damaged_manifest_makes_the_loader_panic(
        at in 0usize..IRIS.len(),
        removed in 0usize..12,
        put in "[ \\n\\t:{}\\[\\],\"'&*!|>%#~a1é\u{0}.-]{0,6}",
    ) {
        let mut text = IRIS.to_owned();
        text.replace_range(at..(at + removed).min(IRIS.len()), &put);
        let _ = parse("m.yaml", &text).map_err(|problems| problems.to_string());
    }
}
