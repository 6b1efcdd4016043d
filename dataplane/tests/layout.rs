//! The modules import downwards only, by the table in this file: a request's way can then be read
//! from top to bottom, and each layer be tested with a made-up one below it.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may import of this crate, besides `types` and `fault`, which all may; lower
/// layers stand higher in the table. An edge that is not here is a decision: add it with care.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("fault", &[]),
    ("lifecycle", &[]),
    // Whom TLS trusts.
    ("trust", &[]),
    // Logs, metrics and traces depend on nothing else, so that everything may use them.
    ("telemetry", &["trust"]),
    // For the format of log lines, which is a flag.
    ("config", &["telemetry"]),
    // Pure: texts to ids, states to vectors.
    ("text", &[]),
    ("engine", &[]),
    ("batch", &["engine", "telemetry"]),
    ("admission", &["telemetry"]),
    (
        "model",
        &[
            "batch",
            "engine",
            "admission",
            "config",
            "lifecycle",
            "telemetry",
            "text",
            "trust",
        ],
    ),
    ("pipeline", &["model", "batch", "admission", "text"]),
    // Protocols see the pipeline's trait, never what serves it.
    (
        "protocol",
        &["pipeline", "config", "lifecycle", "telemetry", "text"],
    ),
    (
        "server",
        &[
            "protocol",
            "pipeline",
            "config",
            "lifecycle",
            "telemetry",
            "text",
        ],
    ),
    // Where all of it is put together.
    (
        "run",
        &[
            "server",
            "pipeline",
            "model",
            "config",
            "lifecycle",
            "telemetry",
        ],
    ),
    // Not a layer: what fuzz targets see of the others, in a build of its own.
    (
        "fuzzing",
        &[
            "server",
            "protocol",
            "engine",
            "model",
            "text",
            "config",
            "telemetry",
        ],
    ),
];

/// Crates that only some folders may name: what they stand for must not leak into other layers.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("ort", &["engine/onnx"]),
    ("axum", &["server"]),
    ("hyper", &["server"]),
    ("hyper_util", &["server"]),
    ("tokio_websockets", &["server/stream"]),
    ("tonic", &["protocol/oip_grpc", "server"]),
    ("http", &["protocol", "server"]),
    ("flate2", &["protocol/content_coding"]),
    ("reqwest", &["model", "telemetry/traces"]),
    ("tokenizers", &["text"]),
    ("clap", &["config", "telemetry/logging", "main"]),
    ("prometheus_client", &["telemetry", "server"]),
    ("kube", &[]),
];

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Each source file's place under `src` without `.rs`, and its code without comments and tests.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path.file_name().is_some_and(|name| name != "tests.rs")
            {
                let place = path.strip_prefix(source_folder()).expect("under src");
                let place = place.with_extension("").display().to_string();
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((place, code(&text)));
            }
        }
    }
    let mut found = Vec::new();
    walk(&source_folder(), &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// Tests stand at the end of a file and may import what they like.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The words that follow `prefix` where it does not continue another word.
fn words_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(prefix).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let continues = before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        let rest = &code[at + prefix.len()..];
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        (!continues).then(|| &rest[..end])
    })
}

#[test]
fn every_module_imports_only_what_stands_below_it() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = BTreeSet::new();
    for (place, code) in sources() {
        let module = place.split('/').next().unwrap_or(&place);
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some(allowed) = table.get(module) else {
            wrong.insert(format!(
                "src/{place}.rs: module '{module}' is not in the table"
            ));
            continue;
        };
        for word in words_after(&code, "crate::") {
            let common = ["types", "fault"].contains(&word) && module != "fault";
            if word != module && !common && !allowed.contains(&word) {
                wrong.insert(format!("src/{place}.rs may not import crate::{word}"));
            }
        }
        // `super` must not lead out of the module past the table.
        let depth = place.split('/').count();
        if code.contains(&"super::".repeat(depth)) {
            wrong.insert(format!(
                "src/{place}.rs leaves its module by super::; write crate::"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_has_no_cycle_and_no_module_that_does_not_exist() {
    let order: Vec<_> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    for (place, (module, allowed)) in MAY_IMPORT.iter().enumerate() {
        assert!(
            source_folder().join(format!("{module}.rs")).exists(),
            "{module}"
        );
        for below in *allowed {
            let other = order
                .iter()
                .position(|name| name == below)
                .expect("a listed module");
            assert!(
                other < place,
                "{module} may not import {below}: it stands above"
            );
        }
    }
}

#[test]
fn every_large_dependency_stays_where_it_belongs() {
    let mut wrong = BTreeSet::new();
    for (place, code) in sources() {
        for (name, places) in ONLY_IN {
            let named = words_after(&code, &format!("{name}::")).next().is_some();
            let allowed = places
                .iter()
                .any(|allowed| place == *allowed || place.starts_with(&format!("{allowed}/")));
            if named && !allowed {
                wrong.insert(format!("src/{place}.rs may not name {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_a_line_imports_is_recognised() {
    let words = |line| words_after(line, "crate::").collect::<Vec<_>>();
    assert_eq!(words("use serin_engine::Engine;"), ["engine"]);
    assert_eq!(words("fn f(x: &crate::model::Model) {}"), ["model"]);
    assert_eq!(words("use other_crate::engine;"), [""; 0]);
    assert_eq!(
        code("use a;\n// crate::b\n#[cfg(test)]\nmod tests { use crate::c; }"),
        "use a;\n"
    );
}
