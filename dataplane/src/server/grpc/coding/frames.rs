//! The frames of messages: cutting bytes into them.

use bytes::{Bytes, BytesMut};

/// Length of a message's prefix: a byte that says whether it is compressed, and its length
/// ("Length-Prefixed-Message" of gRPC over HTTP/2).
pub(super) const PREFIX: usize = 5;

/// A message's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) flag: u8,
    pub(super) length: usize,
}

impl Prefix {
    /// Its bytes. A message of more than 4 GiB is longer than any that is accepted.
    pub(super) fn bytes(self) -> [u8; PREFIX] {
        let length = u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes();
        [self.flag, length[0], length[1], length[2], length[3]]
    }
}

/// Received bytes that are not a whole message yet.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    /// What came last, in one piece.
    rest: Bytes,
    /// What came before, of the open message.
    open: BytesMut,
    prefix: Option<Prefix>,
}

impl Cutter {
    /// Adds bytes; those before must have been read until there was `None`.
    pub(super) fn push(&mut self, data: Bytes) {
        self.rest = data;
    }

    /// Whether there are bytes that were not looked at.
    pub(super) fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Whether a message has begun.
    pub(super) fn is_open(&self) -> bool {
        self.prefix.is_some() || !self.open.is_empty()
    }

    /// The prefix of the open message, once it is there.
    pub(super) fn prefix(&mut self) -> Option<Prefix> {
        if self.prefix.is_none() {
            let bytes = self.take(PREFIX)?;
            let [flag, a, b, c, d] = bytes.first_chunk().copied()?;
            self.prefix = Some(Prefix {
                flag,
                length: u32::from_be_bytes([a, b, c, d]) as usize,
            });
        }
        self.prefix
    }

    /// The open message without its prefix, once all of it is there. Ends it.
    pub(super) fn message(&mut self) -> Option<Bytes> {
        let length = self.prefix?.length;
        let message = self.take(length)?;
        self.prefix = None;
        Some(message)
    }

    /// What there is of the open message, where it is passed on as it comes.
    pub(super) fn part(&mut self) -> Option<Bytes> {
        let prefix = self.prefix.as_mut()?;
        let part = self.rest.split_to(prefix.length.min(self.rest.len()));
        prefix.length -= part.len();
        if prefix.length == 0 {
            self.prefix = None;
        }
        Some(part).filter(|part| !part.is_empty())
    }

    /// So many bytes; kept together until all are there. Those in one piece are not copied.
    fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.open.is_empty() && self.rest.len() >= length {
            return Some(self.rest.split_to(length));
        }
        let missing = length - self.open.len();
        let next = self.rest.split_to(missing.min(self.rest.len()));
        self.open.extend_from_slice(&next);
        (next.len() == missing).then(|| self.open.split().freeze())
    }
}
