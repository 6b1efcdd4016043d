//! Which module of the data plane's crates may import which, and which external crate may be named
//! where. The edges between the crates themselves are in `xtask/src/layout.rs`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read its files must fail"
)]

#[path = "support/modules.rs"]
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use modules::{Module, circles, function_lines, imports, modules as read};

/// A crate, and for each of its modules the modules that it may import. A row may name only rows
/// above it. A new edge is a decision: the lower layer stays unaware of the upper one.
type Table = &'static [(&'static str, &'static [&'static str])];

const CRATES: &[(&str, &str, Table)] = &[
    ("core", "core/src", CORE),
    ("engine", "engine/src", ENGINE),
    ("wire", "wire/src", WIRE),
    ("dataplane", "src", DATAPLANE),
];

const CORE: Table = &[("types", &[]), ("fault", &[]), ("limits", &[])];

const ENGINE: Table = &[
    // The trait of engines.
    ("lib", &[]),
    // A folder that is held open.
    ("pinned", &[]),
    ("artifact", &["pinned"]),
    // Texts to token ids, hidden states to vectors: no engine, no runtime.
    ("text", &["lib", "pinned"]),
    ("batch", &["lib"]),
    ("backend", &["artifact", "lib"]),
    ("fake", &["lib"]),
    ("onnx", &["artifact", "backend", "lib", "pinned"]),
];

const WIRE: Table = &[
    ("bounds", &[]),
    ("content_coding", &[]),
    ("control", &[]),
    ("deadline", &[]),
    ("field_path", &[]),
    ("room", &[]),
    ("json", &["room"]),
    ("ndjson", &[]),
    ("non_finite", &[]),
    ("parameters", &[]),
    ("path", &[]),
    ("raw_tensor", &["room"]),
    ("request_id", &[]),
    ("sse", &[]),
    ("members", &["json"]),
    ("errors", &["content_coding"]),
    ("example", &[]),
    (
        "oip_rest",
        &[
            "bounds",
            "control",
            "field_path",
            "json",
            "members",
            "non_finite",
            "parameters",
            "raw_tensor",
            "room",
        ],
    ),
    (
        "oip_grpc",
        &[
            "bounds",
            "control",
            "errors",
            "parameters",
            "raw_tensor",
            "room",
        ],
    ),
    // Both read tensors as the REST protocol does.
    (
        "kserve_v1",
        &[
            "bounds",
            "json",
            "members",
            "non_finite",
            "oip_rest",
            "room",
        ],
    ),
    ("openai", &["json", "members", "oip_rest", "room"]),
    (
        "openapi",
        &[
            "deadline", "errors", "example", "ndjson", "oip_rest", "path", "sse",
        ],
    ),
    ("docs_page", &["example", "path"]),
];

const DATAPLANE: Table = &[
    ("address", &[]),
    ("backends", &[]),
    ("policy", &[]),
    ("runtime", &[]),
    ("tls_roots", &[]),
    ("admission", &[]),
    ("telemetry", &["address", "policy", "tls_roots"]),
    // The format of log lines is a flag.
    ("config", &["telemetry"]),
    ("context", &["runtime", "telemetry"]),
    ("envelope", &["context"]),
    // The two seams decide by an envelope: they see no model.
    ("access", &["envelope"]),
    ("routing", &["envelope"]),
    (
        "model",
        &["address", "backends", "runtime", "telemetry", "tls_roots"],
    ),
    ("pipeline", &["admission", "model", "runtime"]),
    ("tasks", &["pipeline", "runtime"]),
    // The server sees the traits of the pipeline and no model.
    (
        "server",
        &[
            "access",
            "config",
            "context",
            "envelope",
            "pipeline",
            "policy",
            "routing",
            "runtime",
            "tasks",
            "telemetry",
        ],
    ),
    // Wires everything together.
    (
        "run",
        &[
            "access",
            "backends",
            "config",
            "model",
            "pipeline",
            "policy",
            "routing",
            "runtime",
            "server",
            "telemetry",
        ],
    ),
    // Re-exports private readers, for fuzz targets only.
    ("fuzzing", &[]),
];

/// External crates that only some modules may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("ort", &["engine/onnx"]),
    ("tokenizers", &["engine/text"]),
    ("tokio", &["dataplane", "engine"]),
    ("axum", &["dataplane/server"]),
    ("hyper", &["dataplane/server"]),
    ("hyper_util", &["dataplane/server"]),
    ("tokio_websockets", &["dataplane/server/stream/websocket"]),
    ("tonic", &["dataplane/server", "wire/oip_grpc/status"]),
    ("tonic_types", &["wire/oip_grpc/status"]),
    (
        "prost",
        &[
            "wire/oip_grpc",
            "dataplane/server/grpc",
            "dataplane/telemetry/traces",
        ],
    ),
    (
        "http",
        &[
            "wire",
            "dataplane/server",
            "dataplane/context",
            "dataplane/envelope",
            "dataplane/runtime/memory_budget",
            "dataplane/telemetry/traces",
        ],
    ),
    ("flate2", &["wire/content_coding"]),
    (
        "reqwest",
        &[
            "dataplane/address/resolver",
            "dataplane/model",
            "dataplane/telemetry/traces",
        ],
    ),
    ("rustls", &["dataplane/tls_roots", "dataplane/main"]),
    ("ipnet", &["dataplane/address"]),
    ("percent_encoding", &["wire/path", "dataplane/server/path"]),
    (
        "clap",
        &[
            "dataplane/config/cli",
            "dataplane/telemetry/logging",
            "dataplane/main",
        ],
    ),
    (
        "prometheus_client",
        &["dataplane/telemetry", "dataplane/server"],
    ),
    ("kube", &[]),
];

