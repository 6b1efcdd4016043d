//! Decompression of bodies and messages without holding a thread for long.
//!
//! The time of a step is bounded by what it reads and by what it writes: a body of empty blocks takes
//! some 0.1 µs for each of its bytes and gives none, a bomb gives a thousand bytes for each.

use serin_core::fault::Fault;
use serin_wire::content_coding::Portion;

use crate::runtime::cpu_pool::{CpuPool, INLINE_LIMIT};

/// What is inflated on a network thread, if the whole body is no larger: at most 1 ms.
const INLINE: Portion = Portion {
    input: 8 << 10,
    output: INLINE_LIMIT,
};

/// What is inflated in one turn of the CPU pool: some milliseconds, after which others have theirs.
const TURN: Portion = Portion {
    input: 64 << 10,
    output: 1 << 20,
};

/// Runs the steps of a decompression of `compressed` bytes until one has a result: here if it is small,
/// else in turns in the CPU pool, so that large bodies delay each other and nothing else. Dropping the
/// future ends it with the current turn.
///
/// # Errors
/// Those of `step`, and those of [`CpuPool::run`].
pub(super) async fn in_turns<T, S>(
    compressed: usize,
    cpu_pool: &CpuPool,
    mut step: S,
) -> Result<T, Fault>
where
    T: Send + 'static,
    S: FnMut(Portion) -> Result<Option<T>, Fault> + Send + 'static,
{
    if compressed <= INLINE.input
        && let Some(done) = step(INLINE)?
    {
        return Ok(done);
    }
    loop {
        let turn = move || step(TURN).map(|done| (done, step));
        let (done, rest) = cpu_pool.run_short(turn).await??;
        if let Some(done) = done {
            return Ok(done);
        }
        step = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Counts its steps, and those on the thread that began it; is done after four.
    fn steps(
        on_this_thread: &Arc<AtomicUsize>,
    ) -> impl FnMut(Portion) -> Result<Option<usize>, Fault> + Send + 'static {
        let (here, on_this_thread) = (thread::current().id(), Arc::clone(on_this_thread));
        let mut steps = 0;
        move |_| {
            steps += 1;
            if thread::current().id() == here {
                on_this_thread.fetch_add(1, Ordering::SeqCst);
            }
            Ok((steps == 4).then_some(steps))
        }
    }

    #[tokio::test]
    async fn only_the_first_step_of_a_small_body_runs_on_the_network_thread() {
        let cpu_pool = CpuPool::new();
        for (compressed, expected) in [(INLINE.input, 1), (INLINE.input + 1, 0)] {
            let here = Arc::default();
            let done = in_turns(compressed, &cpu_pool, steps(&here)).await;
            assert_eq!(done.unwrap(), 4);
            assert_eq!(here.load(Ordering::SeqCst), expected, "{compressed}");
        }
    }

    #[tokio::test]
    async fn others_have_their_turn_between_two_of_a_large_body() {
        let cpu_pool = CpuPool::with_threads(1);
        let never = |_| Ok(None::<()>);
        let other = cpu_pool.clone();
        tokio::select! {
            _ = in_turns(usize::MAX, &cpu_pool, never) => unreachable!("it never ends"),
            done = other.run(|| 7) => assert_eq!(done.unwrap(), 7),
        }
    }
}
