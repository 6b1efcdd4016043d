//! Each target bears its corpus and a few thousand mutations of it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

use std::path::Path;
use std::time::Duration;

use serin_fuzz::short_run::{self, Finding};
use serin_fuzz::{TARGETS, Target, corpus};

/// Mutations of each target; they end earlier where an input takes long.
const MUTATIONS: usize = 20_000;
/// Longest time for one target.
const LIMIT: Duration = Duration::from_secs(2);
/// Bytes of all inputs in the tree.
const MOST_BYTES: usize = 300_000;

#[test]
fn every_target_bears_its_corpus_and_mutations_of_it() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let inputs = short_run::inputs(target).expect("the corpus can be read");
        match short_run::run(target, &inputs, MUTATIONS, LIMIT) {
            Ok(ran) => println!(
                "{}: {} inputs, {} mutations",
                target.name, ran.replayed, ran.mutated
            ),
            Err(finding) => failed.push(told(target, &finding)),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What to do about a finding: the input is kept, and the command that repeats it is named.
fn told(target: &Target, finding: &Finding) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(target.name);
    let path = folder.join(corpus::name(&finding.input));
    let kept =
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &finding.input));
    format!(
        "{}: {}\n  input ({} bytes{}): {}\n  repeat it: cargo xtask fuzz {} --repeat {}",
        target.name,
        finding.why,
        finding.input.len(),
        if kept.is_ok() {
            ""
        } else {
            ", which could not be written"
        },
        finding.input.escape_ascii(),
        target.name,
        path.display()
    )
}

#[test]
fn a_planted_bug_is_found_and_told() {
    fn fragile(data: &[u8]) {
        assert!(!data.windows(2).any(|pair| pair == b"[["), "two brackets");
    }
    let target = Target {
        name: "planted",
        about: "",
        run: fragile,
        seeds: || vec![b"[1, 2]".to_vec()],
        dictionary: &["["],
        longest: 64,
    };
    let finding = short_run::run(&target, &(target.seeds)(), MUTATIONS, LIMIT)
        .expect_err("twenty thousand mutations double a bracket");
    assert_eq!(finding.why, "two brackets");
    let text = told(&target, &finding);
    let path = text.rsplit(' ').next().expect("a path");
    assert_eq!(
        std::fs::read(path).expect("the input is kept"),
        finding.input
    );
}

#[test]
fn every_corpus_belongs_to_a_target_and_all_are_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut bytes = 0;
    for folder in std::fs::read_dir(root).expect("the corpus") {
        let folder = folder.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_string_lossy();
        let target =
            serin_fuzz::target(&name).unwrap_or_else(|| panic!("no target is called {name}"));
        for file in std::fs::read_dir(&folder).expect("a folder") {
            let file = file.expect("an entry").path();
            let input = std::fs::read(&file).expect("an input");
            bytes += input.len();
            let name = file.file_name().expect("a name").to_string_lossy();
            assert_eq!(
                name,
                corpus::name(&input),
                "{} is named by its hash",
                file.display()
            );
            assert!(input.len() <= target.longest, "{}", file.display());
        }
    }
    assert!(
        bytes < MOST_BYTES,
        "the corpus has {bytes} bytes, less than {MOST_BYTES} are allowed"
    );
}
