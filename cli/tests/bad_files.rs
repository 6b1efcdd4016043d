//! `serin check` and `serin run` on files that a cluster would refuse: one message with file, line, field, value
//! and cure, and an exit code that says so.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const IRIS: &str = "\
apiVersion: serin.dev/v1alpha1
kind: InferenceService
metadata:
  name: iris
spec:
  model:
    source:
      uri: configmap://iris-model/iris.onnx
";

fn serin(args: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(args)
        .arg(file)
        .output()
        .unwrap()
}

/// What `serin check` and `serin run` both say on standard error about a file that is wrong.
fn refused(name: &str, text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    let [checked, ran] = ["check", "run"].map(|command| {
        let output = serin(&[command, "-f"], &file);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        said.lines()
            .filter(|line| !line.starts_with("note: "))
            .collect::<Vec<_>>()
            .join("\n")
            .replace(&format!("{}/", folder.path().display()), "")
    });
    assert_eq!(checked, ran);
    checked
}

#[test]
fn an_unknown_field_is_named_with_the_known_one() {
    assert_eq!(
        refused("iris.yaml", &format!("{IRIS}  replica: 2\n")),
        "error: iris.yaml:9:3: spec.replica: unknown field, found 2; did you mean `replicas`?\n    9 |   replica: 2\n      |   ^^^^^^^"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_shown_as_it_was_written() {
    assert_eq!(
        refused(
            "iris.yaml",
            &IRIS.replace("  model:\n", "  model:\n    version: 1.10\n")
        ),
        "error: iris.yaml:7:14: spec.model.version: must be a text, found the number 1.10; put quotes around it: version: \"1.10\"\n    7 |     version: 1.10\n      |              ^^^^"
    );
}

#[test]
fn an_https_uri_without_a_host_is_refused() {
    let uri = "configmap://iris-model/iris.onnx";
    assert_eq!(
        refused("iris.yaml", &IRIS.replace(uri, "https:///iris.onnx")),
        "error: iris.yaml:8:12: spec.model.source.uri: an https URI is https://HOST/PATH, found \"https:///iris.onnx\"\n    8 |       uri: https:///iris.onnx\n      |            ^^^^^^^^^^^^^^^^^^"
    );
}

#[test]
fn a_broken_rule_says_what_to_do() {
    assert_eq!(
        refused(
            "iris.yaml",
            &format!("{IRIS}  replicas: 2\n  autoscaling:\n    maxReplicas: 3\n")
        ),
        "error: iris.yaml:9:13: spec.replicas: replicas and autoscaling exclude each other: remove replicas to let the autoscaler decide, or remove autoscaling for a fixed size, found 2\n    9 |   replicas: 2\n      |             ^"
    );
}

#[test]
fn a_missing_model_is_told_by_the_line_that_names_it() {
    let said = refused(
        "iris.yaml",
        &IRIS.replace(
            "configmap://iris-model/iris.onnx",
            "file:///no/such/iris.onnx",
        ),
    );
    assert!(
        said.starts_with("error: iris.yaml:8:12: spec.model.source.uri: the model cannot be used: there is no such file, found \"file:///no/such/iris.onnx\"; correct the path, or put the model there\n"),
        "{said}"
    );
    let said = refused("iris.yaml", IRIS);
    assert!(
        said.starts_with("error: iris.yaml:8:12: spec.model.source.uri: there is no ConfigMap iris-model among the files, found \"configmap://iris-model/iris.onnx\"; name its file"),
        "{said}"
    );
}

#[test]
fn a_missing_key_names_those_that_are_there() {
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: iris-model}\ndata: {other.onnx: x}\n";
    let said = refused("iris.yaml", &format!("{IRIS}{map}"));
    assert!(
        said.starts_with("error: iris.yaml:8:12: spec.model.source.uri: the ConfigMap iris-model at iris.yaml:10 has no key iris.onnx, found \"configmap://iris-model/iris.onnx\"; its keys are other.onnx\n"),
        "{said}"
    );
}

#[test]
fn a_config_map_of_another_namespace_is_pointed_at() {
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: iris-model, namespace: other}\ndata: {iris.onnx: x}\n";
    let said = refused("iris.yaml", &format!("{IRIS}{map}"));
    assert!(
        said.contains("the ConfigMap iris-model at iris.yaml:10 is of another namespace"),
        "{said}"
    );
}

#[test]
fn a_service_is_not_checked_with_the_model_of_its_namesake_in_another_namespace() {
    let service = |namespace: &str| {
        let service = IRIS.replace(
            "name: iris\n",
            &format!("name: iris\n  namespace: {namespace}\n"),
        );
        service.replace("iris-model/iris.onnx", "models")
    };
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/iris/model-configmap.yaml");
    let whole = fs::read_to_string(example)
        .unwrap()
        .replace("name: iris-model", "name: models\n  namespace: dev")
        .replace("iris.onnx:", "model.onnx:");
    let without = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: models, namespace: prod}\ndata: {labels.txt: x}\n";
    let text = [&service("dev"), &whole, &service("prod"), without].join("\n---\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("both.yaml");
    fs::write(&file, text).unwrap();
    let output = serin(&["check", "-f"], &file);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains("call it model.onnx"), "{said}");
}

#[test]
fn a_file_that_is_no_model_and_one_of_another_digest_are_refused() {
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: iris-model}\ndata: {iris.onnx: no model}\n";
    let said = refused("iris.yaml", &format!("{IRIS}{map}"));
    assert!(said.contains("iris.yaml:8:12: spec.model.source.uri: the model cannot be used: it is not an ONNX model"), "{said}");
    let digest = format!("{IRIS}      digest: sha256:{}\n{map}", "0".repeat(64));
    let said = refused("iris.yaml", &digest);
    assert!(
        said.starts_with(
            "error: iris.yaml:9:15: spec.model.source.digest: the model's file hashes to sha256:"
        ),
        "{said}"
    );
    assert!(
        said.contains("or write this digest if it is the right file"),
        "{said}"
    );
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    assert_eq!(
        refused("iris.yaml", &format!("{IRIS}  model: {{}}\n")),
        "error: iris.yaml:9:3: the key `model` stands here twice; keep one of them\n    9 |   model: {}\n      |   ^^^^^"
    );
}

#[test]
fn every_fault_is_told_in_one_go() {
    let said = refused("iris.yaml", &format!("{IRIS}  replica: 2\n  suspend: 1\n"));
    assert_eq!(
        said.lines()
            .filter(|line| line.starts_with("error: iris.yaml:"))
            .count(),
        2,
        "{said}"
    );
}

#[test]
fn files_without_a_service_are_a_fault() {
    let said = refused(
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n",
    );
    assert!(
        said.starts_with(
            "error: map.yaml: no InferenceService is in there (1 of other kinds); name a file"
        ),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    let output = serin(&["check", "-f"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the folder holds no manifest; put a file that ends in .yaml"),
        "{said}"
    );
}
