//! Admission: whether a request can be answered in time, decided before any work.
//!
//! The queue is bounded in time, not only in number: a request that would be answered after its
//! deadline is refused at once, while its caller can still go elsewhere.

use std::time::Duration;

use serin_core::fault::{Fault, FaultKind};
use serin_engine::batch::{Completion, Rejected, WhenBusy, Work, Worker};

/// Shortest and longest time in a refusal's `retry_after`.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(30);

/// Admits a request that finds `ahead` others waiting or running, each of which takes
/// `per_request`, and has `left` until its deadline.
///
/// # Errors
/// `Timeout` when no time is left, `Overloaded` when the wait would outlast it.
pub fn admit(ahead: usize, per_request: Duration, left: Duration) -> Result<(), Fault> {
    if left.is_zero() {
        return Err(Fault::new(
            FaultKind::Timeout,
            "timeout",
            "the deadline passed before the request could be queued",
        ));
    }
    let wait = per_request.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
    if wait <= left {
        return Ok(());
    }
    let message = format!(
        "the model is busy: {ahead} requests are before this one, which takes about {} ms, \
         {} ms are left until the deadline",
        wait.as_millis(),
        left.as_millis()
    );
    let later = wait.saturating_sub(left).clamp(SOONEST, LATEST);
    Err(Fault::new(FaultKind::Overloaded, "overloaded", message).retry_after(later))
}

/// Runs a request that is admitted. The time that the requests before it will take is not judged
/// for one that may wait: it waits until its deadline.
///
/// # Errors
/// As [`admit`], with the reason `shed`, and as [`Worker::run`].
pub async fn submit(
    worker: &Worker,
    work: Work,
    when_busy: WhenBusy,
) -> Result<Completion, Rejected> {
    let left = work.deadline.saturating_duration_since(work.arrived);
    let ahead = match when_busy {
        WhenBusy::Refuse => worker.ahead_of(work.standing),
        WhenBusy::Wait => 0,
    };
    admit(ahead, worker.per_request(), left).map_err(|fault| Rejected {
        fault,
        reason: Some("shed"),
    })?;
    worker.run(work, when_busy).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::Bytes;
    use serin_core::types::{Datatype, Standing, Tensor, TensorData};
    use serin_engine::batch::WorkerOptions;
    use serin_engine::fake::{Behaviour, FakeEngine, Gate};

    use super::*;

    const TENTH: Duration = Duration::from_millis(100);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_request_that_would_be_late_is_refused_with_a_time_to_retry() {
        assert!(admit(10, TENTH, SECOND).is_ok());
        let fault = admit(11, TENTH, SECOND).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Overloaded);
        assert_eq!(fault.retry_after, Some(TENTH));
        assert!(fault.message.contains("11 requests"), "{fault}");
    }

    #[test]
    fn an_idle_model_is_open_however_slow_it_is() {
        assert!(admit(0, Duration::from_secs(3600), TENTH).is_ok());
    }

    #[test]
    fn a_deadline_that_has_passed_is_a_timeout_whatever_the_queue() {
        let fault = admit(0, Duration::ZERO, Duration::ZERO).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Timeout);
    }

    #[test]
    fn any_queue_length_can_be_judged() {
        assert!(admit(usize::MAX, Duration::from_secs(u64::MAX / 2), SECOND).is_err());
    }

    /// Ends no run until the gate is open; a request is said to cost those behind it an hour.
    fn slow_worker(gate: &Gate) -> Arc<Worker> {
        let options = WorkerOptions {
            name: "fake".to_owned(),
            max_rows: 1,
            optional_inputs: Vec::new(),
            queue: 8,
            per_request: Duration::from_secs(3600),
            observer: Arc::new(()),
        };
        let engine = FakeEngine::new(Behaviour::Held(gate.clone()));
        Arc::new(Worker::start(vec![Box::new(engine)], options).unwrap())
    }

    fn work(time: Duration) -> Work {
        let now = Instant::now();
        Work {
            inputs: vec![Tensor {
                name: "x".to_owned(),
                datatype: Datatype::Uint8,
                shape: vec![1, 1],
                data: TensorData::Raw(Bytes::from_static(b"x")),
            }],
            outputs: vec![0],
            arrived: now,
            deadline: now + time,
            priority: 0,
            standing: Standing::default(),
        }
    }

    #[tokio::test]
    async fn a_request_that_may_wait_is_served_where_another_is_shed() {
        const LONG: Duration = Duration::from_secs(60);
        let gate = Gate::default();
        let worker = slow_worker(&gate);
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let worker = Arc::clone(&worker);
                tokio::spawn(async move { submit(&worker, work(LONG), WhenBusy::Wait).await })
            })
            .collect();
        while worker.counts().running + worker.counts().queued < 2 {
            tokio::task::yield_now().await;
        }
        let shed = submit(&worker, work(LONG), WhenBusy::Refuse)
            .await
            .unwrap_err();
        assert_eq!(
            (shed.fault.kind, shed.reason),
            (FaultKind::Overloaded, Some("shed"))
        );
        let late = submit(&worker, work(Duration::ZERO), WhenBusy::Wait)
            .await
            .unwrap_err();
        assert_eq!(
            (late.fault.kind, late.reason),
            (FaultKind::Timeout, Some("shed"))
        );
        gate.open();
        for request in waiting {
            assert!(request.await.unwrap().is_ok());
        }
    }
}
