//! `docs/errors.md` says what the code does.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serin_core::fault::{CODES, FaultKind};

/// The cells of each row of the table under `heading`, without backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let text = fs::read_to_string(path).expect("docs/errors.md");
    let (_, section) = text
        .split_once(&format!("\n## {heading}\n"))
        .expect("the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect()
        })
        .collect()
}

#[test]
fn every_kind_is_documented_with_its_statuses() {
    let documented: Vec<_> = table("Kinds")
        .into_iter()
        .map(|row| row[..6].to_vec())
        .collect();
    let names = [
        "",
        "CANCELLED",
        "",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "",
        "",
        "",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
    ];
    let real: Vec<_> = FaultKind::ALL
        .iter()
        .map(|kind| {
            let grpc = kind.grpc_code();
            vec![
                format!("{kind:?}"),
                kind.http_status().to_string(),
                format!("{grpc} {}", names[usize::try_from(grpc).expect("positive")]),
                kind.outcome().to_owned(),
                kind.openai_type().to_owned(),
                if kind.has_openai_code() {
                    "its code"
                } else {
                    "null"
                }
                .to_owned(),
            ]
        })
        .collect();
    assert_eq!(documented, real);
}

#[test]
fn every_code_is_documented_with_its_kind() {
    let documented: Vec<_> = table("Codes")
        .into_iter()
        .map(|row| row[..2].to_vec())
        .collect();
    let real: Vec<_> = CODES
        .iter()
        .map(|(code, kind)| vec![(*code).to_owned(), format!("{kind:?}")])
        .collect();
    assert_eq!(documented, real);
    let distinct: BTreeSet<_> = CODES.iter().map(|(code, _)| code).collect();
    assert_eq!(distinct.len(), CODES.len());
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_listed_code_is_used() {
    let mut files = Vec::new();
    for folder in ["src", "core/src", "engine/src", "wire/src"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        sources(&folder, &mut files);
    }
    let text: String = files
        .iter()
        .filter(|file| !file.ends_with("fault/codes.rs"))
        .map(|file| fs::read_to_string(file).expect("a source file"))
        .collect();
    for (code, _) in CODES {
        assert!(
            text.contains(&format!("\"{code}\"")),
            "{code} is never used: remove it"
        );
    }
}
