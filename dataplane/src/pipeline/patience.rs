//! Requests that a busy model has no room for: refused at once, or tried again within their time.

use std::time::{Duration, Instant};

use crate::admission::admit;
use crate::batch::{Answer, Work, Worker};
use crate::fault::{Fault, FaultKind};

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

    use bytes::Bytes;

    use super::*;
    use crate::batch::WorkerOptions;
    use crate::engine::fake::{Behaviour, FakeEngine};
    use crate::telemetry::Metrics;
    use crate::types::{Datatype, Tensor, TensorData};

    const RUN: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(30);

    /// Takes so long for a run, and has room for one request besides the one that runs.
    fn worker(run: Duration) -> Arc<Worker> {
        let metrics = Metrics::new([("fake".to_owned(), "1".to_owned())]);
        let options = WorkerOptions {
            name: "fake".to_owned(),
            max_rows: 1,
            optional_inputs: Vec::new(),
            queue: 1,
            per_request: Duration::ZERO,
            metrics: Arc::clone(metrics.model("fake", None)),
            statistics: Arc::default(),
        };
        let engine = FakeEngine::new(Behaviour::Slow(run));
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
        let shared = worker(RUN);
        let ask = |patient: bool| {
            let worker = Arc::clone(&shared);
            tokio::spawn(async move {
                match patient {
                    true => within_its_time(&worker, &work(LONG)).await,
                    false => at_once(&worker, work(LONG)).await,
                }
            })
        };
        let patient: Vec<_> = (0..8).map(|_| ask(true)).collect();
        let mut waited = Duration::ZERO;
        for asked in patient {
            let answer = asked.await.unwrap().unwrap();
            waited = waited.max(answer.timing.queue);
        }
        // The last of them waited for all others, in the queue or before it.
        assert!(waited >= 6 * RUN, "{waited:?}");
        let hasty: Vec<_> = (0..8).map(|_| ask(false)).collect();
        let mut refused = 0;
        for asked in hasty {
            if let Err(error) = asked.await.unwrap() {
                assert_eq!(error.reason, Some("full"));
                refused += 1;
            }
        }
        assert!(refused > 0);
    }

    #[tokio::test]
    async fn a_patient_request_gives_up_before_its_deadline() {
        let worker = worker(LONG);
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
