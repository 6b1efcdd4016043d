use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::fake::{Behaviour, FakeEngine, Gate};
use serin_core::types::{CallerId, Datatype, TensorData};

fn options(max_rows: usize, queue: usize) -> WorkerOptions {
    WorkerOptions {
        name: "fake".to_owned(),
        max_rows,
        optional_inputs: Vec::new(),
        queue,
        per_request: Duration::ZERO,
        observer: Arc::new(()),
    }
}

fn start(behaviour: Behaviour, options: WorkerOptions) -> Arc<Worker> {
    Arc::new(Worker::start(vec![Box::new(FakeEngine::new(behaviour))], options).unwrap())
}

fn worker(behaviour: Behaviour, max_rows: usize, queue: usize) -> Arc<Worker> {
    start(behaviour, options(max_rows, queue))
}

/// A worker whose engine ends no run until the gate is open.
fn held(options: WorkerOptions) -> (Gate, Arc<Worker>) {
    let gate = Gate::default();
    let worker = start(Behaviour::Held(gate.clone()), options);
    (gate, worker)
}

/// Counts what a worker reports.
#[derive(Default)]
struct Counting {
    waiting: AtomicUsize,
    runs: AtomicUsize,
    rows: AtomicUsize,
    answered: AtomicUsize,
    rejected: Mutex<Vec<&'static str>>,
}

impl Observer for Counting {
    fn enqueued(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    fn dequeued(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn rejected(&self, reason: &'static str) {
        self.rejected.lock().unwrap().push(reason);
    }

    fn ran(&self, rows: usize) {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.rows.fetch_add(rows, Ordering::SeqCst);
    }

    fn answered(&self, run: &Execution) {
        let requests = usize::try_from(run.requests).unwrap();
        self.answered.fetch_add(requests, Ordering::SeqCst);
    }
}

impl Counting {
    /// Waiting requests, runs, rows of runs, answered requests.
    fn counts(&self) -> [usize; 4] {
        [&self.waiting, &self.runs, &self.rows, &self.answered]
            .map(|count| count.load(Ordering::SeqCst))
    }
}

fn work(rows: &[[u8; 2]]) -> Work {
    Work {
        inputs: vec![Tensor {
            name: "x".to_owned(),
            datatype: Datatype::Uint8,
            shape: vec![i64::try_from(rows.len()).unwrap(), 2],
            data: TensorData::Raw(Bytes::from(rows.concat())),
        }],
        outputs: vec![0],
        arrived: Instant::now(),
        deadline: Instant::now() + Duration::from_secs(30),
        priority: 0,
        standing: Standing::default(),
    }
}

/// A request that is refused where there is no room.
async fn run(worker: &Worker, work: Work) -> Result<Completion, Fault> {
    let ran = worker.run(work, WhenBusy::Refuse).await;
    ran.map_err(|rejected| rejected.fault)
}

fn bytes(answer: &Completion) -> Vec<u8> {
    match &answer.outputs[0].data {
        TensorData::Raw(bytes) => bytes.to_vec(),
        TensorData::Elements(_) => panic!("not fixed-width"),
    }
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    use std::task::Poll;
    std::future::poll_fn(
        |context| match std::pin::Pin::new(&mut *future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        },
    )
    .await
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Fills the engine with one request, so that what follows is queued.
async fn occupy(worker: &Arc<Worker>) -> tokio::task::JoinHandle<Result<Completion, Fault>> {
    let task = tokio::spawn({
        let worker = Arc::clone(worker);
        async move { run(&worker, work(&[[0, 0]])).await }
    });
    until("the first request runs", || worker.counts().running == 1).await;
    task
}

#[tokio::test]
async fn what_is_queued_runs_together_and_everybody_gets_their_own_rows() {
    let (gate, worker) = held(options(64, 256));
    let first = occupy(&worker).await;
    let tasks: Vec<_> = (1..=10u8)
        .map(|n| {
            let worker = Arc::clone(&worker);
            let rows: Vec<[u8; 2]> = (0..n % 3 + 1).map(|row| [n, row]).collect();
            tokio::spawn(async move { (run(&worker, work(&rows)).await.unwrap(), rows.concat()) })
        })
        .collect();
    until("all are queued", || worker.counts().queued == 10).await;
    gate.open();
    for task in tasks {
        let (answer, rows) = task.await.unwrap();
        assert_eq!(bytes(&answer), rows);
        assert_eq!(answer.timing.batch_rows, 20);
        // The first request was run 0; these share the next one and the joining of their rows.
        assert_eq!(answer.timing.run, 1);
        assert!(!answer.timing.batch.is_zero());
    }
    first.await.unwrap().unwrap();
    let counts = worker.counts();
    assert_eq!((counts.queued, counts.running), (0, 0));
    assert_eq!((counts.executions, counts.rows), (2, 21));
    assert!(!counts.per_request.is_zero(), "{counts:?}");
}

#[tokio::test]
async fn only_the_request_at_fault_of_a_batch_fails() {
    for (behaviour, kind) in [
        (Behaviour::FailOn(9), FaultKind::Inference),
        (Behaviour::PanicOn(9), FaultKind::Internal),
    ] {
        let worker = worker(behaviour, 64, 256);
        let tasks: Vec<_> = [1u8, 9, 2, 3]
            .map(|n| {
                let worker = Arc::clone(&worker);
                tokio::spawn(async move { (n, run(&worker, work(&[[n, n]])).await) })
            })
            .into_iter()
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                (9, result) => assert_eq!(result.unwrap_err().kind, kind),
                (n, result) => assert_eq!(bytes(&result.unwrap()), [n, n]),
            }
        }
    }
}

#[tokio::test]
async fn a_worker_whose_run_breaks_outside_of_the_engine_goes_on() {
    let worker = worker(Behaviour::PanicTwiceOn(9), 64, 256);
    for _ in 0..3 {
        let fault = run(&worker, work(&[[9, 9]])).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Internal);
        let answer = run(&worker, work(&[[1, 1]])).await.unwrap();
        assert_eq!(bytes(&answer), [1, 1]);
    }
    until("nothing runs", || worker.counts().running == 0).await;
}

