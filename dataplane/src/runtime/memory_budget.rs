//! Memory for requests, from their first byte to the last byte of their answers, over all protocols.
//!
//! What is not there is refused before it is allocated. One request, and one connection, holds at
//! most a share; large requests leave a part for small ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Extensions;

use serin_core::fault::{Fault, FaultKind};
use serin_wire::room::{Room, within};

/// Requests up to this size may take what large ones must leave.
const SMALL: usize = 64 << 10;

/// A part of the budget is for small requests alone: an eighth.
const FOR_SMALL: usize = 8;

/// Answers up to this size are within what a connection or an HTTP/2 stream holds itself: see
/// [`MemoryPlan`](super::memory_plan::MemoryPlan).
pub const SMALL_ANSWER: usize = 16 << 10;

/// Memory is counted in steps of this many bytes at most, so that a small request is counted once
/// when it comes and once when it goes.
const STEP: usize = 4 << 10;

/// Bytes of requests and answers held at once.
#[derive(Debug)]
pub struct MemoryBudget {
    used: AtomicUsize,
    limit: usize,
    /// What large requests may use of it.
    for_large: usize,
    /// What one request, or one connection, may hold.
    one: usize,
    step: usize,
}

impl MemoryBudget {
    /// A budget of `limit` bytes, of which one request may have all.
    pub fn new(limit: usize) -> Arc<Self> {
        Self::shared(limit, limit)
    }

    /// A budget of `limit` bytes. One request may have half, and `body` bytes in any case.
    pub fn shared(limit: usize, body: usize) -> Arc<Self> {
        let for_large = limit - limit / FOR_SMALL;
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
            for_large: for_large.max(body.min(limit)).min(usize::MAX / 2),
            // No sum of a few of them overflows.
            one: (limit / 2).max(body).min(usize::MAX / 4),
            step: (limit / 1024).clamp(1, STEP),
        })
    }

    /// Counts an answer that was made within the memory of its request, until its caller has taken
    /// it. It is not refused any more; a request that comes meanwhile may be.
    pub fn keep(self: &Arc<Self>, bytes: usize, extensions: &mut Extensions) {
        if bytes > SMALL_ANSWER {
            let mut held = self.hold();
            self.used.fetch_add(bytes, Ordering::Relaxed);
            (held.bytes, held.taken) = (bytes, bytes);
            held.keep(extensions);
        }
    }

    /// A reservation of no bytes yet.
    pub fn hold(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            share: None,
            bytes: 0,
            taken: 0,
        }
    }

    /// The share of a connection or a stream, of which several requests hold parts.
    pub fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share {
            budget: Arc::clone(self),
            used: AtomicUsize::new(0),
        })
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that one request may hold.
    pub fn one(&self) -> usize {
        self.one.min(self.limit)
    }
}

/// What the requests of one connection or stream hold together: as much as one request may.
#[derive(Debug)]
pub struct Share {
    budget: Arc<MemoryBudget>,
    used: AtomicUsize,
}

impl Share {
    /// A reservation of no bytes yet, which counts in this share too.
    pub fn hold(self: &Arc<Self>) -> Reservation {
        let mut held = self.budget.hold();
        held.share = Some(Arc::clone(self));
        held
    }
}

/// An answer's share of the budget, in an answer's extensions.
#[derive(Clone, Debug)]
pub struct ResponseReservation(#[expect(dead_code, reason = "is only dropped")] Arc<Reservation>);

/// Bytes taken from the budget until dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    share: Option<Arc<Share>>,
    /// Bytes asked for.
    bytes: usize,
    /// Bytes counted: a whole number of steps.
    taken: usize,
}

impl Reservation {
    /// Nothing yet, of the same budget and share.
    pub fn another(&self) -> Self {
        Self {
            budget: Arc::clone(&self.budget),
            share: self.share.clone(),
            bytes: 0,
            taken: 0,
        }
    }

