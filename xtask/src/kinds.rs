//! The kinds of tests, in the order in which they run: what is quick to fail comes first.
mod shared;

use std::{process::Command, time::Duration};

use serin_e2e_cluster::KUBECONFIG_VARIABLE;

use crate::{
    build::{self, TestProgram},
    docs,
    error::{Error, Result},
    layout, process, quickstart,
    setup::venv,
    workspace,
};
use shared::{Run, someone_elses_cluster};

/// Limit of a test program that needs nothing but this machine.
const UNIT: Duration = Duration::from_secs(600);
/// Limit of a test program against the cluster.
const CLUSTER: Duration = Duration::from_secs(1500);
/// Limit of a script that makes models again.
const SCRIPT: Duration = Duration::from_secs(900);

/// A kind of test.
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// Beyond the Rust toolchain.
    pub needs: &'static str,
    run: fn(&mut Run) -> Result,
}

/// All kinds, in order.
pub const KINDS: [Kind; 13] = [
    kind("fmt", fmt, "the source is formatted", ""),
    kind(
        "layout",
        layout,
        "crates use only what they may; no banned or doubled crate, no overlong file",
        "",
    ),
    kind(
        "links",
        links,
        "links in Markdown lead to a file and a heading",
        "git",
    ),
    kind(
        "lint",
        lint,
        "clippy without a warning, over all targets",
        "",
    ),
    kind(
        "unit",
        unit,
        "tests of each crate that need nothing but this machine",
        "ONNX Runtime (fetched)",
    ),
    kind(
        "memory",
        memory,
        "no request, answer or connection takes a container's memory",
        "ONNX Runtime (fetched), root",
    ),
    kind(
        "docs",
        documents,
        "documented commands exist; the crates' documentation builds",
        "",
    ),
    kind(
        "models",
        models,
        "the models in the tree are what their scripts make",
        "Python 3",
    ),
    kind(
        "conformance",
        conformance,
        "other projects' clients against the data plane",
        "Python 3",
    ),
    kind(
        "try",
        try_it,
        "the README's first command",
        "ONNX Runtime (fetched)",
    ),
    kind(
        "chart",
        chart,
        "the Helm chart, rendered and checked by the real helm",
        "helm, or root and Go",
    ),
    kind(
        "cluster",
        cluster,
        "Serin on a real Kubernetes",
        "root and Go, or a cluster in SERIN_E2E_KUBECONFIG",
    ),
    kind(
        "teardown",
        teardown,
        "the test cluster leaves nothing behind",
        "root and Go",
    ),
];

const fn kind(
    name: &'static str,
    run: fn(&mut Run) -> Result,
    about: &'static str,
    needs: &'static str,
) -> Kind {
    Kind {
        name,
        about,
        needs,
        run,
    }
}

/// Runs the kinds with these names (all where there is none) and prints the table. Those after a failure run too, unless `fail_fast`.
pub fn run(names: &[String], fail_fast: bool) -> Result<bool> {
    let mut run = Run::default();
    let chosen = KINDS
        .iter()
        .filter(|kind| names.is_empty() || names.iter().any(|name| name == kind.name));
    let mut interrupted = false;
    for kind in chosen {
        run.report.begin(kind.name);
        // The report has the error already.
        interrupted =
            matches!((kind.run)(&mut run), Err(Error::Interrupted)) || process::interrupted();
        if interrupted || fail_fast && run.report.failed() {
            break;
        }
    }
    if workspace::in_ci() && names.iter().all(|name| name != "teardown") {
        let _ = run.end_cluster();
    }
    println!("{}", run.report.summary());
    if interrupted {
        Err(Error::Interrupted)
    } else {
        Ok(!run.report.failed())
    }
}

fn fmt(run: &mut Run) -> Result {
    run.report.step("cargo fmt --check", layout::formatted)
}

fn layout(run: &mut Run) -> Result {
    run.report.step("crates, lock file, files", layout::check)
}

fn links(run: &mut Run) -> Result {
    run.report.step("links in Markdown", docs::links)
}

fn lint(run: &mut Run) -> Result {
    run.report.step("cargo clippy", || {
        let mut cargo = build::cargo();
        cargo.args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]);
        process::stream(&mut cargo, build::BUILD)
    })
}

fn unit(run: &mut Run) -> Result {
    run.install_runtime()?;
    let programs = run.test_programs()?;
    let mut result = Ok(());
    let here = |program: &&TestProgram| !needs_cluster(program) && !is_memory_box(program);
    for program in programs.iter().filter(here) {
        let step = format!("{} {}", program.package, program.target);
        let ended = run.report.counted(&step, |counts| {
            program.run(Command::new(&program.path), false, UNIT, counts)
        });
        result = result.and(ended);
    }
    result.and(
        run.report
            .counted("examples in the documentation", build::doc_tests),
    )
}

fn memory(run: &mut Run) -> Result {
    run.install_runtime()?;
    let programs = run.test_programs()?;
    let mut result = Ok(());
    for program in programs.iter().filter(|program| is_memory_box(program)) {
        let step = format!("{} {}", program.package, program.target);
        let ended = run.report.counted(&step, |counts| {
            program.run(Command::new(&program.path), false, UNIT, counts)
        });
        result = result.and(ended);
    }
    result
}