#[tokio::test]
async fn a_caller_that_leaves_the_queue_is_never_run() {
    let (gate, worker) = held(options(1, 256));
    let first = occupy(&worker).await;
    let second = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { run(&worker, work(&[[1, 1]])).await }
    });
    until("the second is queued", || worker.counts().queued == 1).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    gate.open();
    first.await.unwrap().unwrap();
    run(&worker, work(&[[2, 2]])).await.unwrap();
    assert_eq!(worker.counts().executions, 2);
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_is_stopped() {
    let worker = worker(Behaviour::Slow(Duration::from_secs(3600)), 64, 256);
    occupy(&worker).await.abort();
    until("the run was stopped", || worker.counts().running == 0).await;
}

#[tokio::test]
async fn a_passed_deadline_is_a_timeout_and_stops_the_run() {
    let worker = worker(Behaviour::Slow(Duration::from_secs(3600)), 64, 256);
    let mut late = work(&[[1, 1]]);
    late.deadline = Instant::now() + Duration::from_millis(50);
    assert_eq!(
        run(&worker, late).await.unwrap_err().kind,
        FaultKind::Timeout
    );
    until("the run was stopped", || worker.counts().running == 0).await;
}

#[tokio::test]
async fn a_request_that_is_late_before_it_starts_is_not_computed() {
    let worker = worker(Behaviour::Echo, 64, 256);
    let mut late = work(&[[1, 1]]);
    late.deadline = Instant::now();
    assert_eq!(
        run(&worker, late).await.unwrap_err().kind,
        FaultKind::Timeout
    );
    run(&worker, work(&[[2, 2]])).await.unwrap();
    assert_eq!(worker.counts().executions, 1);
}

#[tokio::test]
async fn a_full_queue_refuses_and_says_when_to_come_back() {
    let (gate, worker) = held(options(1, 1));
    let first = occupy(&worker).await;
    let second = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { run(&worker, work(&[[1, 1]])).await }
    });
    until("the second is queued", || worker.counts().queued == 1).await;
    let rejected = worker.run(work(&[[2, 2]]), WhenBusy::Refuse).await;
    let rejected = rejected.unwrap_err();
    assert_eq!(rejected.reason, Some("full"));
    assert_eq!(rejected.fault.kind, FaultKind::Overloaded);
    assert!(rejected.fault.retry_after.is_some());
    gate.open();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_that_wait_are_all_served_in_the_order_they_came() {
    const HELD: Duration = Duration::from_millis(10);
    let (gate, worker) = held(options(1, 1));
    let first = occupy(&worker).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for n in 1..=8u8 {
        let (worker, order) = (Arc::clone(&worker), Arc::clone(&order));
        let mut request = Box::pin(async move {
            let answer = worker.run(work(&[[n, n]]), WhenBusy::Wait).await.unwrap();
            order.lock().unwrap().push(n);
            answer
        });
        // Polled once: the request has come, and waits for a permit or in the queue.
        assert!(poll_once(&mut request).await.is_none());
        waiting.push(tokio::spawn(request));
    }
    assert_eq!(worker.counts().queued, 1);
    let all_wait = Instant::now();
    until("they have waited", || all_wait.elapsed() >= HELD).await;
    gate.open();
    first.await.unwrap().unwrap();
    let mut ran = Vec::new();
    for (request, n) in waiting.into_iter().zip(1u8..) {
        let answer = request.await.unwrap();
        assert_eq!(bytes(&answer), [n, n]);
        ran.push((answer.timing.run, answer.timing.queue));
    }
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    for (at, (run, queued)) in ran.iter().enumerate() {
        assert_eq!(*run, at as u64 + 1, "the order of the runs");
        // The wait for a permit counts as time in the queue.
        assert!(*queued >= HELD, "{queued:?}");
    }
}

