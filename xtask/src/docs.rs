//! What the documents say is there: their links lead somewhere, and their commands exist.
mod links;

use std::{path::Path, process::Command, time::Duration};

use clap::Parser;

use crate::{
    build,
    error::{Error, Result},
    process, workspace,
};

const LIMIT: Duration = Duration::from_secs(900);

/// Every link to a file or a heading in the tree's Markdown leads somewhere.
pub fn links() -> Result {
    refuse(&links::broken(&workspace::root(), &documents()?)?)
}

/// Every `cargo xtask` and `serin` command in the documents' code blocks is one that is understood, and names files that are there.
pub fn commands(serin: &Path) -> Result {
    let mut wrong = Vec::new();
    for document in documents()? {
        let text = workspace::read(&workspace::root().join(&document))?;
        for line in shell_lines(&text) {
            if let Some(reason) = misunderstood(&line, serin)? {
                wrong.push(format!("{}: `{line}`: {reason}", document.display()));
            }
        }
    }
    refuse(&wrong)
}

/// The documentation of all crates, in which every link between items must lead somewhere.
pub fn rust_doc() -> Result {
    let mut cargo = build::cargo();
    cargo
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps", "--quiet"]);
    process::stream(&mut cargo, LIMIT)
}

fn documents() -> Result<Vec<std::path::PathBuf>> {
    let mut files = workspace::files()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(files)
}

fn refuse(wrong: &[String]) -> Result {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Error::Wrong(wrong.join("\n")))
    }
}

/// The lines of code blocks in a shell's language, without prompt and comment.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            inside = !inside && ["sh", "bash", "shell", "console"].contains(&language.trim());
        } else if inside {
            let line = line.trim().trim_start_matches("$ ");
            let line = line
                .split_once(" #")
                .map_or(line, |(command, _)| command)
                .trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

/// Why a command of ours would not do; nothing for other programs.
fn misunderstood(line: &str, serin: &Path) -> Result<Option<String>> {
    let words: Vec<&str> = line
        .split_whitespace()
        .take_while(|word| !["|", ">", "&&", ";", "&"].contains(word))
        .collect();
    let reason = match words.as_slice() {
        ["cargo", "xtask", rest @ ..] => {
            crate::Cli::try_parse_from(std::iter::once("xtask").chain(rest.iter().copied()))
                .err()
                // `--help` is told as an error too.
                .filter(clap::Error::use_stderr)
                .map(|error| error.to_string())
        }
        ["serin", subcommand, ..] if !subcommand.starts_with('-') => {
            let understood =
                process::output(Command::new(serin).args([subcommand, "--help"]), LIMIT);
            understood.err().map(|error| error.to_string())
        }
        ["kubectl" | "helm" | "curl", ..] => None,
        _ => return Ok(None),
    };
    let missing = words.iter().find(|word| {
        let word = word.trim_start_matches('@');
        ["examples/", "charts/", "crds/"]
            .iter()
            .any(|folder| word.starts_with(folder))
            && !workspace::root().join(word).exists()
    });
    Ok(reason.or_else(|| missing.map(|word| format!("{word} is not there"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_of_shell_blocks_are_read() {
        let text = "cargo xtask no\n```sh\n$ cargo xtask try   # all of it\n# comment\n```\n```yaml\nkind: x\n```\n```console\nserin run\n```\n";
        assert_eq!(shell_lines(text), ["cargo xtask try", "serin run"]);
    }

    #[test]
    fn a_task_that_is_not_there_is_told() {
        let told = |line: &str| misunderstood(line, Path::new("serin")).unwrap();
        assert_eq!(told("cargo xtask try --exit"), None);
        assert_eq!(told("cargo xtask test --list | head"), None);
        assert!(told("cargo xtask tri").unwrap().contains("tri"));
        assert!(
            told("kubectl apply -f examples/none")
                .unwrap()
                .contains("examples/none is not there")
        );
    }
}
