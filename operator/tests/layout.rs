//! Who may import what, and who may write: the rules that keep decisions pure and writes in one
//! place.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot read its files must fail"
)]

#[path = "../../dataplane/tests/support/modules.rs"]
mod modules;

use std::path::Path;

use modules::{Module, circles, function_lines, modules};

/// What decides: no client, no clock, no environment, nothing that imports those.
const PURE: [&str; 10] = [
    "child",
    "child_kind",
    "decide",
    "declared",
    "desired",
    "drift",
    "observe",
    "observed",
    "quantity",
    "validated",
];

const NOT_IN_PURE: [&str; 17] = [
    "kube::",
    "tokio",
    "async ",
    "tracing",
    "std::env",
    "Timestamp::now",
    "SystemTime",
    "Instant::now",
    "crate::expectations",
    "crate::deadline",
    "crate::leader",
    "crate::reader",
    "crate::reconcile",
    "crate::run",
    "crate::statusz",
    "crate::watches",
    "crate::writer",
];

/// Text that only these files may hold.
const ONLY_IN: [(&str, &[&str]); 10] = [
    ("api.patch(", &["writer"]),
    ("api.patch_status(", &["writer"]),
    ("api.delete(", &["writer"]),
    ("api.create(", &["leader"]),
    ("api.replace(", &["leader"]),
    // kube's unstable streams change with every major version.
    ("for_stream", &["watches"]),
    ("watches_stream", &["watches"]),
    ("reconcile_on", &["watches"]),
    ("Timestamp::now", &["leader", "run"]),
    ("crate::run", &[]),
];

fn sources() -> Vec<Module> {
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn is_in(module: &str, part: &str) -> bool {
    module == part || module.starts_with(&format!("{part}/"))
}

#[test]
fn what_decides_knows_neither_a_client_nor_a_clock() {
    let sources = sources();
    for part in PURE {
        assert!(
            sources.iter().any(|module| is_in(&module.name, part)),
            "no module {part}"
        );
    }
    for Module { name, code } in &sources {
        if !PURE.iter().any(|part| is_in(name, part)) {
            continue;
        }
        for word in NOT_IN_PURE {
            assert!(
                !code.contains(word),
                "{name}.rs is pure and may not contain {word:?}"
            );
        }
    }
}

#[test]
fn only_the_writer_writes_and_each_edge_has_its_file() {
    for (word, allowed) in ONLY_IN {
        let mut found = false;
        for Module { name, code } in sources() {
            let is_allowed = allowed.contains(&name.as_str());
            found |= is_allowed && code.contains(word);
            assert!(
                is_allowed || !code.contains(word),
                "{word:?} belongs in {allowed:?}, not in {name}.rs"
            );
        }
        assert!(
            found || allowed.is_empty(),
            "{word:?} is in none of {allowed:?}: the rule is out of date"
        );
    }
}

#[test]
fn no_file_outgrows_a_screenful_of_ideas() {
    for Module { name, code } in sources() {
        let lines = code.lines().count();
        assert!(
            lines <= 400,
            "{name}.rs has {lines} lines of code: it holds more than one idea"
        );
    }
}

#[test]
fn no_module_imports_itself_by_way_of_others() {
    let circles = circles(&sources());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn the_steps_of_a_pass_fit_on_a_screen() {
    let sources = sources();
    let reconcile = sources.iter().find(|module| module.name == "reconcile");
    let lines = function_lines(&reconcile.unwrap().code, "steps");
    assert!(lines <= 100, "steps has {lines} lines");
}
