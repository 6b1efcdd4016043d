//! Cargo, called so that each crate is compiled once per profile: always with the same packages, so always with the same features.
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    error::{Error, Result},
    process,
    report::Counts,
    workspace,
};

/// Longest time of a build of everything from nothing.
pub const BUILD: Duration = Duration::from_secs(2400);

/// Cargo, in the workspace's root.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root());
    cargo
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || workspace::root().join("target"),
        |folder| workspace::root().join(folder),
    )
}

/// What every release build makes. Of a part of it the shared crates would be compiled again, with fewer features.
const PROGRAMS: [&str; 3] = ["serin", "serin-dataplane", "serin-operator"];

/// Builds Serin's programs for release, and those of the given packages.
pub fn release(more: &[&str]) -> Result {
    let mut cargo = cargo();
    cargo.args(["build", "--release"]);
    for package in PROGRAMS.iter().chain(more) {
        cargo.args(["--package", package]);
    }
    process::stream(&mut cargo, BUILD)
}

/// The path of a program that [`release`] has built.
pub fn released(program: &str) -> PathBuf {
    target().join("release").join(program)
}

/// Builds a program under `examples/` of a package for release: its path.
pub fn release_example(package: &str, name: &str) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args([
        "build",
        "--release",
        "--package",
        package,
        "--example",
        name,
    ]);
    process::stream(&mut cargo, BUILD)?;
    Ok(target().join("release/examples").join(name))
}

/// A program that cargo built to run tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestProgram {
    pub package: String,
    /// The library, the binary, or the file under `tests/`.
    pub target: String,
    /// A file under `tests/`, which sees the crate from outside.
    pub integration: bool,
    pub path: PathBuf,
    /// Where cargo would start it.
    pub folder: PathBuf,
}

/// Builds all tests of the workspace, and the programs that they start.
pub fn tests() -> Result<Vec<TestProgram>> {
    let mut cargo = cargo();
    cargo.args([
        "test",
        "--workspace",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    println!("    $ {}", process::show(&cargo));
    let mut programs: Vec<TestProgram> = process::stdout(&mut cargo, BUILD)?
        .lines()
        .filter_map(test_program)
        .collect();
    programs
        .sort_by(|one, other| (&one.package, &one.target).cmp(&(&other.package, &other.target)));
    Ok(programs)
}

/// The path of a program that [`tests`] has built beside the tests.
pub fn debug(program: &str) -> PathBuf {
    target().join("debug").join(program)
}

fn test_program(line: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?)
        .parent()?
        .to_path_buf();
    // `path+file:///somewhere/crds#serin-crds@0.1.0`, or `...#0.1.0` where the folder has the package's name.
    let id = message["package_id"].as_str()?;
    let after = id.rsplit_once('#').map_or(id, |(_, after)| after);
    let package = match after.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => folder.file_name()?.to_string_lossy().into_owned(),
    };
    Some(TestProgram {
        package,
        target: message["target"]["name"].as_str()?.into(),
        integration: message["target"]["kind"][0] == "test",
        path: message["executable"].as_str()?.into(),
        folder,
    })
}

impl TestProgram {
    /// Runs its tests with a command that starts the program. Tests that pass are shown only if `all`.
    pub fn run(
        &self,
        mut command: Command,
        all: bool,
        limit: Duration,
        counts: &mut Counts,
    ) -> Result {
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder);
        let result = process::stream_lines(&mut command, limit, |line| {
            counts.add_line(line);
            let passed = line.starts_with("test ") && line.ends_with("... ok");
            (all || !passed && !line.is_empty()) && !line.starts_with("test result: ok")
        });
        result?;
        refuse_ignored(counts)
    }
}

/// Runs the examples in the documentation of all libraries.
pub fn doc_tests(counts: &mut Counts) -> Result {
    let mut cargo = cargo();
    cargo.args(["test", "--workspace", "--doc", "--quiet"]);
    process::stream_lines(&mut cargo, BUILD, |line| {
        counts.add_line(line);
        line.contains("FAILED") || line.contains("panicked") || line.starts_with("error")
    })?;
    refuse_ignored(counts)
}

fn refuse_ignored(counts: &Counts) -> Result {
    match counts.ignored {
        0 => Ok(()),
        ignored => Err(Error::Wrong(format!(
            "{ignored} tests are marked to be left out: run or remove them, the house skips none in silence"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_read_from_cargos_message() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///src/serin/e2e/cluster#serin-e2e-cluster@0.1.0",
            "manifest_path":"/src/serin/e2e/cluster/Cargo.toml","target":{"kind":["test"],"name":"workload"},
            "profile":{"test":true},"executable":"/src/serin/target/debug/deps/workload-1"}"#
            .replace('\n', "");
        let program = test_program(&line).unwrap();
        assert_eq!(
            (program.package.as_str(), program.target.as_str()),
            ("serin-e2e-cluster", "workload")
        );
        assert!(program.integration);
        assert_eq!(program.folder, Path::new("/src/serin/e2e/cluster"));
        let unnamed = line
            .replace("#serin-e2e-cluster@0.1.0", "#0.1.0")
            .replace("e2e/cluster", "xtask");
        assert_eq!(test_program(&unnamed).unwrap().package, "xtask");
        assert_eq!(
            test_program(&line.replace("\"test\":true", "\"test\":false")),
            None
        );
        assert_eq!(test_program("   Compiling serin"), None);
    }
}
