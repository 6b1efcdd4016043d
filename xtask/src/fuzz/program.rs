//! The program that libFuzzer drives: how it is built and called.
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::folder;
use crate::{
    build,
    error::{Error, Result},
    process, workspace,
};

const BUILD: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_secs(60);
const MINIMISE: Duration = Duration::from_secs(900);

/// What makes the compiler count the edges that an input passes and note what it compares: the pass that libFuzzer needs, in the
/// stable compiler's LLVM. The parts of the standard library that are compiled already are not counted.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg fuzzing",
];

/// MiB that a target may hold, of which the program itself takes about 60.
const MOST_MIB: u32 = 1024;
/// Seconds that one input may take.
const SLOWEST_INPUT: u32 = 5;

/// A target, as the program describes it.
pub struct Listed {
    pub name: String,
    pub about: String,
    longest: String,
}

/// A target at work.
pub struct Run {
    pub name: String,
    pub child: Child,
    pub log: PathBuf,
}

pub struct Program(PathBuf);

impl Program {
    /// Builds it in a target folder of its own, as its flags would make cargo build everything else anew.
    pub fn build() -> Result<Self> {
        let host = host()?;
        let target = build::target().join("fuzz");
        let mut cargo = build::cargo();
        cargo
            .env("RUSTFLAGS", COVERAGE.join(" "))
            .args([
                "build",
                "--package",
                "serin-fuzz",
                "--features",
                "libfuzzer",
                "--bin",
                "serin-fuzz",
            ])
            // With a target named, the flags are not for build scripts and macros.
            .args(["--profile", "fuzz", "--target", &host, "--target-dir"])
            .arg(&target);
        process::stream(&mut cargo, BUILD)?;
        Ok(Self(target.join(host).join("fuzz/serin-fuzz")))
    }

    /// All targets.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let text = process::output(&mut self.task("list", ""), SHORT)?;
        let listed = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            Some(Listed {
                name: parts.next()?,
                longest: parts.next()?,
                about: parts.next()?,
            })
        };
        Ok(text.lines().filter_map(listed).collect())
    }

    /// Starts a target, which ends by itself after so many seconds or at its first finding.
    pub fn start(&self, target: &Listed, seconds: u32) -> Result<Run> {
        let places = Places::of(target)?;
        process::output(
            &mut self.task(&format!("prepare:{}", places.start.display()), &target.name),
            SHORT,
        )?;
        let log = File::create(&places.log).map_err(Error::file("write", &places.log))?;
        let both = log.try_clone().map_err(Error::file("write", &places.log))?;
        let mut command = self.libfuzzer(target);
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!(
                "-dict={}",
                places.start.join("dictionary").display()
            ))
            .arg(format!("-artifact_prefix={}/", places.findings.display()))
            .args(["-print_final_stats=1", "-use_value_profile=1", "-reload=0"])
            .arg(&places.corpus)
            .arg(places.start.join("seeds"))
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(both));
        let in_tree = in_tree(&target.name);
        if in_tree.exists() {
            command.arg(in_tree);
        }
        Ok(Run {
            name: target.name.clone(),
            child: process::start(&mut command)?,
            log: places.log,
        })
    }

    /// Runs one input, with its output going where ours goes.
    pub fn repeat(&self, target: &Listed, file: &Path) -> Result {
        process::stream(self.libfuzzer(target).arg(file), SHORT)
    }

    /// Writes the smallest set of inputs that reaches all that the corpus reaches to the tree.
    pub fn minimise(&self, target: &Listed) -> Result {
        let places = Places::of(target)?;
        let small = places.start.join("small");
        if small.exists() {
            fs::remove_dir_all(&small).map_err(Error::file("remove", &small))?;
        }
        fs::create_dir_all(&small).map_err(Error::file("create", &small))?;
        let mut command = self.libfuzzer(target);
        command
            .arg("-set_cover_merge=1")
            .arg(&small)
            .arg(&places.corpus);
        if in_tree(&target.name).exists() {
            command.arg(in_tree(&target.name));
        }
        process::output(&mut command, MINIMISE)?;
        process::stream(
            &mut self.task(&format!("take:{}", small.display()), &target.name),
            SHORT,
        )
    }

    fn libfuzzer(&self, target: &Listed) -> Command {
        let mut command = Command::new(&self.0);
        command
            .env("SERIN_FUZZ_TARGET", &target.name)
            .arg(format!("-max_len={}", target.longest))
            .arg(format!("-rss_limit_mb={MOST_MIB}"))
            .arg(format!("-timeout={SLOWEST_INPUT}"));
        command
    }

    /// The program with something else to do than to fuzz; see its `main.rs`.
    fn task(&self, task: &str, target: &str) -> Command {
        let mut command = Command::new(&self.0);
        command
            .env("SERIN_FUZZ_TASK", task)
            .env("SERIN_FUZZ_TARGET", target);
        command
    }
}

/// Where a target's files are.
struct Places {
    /// Seeds and dictionary, written anew each time.
    start: PathBuf,
    corpus: PathBuf,
    findings: PathBuf,
    log: PathBuf,
}

impl Places {
    /// The places, made where they are not there.
    fn of(target: &Listed) -> Result<Self> {
        let root = folder()?;
        let places = Self {
            start: root.join("start").join(&target.name),
            corpus: root.join("corpus").join(&target.name),
            findings: root.join("findings").join(&target.name),
            log: root.join(format!("{}.log", target.name)),
        };
        for folder in [&places.start, &places.corpus, &places.findings] {
            fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        }
        Ok(places)
    }
}

fn in_tree(target: &str) -> PathBuf {
    workspace::root().join("fuzz/corpus").join(target)
}

/// The machine's own name among the compiler's targets.
fn host() -> Result<String> {
    let text = process::output(Command::new("rustc").arg("-vV"), SHORT)?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Error::Wrong("rustc -vV names no host".into()))
}
