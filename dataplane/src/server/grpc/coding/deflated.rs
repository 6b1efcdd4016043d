//! Answers: messages that become smaller thereby are compressed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body::Frame;
use serin_core::fault::Fault;
use serin_wire::content_coding::{self, Coding, WORTHWHILE_BYTES};

use super::frames::{Cutter, Prefix};
use crate::runtime::cpu_pool::{CpuPool, INLINE_LIMIT};

/// A body whose messages are compressed; large ones in the CPU pool.
pub(super) struct Deflated {
    body: Body,
    coding: Coding,
    cutter: Cutter,
    cpu_pool: CpuPool,
    packing: Option<BoxFuture<'static, Result<Message, Fault>>>,
    /// The message behind the prefix that was sent last.
    behind: Option<Bytes>,
}

/// A message, and whether it is compressed.
struct Message {
    bytes: Bytes,
    flag: u8,
}

impl Deflated {
    pub(super) fn new(body: Body, coding: Coding, cpu_pool: CpuPool) -> Self {
        Self {
            body,
            coding,
            cutter: Cutter::default(),
            cpu_pool,
            packing: None,
            behind: None,
        }
    }

    /// Sends a message: its prefix, and then what is behind it.
    fn send(&mut self, message: Message) -> Bytes {
        let prefix = Prefix {
            flag: message.flag,
            length: message.bytes.len(),
        };
        if message.bytes.len() <= INLINE_LIMIT {
            return [&prefix.bytes()[..], &message.bytes].concat().into();
        }
        self.behind = Some(message.bytes);
        Bytes::copy_from_slice(&prefix.bytes())
    }

    /// The next bytes of what was read; `None` where more must be read, or a message is being packed.
    fn advance(&mut self) -> Option<Bytes> {
        let flag = self.cutter.prefix()?.flag;
        let bytes = self.cutter.message()?;
        if flag != 0 || bytes.len() < WORTHWHILE_BYTES {
            return Some(self.send(Message { bytes, flag }));
        }
        let coding = self.coding;
        if bytes.len() <= INLINE_LIMIT {
            return Some(self.send(pack(bytes, coding)));
        }
        let cpu_pool = self.cpu_pool.clone();
        let packing = async move { cpu_pool.run(move || pack(bytes, coding)).await };
        self.packing = Some(packing.boxed());
        None
    }
}

fn pack(bytes: Bytes, coding: Coding) -> Message {
    match content_coding::compress(&bytes, coding, bytes.len() - 1) {
        Some(packed) => Message {
            bytes: packed.into(),
            flag: 1,
        },
        None => Message { bytes, flag: 0 },
    }
}

impl http_body::Body for Deflated {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(behind) = this.behind.take() {
                return Poll::Ready(Some(Ok(Frame::data(behind))));
            }
            if let Some(packing) = &mut this.packing {
                let packed = ready!(packing.as_mut().poll(cx));
                this.packing = None;
                let bytes = packed.map(|message| this.send(message));
                return Poll::Ready(Some(bytes.map(Frame::data).map_err(axum::Error::new)));
            }
            if let Some(bytes) = this.advance() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.packing.is_some() {
                continue;
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.cutter.push(data),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
    }
}
