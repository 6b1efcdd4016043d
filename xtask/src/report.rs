//! What ran, how long it took and what came of it.
use std::time::{Duration, Instant};

use crate::error::Result;

/// Outcomes of single tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    /// Tests that did not run. The house skips none, so they count as failures of the step.
    pub ignored: usize,
}

impl Counts {
    /// Reads a line as `cargo test` or pytest ends with; any other adds nothing.
    pub fn add_line(&mut self, line: &str) {
        let pytest = || {
            let (counts, seconds) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
            let timed = seconds.starts_with(|c: char| c.is_ascii_digit()) && seconds.contains('s');
            (timed && (counts.contains(" passed") || counts.contains(" failed"))).then_some(counts)
        };
        let Some(tail) = line
            .split_once("test result: ")
            .map(|(_, tail)| tail)
            .or_else(pytest)
        else {
            return;
        };
        for part in tail.split(['.', ';', ',']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (
                words.next().and_then(|word| word.parse::<usize>().ok()),
                words.next(),
            ) else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" | "errors" | "error" => self.failed += number,
                "ignored" | "skipped" => self.ignored += number,
                _ => {}
            }
        }
    }

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// One step that has ended.
#[derive(Debug)]
pub struct Record {
    pub kind: String,
    pub step: String,
    pub took: Duration,
    /// Single tests; a step that is one check counts as one.
    pub counts: Counts,
    pub error: Option<String>,
}

impl Record {
    fn counted(&self) -> Counts {
        let mut counts = self.counts;
        if self.error.is_some() {
            // A program that dies before its summary has failed once at least.
            counts.failed = counts.failed.max(1);
        }
        counts
    }

    fn outcome(&self) -> String {
        let counts = self.counted();
        match (&self.error, counts.passed) {
            (Some(_), 0 | 1) => "FAILED".into(),
            (Some(_), passed) => {
                format!("FAILED ({} of {})", counts.failed, passed + counts.failed)
            }
            (None, 0) => "holds no test".into(),
            (None, 1) => "ok".into(),
            (None, passed) => format!("{passed} passed"),
        }
    }
}

/// All steps of a run, said as they begin and end.
#[derive(Debug, Default)]
pub struct Report {
    kind: String,
    records: Vec<Record>,
}

impl Report {
    /// The steps from now on belong to this kind.
    pub fn begin(&mut self, kind: &str) {
        kind.clone_into(&mut self.kind);
    }

    /// Runs a step that is one check.
    pub fn step<T>(&mut self, name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.counted(name, |counts| {
            let value = run()?;
            counts.passed = 1;
            Ok(value)
        })
    }

    /// Runs a step that counts tests of its own.
    pub fn counted<T>(
        &mut self,
        name: &str,
        run: impl FnOnce(&mut Counts) -> Result<T>,
    ) -> Result<T> {
        println!("==> {}: {name}", self.kind);
        let began = Instant::now();
        let mut counts = Counts::default();
        let result = run(&mut counts);
        let record = Record {
            kind: self.kind.clone(),
            step: name.into(),
            took: began.elapsed(),
            counts,
            error: result.as_ref().err().map(ToString::to_string),
        };
        println!(
            "    {}, {:.1} s",
            record.outcome(),
            record.took.as_secs_f64()
        );
        if let Some(error) = &record.error {
            println!("    {}", error.replace('\n', "\n    "));
        }
        self.records.push(record);
        result
    }

    pub fn failed(&self) -> bool {
        self.records.iter().any(|record| record.error.is_some())
    }

    /// The table of steps, the failures again, the slowest steps, and the line that a machine reads.
    pub fn summary(&self) -> String {
        let mut text = String::from("\n");
        let width = self
            .records
            .iter()
            .map(|record| record.step.chars().count())
            .max()
            .unwrap_or(0);
        let mut total = Counts::default();
        let mut took = Duration::ZERO;
        for record in &self.records {
            total.add(record.counted());
            took += record.took;
            let (kind, step) = (&record.kind, &record.step);
            let seconds = record.took.as_secs_f64();
            text += &format!(
                "{kind:<10} {step:<width$} {seconds:>8.1} s  {}\n",
                record.outcome()
            );
        }
        let mut slowest: Vec<&Record> = self.records.iter().collect();
        slowest.sort_by_key(|record| std::cmp::Reverse(record.took));
        let slowest: Vec<String> = slowest
            .iter()
            .take(5)
            .map(|record| {
                format!(
                    "{} {} {:.0} s",
                    record.kind,
                    record.step,
                    record.took.as_secs_f64()
                )
            })
            .collect();
        text += &format!(
            "\n{:.0} s in all; slowest: {}\n",
            took.as_secs_f64(),
            slowest.join(", ")
        );
        for record in &self.records {
            if let Some(error) = &record.error {
                text += &format!("\nFAILED {} {}: {error}\n", record.kind, record.step);
            }
        }
        text += &format!("\n{} passed, {} failed", total.passed, total.failed);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_summary_of_a_test_program_is_counted() {
        let mut counts = Counts::default();
        counts.add_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.52s");
        counts.add_line("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s");
        counts.add_line("running 3 tests");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (15, 2, 1));
        counts.add_line("2 failed, 1180 passed, 4 xfailed in 61.02s (0:01:01)");
        counts.add_line("the request passed in 2 parts");
        assert_eq!((counts.passed, counts.failed), (1195, 4));
    }

    #[test]
    fn the_last_line_counts_tests_and_steps_without_any() {
        let mut report = Report::default();
        report.begin("unit");
        report.step("one check", || Ok(())).unwrap();
        report
            .counted("seven tests", |counts| {
                counts.passed = 7;
                Ok(())
            })
            .unwrap();
        let _ = report.step("dies", || Err::<(), _>(Error::Wrong("no summary".into())));
        assert!(report.failed());
        assert_eq!(report.summary().lines().last(), Some("8 passed, 1 failed"));
        assert!(report.summary().contains("FAILED unit dies: no summary"));
    }
}
