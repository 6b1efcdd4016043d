//! Who may import what, and who may write: the rules that keep decisions pure and writes in one
//! place.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its files must fail"
)]

use std::path::{Path, PathBuf};

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

/// Every source file but tests, with its module path: `reconcile/apply`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let module = path.strip_prefix(&root).unwrap().with_extension("");
            (module.to_str().unwrap().to_owned(), code_of(&path))
        })
        .filter(|(module, _)| !module.starts_with("testing") && !module.contains("tests"))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The file without comments and without the tests at its end.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn is_in(module: &str, part: &str) -> bool {
    module == part || module.starts_with(&format!("{part}/"))
}

#[test]
fn what_decides_knows_neither_a_client_nor_a_clock() {
    let sources = sources();
    for part in PURE {
        assert!(
            sources.iter().any(|(module, _)| is_in(module, part)),
            "no module {part}"
        );
    }
    for (module, code) in &sources {
        if !PURE.iter().any(|part| is_in(module, part)) {
            continue;
        }
        for word in NOT_IN_PURE {
            assert!(
                !code.contains(word),
                "{module}.rs is pure and may not contain {word:?}"
            );
        }
    }
}

#[test]
fn only_the_writer_writes_and_each_edge_has_its_file() {
    for (word, allowed) in ONLY_IN {
        let mut found = false;
        for (module, code) in sources() {
            let is_allowed = allowed.contains(&module.as_str());
            found |= is_allowed && code.contains(word);
            assert!(
                is_allowed || !code.contains(word),
                "{word:?} belongs in {allowed:?}, not in {module}.rs"
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
    for (module, code) in sources() {
        let lines = code.lines().count();
        assert!(
            lines <= 400,
            "{module}.rs has {lines} lines of code: it holds more than one idea"
        );
    }
}

/// The modules that a file imports, of those that there are.
fn imports<'a>(code: &str, modules: &'a [String]) -> Vec<&'a str> {
    let mut paths = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')));
        let (path, rest) = rest.split_at(end.unwrap_or(rest.len()));
        // `use crate::observe::{Issue, pods}` imports a module too.
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                paths.extend(list.split(',').map(|item| format!("{path}{}", item.trim())));
            }
            None => paths.push(path.to_owned()),
        }
    }
    paths
        .iter()
        .filter_map(|path| {
            let path = path.replace("::", "/");
            let named = modules.iter().filter(|module| is_in(&path, module));
            named.max_by_key(|module| module.len()).map(String::as_str)
        })
        .collect()
}

#[test]
fn no_module_imports_itself_by_way_of_others() {
    let sources = sources();
    let modules: Vec<String> = sources.iter().map(|(module, _)| module.clone()).collect();
    let mut left: Vec<(&str, Vec<&str>)> = sources
        .iter()
        .map(|(module, code)| {
            let mut imports = imports(code, &modules);
            // A module uses those below it by their own names.
            let below = format!("{module}/");
            imports.extend(modules.iter().map(String::as_str).filter(|other| {
                let name = other.strip_prefix(&below);
                name.is_some_and(|name| code.contains(&format!(" {name}::")))
            }));
            imports.retain(|import| import != module);
            (module.as_str(), imports)
        })
        .collect();
    assert!(left.iter().any(|(_, imports)| imports.len() > 3));
    // Takes away what imports nothing that is left, and what nothing that is left imports.
    loop {
        let before = left.len();
        let names: Vec<&str> = left.iter().map(|(module, _)| *module).collect();
        for (_, imports) in &mut left {
            imports.retain(|import| names.contains(import));
        }
        left.retain(|(_, imports)| !imports.is_empty());
        let imported: Vec<&str> = left
            .iter()
            .flat_map(|(_, imports)| imports.clone())
            .collect();
        left.retain(|(module, _)| imported.contains(module));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "a circle: {left:#?}");
}