/// Most lines of code in a file, without comments and tests.
const MOST_LINES: usize = 460;

/// Most lines of the driver of unary requests: it is read on one screen.
const MOST_DRIVER_LINES: usize = 100;

fn sources(folder: &str) -> Vec<Module> {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    read(&root)
}

fn top(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

fn is_in(module: &str, part: &str) -> bool {
    module == part || module.starts_with(&format!("{part}/"))
}

#[test]
fn every_module_imports_only_what_its_row_allows() {
    let mut wrong = BTreeSet::new();
    for (name, folder, table) in CRATES {
        let table: BTreeMap<_, _> = table.iter().copied().collect();
        for (importer, imported) in imports(&sources(folder)) {
            let (from, to) = (top(&importer), top(&imported));
            if from == to || from == "main" {
                continue;
            }
            match table.get(from) {
                Some(allowed) if allowed.contains(&to) => {}
                Some(_) => {
                    wrong.insert(format!("{name}: {importer} may not import {imported}"));
                }
                None => {
                    wrong.insert(format!("{name}: module '{from}' has no row"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_row_names_only_rows_above_it_and_each_edge_exists() {
    for (name, folder, table) in CRATES {
        let sources = sources(folder);
        let edges: BTreeSet<(String, String)> = imports(&sources)
            .into_iter()
            .map(|(from, to)| (top(&from).to_owned(), top(&to).to_owned()))
            .collect();
        for (row, (module, allowed)) in table.iter().enumerate() {
            assert!(
                sources.iter().any(|source| source.name == *module),
                "{name} has no module '{module}'"
            );
            for below in *allowed {
                let above = table[..row].iter().any(|(other, _)| other == below);
                assert!(
                    above,
                    "{name}: the row of {below} is not above that of {module}"
                );
                let edge = ((*module).to_owned(), (*below).to_owned());
                assert!(
                    edges.contains(&edge),
                    "{name}: {module} imports nothing of {below}; the row is out of date"
                );
            }
        }
        for source in &sources {
            let known = table.iter().any(|(module, _)| *module == top(&source.name));
            assert!(
                known || ["lib", "main"].contains(&source.name.as_str()),
                "{name}: module '{}' has no row",
                source.name
            );
        }
    }
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    for (name, folder, _) in CRATES {
        let circles = circles(&sources(folder));
        assert!(circles.is_empty(), "{name}: {circles:#?}");
    }
}

#[test]
fn every_large_dependency_stays_where_it_belongs() {
    let mut wrong = BTreeSet::new();
    for (crate_name, folder, _) in CRATES {
        for source in sources(folder) {
            let module = format!("{crate_name}/{}", source.name);
            for (external, places) in ONLY_IN {
                let allowed = places.iter().any(|place| is_in(&module, place));
                if !allowed && names(&source.code, external) {
                    wrong.insert(format!("{module}.rs may not name {external}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_holds_more_than_one_idea() {
    for (name, folder, _) in CRATES {
        for source in sources(folder) {
            let lines = source.code.lines().count();
            assert!(
                lines <= MOST_LINES,
                "{name}/{}.rs has {lines} lines of code, {MOST_LINES} are allowed",
                source.name
            );
        }
    }
}

#[test]
fn the_driver_of_unary_requests_fits_on_a_screen() {
    let sources = sources("src");
    let unary = sources.iter().find(|source| source.name == "server/unary");
    let lines = function_lines(&unary.expect("server/unary.rs").code, "drive");
    assert!(lines <= MOST_DRIVER_LINES, "drive has {lines} lines");
}

/// Whether the code has a path that begins with the external crate `name`.
fn names(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

fn module(name: &str, code: &str) -> Module {
    Module {
        name: name.to_owned(),
        code: code.to_owned(),
    }
}

#[test]
fn an_import_is_found_behind_a_list_a_re_export_and_a_plain_path() {
    let sources = [
        module("lib", "mod a;\nmod b;\n"),
        module("a", "mod inner;\npub use inner::Thing;\n"),
        module("a/inner", "pub struct Thing;\nuse tokio::sync::Mutex;\n"),
        module("b", "use crate::{\n    a::{Thing},\n};\n"),
        module(
            "c",
            "fn f() { super::b::g() }\npub(in crate::a) fn h() {}\n",
        ),
    ];
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        imports(&sources),
        BTreeSet::from([edge("b", "a/inner"), edge("c", "b")])
    );
}

#[test]
fn a_circle_is_found_and_a_re_export_alone_makes_none() {
    let through_root = [
        module("lib", ""),
        module("a", "mod b;\npub use self::b::B;\npub struct A;\n"),
        module("a/b", "use super::A;\npub struct B;\n"),
    ];
    assert!(circles(&through_root).is_empty());
    let used = [
        module("lib", ""),
        module("a", "mod b;\npub struct A(b::B);\n"),
        module("a/b", "use super::A;\npub struct B;\n"),
        module("c", "use crate::a::A;\n"),
    ];
    assert_eq!(circles(&used), [["a -> a/b", "a/b -> a"]]);
}

#[test]
fn external_crates_and_the_length_of_a_function_are_recognised() {
    assert!(names("use tokio::sync::Mutex;", "tokio"));
    assert!(!names("use my_tokio::sync::Mutex;", "tokio"));
    let code = "impl A {\n    fn drive<P>(&self) {\n        if true {\n        }\n    }\n}\n";
    assert_eq!(function_lines(code, "drive"), 4);
    assert_eq!(
        modules::code("use a;\n// crate::b\n#[cfg(test)]\nmod tests { use crate::c; }"),
        "use a;\n"
    );
}
