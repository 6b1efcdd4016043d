//! The socket. It records when the peer sends and when it reads nothing, and counts header blocks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::metered::MeteredStream;
use super::state::ConnectionState;
use crate::runtime::memory_budget::Reservation;

/// Bytes of a header block that are within what a connection takes; more is reserved.
const HEAD: usize = 8 << 10;

/// What a header block takes for each of its bytes: it is buffered, and read to a map.
const PER_BYTE: usize = 3;

pub(super) struct InstrumentedIo {
    inner: MeteredStream,
    activity: Arc<ConnectionState>,
    head: Option<Head>,
    /// Notified when the socket closes, which may be after the end of HTTP on it.
    _open: DropGuard,
}

/// An incomplete header block of HTTP/1, and its memory. HTTP/2 bounds its own.
pub(super) struct Head {
    bytes: usize,
    held: Reservation,
}

impl Head {
    pub(super) fn new(held: Reservation) -> Self {
        Self { bytes: 0, held }
    }

    /// Counts bytes that came; those of a body are counted elsewhere.
    ///
    /// # Errors
    /// There is no room, and the connection ends.
    fn came(&mut self, bytes: usize, is_head: bool) -> io::Result<()> {
        if !is_head {
            if self.bytes > 0 {
                self.bytes = 0;
                self.held.shrink(0);
            }
            return Ok(());
        }
        self.bytes += bytes;
        if self.bytes > HEAD {
            let held = self.held.grow(self.bytes * PER_BYTE);
            held.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl InstrumentedIo {
    pub(super) fn new(
        stream: MeteredStream,
        activity: Arc<ConnectionState>,
        closed: CancellationToken,
        head: Option<Head>,
    ) -> Self {
        Self {
            inner: stream,
            activity,
            head,
            _open: closed.drop_guard(),
        }
    }

    fn note(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.wrote(result.is_ready());
        result
    }
}

impl AsyncRead for InstrumentedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if result.is_ready() {
            this.activity.read();
            if let Some(head) = &mut this.head {
                let came = buffer.filled().len() - before;
                head.came(came, this.activity.awaits_head())?;
            }
        }
        result
    }
}

impl AsyncWrite for InstrumentedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.note(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::memory_budget::MemoryBudget;

    #[test]
    fn a_long_header_block_is_counted_until_it_is_whole() {
        let budget = MemoryBudget::new(100_000);
        let mut head = Head::new(budget.hold());
        head.came(HEAD, true).unwrap();
        assert_eq!(budget.used(), 0, "a usual one is within the connection's");
        head.came(20_000, true).unwrap();
        assert!(budget.used() > 50_000);
        head.came(1_000_000, false).unwrap();
        assert_eq!(budget.used(), 0);
        assert!(head.came(40_000, true).is_err());
    }
}
