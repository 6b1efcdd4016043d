//! Requests that a busy model has no room for: refused at once, or tried again within their time.

use std::time::{Duration, Instant};

use crate::admission::admit;
use serin_core::fault::{Fault, FaultKind};
use serin_engine::batch::{Answer, Work, Worker};

/// Between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A request that did not run, or failed.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) fault: Fault,
    /// As what it is counted if nobody tries it again; nothing for one that was queued.
    pub(super) reason: Option<&'static str>,
}

/// One try.
///
/// # Errors
/// As [`admit`] and [`Worker::run`].
pub(super) async fn at_once(worker: &Worker, work: Work) -> Result<Answer, Refused> {
    let left = work.deadline.saturating_duration_since(Instant::now());
    let load = worker.counts();
    admit(load.queued + load.running, load.per_request, left).map_err(|fault| Refused {
        fault,
        reason: Some("shed"),
    })?;
    worker.run(work).await.map_err(|fault| Refused {
        reason: (fault.kind == FaultKind::Overloaded).then_some("full"),
        fault,
    })
}

/// Tries until there is room, for as long as the deadline allows.
///
/// # Errors
/// Those of the last try.
pub(super) async fn within_its_time(worker: &Worker, work: &Work) -> Result<Answer, Refused> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let now = Instant::now();
        match at_once(worker, work.clone()).await {
            Err(refused)
                if refused.fault.kind == FaultKind::Overloaded
                    && Instant::now() + pause < work.deadline =>
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => {
                return outcome.map(|mut answer| {
                    answer.timing.queue += now - begun;
                    answer
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;
    use serin_core::types::{Datatype, Tensor, TensorData};
    use serin_engine::batch::WorkerOptions;
    use serin_engine::fake::{Behaviour, FakeEngine, Gate};

    const HELD: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(30);

    /// Ends no run until the gate is open, and has room for one request besides the one that runs.
    fn worker(gate: &Gate) -> Arc<Worker> {
        let options = WorkerOptions {
            name: "fake".to_owned(),
            max_rows: 1,
            optional_inputs: Vec::new(),
            queue: 1,
            per_request: Duration::ZERO,
            observer: Arc::new(()),
        };
        let engine = FakeEngine::new(Behaviour::Held(gate.clone()));
        Arc::new(Worker::start(vec![Box::new(engine)], options).unwrap())
    }

    fn work(time: Duration) -> Work {
        Work {
            inputs: vec![Tensor {
                name: "x".to_owned(),
                datatype: Datatype::Uint8,
                shape: vec![1, 1],
                data: TensorData::Raw(Bytes::from_static(b"x")),
            }],
            outputs: vec![0],
            deadline: Instant::now() + time,
            priority: 0,
        }
    }

    #[tokio::test]
    async fn every_patient_request_is_answered_where_impatient_ones_are_refused() {
        let gate = Gate::default();
        let worker = worker(&gate);
        let asked = Arc::new(AtomicUsize::new(0));
        let patient: Vec<_> = (0..8)
            .map(|_| {
                let (worker, asked) = (Arc::clone(&worker), Arc::clone(&asked));
                tokio::spawn(async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    within_its_time(&worker, &work(LONG)).await.unwrap()
                })
            })
            .collect();
        let full = || worker.counts().running == 1 && worker.counts().queued == 1;
        while asked.load(Ordering::Relaxed) < 8 || !full() {
            tokio::task::yield_now().await;
        }
        let hasty = at_once(&worker, work(LONG)).await.unwrap_err();
        assert_eq!(hasty.reason, Some("full"));
        tokio::time::sleep(HELD).await;
        gate.open();
        let mut waited = 0;
        for answer in patient {
            if answer.await.unwrap().timing.queue >= HELD {
                waited += 1;
            }
        }
        // All but the one that ran, in the queue or before it.
        assert_eq!(waited, 7);
    }

    #[tokio::test]
    async fn a_patient_request_gives_up_before_its_deadline() {
        let worker = worker(&Gate::default());
        let begin = || {
            let worker = Arc::clone(&worker);
            tokio::spawn(async move { at_once(&worker, work(LONG)).await.is_ok() })
        };
        let runs = begin();
        while worker.counts().running == 0 {
            tokio::task::yield_now().await;
        }
        let waits = begin();
        while worker.counts().queued == 0 {
            tokio::task::yield_now().await;
        }
        let short = work(Duration::from_millis(50));
        let refused = within_its_time(&worker, &short).await.unwrap_err();
        assert_eq!(
            (refused.fault.kind, refused.reason),
            (FaultKind::Overloaded, Some("full"))
        );
        runs.abort();
        waits.abort();
    }
}
