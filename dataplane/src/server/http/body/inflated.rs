//! From a compressed body to a plain one, where it may take its time.

use bytes::Bytes;

use crate::runtime::Resources;
use crate::runtime::cpu_pool::INLINE_LIMIT;
use crate::runtime::memory_budget::Reservation;
use crate::server::unary::Received;
use serin_core::fault::Fault;
use serin_wire::content_coding::{Coding, Inflation};

/// Inflates a body. `reservation` covers both forms while both exist. A body above
/// [`INLINE_LIMIT`] is inflated in the CPU pool.
///
/// # Errors
/// `Malformed` for a damaged body, `TooLarge`, `Overloaded`.
pub(super) async fn inflate(
    coding: Coding,
    compressed: Bytes,
    mut reservation: Reservation,
    resources: &Resources,
) -> Result<Received, Fault> {
    let base = compressed.len();
    let mut inflation = Inflation::new(coding, compressed, resources.limits.body_bytes);
    let begun = inflation.begin(INLINE_LIMIT, |plain| {
        reservation.grow(base.saturating_add(plain))
    })?;
    let (bytes, mut reservation) = match begun {
        Some(bytes) => (bytes, reservation),
        None => {
            let finish = move || {
                let bytes =
                    inflation.finish(|plain| reservation.grow(base.saturating_add(plain)))?;
                Ok::<_, Fault>((bytes, reservation))
            };
            resources.cpu_pool.run(finish).await??
        }
    };
    reservation.shrink(bytes.len());
    Ok(Received { bytes, reservation })
}
