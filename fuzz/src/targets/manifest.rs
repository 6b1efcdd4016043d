//! Files that people and the operator write: manifests, and a pod's configuration.

use serin_crds::manifest;
use serin_dataplane::fuzzing::config;

use crate::Target;

pub const MANIFEST: Target = Target {
    name: "manifest",
    about: "a manifest that is accepted says the same when it is written and read again; a refusal names a line of it",
    run: manifests,
    seeds: || {
        [
            include_str!("../../../examples/iris/inferenceservice.yaml"),
            MINIMAL,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\nbinaryData: {c: aGk=}\n",
            "apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Secret, metadata: {name: s}}\n- *a\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    dictionary: &[
        "apiVersion: serin.dev/v1alpha1",
        "kind: InferenceService",
        "metadata:",
        "name:",
        "spec:",
        "model:",
        "version:",
        "source:",
        "uri:",
        "https://",
        "configmap://",
        "pvc://",
        "file:///",
        "digest: sha256:",
        "replicas:",
        "resources:",
        "requests:",
        "limits:",
        "cpu:",
        "memory:",
        "autoscaling:",
        "minReplicas:",
        "maxReplicas:",
        "suspend: true",
        "gpu:",
        "podTemplate:",
        "---\n",
        "- ",
        "\n  ",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "0777",
        "1e3",
        ".nan",
        "~",
        "|\n",
        "{",
        "}",
        "[",
        "]",
        "\"",
    ],
    longest: 4096,
};

const MINIMAL: &str = "apiVersion: serin.dev/v1alpha1
kind: InferenceService
metadata:
  name: a
spec:
  model:
    source: {uri: \"https://h.example/m.onnx\"}
  autoscaling: {minReplicas: 1, maxReplicas: 3}
";

fn manifests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match manifest::parse("m.yaml", text) {
        Ok(read) => {
            for service in &read.services {
                let written =
                    serde_json::to_string(&service.service).expect("an object can be written");
                let again = manifest::parse("again.json", &written);
                let again = again.unwrap_or_else(|problems| panic!("{written}\n{problems}"));
                assert_eq!(again.services.len(), 1);
                assert_eq!(again.services[0].service, service.service);
            }
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            // A line ends where YAML ends one; as many as there are, and one for the end.
            let lines = text.split(['\n', '\r']).count() as u64 + 1;
            for problem in &problems.0 {
                assert!(
                    problem.line().is_none_or(|line| line <= lines),
                    "{problem} is beyond line {lines}"
                );
                assert!(!problem.to_string().is_empty());
            }
        }
    }
}

pub const POD_CONFIG: Target = Target {
    name: "pod_config",
    about: "a pod's configuration reads back as it was written",
    run: pod_config,
    seeds: || {
        vec![
            br#"{"service":"a/b","revision":"b-1","models":[{"name":"m","version":"1","source":{"uri":"pvc://a/b","path":"/m","digest":"sha256:0","allowedNetworks":["10.0.0.0/8"]},"gpu":true}]}"#.to_vec(),
        ]
    },
    dictionary: &[
        "\"models\":[",
        "\"name\":",
        "\"source\":",
        "\"uri\":",
        "\"gpu\":true",
        "null",
    ],
    longest: 2048,
};

fn pod_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match config::file(text) {
        Err(message) => assert!(!message.is_empty()),
        Ok(read) => {
            let written = serde_json::to_string(&read).expect("it can be written");
            assert_eq!(config::file(&written), Ok(read));
        }
    }
}