    /// Holds `bytes` in all, if that is more than before. What is refused is not counted.
    ///
    /// # Errors
    /// `Overloaded`, and `TooLarge` for more than one request may ever have.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        if bytes <= self.bytes {
            return Ok(());
        }
        if bytes > self.taken {
            let budget = &self.budget;
            if bytes > budget.one {
                return Err(too_large(budget.one));
            }
            let wanted = bytes.next_multiple_of(budget.step);
            self.take(wanted - self.taken, wanted)?;
            self.taken = wanted;
        }
        self.bytes = bytes;
        Ok(())
    }

    fn take(&self, more: usize, wanted: usize) -> Result<(), Fault> {
        let budget = &self.budget;
        if let Some(share) = &self.share
            && share.used.fetch_add(more, Ordering::Relaxed) + more > budget.one.max(budget.step)
        {
            share.used.fetch_sub(more, Ordering::Relaxed);
            return Err(overloaded(
                "this connection holds its share of the memory for requests already; wait for its answers, and read them",
            ));
        }
        let most = if wanted <= SMALL {
            budget.limit
        } else {
            budget.for_large
        };
        if budget.used.fetch_add(more, Ordering::Relaxed) + more <= most {
            return Ok(());
        }
        self.uncount(more);
        Err(overloaded(
            "too many request bodies and answers are held at once; try again shortly",
        ))
    }

    fn uncount(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(share) = &self.share {
            share.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Holds `more` bytes besides those that it has.
    ///
    /// # Errors
    /// As [`Reservation::grow`].
    pub fn grow_by(&mut self, more: usize) -> Result<(), Fault> {
        self.grow(self.bytes.saturating_add(more))
    }

    /// Holds no more than `bytes` from now on.
    pub fn shrink(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.bytes = bytes;
            let taken = bytes.next_multiple_of(self.budget.step).min(self.taken);
            self.uncount(self.taken - taken);
            self.taken = taken;
        }
    }

    /// Holds exactly `bytes` from now on.
    ///
    /// # Errors
    /// As [`Reservation::grow`].
    pub fn resize(&mut self, bytes: usize) -> Result<(), Fault> {
        self.shrink(bytes);
        self.grow(bytes)
    }

    /// Reads a request whose bytes this reservation holds; what it becomes is reserved before it is
    /// allocated.
    ///
    /// # Errors
    /// Those of `read`, and of [`Reservation::grow`].
    pub fn read<T>(
        &mut self,
        read: impl FnOnce(&Room<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        within(self.bytes, |total| self.grow(total), read)
    }

    /// Holds an answer until its caller has taken it: the answer's body takes the
    /// [`ResponseReservation`] out of the extensions. A small answer is within what its connection or
    /// stream holds anyway.
    pub fn keep(self, extensions: &mut Extensions) {
        if self.bytes > SMALL_ANSWER {
            extensions.insert(ResponseReservation(Arc::new(self)));
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same bytes, which hold this reservation until the last part of them is dropped.
    pub fn attached(self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        Bytes::from_owner(Attached { bytes, _held: self })
    }
}

/// Bytes and what is dropped with them.
pub struct Attached<T> {
    bytes: Bytes,
    _held: T,
}

impl<T> Attached<T> {
    /// `bytes`, which drop `held` with their last part.
    pub fn new(bytes: Bytes, held: T) -> Self {
        Self { bytes, _held: held }
    }
}

impl<T> AsRef<[u8]> for Attached<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.uncount(self.taken);
    }
}

fn overloaded(message: &str) -> Fault {
    Fault::new(FaultKind::Overloaded, "overloaded", message)
}

fn too_large(one: usize) -> Fault {
    Fault::new(
        FaultKind::TooLarge,
        "payload_too_large",
        format!(
            "the request, or its answer, takes more than the {} KiB of memory that one may have here: send fewer rows at once, or in binary, or give the container more memory",
            one >> 10
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_given_back() {
        let budget = MemoryBudget::new(100);
        let mut first = budget.hold();
        assert!(first.grow(60).is_ok());
        let mut second = budget.hold();
        assert_eq!(second.grow(60).unwrap_err().kind, FaultKind::Overloaded);
        assert_eq!(budget.used(), 60, "what is refused is not counted");
        drop(second);
        assert!(first.grow(100).is_ok());
        first.shrink(30);
        assert_eq!(budget.used(), 30);
        first.shrink(90);
        assert_eq!(budget.used(), 30);
        first.resize(40).unwrap();
        assert_eq!(budget.used(), 40);
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    const MIB: usize = 1 << 20;

    #[test]
    fn large_requests_leave_room_for_small_ones() {
        let budget = MemoryBudget::shared(64 * MIB, MIB);
        let mut large: Vec<_> = (0..56).map(|_| budget.hold()).collect();
        for one in &mut large {
            one.grow(MIB).unwrap();
        }
        assert!(budget.hold().grow(MIB).is_err());
        let mut small: Vec<_> = (0..128).map(|_| budget.hold()).collect();
        for one in &mut small {
            one.grow(SMALL).unwrap();
        }
        assert!(budget.hold().grow(1).is_err());
    }

    #[test]
    fn one_request_and_one_connection_hold_at_most_a_share() {
        let budget = MemoryBudget::shared(64 * MIB, MIB);
        let fault = budget.hold().grow(32 * MIB + 1).unwrap_err();
        assert_eq!(fault.kind, FaultKind::TooLarge);
        let connection = budget.share();
        let (mut first, mut second) = (connection.hold(), connection.hold());
        first.grow(20 * MIB).unwrap();
        let fault = second.grow(20 * MIB).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Overloaded);
        budget.hold().grow(20 * MIB).unwrap();
        drop(first);
        second.grow(20 * MIB).unwrap();
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_of_the_largest_size_fits_whatever_the_share() {
        let budget = MemoryBudget::shared(10 * MIB, 9 * MIB);
        budget.hold().grow(9 * MIB).unwrap();
        assert!(budget.hold().grow(9 * MIB + 1).is_err());
    }

    #[test]
    fn bytes_hold_their_reservation_until_their_last_part_is_dropped() {
        let budget = MemoryBudget::new(100);
        let mut held = budget.hold();
        held.grow(50).unwrap();
        let mut whole = held.attached(Bytes::from(vec![7; 50]));
        let tail = whole.split_off(20);
        drop(whole);
        assert_eq!(budget.used(), 50);
        drop(tail);
        assert_eq!(budget.used(), 0);
    }
}
