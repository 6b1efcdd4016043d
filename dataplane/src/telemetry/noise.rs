//! Numbers for ids: they have to differ from others, not to be a secret.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// 64 bits that differ from any other call's: a keyed hash of a counter, as asking the system for
/// each request's costs a system call.
pub(crate) fn noise() -> u64 {
    thread_local! {
        static NOISE: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    NOISE.with(|(keys, counter)| {
        let count = counter.get();
        counter.set(count.wrapping_add(1));
        keys.hash_one(count)
    })
}
