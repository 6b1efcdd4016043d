//! From a compressed body to a plain one.

use bytes::Bytes;

use crate::runtime::Resources;
use crate::runtime::memory_budget::Reservation;
use crate::server::inflation::in_turns;
use crate::server::unary::Received;
use serin_core::fault::Fault;
use serin_wire::content_coding::{Coding, Inflation};

/// Inflates a body. `reservation` covers both forms while both exist.
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
    let step = move |portion| {
        let reserve = |plain: usize| reservation.grow(base.saturating_add(plain));
        let whole = inflation.step(portion, reserve)?;
        let rest = reservation.another();
        Ok(whole.map(|bytes| (bytes, std::mem::replace(&mut reservation, rest))))
    };
    let (bytes, mut reservation) = in_turns(base, &resources.cpu_pool, step).await?;
    reservation.shrink(bytes.len());
    Ok(Received { bytes, reservation })
}

#[cfg(test)]
mod tests {
    use serin_core::Limits;
    use serin_core::fault::FaultKind;

    use super::*;
    use crate::runtime::cpu_pool::CpuPool;

    /// The network's thread is the only one of this runtime. Stored blocks without content give no byte,
    /// however many there are.
    #[tokio::test]
    async fn a_body_that_gives_nothing_holds_no_network_thread() {
        let resources = Resources::new(Limits::default(), CpuPool::with_threads(0));
        // The pool is taken until another request has been answered.
        let (finish, taken) = std::sync::mpsc::channel::<()>();
        let pool = resources.cpu_pool.clone();
        let occupied = tokio::spawn(async move { pool.run_short(move || taken.recv()).await });
        tokio::task::yield_now().await;
        let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        body.extend([0, 0, 0, 0xff, 0xff].repeat(100_000));
        let reservation = resources.memory.hold();
        let inflating = tokio::spawn(async move {
            inflate(Coding::Gzip, body.into(), reservation, &resources).await
        });
        for _ in 0..10 {
            // Another request on this thread.
            tokio::task::yield_now().await;
        }
        assert!(!inflating.is_finished());
        finish.send(()).unwrap();
        occupied.await.unwrap().unwrap().unwrap();
        let refused = inflating.await.unwrap().err().unwrap();
        assert_eq!(refused.kind, FaultKind::Malformed);
    }
}
