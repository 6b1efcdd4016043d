//! From a compressed body to a plain one, where it may take its time.

use bytes::Bytes;

use super::Received;
use crate::runtime::cpu_pool::{CpuPool, INLINE_LIMIT};
use crate::runtime::memory_budget::Reservation;
use serin_core::fault::Fault;
use serin_wire::content_coding::{Coding, Inflation};

/// Inflates a body that `held` accounts for; both forms are held while both exist. What is larger
/// than [`INLINE_LIMIT`] is inflated off the network's threads.
///
/// # Errors
/// `Malformed` for a damaged body, `TooLarge`, `Overloaded`.
pub(super) async fn inflate(
    coding: Coding,
    compressed: Bytes,
    mut held: Reservation,
    limit: usize,
    heavy: &CpuPool,
) -> Result<Received, Fault> {
    let base = compressed.len();
    let mut inflation = Inflation::new(coding, compressed, limit);
    let begun = inflation.begin(INLINE_LIMIT, |plain| held.grow(base.saturating_add(plain)))?;
    let (bytes, mut held) = match begun {
        Some(bytes) => (bytes, held),
        None => {
            let finish = move || {
                let bytes = inflation.finish(|plain| held.grow(base.saturating_add(plain)))?;
                Ok::<_, Fault>((bytes, held))
            };
            heavy.run(finish).await??
        }
    };
    held.shrink(bytes.len());
    Ok(Received { bytes, held })
}
