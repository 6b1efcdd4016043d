//! What libFuzzer says at the end of a run.
use std::{fmt, time::Duration};

/// The figures of one target's run.
#[derive(Debug, Default, PartialEq)]
pub struct Figures {
    pub target: String,
    pub executions: u64,
    /// Edges of the program that were reached.
    pub edges: u64,
    /// Inputs that the corpus has.
    pub inputs: u64,
    pub peak_mib: u64,
    pub took: Duration,
    /// The input that ended the run.
    pub found: Option<String>,
}

impl Figures {
    /// Reads libFuzzer's log.
    pub fn read(target: &str, log: &str, took: Duration) -> Self {
        let mut figures = Self {
            target: target.to_owned(),
            took,
            ..Self::default()
        };
        for line in log.lines() {
            if let Some(path) = line.split("Test unit written to ").nth(1) {
                figures.found = Some(path.trim().to_owned());
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.windows(2) {
                let number = || pair[1].split('/').next().and_then(|text| text.parse().ok());
                let place = match pair[0] {
                    "cov:" => &mut figures.edges,
                    "corp:" => &mut figures.inputs,
                    "stat::number_of_executed_units:" => &mut figures.executions,
                    "stat::peak_rss_mb:" => &mut figures.peak_mib,
                    _ => continue,
                };
                *place = number().unwrap_or(*place);
            }
        }
        figures
    }

    fn per_second(&self) -> f64 {
        self.executions as f64 / self.took.as_secs_f64().max(0.001)
    }

    /// What to do about what was found.
    pub fn finding(&self) -> Option<String> {
        let path = self.found.as_ref()?;
        Some(format!(
            "{}: found {path}; repeat it: cargo xtask fuzz {} --repeat {path}",
            self.target, self.target
        ))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, executions, edges) = (&self.target, self.executions, self.edges);
        let seconds = self.took.as_secs_f64();
        write!(
            f,
            "{target}: {executions} executions in {seconds:.0} s, {edges} edges{}",
            if self.found.is_some() {
                ", FOUND SOMETHING"
            } else {
                ""
            }
        )
    }
}

/// All figures as Markdown, with their sum.
pub fn table(all: &[Figures]) -> String {
    let mut text = String::from(
        "| target | executions | per second | edges | inputs | peak MiB | s | findings |\n|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for one in all {
        text += &format!(
            "| {} | {} | {:.0} | {} | {} | {} | {:.0} | {} |\n",
            one.target,
            one.executions,
            one.per_second(),
            one.edges,
            one.inputs,
            one.peak_mib,
            one.took.as_secs_f64(),
            u8::from(one.found.is_some())
        );
    }
    let executions: u64 = all.iter().map(|one| one.executions).sum();
    let seconds: f64 = all.iter().map(|one| one.took.as_secs_f64()).sum();
    let findings = all.iter().filter(|one| one.found.is_some()).count();
    text + &format!(
        "\n{executions} executions in {:.2} h of fuzzing, {} targets, {findings} findings",
        seconds / 3600.0,
        all.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n#2\tINITED cov: 100 ft: 120 corp: 1/1b exec/s: 0 rss: 40Mb\n\
        #5000\tDONE   cov: 345 ft: 999 corp: 67/4321b lim: 4096 exec/s: 2500 rss: 55Mb\n\
        stat::number_of_executed_units: 5000\nstat::peak_rss_mb:              55\n";

    #[test]
    fn figures_are_those_of_the_last_lines() {
        let figures = Figures::read("json", LOG, Duration::from_secs(2));
        assert_eq!(
            (
                figures.executions,
                figures.edges,
                figures.inputs,
                figures.peak_mib
            ),
            (5000, 345, 67, 55)
        );
        assert_eq!(figures.finding(), None);
        let table = table(&[figures]);
        assert!(
            table.contains("| json | 5000 | 2500 | 345 | 67 | 55 | 2 | 0 |"),
            "{table}"
        );
        assert!(
            table.contains("5000 executions in 0.00 h of fuzzing, 1 targets, 0 findings"),
            "{table}"
        );
    }

    #[test]
    fn a_finding_comes_with_the_command_that_repeats_it() {
        let log =
            format!("{LOG}artifact_prefix='/f/'; Test unit written to /f/crash-1\nBase64: AA==\n");
        let finding = Figures::read("json", &log, Duration::from_secs(2))
            .finding()
            .unwrap();
        assert!(
            finding.ends_with("cargo xtask fuzz json --repeat /f/crash-1"),
            "{finding}"
        );
    }
}
