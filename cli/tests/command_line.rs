//! The commands that need no manifest, run as a user runs them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn serin(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(args)
        .output()
        .unwrap()
}

fn with_cache(cache: &Path, args: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(args)
        .env("XDG_CACHE_HOME", cache)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_definition_is_printed_as_it_is_shipped() {
    let printed = String::from_utf8(serin(&["crd"]).stdout).unwrap();
    let shipped =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/serin.dev_inferenceservices.yaml");
    assert_eq!(printed, fs::read_to_string(shipped).unwrap());
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(serin(&["completions", shell]).stdout).unwrap();
        assert!(
            script.contains("serin") && script.contains("check"),
            "{shell}"
        );
    }
}

#[test]
fn under_the_name_of_a_plugin_the_help_says_kubectl() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-serin");
    fs::hard_link(env!("CARGO_BIN_EXE_serin"), &plugin)
        .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_serin"), &plugin).map(drop))
        .unwrap();
    let output = Command::new(plugin).arg("--help").output().unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("Usage: kubectl serin <COMMAND>")
    );
}

#[test]
fn a_runtime_that_is_not_there_is_an_error_with_the_cure() {
    let cache = tempfile::tempdir().unwrap();
    let (success, out, said) = with_cache(cache.path(), &["runtime", "path"]);
    assert!(!success && out.is_empty());
    assert!(
        said.contains("serin/onnxruntime/1.31.1/libonnxruntime.so.1; run `serin runtime install`"),
        "{said}"
    );
}

#[test]
fn a_library_or_wheel_that_is_not_the_pinned_one_is_refused_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("some.file");
    fs::write(&file, "neither").unwrap();
    let file = file.to_str().unwrap();
    for (flag, wrong) in [
        ("--library", "holds a library with SHA-256 02566ed5"),
        (
            "--wheel",
            "name a wheel of onnxruntime 1.31.1 for this machine",
        ),
    ] {
        let (success, _, said) = with_cache(cache.path(), &["runtime", "install", flag, file]);
        assert!(!success && said.contains(wrong), "{said}");
    }
    let folder = cache.path().join("serin/onnxruntime/1.31.1");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    let (success, _, said) = with_cache(
        cache.path(),
        &["runtime", "install", "--library", "/no/such/file"],
    );
    assert!(
        !success && said.contains("/no/such/file: No such file"),
        "{said}"
    );
}

/// Needs the library: `serin runtime install` brings it.
#[test]
fn an_installed_library_is_found_and_left_alone() {
    let installed = serin(&["runtime", "path"]);
    let library = String::from_utf8(installed.stdout).unwrap();
    assert!(
        installed.status.success(),
        "no library to test with; run `serin runtime install`"
    );
    let cache = tempfile::tempdir().unwrap();
    let (success, _, said) = with_cache(
        cache.path(),
        &["runtime", "install", "--library", library.trim()],
    );
    assert!(
        success && said.contains("ONNX Runtime 1.31.1 is at "),
        "{said}"
    );
    let (success, path, _) = with_cache(cache.path(), &["runtime", "path"]);
    assert!(success);
    let before = fs::metadata(path.trim()).unwrap().modified().unwrap();
    let (success, _, said) = with_cache(cache.path(), &["runtime", "install"]);
    assert!(success && said.contains("is already at"), "{said}");
    assert_eq!(
        fs::metadata(path.trim()).unwrap().modified().unwrap(),
        before
    );
}
