//! Runs programs, each with a deadline. Ending one ends all that it started.
use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// What is kept of a program's output for an error.
const KEPT_LINES: usize = 60;
/// How long a program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// True once SIGINT or SIGTERM has come. The first call installs the handlers.
pub fn interrupted() -> bool {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second signal ends the program at once. Without handlers the default action stands: it ends at the first.
            let _ =
                signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))
                    .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)));
        }
        flag
    })
    .load(Ordering::Relaxed)
}

/// Runs the command with its output going where ours goes.
pub fn stream(command: &mut Command, limit: Duration) -> Result {
    stream_lines(command, limit, |_| true)
}

/// The same; lines of stdout are shown only where `show_line` says so.
pub fn stream_lines(
    command: &mut Command,
    limit: Duration,
    mut show_line: impl FnMut(&str) -> bool + Send,
) -> Result {
    println!("    $ {}", show(command));
    let mut child = start(command.stdout(Stdio::piped()))?;
    let stdout = child.stdout.take();
    let status = thread::scope(|scope| {
        if let Some(stdout) = stdout {
            scope.spawn(move || {
                for line in lines(stdout) {
                    if show_line(&line) {
                        println!("{line}");
                    }
                }
            });
        }
        wait(&mut child, limit)
    });
    judge(command, status, limit, String::new)
}

/// Returns the command's stdout; its stderr goes where ours goes.
pub fn stdout(command: &mut Command, limit: Duration) -> Result<String> {
    let mut child = start(command.stdout(Stdio::piped()))?;
    let pipe = child.stdout.take();
    let (status, text) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(pipe));
        let status = wait(&mut child, limit);
        (status, reader.join().unwrap_or_default())
    });
    judge(command, status, limit, String::new).map(|()| text)
}

/// Runs the command in silence and returns its stdout. What it said is in the error if it fails.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let last: Mutex<VecDeque<String>> = Mutex::default();
    let keep = |line: String| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(line);
    };
    let (status, text) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(stdout));
        if let Some(stderr) = stderr {
            scope.spawn(|| lines(stderr).for_each(keep));
        }
        let status = wait(&mut child, limit);
        (status, reader.join().unwrap_or_default())
    });
    judge(command, status, limit, || {
        let said = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<&str> = text.lines().collect();
        all.drain(..all.len().saturating_sub(KEPT_LINES));
        all.extend(said.iter().map(String::as_str));
        all.join("\n")
    })?;
    Ok(text)
}

/// Starts a program that is to run beside us, without stdin.
pub fn start(command: &mut Command) -> Result<Child> {
    // From now on a signal is ours to handle, so that the child is never left alone.
    let _ = interrupted();
    command.stdin(Stdio::null()).spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            Error::Missing {
                what: program,
                cure: "install it and put it on the PATH".into(),
            }
        } else {
            Error::Failed {
                command: show(command),
                status: "did not start".into(),
                output: error.to_string(),
            }
        }
    })
}

/// Asks the child to end (SIGTERM), and ends it and all that it started if it does not within 10 s.
pub fn stop(child: &mut Child) -> Option<ExitStatus> {
    signal(child.id(), Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(POLL);
    }
    kill_tree(child);
    None
}

/// The command as one would type it.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quote = |word: std::borrow::Cow<'_, str>| {
        if word.is_empty() || word.contains([' ', '\'', '"', '*', '$', ';']) {
            format!("'{}'", word.replace('\'', r"'\''"))
        } else {
            word.into_owned()
        }
    };
    words
        .map(|word| quote(word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether a program of this name is on the PATH.
pub fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

enum End {
    Exited(ExitStatus),
    TimedOut,
    Interrupted,
    Lost(std::io::Error),
}

fn wait(child: &mut Child, limit: Duration) -> End {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return End::Exited(status),
            Ok(None) if interrupted() => {
                stop(child);
                return End::Interrupted;
            }
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            Ok(None) => {
                kill_tree(child);
                return End::TimedOut;
            }
            Err(error) => return End::Lost(error),
        }
    }
}

fn judge(command: &Command, end: End, limit: Duration, output: impl FnOnce() -> String) -> Result {
    let failed = |status: String, output: String| {
        Err(Error::Failed {
            command: show(command),
            status,
            output,
        })
    };
    match end {
        End::Exited(status) if status.success() => Ok(()),
        End::Exited(status) => failed(status.to_string(), output()),
        End::Lost(error) => failed("lost".into(), error.to_string()),
        End::Interrupted => Err(Error::Interrupted),
        End::TimedOut => Err(Error::TimedOut {
            command: show(command),
            limit,
            output: output(),
        }),
    }
}

fn read(pipe: Option<impl Read>) -> String {
    let mut text = Vec::new();
    // A pipe that breaks ends the text; the exit status tells why.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

fn lines(pipe: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(pipe)
        .split(b'\n')
        .map_while(Result::ok)
        .map(|line| {
            String::from_utf8_lossy(&line)
                .trim_end_matches('\r')
                .to_owned()
        })
}

/// Kills the child and its descendants: a killed `cargo test` would leave its test running and our pipe open.
fn kill_tree(child: &mut Child) {
    for id in descendants(child.id()) {
        signal(id, Signal::KILL);
    }
    // It may have ended in this moment, which is as good.
    let _ = child.kill();
    let _ = child.wait();
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // One that is gone needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// All processes below this one, as far as /proc tells (nothing elsewhere than on Linux).
fn descendants(id: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name in brackets, which may hold anything: state, parent.
            let parent = stat
                .rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = vec![id];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(id, _)| *id),
        );
        next += 1;
    }
    found.split_off(1)
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
            GRACE,
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("half")
                && error.contains("no such thing")
                && error.contains("exit status: 3"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_with_all_that_it_started() {
        // The grandchild holds the pipe: if it lived on, `output` would wait for it.
        let began = Instant::now();
        let error = output(
            &mut shell("sleep 60 & sleep 61; true"),
            Duration::from_millis(200),
        )
        .unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program"), GRACE).unwrap_err();
        assert!(
            matches!(error, Error::Missing { ref what, .. } if what == "no-such-program"),
            "{error}"
        );
    }

    #[test]
    fn a_shown_command_can_be_pasted() {
        assert_eq!(show(&shell("echo it's")), r"sh -c 'echo it'\''s'");
    }
}
