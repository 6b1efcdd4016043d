//! What several kinds of tests need, made once a run.
use std::{process::Command, time::Duration};

use serin_e2e_cluster::{Cluster, DEFAULT_NAME, KUBECONFIG_VARIABLE};

use crate::{
    build::{self, TestProgram},
    error::{Error, Result},
    report::Report,
    setup::runtime,
};

/// One call of `cargo xtask test`: what was built already, and the report.
#[derive(Default)]
pub struct Run {
    pub report: Report,
    tests: Option<Vec<TestProgram>>,
    runtime: bool,
    released: bool,
}

impl Run {
    pub fn test_programs(&mut self) -> Result<Vec<TestProgram>> {
        if let Some(programs) = &self.tests {
            return Ok(programs.clone());
        }
        let programs = self.report.step("build all tests", build::tests)?;
        self.tests = Some(programs.clone());
        Ok(programs)
    }

    /// Runs the programs chosen; that there is none is an error.
    pub fn each(&mut self, chosen: impl Fn(&TestProgram) -> bool, limit: Duration) -> Result {
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

    pub fn install_runtime(&mut self) -> Result {
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

    pub fn release(&mut self) -> Result {
        if !self.released {
            self.report
                .step("build for release", || build::release(&[]))?;
            self.released = true;
        }
        Ok(())
    }

    pub fn start_cluster(&mut self) -> Result<Cluster> {
        self.report
            .step("start the cluster", || Ok(Cluster::running_or_up()?))
    }

    pub fn end_cluster(&mut self) -> Result {
        if someone_elses_cluster() || Cluster::running(DEFAULT_NAME).is_err() {
            return Ok(());
        }
        self.report.step("end the cluster", || {
            Ok(serin_e2e_cluster::down(DEFAULT_NAME)?)
        })
    }
}

/// The tests run against a cluster that is not ours to start or stop.
pub fn someone_elses_cluster() -> bool {
    std::env::var_os(KUBECONFIG_VARIABLE).is_some_and(|path| !path.is_empty())
}
