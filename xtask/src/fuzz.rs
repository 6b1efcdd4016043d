//! `cargo xtask fuzz`: looks for inputs that a reader does not bear. The targets are in the crate `serin-fuzz`; docs/fuzzing.md has the rest.
mod figures;
mod program;

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    process,
    report::Report,
    workspace,
};
use figures::Figures;
use program::{Listed, Program};

const POLL: Duration = Duration::from_millis(200);

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Readers to try; all where none is named
    target: Vec<String>,
    /// Say what targets there are
    #[arg(long)]
    list: bool,
    /// Seconds for each target
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Targets to run at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    jobs: u32,
    /// Run one input again, as a finding says
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "jobs", "minimise"])]
    repeat: Option<PathBuf>,
    /// Afterwards write the smallest inputs that reach everything to fuzz/corpus
    #[arg(long)]
    minimise: bool,
}

/// Builds the program, runs the targets, and prints their figures. A finding is an error.
pub fn run(args: &Args) -> Result {
    let mut report = Report::default();
    report.begin("fuzz");
    let program = report.step("build with coverage", Program::build)?;
    let all = program.list()?;
    if args.list {
        for target in &all {
            println!("{:<16} {}", target.name, target.about);
        }
        return Ok(());
    }
    let chosen = chosen(&all, &args.target)?;
    if let Some(file) = &args.repeat {
        let [target] = chosen.as_slice() else {
            return Err(Error::Wrong(
                "--repeat needs the one target that the input is for".into(),
            ));
        };
        return program.repeat(target, file);
    }
    let figures = report.step("run the targets", || in_turns(&program, &chosen, args))?;
    println!("\n{}", figures::table(&figures));
    if args.minimise {
        report.step("minimise the corpus", || {
            chosen
                .iter()
                .try_for_each(|target| program.minimise(target))
        })?;
    }
    let findings: Vec<String> = figures.iter().filter_map(Figures::finding).collect();
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Wrong(findings.join("\n")))
    }
}

fn chosen<'a>(all: &'a [Listed], names: &[String]) -> Result<Vec<&'a Listed>> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let find = |name: &String| {
        all.iter()
            .find(|target| target.name == *name)
            .ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
                Error::Wrong(format!(
                    "'{name}' is no target; there are {}",
                    known.join(", ")
                ))
            })
    };
    names.iter().map(find).collect()
}

/// Runs all targets, `jobs` at once, each until its time is over or it has found something.
fn in_turns(program: &Program, targets: &[&Listed], args: &Args) -> Result<Vec<Figures>> {
    // A target that hangs is ended by libFuzzer itself; this is for a libFuzzer that hangs.
    let limit = Duration::from_secs(u64::from(args.seconds) + 120);
    let mut waiting = targets.iter();
    let mut running = Vec::new();
    let mut done = Vec::new();
    loop {
        while running.len() < args.jobs as usize {
            let Some(target) = waiting.next() else { break };
            println!("    {}: {}", target.name, target.about);
            running.push((program.start(target, args.seconds)?, Instant::now()));
        }
        if running.is_empty() {
            return Ok(done);
        }
        thread::sleep(POLL);
        let mut still = Vec::new();
        for (mut run, began) in running {
            let ended = run.child.try_wait().is_ok_and(|status| status.is_some());
            if !ended && !process::interrupted() && began.elapsed() < limit {
                still.push((run, began));
                continue;
            }
            if !ended {
                process::stop(&mut run.child);
            }
            let log = fs::read(&run.log).map_err(Error::file("read", &run.log))?;
            let figures = Figures::read(&run.name, &String::from_utf8_lossy(&log), began.elapsed());
            println!("    {figures}");
            done.push(figures);
        }
        running = still;
        if process::interrupted() && running.is_empty() {
            println!("\n{}", figures::table(&done));
            return Err(Error::Interrupted);
        }
    }
}

/// What outlives a run: corpora, logs, findings.
fn folder() -> Result<PathBuf> {
    Ok(workspace::cache()?.join("fuzz"))
}
