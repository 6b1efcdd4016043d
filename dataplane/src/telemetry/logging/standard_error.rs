//! The process's log on standard error: one thread writes it, whoever logs.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::lossy::Lossy;

/// How long writing the last lines of the process, or of a panic, may take: the reader may be gone.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Lines that are logged and not yet written.
static LINES: LazyLock<Lossy> = LazyLock::new(Lossy::default);

/// The log of a program: to be kept until its end, as dropping it waits a second at most for the
/// last lines to be written.
#[must_use]
#[derive(Debug)]
pub struct Log(pub(super) ());

impl Drop for Log {
    fn drop(&mut self) {
        LINES.flush(LAST_LINES);
    }
}

/// Counts the lines that were lost as nobody read them.
pub(in crate::telemetry) fn dropped() -> Counter {
    LINES.dropped()
}

/// Where formatted lines go.
pub(super) fn lines() -> impl Write {
    &*LINES
}

/// Starts the thread that writes. It holds no lock of standard error: a last message written there
/// directly would wait for it.
///
/// # Errors
/// When the system gives no thread, or there is no standard error.
pub(super) fn write_lines() -> io::Result<()> {
    let mut out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let writer = std::thread::Builder::new().name("log".to_owned());
    writer.spawn(move || {
        loop {
            LINES.write_next(&mut out);
        }
    })?;
    Ok(())
}

/// Lets messages of panics go the way of the lines: a request that panics would stop its thread at
/// a pipe that nobody reads.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let mut said = format!("thread {name} {panic}\n");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            said.push_str(&backtrace.to_string());
        }
        LINES.push(said.as_bytes());
        // The process may end by this one.
        LINES.flush(LAST_LINES);
    }));
}
