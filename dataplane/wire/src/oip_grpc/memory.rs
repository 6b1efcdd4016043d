//! The memory that decoding a message takes, reserved before it is allocated: a number of one byte
//! on the wire takes eight, an empty string thirty-two.

use serin_core::fault::Fault;

/// Elements of a list's first allocation.
const FIRST: usize = 32;

/// The memory of one message.
pub(super) struct Memory<'r> {
    /// Bytes reserved so far.
    total: usize,
    /// Reserves so many bytes in all.
    reserve: &'r mut dyn FnMut(usize) -> Result<(), Fault>,
}

impl<'r> Memory<'r> {
    /// Reserves the bytes of the message itself.
    ///
    /// # Errors
    /// What `reserve` refuses with.
    pub(super) fn of_message(
        bytes: usize,
        reserve: &'r mut dyn FnMut(usize) -> Result<(), Fault>,
    ) -> Result<Self, Fault> {
        let mut memory = Self { total: 0, reserve };
        memory.take(bytes)?;
        Ok(memory)
    }

    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// What `reserve` refuses with.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        self.total = self.total.saturating_add(bytes);
        (self.reserve)(self.total)
    }

    /// Bytes reserved so far.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Makes room in `list` for `more` elements, of `most` in all. The list at least doubles, so that
    /// many small additions cost no more than one large one.
    ///
    /// # Errors
    /// What `reserve` refuses with.
    pub(super) fn grow<T>(
        &mut self,
        list: &mut Vec<T>,
        more: usize,
        most: usize,
    ) -> Result<(), Fault> {
        let needed = list.len().saturating_add(more);
        let capacity = list.capacity();
        if needed > capacity {
            let wanted = needed.max(capacity.saturating_mul(2).max(FIRST).min(most));
            self.take((wanted - capacity).saturating_mul(size_of::<T>()))?;
            list.reserve_exact(wanted - list.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_grows_by_doubling_up_to_the_most_that_it_may_hold() {
        let mut totals = Vec::new();
        let mut reserve = |total| {
            totals.push(total);
            Ok(())
        };
        let mut memory = Memory::of_message(5, &mut reserve).unwrap();
        let mut list: Vec<u64> = Vec::new();
        for value in 0..100 {
            memory.grow(&mut list, 1, 100).unwrap();
            list.push(value);
        }
        assert_eq!(totals, [5, 5 + 32 * 8, 5 + 64 * 8, 5 + 100 * 8]);
    }
}