#[tokio::test]
async fn a_request_that_waits_is_not_overtaken_by_one_that_would_be_refused() {
    let (gate, worker) = held(options(1, 2));
    let first = occupy(&worker).await;
    let of = |caller: u64, n: u8| {
        let mut work = work(&[[n, n]]);
        work.standing.caller = CallerId(caller);
        work
    };
    let mut second = Box::pin(worker.run(of(1, 1), WhenBusy::Refuse));
    let mut other = Box::pin(worker.run(of(2, 4), WhenBusy::Refuse));
    let mut third = Box::pin(worker.run(of(3, 2), WhenBusy::Wait));
    assert!(poll_once(&mut second).await.is_none());
    assert!(poll_once(&mut other).await.is_none());
    assert!(poll_once(&mut third).await.is_none());
    // The permit of the second is the third's now, which has not run since.
    drop(second);
    assert_eq!(worker.counts().queued, 1);
    let rejected = worker.run(of(4, 3), WhenBusy::Refuse).await;
    assert_eq!(rejected.unwrap_err().reason, Some("full"));
    gate.open();
    first.await.unwrap().unwrap();
    assert_eq!(bytes(&other.await.unwrap()), [4, 4]);
    assert_eq!(bytes(&third.await.unwrap()), [2, 2]);
}

#[tokio::test]
async fn a_request_that_gets_no_permit_by_its_deadline_is_refused() {
    let (gate, worker) = held(options(1, 1));
    let first = occupy(&worker).await;
    let mut second = Box::pin(worker.run(work(&[[1, 1]]), WhenBusy::Refuse));
    assert!(poll_once(&mut second).await.is_none());
    let mut short = work(&[[2, 2]]);
    short.deadline = Instant::now() + Duration::from_millis(50);
    let rejected = worker.run(short, WhenBusy::Wait).await.unwrap_err();
    assert_eq!(
        (rejected.fault.kind, rejected.reason),
        (FaultKind::Overloaded, Some("full"))
    );
    gate.open();
    first.await.unwrap().unwrap();
    assert_eq!(bytes(&second.await.unwrap()), [1, 1]);
}

#[tokio::test]
async fn an_optional_input_makes_a_request_run_alone() {
    let (gate, worker) = held(WorkerOptions {
        optional_inputs: vec!["x".to_owned()],
        ..options(8, 8)
    });
    let first = occupy(&worker).await;
    let tasks = [1, 2].map(|n| {
        let worker = Arc::clone(&worker);
        tokio::spawn(async move { run(&worker, work(&[[n, n]])).await })
    });
    until("both are queued", || worker.counts().queued == 2).await;
    gate.open();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().timing.batch_rows, 1);
    }
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn runs_rows_and_waiting_requests_are_measured() {
    let counting = Arc::new(Counting::default());
    let (gate, worker) = held(WorkerOptions {
        observer: Arc::clone(&counting) as Arc<dyn Observer>,
        ..options(64, 256)
    });
    let first = occupy(&worker).await;
    let second = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { run(&worker, work(&[[1, 1], [2, 2]])).await }
    });
    until("the second request waits", || worker.counts().queued == 1).await;
    assert_eq!(counting.counts()[0], 1);
    gate.open();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(counting.counts(), [0, 2, 3, 2]);
}

#[tokio::test]
async fn queued_requests_that_never_run_are_counted_by_why() {
    let counting = Arc::new(Counting::default());
    let (gate, worker) = held(WorkerOptions {
        observer: Arc::clone(&counting) as Arc<dyn Observer>,
        ..options(1, 4)
    });
    let first = occupy(&worker).await;
    let left = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { run(&worker, work(&[[1, 1]])).await }
    });
    until("a request waits", || worker.counts().queued == 1).await;
    left.abort();
    let mut late = work(&[[2, 2]]);
    late.deadline = Instant::now() + Duration::from_millis(200);
    let fault = run(&worker, late).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout);
    gate.open();
    first.await.unwrap().unwrap();
    run(&worker, work(&[[4, 4]])).await.unwrap();
    let mut rejected = counting.rejected.lock().unwrap().clone();
    rejected.sort_unstable();
    assert_eq!(rejected, ["cancelled", "timeout"]);
}
