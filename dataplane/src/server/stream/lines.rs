//! The lines of a body that may last for hours, with a minimum pace.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::ordered::Incoming;
use super::request::StreamRequest;
use crate::runtime::Resources;
use crate::runtime::memory_budget::{Reservation, Share};
use crate::server::pace::{SLOWEST, broken};
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::ndjson::{Line, Lost, Splitter, Text};

/// Reads requests, one a line, from a body.
pub(super) struct Lines {
    body: Body,
    splitter: Splitter,
    limits: Arc<Limits>,
    /// The memory of the stream's requests.
    share: Arc<Share>,
    /// The reservation of the incomplete line.
    held: Reservation,
    pace: Pace,
    ended: bool,
}

/// The time that the server has waited for the caller.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Since the last byte in either direction.
    since: Instant,
    /// Since the start of the incomplete line.
    line: Instant,
}

impl Pace {
    /// When waiting ends: for the rest of a line by the rules of a body, whose time is a request's, and
    /// between lines, while
    /// nothing is being served, by the rule of a connection between requests.
    fn deadline(self, line_bytes: usize, busy: bool, limits: &Limits) -> Option<Instant> {
        if line_bytes > 0 {
            let at_pace = Duration::from_secs_f64(line_bytes as f64 / SLOWEST);
            let stall = self.since + limits.stall_timeout;
            let paced = stall.min(self.line + limits.slow_body_grace + at_pace);
            return Some(paced.min(self.line + limits.request_timeout));
        }
        (!busy).then(|| self.since + limits.idle_timeout)
    }
}

impl Lines {
    pub(super) fn new(body: Body, resources: &Resources, share: Arc<Share>) -> Self {
        let limits = &resources.limits;
        let now = Instant::now();
        Self {
            body,
            splitter: Splitter::new(limits.body_bytes),
            limits: Arc::clone(limits),
            held: share.hold(),
            share,
            pace: Pace {
                since: now,
                line: now,
            },
            ended: false,
        }
    }

    /// Excludes the time from `since` on, which the server took.
    pub(super) fn excuse(&mut self, since: Instant) {
        self.pace.since = Instant::now();
        self.pace.line += since.elapsed();
    }

    /// The next line. No bytes are lost when the future is dropped.
    pub(super) async fn next(&mut self, busy: bool) -> Incoming<StreamRequest> {
        loop {
            match self.splitter.next_line() {
                Ok(Some(line)) => return self.row(line),
                Ok(None) if self.ended => {
                    return match self.splitter.finish() {
                        Some(line) => self.row(line),
                        None => Incoming::End,
                    };
                }
                Ok(None) => {}
                Err(lost) => return Incoming::Failed(endless(lost, &self.limits)),
            }
            if let Err(fault) = self.held.grow(self.splitter.held()) {
                return Incoming::Failed(fault);
            }
            if let Err(incoming) = self.read(busy).await {
                return incoming;
            }
        }
    }

    async fn read(&mut self, busy: bool) -> Result<(), Incoming<StreamRequest>> {
        let line_bytes = self.splitter.line_bytes();
        let deadline = self.pace.deadline(line_bytes, busy, &self.limits);
        let frame = match deadline {
            Some(deadline) => timeout_at(deadline, self.body.frame()).await,
            None => Ok(self.body.frame().await),
        };
        match frame {
            Ok(Some(Ok(frame))) => {
                self.pace.since = Instant::now();
                if line_bytes == 0 {
                    self.pace.line = self.pace.since;
                }
                // Trailers are ignored.
                if let Ok(data) = frame.into_data() {
                    self.splitter.push(data);
                }
                Ok(())
            }
            Ok(None) => {
                self.ended = true;
                Ok(())
            }
            Ok(Some(Err(error))) => {
                let fault = broken(&error);
                Err(if fault.kind == FaultKind::Cancelled || is_left(&error) {
                    Incoming::Left
                } else {
                    Incoming::Failed(fault)
                })
            }
            Err(_) => Err(Incoming::Failed(too_slow(
                self.splitter.lines() + 1,
                line_bytes,
                &self.limits,
            ))),
        }
    }

    fn row(&mut self, line: Line) -> Incoming<StreamRequest> {
        // The line is complete; the next one begins with the bytes that follow.
        let mut held = std::mem::replace(&mut self.held, self.share.hold());
        self.pace.line = self.pace.since;
        let text = match line.text {
            Text::Whole(text) => held.grow(text.len()).map(|()| text),
            Text::TooLong => Err(too_long(line.number, &self.limits)),
        };
        let bytes = text.as_ref().map_or(0, bytes::Bytes::len);
        let row = StreamRequest {
            number: line.number,
            text,
            reservation: held,
        };
        Incoming::Request(row, bytes)
    }
}

/// Whether a body ended because its connection ended: during the answer, nothing else shows it.
fn is_left(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(error) = current.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            );
        }
        cause = current.source();
    }
    false
}

fn too_long(number: u64, limits: &Limits) -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "payload_too_large",
        format!(
            "line {number} is larger than {} bytes; send fewer rows on it",
            limits.body_bytes
        ),
    )
}

fn endless(lost: Lost, limits: &Limits) -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "payload_too_large",
        format!(
            "line {} has no end: lines are ended by a newline and are no larger than {} bytes",
            lost.number, limits.body_bytes
        ),
    )
}

fn too_slow(number: u64, line_bytes: usize, limits: &Limits) -> Fault {
    let message = if line_bytes > 0 {
        format!(
            "line {number} came too slowly: {line_bytes} bytes so far; at least 1 KiB/s is needed, and the whole line within {} s",
            limits.request_timeout.as_secs_f64()
        )
    } else {
        format!(
            "nothing came for {} s; a blank line now and then keeps a stream open",
            limits.idle_timeout.as_secs_f64()
        )
    };
    Fault::new(FaultKind::SlowBody, "slow_body", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_pause_between_lines_and_not_within_one() {
        let limits = Limits::default();
        let now = Instant::now();
        let pace = Pace {
            since: now,
            line: now,
        };
        let wait = |pace: Pace, bytes, busy| {
            let deadline = pace.deadline(bytes, busy, &limits);
            deadline.map(|at| at - now)
        };
        assert_eq!(wait(pace, 0, false), Some(Duration::from_secs(60)));
        assert_eq!(wait(pace, 0, true), None);
        assert_eq!(
            wait(pace, 1, true),
            Some(Duration::from_secs(10) + Duration::from_secs_f64(1.0 / 1024.0))
        );
        let fresh = Pace {
            since: now + Duration::from_secs(9),
            line: now,
        };
        assert_eq!(wait(fresh, 5 * 1024, false), Some(Duration::from_secs(15)));
        assert_eq!(wait(fresh, 1 << 20, false), Some(Duration::from_secs(39)));
        let dripped = Pace {
            since: now + Duration::from_secs(59),
            line: now,
        };
        assert_eq!(wait(dripped, 60 << 20, true), Some(limits.request_timeout));
    }
}
