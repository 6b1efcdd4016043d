//! Requests: compressed messages become plain ones.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body::Frame;
use serin_core::fault::{Fault, FaultKind};
use serin_wire::content_coding::{Coding, PieceInflation};
use serin_wire::oip_grpc;

use super::frames::{Cutter, Prefix};
use crate::runtime::Resources;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::memory_budget::Reservation;
use crate::server::inflation::in_turns;

/// Pieces that are handed over before others have their turn on the thread: their reader copies them.
const PIECES_AT_ONCE: u8 = 4;

/// A body whose compressed messages are inflated off the network's threads and within the memory budget.
/// Plain ones pass as they come.
pub(super) struct Inflated {
    body: Body,
    coding: Coding,
    cutter: Cutter,
    state: State,
    /// Of no bytes: where messages count.
    reservation: Reservation,
    cpu_pool: CpuPool,
    /// Most bytes of a message.
    most: usize,
    /// Counts the bytes of compressed messages too: those of a stream are not reserved elsewhere once
    /// they are complete.
    stream: bool,
}

enum State {
    /// Bytes of messages are read.
    Reading,
    /// A plain message is passed on.
    Passing,
    /// A message is inflated.
    Inflating(BoxFuture<'static, Result<Plain, Fault>>),
    /// An inflated message is handed over.
    Giving(Plain),
}

/// An inflated message in pieces, its prefix first.
struct Plain {
    pieces: VecDeque<Bytes>,
    at_once: u8,
    _reservation: Reservation,
}

impl Inflated {
    pub(super) fn new(
        body: Body,
        coding: Coding,
        stream: bool,
        reservation: Reservation,
        resources: &Resources,
    ) -> Self {
        Self {
            body,
            coding,
            cutter: Cutter::default(),
            state: State::Reading,
            reservation,
            cpu_pool: resources.cpu_pool.clone(),
            most: resources.limits.body_bytes,
            stream,
        }
    }

    fn inflate(&self, message: Bytes) -> BoxFuture<'static, Result<Plain, Fault>> {
        let (cpu_pool, length) = (self.cpu_pool.clone(), message.len());
        let compressed = if self.stream { length } else { 0 };
        let mut reservation = self.reservation.another();
        let mut inflation = PieceInflation::new(self.coding, message, self.most);
        let step = move |portion| {
            let reserve = |plain: usize| reservation.grow(compressed.saturating_add(plain));
            let whole = inflation.step(portion, reserve)?;
            let rest = reservation.another();
            Ok(whole.map(|pieces| (pieces, std::mem::replace(&mut reservation, rest))))
        };
        async move {
            let (pieces, mut reservation) = in_turns(length, &cpu_pool, step).await?;
            let length = pieces.iter().map(Bytes::len).sum();
            reservation.shrink(length);
            let prefix = Prefix { flag: 0, length }.bytes();
            let mut pieces = VecDeque::from(pieces);
            pieces.push_front(Bytes::copy_from_slice(&prefix));
            Ok(Plain {
                pieces,
                at_once: 0,
                _reservation: reservation,
            })
        }
        .boxed()
    }

    /// The next state, and bytes to pass on, from what was read; `None` where more must be read.
    fn advance(&mut self) -> Result<Option<Bytes>, Fault> {
        if matches!(self.state, State::Passing) {
            let part = self.cutter.part();
            if !self.cutter.is_open() {
                self.state = State::Reading;
            }
            return Ok(part);
        }
        let Some(prefix) = self.cutter.prefix() else {
            return Ok(None);
        };
        if prefix.flag != 1 {
            // The reader refuses any flag but 0.
            self.state = State::Passing;
            return Ok(Some(Bytes::copy_from_slice(&prefix.bytes())));
        }
        if prefix.length > self.most {
            return Err(too_large(self.most));
        }
        if let Some(message) = self.cutter.message() {
            self.state = State::Inflating(self.inflate(message));
        }
        Ok(None)
    }
}

impl http_body::Body for Inflated {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Inflating(inflating) => match ready!(inflating.as_mut().poll(cx)) {
                    Ok(plain) => this.state = State::Giving(plain),
                    Err(fault) => return failed(&fault),
                },
                State::Giving(plain) if plain.at_once == PIECES_AT_ONCE => {
                    plain.at_once = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Giving(plain) => {
                    plain.at_once += 1;
                    match plain.pieces.pop_front() {
                        Some(piece) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                        None => this.state = State::Reading,
                    }
                }
                State::Reading | State::Passing => {
                    match this.advance() {
                        Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                        Err(fault) => return failed(&fault),
                        Ok(None) => {}
                    }
                    if !matches!(this.state, State::Reading | State::Passing)
                        || this.cutter.has_more()
                    {
                        continue;
                    }
                    match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => this.cutter.push(data),
                            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                        },
                        None if this.cutter.is_open() => return failed(&cut_off()),
                        end => {
                            return Poll::Ready(end.map(|end| end.map_err(BoxError::from)));
                        }
                    }
                }
            }
        }
    }
}

/// An error that tonic finds among the causes and renders.
fn failed(fault: &Fault) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Poll::Ready(Some(Err(oip_grpc::status(fault).into())))
}

fn too_large(most: usize) -> Fault {
    let message = format!("a message may have {most} bytes; send fewer rows at once");
    Fault::new(FaultKind::TooLarge, "payload_too_large", message)
}

fn cut_off() -> Fault {
    let message = "the body ends in the middle of a message";
    Fault::new(FaultKind::Malformed, "malformed_body", message)
}