fn documents(run: &mut Run) -> Result {
    run.test_programs()?;
    let serin = build::debug("serin");
    let commands = run
        .report
        .step("commands in Markdown", || docs::commands(&serin));
    commands.and(run.report.step("cargo doc", docs::rust_doc))
}

fn models(run: &mut Run) -> Result {
    let mut result = Ok(());
    for (requirements, scripts) in [
        (
            "dataplane/tests/models/requirements.txt",
            &[
                "dataplane/tests/models/make.py --check",
                "dataplane/tests/models/verify.py",
                "dataplane/tests/models/hostile/make_hostile.py --check",
                "dataplane/tests/models/kernels/make_kernels.py --check",
            ][..],
        ),
        (
            "examples/requirements.txt",
            &[
                "examples/iris/train.py --check",
                "examples/digits/train.py --check",
                "examples/embedder/train.py --check",
            ],
        ),
    ] {
        let python = run
            .report
            .step(requirements, || venv::python(requirements))?;
        for script in scripts {
            let ended = run.report.step(script, || {
                let mut command = Command::new(&python);
                command
                    .current_dir(workspace::root())
                    .args(script.split(' '));
                process::stream(&mut command, SCRIPT)
            });
            result = result.and(ended);
        }
    }
    result
}

/// What each part of the suite is called, and the flag that chooses it.
const CONFORMANCE: [(&str, &[&str]); 5] = [
    ("clients of other projects", &[]),
    (
        "requests made up from the OpenAPI document",
        &["--description"],
    ),
    ("the KServe SDK's clients", &["--kserve"]),
    ("answers beside KServe's server", &["--peers"]),
    ("metrics and traces", &["--telemetry"]),
];

fn conformance(run: &mut Run) -> Result {
    run.install_runtime()?;
    let mut result = Ok(());
    for (part, flags) in CONFORMANCE {
        let ended = run.report.counted(part, |counts| {
            let mut python = Command::new("python3");
            python
                .current_dir(workspace::root())
                .env("SERIN_DATAPLANE", build::debug("serin-dataplane"))
                .arg("e2e/conformance/run.py")
                .args(flags);
            process::stream_lines(&mut python, CLUSTER, |line| {
                counts.add_line(line);
                true
            })
        });
        result = result.and(ended);
    }
    result
}

fn try_it(run: &mut Run) -> Result {
    run.install_runtime()?;
    run.release()?;
    run.report.step("serin run -f examples/iris", || {
        quickstart::run(&build::released("serin"), 0, true)
    })
}

fn chart(run: &mut Run) -> Result {
    if !process::exists("helm") && !someone_elses_cluster() {
        run.start_cluster()?;
    }
    run.each(
        |program| program.package == "serin-e2e" && program.target == "chart",
        UNIT,
    )
}

fn cluster(run: &mut Run) -> Result {
    run.install_runtime()?;
    run.release()?;
    let cluster = run.start_cluster()?;
    let programs = run.test_programs()?;
    let mut result = Ok(());
    for program in programs.iter().filter(|program| {
        needs_cluster(program) && !["chart", "teardown"].contains(&program.target.as_str())
    }) {
        // Tests of the cluster itself look at it from outside.
        let command = if program.package == "serin-e2e" {
            cluster.command(&program.path)
        } else if someone_elses_cluster() {
            println!(
                "    {} {} is left out: {KUBECONFIG_VARIABLE} is set, and these test our own cluster",
                program.package, program.target
            );
            continue;
        } else {
            Command::new(&program.path)
        };
        let step = format!("{} {}", program.package, program.target);
        let ended = run
            .report
            .counted(&step, |counts| program.run(command, true, CLUSTER, counts));
        result = result.and(ended);
    }
    result
}

fn teardown(run: &mut Run) -> Result {
    let tested = run.each(
        |program| program.package == "serin-e2e-cluster" && program.target == "teardown",
        CLUSTER,
    );
    if workspace::in_ci() {
        tested.and(run.end_cluster())
    } else {
        tested
    }
}

/// The test that makes memory control groups, which root alone may.
fn is_memory_box(program: &TestProgram) -> bool {
    program.integration && program.target == "memory_box"
}

fn needs_cluster(program: &TestProgram) -> bool {
    program.integration && ["serin-e2e", "serin-e2e-cluster"].contains(&program.package.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_from_outside_of_the_cluster_crates_need_a_cluster() {
        let program = |package: &str, integration| TestProgram {
            package: package.into(),
            target: "x".into(),
            integration,
            path: "/x".into(),
            folder: "/".into(),
        };
        assert!(needs_cluster(&program("serin-e2e", true)));
        assert!(!needs_cluster(&program("serin-e2e-cluster", false)));
        assert!(!needs_cluster(&program("serin-dataplane", true)));
        let memory_box = TestProgram {
            target: "memory_box".into(),
            ..program("serin-dataplane", true)
        };
        assert!(is_memory_box(&memory_box));
    }
}
