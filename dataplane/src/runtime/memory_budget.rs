//! Memory for request bodies, over all requests and protocols.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Extensions;

use crate::runtime::cpu_pool::INLINE_LIMIT;
use serin_core::fault::{Fault, FaultKind};

/// Bytes of request bodies held at once.
#[derive(Debug)]
pub struct MemoryBudget {
    used: AtomicUsize,
    limit: usize,
}

impl MemoryBudget {
    /// A budget of `limit` bytes, of which nothing is taken.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
        })
    }

    /// Counts a large answer until it is sent: the answer's body takes the [`ResponseReservation`] out of
    /// the extensions. A large answer is never refused; a request that comes meanwhile may be.
    pub fn keep(self: &Arc<Self>, bytes: usize, extensions: &mut Extensions) {
        if bytes > INLINE_LIMIT {
            let mut held = self.hold();
            let _ = held.grow(bytes);
            extensions.insert(ResponseReservation(Arc::new(held)));
        }
    }

    /// A reservation of no bytes yet.
    pub fn hold(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// An answer's share of the budget, in an answer's extensions.
#[derive(Clone, Debug)]
pub struct ResponseReservation(#[expect(dead_code, reason = "is only dropped")] Arc<Reservation>);

/// Bytes taken from the budget until dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Reservation {
    /// Nothing yet, of the same budget.
    pub fn another(&self) -> Self {
        self.budget.hold()
    }

    /// Holds `bytes` in all, if that is more than before.
    ///
    /// # Errors
    /// `Overloaded`.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.budget.used.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        if before + more <= self.budget.limit {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Overloaded,
            "overloaded",
            "too many request bodies are being read at once; try again shortly",
        ))
    }

    /// Holds `more` bytes besides those that it has.
    ///
    /// # Errors
    /// `Overloaded`.
    pub fn grow_by(&mut self, more: usize) -> Result<(), Fault> {
        self.grow(self.bytes.saturating_add(more))
    }

    /// Holds no more than `bytes` from now on.
    pub fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.budget.used.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
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
        drop(second);
        assert!(first.grow(100).is_ok());
        first.shrink(30);
        assert_eq!(budget.used.load(Ordering::Relaxed), 30);
        first.shrink(90);
        assert_eq!(budget.used.load(Ordering::Relaxed), 30);
        drop(first);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
