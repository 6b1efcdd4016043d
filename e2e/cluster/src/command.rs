//! Runs a program to its end, with a deadline, and keeps what it said for the error.
use std::{
    io::Read,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// What is kept of a program's output for an error.
const KEPT: usize = 4000;
/// What is kept of a program's output that is wanted: lists of packages and images, small JSON answers.
const LONGEST_OUTPUT: usize = 4 << 20;

/// Counts the lines that a running program has written, for progress.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<AtomicUsize>);

impl Lines {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs the command and returns what it wrote to stdout.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    output_counting(command, limit, &Lines::default())
}

/// The same, counting the lines on stderr meanwhile.
pub(crate) fn output_counting(
    command: &mut Command,
    limit: Duration,
    lines: &Lines,
) -> Result<String> {
    let shown = show(command);
    let failed = |status: String, output: String| Error::Failed {
        command: shown.clone(),
        status,
        output,
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            let program = command.get_program().to_string_lossy().into_owned();
            if error.kind() == std::io::ErrorKind::NotFound {
                Error::Missing {
                    program,
                    cure: "install it and put it on the PATH".into(),
                }
            } else {
                failed("did not start".into(), error.to_string())
            }
        })?;
    let stdout = child
        .stdout
        .take()
        .map(|pipe| collect(pipe, LONGEST_OUTPUT, Lines::default()));
    let stderr = child
        .stderr
        .take()
        .map(|pipe| collect(pipe, KEPT, lines.clone()));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                // It may have ended in this moment, which is as good.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            Err(error) => return Err(failed("lost".into(), error.to_string())),
        }
    };
    // A daemon left behind by the program may hold the pipes open for ever: the readers get a moment, not more.
    let grace = Instant::now() + Duration::from_secs(1);
    let stdout = stdout.map(|kept| kept.take(grace)).unwrap_or_default();
    let stderr = stderr.map(|kept| kept.take(grace)).unwrap_or_default();
    let both = || {
        tail(&format!("{stdout}{stderr}"), KEPT)
            .trim_end()
            .to_owned()
    };
    match status {
        Some(status) if status.success() => Ok(stdout),
        Some(status) => Err(failed(status.to_string(), both())),
        None => Err(Error::TimedOut {
            command: shown,
            limit,
            output: both(),
        }),
    }
}

/// The command as one would type it, shortened.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut line = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((end, _)) = line.char_indices().nth(200) {
        line.truncate(end);
        line.push_str(" ...");
    }
    line
}

/// The last `most` bytes, from a whole character on.
pub(crate) fn tail(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Collected {
    fn take(self, deadline: Instant) -> String {
        while !self.reader.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Reads to the end in a thread, keeping at most the last `2 * most` bytes.
fn collect(mut pipe: impl Read + Send + 'static, most: usize, lines: Lines) -> Collected {
    let text = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&text);
    let reader = thread::spawn(move || {
        let mut chunk = [0; 16384];
        while let Ok(length @ 1..) = pipe.read(&mut chunk) {
            let chunk = &chunk[..length];
            lines.0.fetch_add(
                chunk.iter().filter(|&&byte| byte == b'\n').count(),
                Ordering::Relaxed,
            );
            let mut text = shared.lock().unwrap_or_else(PoisonError::into_inner);
            text.extend_from_slice(chunk);
            if text.len() > 2 * most {
                let excess = text.len() - most;
                text.drain(..excess);
            }
        }
    });
    Collected { text, reader }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_fails_is_quoted_in_the_error() {
        let error = output(
            &mut shell("echo half; echo 'no such thing' >&2; exit 3"),
            Duration::from_secs(10),
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no such thing") && text.contains("exit status: 3"),
            "{text}"
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_stopped() {
        let began = Instant::now();
        let error = output(
            &mut shell("echo begun; exec sleep 60"),
            Duration::from_millis(200),
        )
        .unwrap_err();
        assert!(
            matches!(error, Error::TimedOut { ref output, .. } if output == "begun"),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_open_holds_nobody_up() {
        let began = Instant::now();
        assert_eq!(
            output(&mut shell("sleep 20 & echo done"), Duration::from_secs(15)).unwrap(),
            "done\n"
        );
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error =
            output(&mut Command::new("no-such-program"), Duration::from_secs(1)).unwrap_err();
        assert!(
            matches!(error, Error::Missing { ref program, .. } if program == "no-such-program"),
            "{error}"
        );
    }
}
