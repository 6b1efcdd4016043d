//! A socket whose unfinished message counts against the memory for bodies.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::runtime::memory_budget::Reservation;

/// Opcode, length and mask of a control frame, whose payload is at most 125 bytes (RFC 6455, 5.5).
const CONTROL_HEAD: usize = 6;

/// Counts bytes read since the last message.
pub(super) struct Metered<T> {
    inner: T,
    held: Reservation,
    unfinished: usize,
    /// When the first byte of the incomplete message came.
    begun: Option<Instant>,
    /// Most bytes that one message may have.
    longest: usize,
    refused: bool,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T, held: Reservation, longest: usize) -> Self {
        Self {
            inner,
            held,
            unfinished: 0,
            begun: None,
            longest,
            refused: false,
        }
    }

    /// Bytes read of a message that is not complete: no more than it may have, however many frames
    /// without a payload it comes in.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.min(self.longest)
    }

    /// When the incomplete message began, if there is one.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// Excludes the time from `since` on, in which nothing was read.
    pub(super) fn excuse(&mut self, since: Instant) {
        if let Some(begun) = &mut self.begun {
            *begun += since.elapsed();
        }
    }

    /// A control frame with so many bytes of payload was read: it is no part of a message, and a
    /// caller may send any number of them.
    pub(super) fn passed(&mut self, payload: usize) {
        let frame = CONTROL_HEAD + payload;
        self.unfinished = self.unfinished.saturating_sub(frame);
        if self.unfinished == 0 {
            self.begun = None;
        }
        self.held.shrink(self.unfinished());
    }

    /// Whether reading ended because no memory was left.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// The reservation of a complete message.
    pub(super) fn finished(&mut self) -> Reservation {
        self.unfinished = 0;
        self.begun = None;
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
            let came = buffer.filled().len() - before;
            self.unfinished += came;
            if came > 0 && self.begun.is_none() {
                self.begun = Some(Instant::now());
            }
            let unfinished = self.unfinished();
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::runtime::memory_budget::MemoryBudget;

    #[tokio::test]
    async fn control_frames_give_back_what_they_took_and_a_message_keeps_its_own() {
        let budget = MemoryBudget::new(100);
        let mut metered = Metered::new(&[b'x'; 1000][..], budget.hold(), 100);
        let mut frame = [0; 50];
        for _ in 0..10 {
            metered.read_exact(&mut frame).await.unwrap();
            metered.passed(44);
            assert_eq!(metered.unfinished(), 0);
        }
        metered.read_exact(&mut frame).await.unwrap();
        assert_eq!(metered.unfinished(), 50);
        // Another caller gets only the rest.
        assert!(budget.hold().grow(50).is_ok());
        assert!(budget.hold().grow(51).is_err());
        let message = metered.finished();
        assert!(budget.hold().grow(51).is_err());
        drop(message);
        assert!(budget.hold().grow(100).is_ok());
    }

    #[tokio::test]
    async fn a_message_in_frames_without_payload_takes_no_more_than_a_message_may_have() {
        let budget = MemoryBudget::new(100);
        let mut metered = Metered::new(&[b'x'; 1000][..], budget.hold(), 60);
        metered.read_exact(&mut [0; 1000]).await.unwrap();
        assert_eq!(metered.unfinished(), 60);
        assert!(budget.hold().grow(40).is_ok());
    }
}
