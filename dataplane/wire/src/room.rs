//! The memory that reading a request takes. Every reader asks for it before it allocates: a number
//! of one byte on the wire takes eight, an empty string thirty-two.

use std::cell::{Cell, RefCell};

use serin_core::fault::{Fault, FaultKind};

/// Elements of a list's first allocation.
const FIRST: usize = 32;

/// Most bytes that are asked for ahead of small copies, so that few of them ask.
const AHEAD: usize = 64 << 10;

/// What a small allocation takes besides its bytes: the allocator rounds up.
const ALLOCATION: usize = 16;

/// Where memory is asked for. Behind a shared reference, so that every reader of a request has it.
trait Reserve {
    fn reserve(&self, total: usize) -> Result<(), Fault>;
}

impl<F: FnMut(usize) -> Result<(), Fault>> Reserve for RefCell<F> {
    fn reserve(&self, total: usize) -> Result<(), Fault> {
        (*self.borrow_mut())(total)
    }
}

/// Reads within memory that `reserve` gives: it is called with the bytes that the request takes in
/// all, before they are allocated. `held` of them it has already, mostly those of its body.
pub fn within<T>(
    held: usize,
    reserve: impl FnMut(usize) -> Result<(), Fault>,
    read: impl FnOnce(&Room<'_>) -> T,
) -> T {
    let from = RefCell::new(reserve);
    read(&Room {
        base: held,
        total: Cell::new(held),
        granted: Cell::new(held),
        from: &from,
    })
}

/// The memory of one request while it is read.
pub struct Room<'r> {
    /// Bytes held before anything was read.
    base: usize,
    /// Bytes taken so far.
    total: Cell<usize>,
    /// Bytes asked for so far.
    granted: Cell<usize>,
    from: &'r dyn Reserve,
}

impl Room<'_> {
    /// Bytes taken so far, those held before included.
    pub fn total(&self) -> usize {
        self.total.get()
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// What the reservation refuses with.
    pub fn take(&self, bytes: usize) -> Result<(), Fault> {
        self.take_ahead(bytes, 0)
    }

    /// Takes a copy of `bytes`, which is one of many: it asks for more than it needs, at most twice
    /// what the request has taken.
    ///
    /// # Errors
    /// What the reservation refuses with.
    pub fn copy(&self, bytes: usize) -> Result<(), Fault> {
        let taken = self.total.get() - self.base;
        self.take_ahead(bytes.saturating_add(ALLOCATION), taken.min(AHEAD))
    }

    fn take_ahead(&self, bytes: usize, ahead: usize) -> Result<(), Fault> {
        let total = self.total.get().saturating_add(bytes);
        self.total.set(total);
        if total > self.granted.get() {
            let wanted = total.saturating_add(ahead);
            self.from.reserve(wanted)?;
            self.granted.set(wanted);
        }
        Ok(())
    }

    /// Gives back what is no longer needed; later allocations of the request may use it.
    pub fn give(&self, bytes: usize) {
        let total = self.total.get().saturating_sub(bytes);
        self.total.set(total.max(self.base));
    }

    /// An empty list with room for exactly `count` elements.
    ///
    /// # Errors
    /// What the reservation refuses with.
    pub fn list<T>(&self, count: usize) -> Result<Vec<T>, Fault> {
        self.take(count.saturating_mul(size_of::<T>()))?;
        Ok(Vec::with_capacity(count))
    }

    /// Makes room in `list` for `more` elements, of `most` in all. The list at least doubles, so that
    /// many small additions cost no more than one large one. While it moves, both exist.
    ///
    /// # Errors
    /// What the reservation refuses with.
    pub fn grow<T>(&self, list: &mut Vec<T>, more: usize, most: usize) -> Result<(), Fault> {
        let needed = list.len().saturating_add(more);
        let capacity = list.capacity();
        if needed > capacity {
            let wanted = needed.max(capacity.saturating_mul(2).max(FIRST).min(most));
            self.take(wanted.saturating_mul(size_of::<T>()))?;
            list.reserve_exact(wanted - list.len());
            self.give(capacity * size_of::<T>());
        }
        Ok(())
    }
}

/// Room for `most` bytes of a look at a body that keeps a name and nothing else.
pub(crate) fn of_a_name(most: usize) -> impl FnMut(usize) -> Result<(), Fault> {
    move |total| {
        if total <= most {
            return Ok(());
        }
        Err(Fault::new(
            FaultKind::Malformed,
            "malformed_body",
            format!("names of members, and the model's, have at most {most} bytes together"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_grows_by_doubling_up_to_the_most_that_it_may_hold() {
        let mut totals = Vec::new();
        let reserve = |total| {
            totals.push(total);
            Ok(())
        };
        within(5, reserve, |room| {
            let mut list: Vec<u64> = Vec::new();
            for value in 0..100 {
                room.grow(&mut list, 1, 100).unwrap();
                list.push(value);
            }
            assert_eq!(room.total(), 5 + 100 * 8);
        });
        // Both lists, while the elements move.
        assert_eq!(totals, [5 + 32 * 8, 5 + 96 * 8, 5 + 164 * 8]);
    }

    #[test]
    fn many_small_copies_ask_seldom_and_never_for_more_than_twice_their_bytes() {
        let mut totals = Vec::new();
        let reserve = |total| {
            totals.push(total);
            Ok(())
        };
        let taken = within(1000, reserve, |room| {
            for _ in 0..100_000 {
                room.copy(16).unwrap();
            }
            room.total() - 1000
        });
        assert!(taken >= 100_000 * 16);
        assert!(totals.len() < 100, "{}", totals.len());
        assert!(totals.last().unwrap() - 1000 <= taken + AHEAD);
    }

    #[test]
    fn what_is_refused_is_not_allocated() {
        within(0, of_a_name(100), |room| {
            assert!(room.list::<u64>(12).is_ok());
            assert_eq!(room.list::<u64>(1).unwrap_err().code, "malformed_body");
            assert!(room.list::<u64>(usize::MAX).is_err());
        });
    }
}
