//! A bounded queue of log lines: logging never waits for the reader of the log.
//!
//! A pipe that nobody reads takes 64 KiB, and then every write to it waits for ever. Were lines
//! written where they are logged, one request after another would stop there, and probes with them.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

/// Most bytes that wait, some 2,000 lines; as much again is being written.
const MOST: usize = 1 << 20;

/// Lines between those who log and the one thread that writes them.
#[derive(Default)]
pub(super) struct Lossy {
    state: Mutex<State>,
    /// Something waits to be written.
    arrived: Condvar,
    /// What was taken is written, or lost.
    written: Condvar,
    /// Lines that were dropped.
    dropped: Counter,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// How many lines these are.
    lines: u64,
    writing: bool,
    /// The thread waits, and nobody has woken it yet.
    asleep: bool,
}

impl Lossy {
    /// Takes a line, or drops and counts it where too much waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > MOST {
            drop(state);
            self.dropped.inc();
            return;
        }
        state.waiting.extend_from_slice(line);
        state.lines += 1;
        // Each call to the system costs more than the line.
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Waits for lines and writes all there are.
    pub(super) fn write_next(&self, out: &mut impl Write) {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            state.asleep = true;
            let woken = self.arrived.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let (lines, taken) = (state.lines, std::mem::take(&mut state.waiting));
        (state.lines, state.asleep, state.writing) = (0, false, true);
        drop(state);
        // An error of the log's own output cannot be logged.
        if out.write_all(&taken).is_err() {
            self.dropped.inc_by(lines);
        }
        self.lock().writing = false;
        self.written.notify_all();
    }

    /// Waits until everything is written, and no longer than `at_most`.
    pub(super) fn flush(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let mut state = self.lock();
        while state.writing || !state.waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.written.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Counts the lines that were dropped.
    pub(super) fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// No code panics while it holds the lock, so a poisoned lock holds whole data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The formatter hands each line over in one piece.
impl Write for &Lossy {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes nothing before it is opened.
    struct Stuck(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            self.1.recv().unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_and_the_others_come_in_their_order() {
        let lines = Arc::new(Lossy::default());
        let (sent, taken) = channel();
        let (go, stuck) = channel();
        let writer = Arc::clone(&lines);
        let thread = std::thread::spawn(move || {
            let mut out = Stuck(sent, stuck);
            writer.write_next(&mut out);
            writer.write_next(&mut out);
        });
        lines.push(b"first\n");
        assert_eq!(taken.recv().unwrap(), b"first\n");
        let line = [b'x'; 1 << 10];
        for _ in 0..1030 {
            lines.push(&line);
        }
        assert_eq!(lines.dropped().get(), 6);
        // Without a reader the end of the process does not wait for ever.
        lines.flush(Duration::from_millis(1));
        go.send(()).unwrap();
        assert_eq!(taken.recv().unwrap().len(), MOST);
        go.send(()).unwrap();
        lines.flush(Duration::from_secs(20));
        assert!(lines.lock().waiting.is_empty());
        thread.join().unwrap();
    }

    #[test]
    fn lines_for_a_reader_that_has_left_are_counted() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lossy::default();
        lines.push(b"one\n");
        lines.push(b"two\n");
        lines.write_next(&mut Closed);
        assert_eq!(lines.dropped().get(), 2);
    }
}
