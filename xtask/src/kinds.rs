//! The kinds of tests, in the order in which they run: what is quick to fail comes first.
use std::{process::Command, time::Duration};

use serin_e2e_cluster::{Cluster, DEFAULT_NAME, KUBECONFIG_VARIABLE};

use crate::{
    build::{self, TestProgram},
    docs,
    error::{Error, Result},
    layout, process, quickstart,
    report::Report,
    setup::{runtime, venv},
    workspace,
};

/// Limit of a test program that needs nothing but this machine.
const UNIT: Duration = Duration::from_secs(600);
/// Limit of a test program against the cluster.
const CLUSTER: Duration = Duration::from_secs(1500);
/// Limit of a script that makes models again.
const SCRIPT: Duration = Duration::from_secs(900);

/// What the release build makes: always all of it, so that nothing is compiled twice.
const PROGRAMS: [&str; 3] = ["serin", "serin-dataplane", "serin-operator"];

/// A kind of test.
pub struct Kind {
    pub name: &'static str,
    pub about: &'static str,
    /// Beyond the Rust toolchain.
    pub needs: &'static str,
    run: fn(&mut Run) -> Result,
}

/// All kinds, in order.
pub const KINDS: [Kind; 12] = [
    Kind {
        name: "fmt",
        about: "the source is formatted",
        needs: "",
        run: fmt,
    },
    Kind {
        name: "layout",
        about: "crates use only what they may; no banned or doubled crate, no overlong file",
        needs: "",
        run: layout,
    },
    Kind {
        name: "links",
        about: "links in Markdown lead to a file and a heading",
        needs: "git",
        run: links,
    },
    Kind {
        name: "lint",
        about: "clippy without a warning, over all targets",
        needs: "",
        run: lint,
    },
    Kind {
        name: "unit",
        about: "tests of each crate that need nothing but this machine",
        needs: "ONNX Runtime (fetched)",
        run: unit,
    },
    Kind {
        name: "docs",
        about: "documented commands exist; the crates' documentation builds",
        needs: "",
        run: documents,
    },
    Kind {
        name: "models",
        about: "the models in the tree are what their scripts make",
        needs: "Python 3",
        run: models,
    },
    Kind {
        name: "conformance",
        about: "other projects' clients against the data plane",
        needs: "Python 3",
        run: conformance,
    },
    Kind {
        name: "try",
        about: "the README's first command",
        needs: "ONNX Runtime (fetched)",
        run: try_it,
    },
    Kind {
        name: "chart",
        about: "the Helm chart, rendered and checked by the real helm",
        needs: "helm, or root and Go",
        run: chart,
    },
    Kind {
        name: "cluster",
        about: "Serin on a real Kubernetes",
        needs: "root and Go, or a cluster in SERIN_E2E_KUBECONFIG",
        run: cluster,
    },
    Kind {
        name: "teardown",
        about: "the test cluster leaves nothing behind",
        needs: "root and Go",
        run: teardown,
    },
];

/// One call of `cargo xtask test`: what was built already, and the report.
#[derive(Default)]
struct Run {
    report: Report,
    tests: Option<Vec<TestProgram>>,
    runtime: bool,
    released: bool,
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
        process::stream(&mut cargo, SCRIPT)
    })
}

fn unit(run: &mut Run) -> Result {
    run.install_runtime()?;
    let programs = run.test_programs()?;
    let mut result = Ok(());
    for program in programs.iter().filter(|program| !needs_cluster(program)) {
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
            [
                "dataplane/tests/models/make.py --check",
                "dataplane/tests/models/verify.py",
            ],
        ),
        (
            "examples/requirements.txt",
            [
                "examples/iris/train.py --check",
                "examples/digits/train.py --check",
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

fn conformance(run: &mut Run) -> Result {
    run.install_runtime()?;
    run.report.counted("clients of other projects", |counts| {
        let mut python = Command::new("python3");
        python
            .current_dir(workspace::root())
            .env("SERIN_DATAPLANE", build::debug("serin-dataplane"))
            .arg("e2e/conformance/run.py");
        process::stream_lines(&mut python, CLUSTER, |line| {
            counts.add_line(line);
            true
        })
    })
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

fn needs_cluster(program: &TestProgram) -> bool {
    program.integration && ["serin-e2e", "serin-e2e-cluster"].contains(&program.package.as_str())
}

fn someone_elses_cluster() -> bool {
    std::env::var_os(KUBECONFIG_VARIABLE).is_some_and(|path| !path.is_empty())
}

impl Run {
    fn test_programs(&mut self) -> Result<Vec<TestProgram>> {
        if let Some(programs) = &self.tests {
            return Ok(programs.clone());
        }
        let programs = self.report.step("build all tests", build::tests)?;
        self.tests = Some(programs.clone());
        Ok(programs)
    }

    /// Runs the programs chosen; that there is none is an error.
    fn each(&mut self, chosen: impl Fn(&TestProgram) -> bool, limit: Duration) -> Result {
        let mut programs = self.test_programs()?;
        programs.retain(chosen);
        if programs.is_empty() {
            return self.report.step("find the tests", || {
                Err(Error::Wrong("there is no such test program".into()))
            });
        }
        let mut result = Ok(());
        for program in &programs {
            let step = format!("{} {}", program.package, program.target);
            let ended = self.report.counted(&step, |counts| {
                program.run(Command::new(&program.path), true, limit, counts)
            });
            result = result.and(ended);
        }
        result
    }

    fn install_runtime(&mut self) -> Result {
        if self.runtime {
            return Ok(());
        }
        self.test_programs()?;
        self.report.step("install ONNX Runtime", || {
            runtime::install(&build::debug("serin"))
        })?;
        self.runtime = true;
        Ok(())
    }

    fn release(&mut self) -> Result {
        if !self.released {
            self.report
                .step("build for release", || build::release(&PROGRAMS))?;
            self.released = true;
        }
        Ok(())
    }

    fn start_cluster(&mut self) -> Result<Cluster> {
        self.report
            .step("start the cluster", || Ok(Cluster::running_or_up()?))
    }

    fn end_cluster(&mut self) -> Result {
        if someone_elses_cluster() || Cluster::running(DEFAULT_NAME).is_err() {
            return Ok(());
        }
        self.report.step("end the cluster", || {
            Ok(serin_e2e_cluster::down(DEFAULT_NAME)?)
        })
    }
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
    }
}
