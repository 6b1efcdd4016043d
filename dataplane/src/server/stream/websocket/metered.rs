//! A socket whose unfinished message counts against the memory for bodies.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::protocol::body_budget::Held;

/// Counts what is read since the last message.
pub(super) struct Metered<T> {
    inner: T,
    held: Held,
    unfinished: usize,
    refused: bool,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T, held: Held) -> Self {
        Self {
            inner,
            held,
            unfinished: 0,
            refused: false,
        }
    }

    /// Bytes read of a message that is not complete.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Whether reading ended for want of memory.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// A message is complete: its share of the memory.
    pub(super) fn finished(&mut self) -> Held {
        self.unfinished = 0;
        let next = self.held.another();
        std::mem::replace(&mut self.held, next)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.unfinished += buffer.filled().len() - before;
            let unfinished = self.unfinished;
            if self.held.grow(unfinished).is_err() {
                self.refused = true;
                return Poll::Ready(Err(io::Error::other("no memory for this message")));
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
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
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}
