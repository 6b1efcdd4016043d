//! `cargo xtask generate`: the files in the tree that code writes.
use std::time::Duration;

use crate::{build, error::Result, process, report::Report};

const LIMIT: Duration = Duration::from_secs(1200);

/// Writes all of them anew. `git diff` shows what changed.
pub fn run(report: &mut Report) -> Result {
    report.begin("generate");
    report.step("the CustomResourceDefinition", || {
        let mut cargo = build::cargo();
        cargo.args([
            "run",
            "--quiet",
            "--package",
            "serin-crds",
            "--features",
            "manifest",
            "--bin",
            "crdgen",
        ]);
        process::stream(&mut cargo, LIMIT)
    })?;
    report.step("what the operator makes of each service", || {
        let mut cargo = build::cargo();
        cargo.env("SERIN_UPDATE_GOLDEN", "1").args([
            "test",
            "--quiet",
            "--package",
            "serin-operator",
            "--test",
            "golden",
        ]);
        process::stream(&mut cargo, LIMIT)
    })
}
