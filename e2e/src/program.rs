//! Running kubectl, helm and the like, with a deadline.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The command line.
    pub command: String,
    /// Whether its exit status was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// The standard output of a program that must succeed.
    ///
    /// # Panics
    /// When it failed: with its command line and all it said.
    pub fn expect_success(self) -> String {
        assert!(
            self.success,
            "`{}` failed:\n{}{}",
            self.command, self.stdout, self.stderr
        );
        self.stdout
    }

    /// What a program that must fail said.
    ///
    /// # Panics
    /// When it succeeded.
    pub fn expect_failure(self) -> String {
        assert!(
            !self.success,
            "`{}` succeeded:\n{}",
            self.command, self.stdout
        );
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it cannot be started, or does not end within `limit`.
pub fn run(mut command: Command, stdin: &str, limit: Duration) -> Ended {
    let shown = shown(&command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{shown}` does not start: {error}"));
    let mut input = child.stdin.take().expect("stdin is piped");
    let text = stdin.to_owned();
    // A program that ends without reading all is fine.
    let writer = thread::spawn(move || drop(input.write_all(text.as_bytes())));
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < limit => thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                let _ = child.kill();
                panic!("`{shown}` did not end within {limit:?}");
            }
            Err(error) => panic!("`{shown}`: {error}"),
        }
    };
    let _ = writer.join();
    Ended {
        command: shown,
        success: status.success(),
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    }
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}
