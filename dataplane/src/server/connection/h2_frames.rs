//! HTTP/2 frames that ask for nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM and unknown ones.
//! h2 answers or drops each at once and bounds none of them in number, so that one connection could keep a
//! processor busy. They are counted here, on their way in.
//!
//! A peer has a credit of them, which grows with what it asks for, with what it is sent, and with time. A
//! client that reads a large answer sends a WINDOW_UPDATE for some kilobytes of it; one that gives up calls
//! has begun them.

use std::time::Duration;

use tokio::time::Instant;

const PREFACE: usize = 24;
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// Most frames that a peer may be ahead.
const MOST: u64 = 10_000;
/// Frames for each that carries something.
const FOR_A_REQUEST: u64 = 4;
/// Bytes sent for which the peer may send a frame: more than the answer to a PING has.
const SENT_BYTES: u64 = 64;
/// Frames a second without any other reason.
const EACH: Duration = Duration::from_millis(10);

/// The peer has sent more frames than it has credit for.
#[derive(Debug, thiserror::Error)]
#[error("the peer sends frames that ask for nothing")]
pub(super) struct Flood;

/// Counts the frames of one connection.
#[derive(Debug)]
pub(super) struct FrameMeter {
    /// Bytes until the next frame's head.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of the head that are there.
    filled: usize,
    credit: u64,
    sent: u64,
    /// Time up to which credit has been given.
    credited: Instant,
}

impl FrameMeter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            skip: PREFACE,
            head: [0; HEAD],
            filled: 0,
            credit: MOST,
            sent: 0,
            credited: now,
        }
    }

    /// Counts what was sent to the peer.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Counts the frames that begin in what has come.
    ///
    /// # Errors
    /// [`Flood`].
    pub(super) fn came(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return Ok(());
            }
            let next = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + next].copy_from_slice(&bytes[..next]);
            self.filled += next;
            bytes = &bytes[next..];
            if self.filled < HEAD {
                return Ok(());
            }
            self.filled = 0;
            let [a, b, c, kind, ..] = self.head;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            match kind {
                DATA | HEADERS | CONTINUATION => self.give(FOR_A_REQUEST),
                _ => self.take(now)?,
            }
        }
    }

    fn give(&mut self, frames: u64) {
        self.credit = self.credit.saturating_add(frames).min(MOST);
    }

    fn take(&mut self, now: Instant) -> Result<(), Flood> {
        if self.credit == 0 {
            let frames = self.sent / SENT_BYTES;
            self.sent %= SENT_BYTES;
            let waited = now.saturating_duration_since(self.credited);
            self.credited = now;
            let for_time = waited.as_millis() / EACH.as_millis();
            self.give(frames.saturating_add(u64::try_from(for_time).unwrap_or(MOST)));
        }
        self.credit = self.credit.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, 0, 0, 0, 0, 0]);
        bytes.resize(bytes.len() + payload, 0xFF);
        bytes
    }

    fn meter() -> (FrameMeter, Instant) {
        let now = Instant::now();
        let mut meter = FrameMeter::new(now);
        meter.came(&[b'x'; PREFACE], now).unwrap();
        (meter, now)
    }

    #[test]
    fn a_flood_has_an_end_and_a_peer_that_pings_has_none() {
        for kind in [2, 3, 4, PING, 7, WINDOW_UPDATE, 0xbe] {
            let (mut meter, now) = meter();
            let frame = frame(kind, 8);
            assert!(meter.came(&frame.repeat(10_000), now).is_ok());
            assert!(meter.came(&frame, now).is_err(), "frames of type {kind}");
        }
        let (mut meter, mut now) = meter();
        for _ in 0..50_000 {
            now += EACH * 2;
            assert!(meter.came(&frame(PING, 8), now).is_ok());
        }
    }

    #[test]
    fn a_peer_that_reads_much_or_asks_for_much_may_send_as_much() {
        let (mut meter, now) = meter();
        for _ in 0..100_000 {
            // A small frame of an answer, and the update of both windows for it.
            meter.sent(200);
            meter.came(&frame(WINDOW_UPDATE, 4).repeat(2), now).unwrap();
        }
        for _ in 0..100_000 {
            // A call that is given up.
            let call = [frame(HEADERS, 50), frame(3, 4)].concat();
            meter.came(&call, now).unwrap();
        }
    }

    #[test]
    fn the_answers_to_pings_are_no_credit_for_more_of_them() {
        let (mut meter, now) = meter();
        let ended = (0..100_000).any(|_| {
            meter.sent(17);
            meter.came(&frame(PING, 8), now).is_err()
        });
        assert!(ended);
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            frames in prop::collection::vec((0u8..12, 0usize..300), 0..60),
            cuts in prop::collection::vec(1usize..400, 0..60),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, *payload)).collect();
            let (mut whole, now) = meter();
            whole.credit = 40;
            let expected = whole.came(&bytes, now).is_ok();
            let (mut parts, _) = meter();
            parts.credit = 40;
            let (mut rest, mut found) = (&bytes[..], true);
            for cut in cuts {
                let (part, behind) = rest.split_at(cut.min(rest.len()));
                found &= parts.came(part, now).is_ok();
                rest = behind;
            }
            found &= parts.came(rest, now).is_ok();
            prop_assert_eq!(found, expected);
        }
    }
}
