use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::*;

/// A caller that has sent these requests and ends in the given way; it takes every answer.
struct Caller {
    requests: std::vec::IntoIter<usize>,
    weight: usize,
    /// After the requests: an end, a fault, or nothing at all.
    then: Then,
    taken: Vec<usize>,
    /// Takes this many answers, then none.
    appetite: usize,
}

#[derive(Clone, Copy)]
enum Then {
    End,
    Fail,
    Leave,
    Wait,
}

impl Caller {
    fn of(count: usize, then: Then) -> Self {
        Self {
            requests: (0..count).collect::<Vec<_>>().into_iter(),
            weight: 1,
            then,
            taken: Vec::new(),
            appetite: usize::MAX,
        }
    }
}

impl StreamTransport for Caller {
    type Request = usize;
    type Answer = usize;

    async fn next(&mut self, wants: Demand) -> Incoming<usize> {
        if !wants.requests {
            return std::future::pending().await;
        }
        match (self.requests.next(), self.then) {
            (Some(request), _) => Incoming::Request(request, self.weight),
            (None, Then::End) => Incoming::End,
            (None, Then::Fail) => Incoming::Failed(stopping()),
            (None, Then::Leave) => Incoming::Left,
            (None, Then::Wait) => std::future::pending().await,
        }
    }

    async fn send(&mut self, answers: Vec<usize>) -> Result<(), Disconnected> {
        if self.taken.len() >= self.appetite {
            return std::future::pending().await;
        }
        self.taken.extend(answers);
        Ok(())
    }
}

fn served(requests: usize, delays: &[u8]) -> (Ended, Vec<usize>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut caller = Caller::of(requests, Then::End);
        let ended = serve(&mut caller, &Lifecycle::new(), 1000, |request| {
            let turns = delays.get(request % delays.len().max(1)).copied();
            async move {
                for _ in 0..turns.unwrap_or(0) {
                    tokio::task::yield_now().await;
                }
                request
            }
        })
        .await;
        (ended, caller.taken)
    })
}

proptest! {
    #[test]
    fn answers_come_in_the_order_of_requests_however_long_each_takes(
        count in 0usize..200,
        delays in proptest::collection::vec(0u8..20, 1..10),
    ) {
        let (ended, taken) = served(count, &delays);
        prop_assert!(matches!(ended, Ended::Whole));
        prop_assert_eq!(taken, (0..count).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn at_most_so_many_requests_are_served_at_once_and_reading_stops() {
    let at_once = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(Semaphore::new(0));
    let mut caller = Caller::of(10_000, Then::End);
    let lifecycle = Lifecycle::new();
    {
        let driven = serve(&mut caller, &lifecycle, 1 << 20, |request| {
            let (at_once, go) = (Arc::clone(&at_once), Arc::clone(&go));
            async move {
                at_once.fetch_add(1, Ordering::SeqCst);
                let _permit = go.acquire().await;
                request
            }
        });
        let waited = tokio::time::timeout(Duration::from_millis(50), driven).await;
        assert!(waited.is_err());
    }
    assert_eq!(at_once.load(Ordering::SeqCst), IN_FLIGHT);
    assert!(caller.requests.len() >= 10_000 - IN_FLIGHT - READ_AHEAD / OVERHEAD);
}

#[tokio::test]
async fn a_caller_that_reads_nothing_stops_the_work() {
    let begun = AtomicUsize::new(0);
    let mut caller = Caller::of(10_000, Then::End);
    caller.appetite = 100;
    let lifecycle = Lifecycle::new();
    let driven = serve(&mut caller, &lifecycle, 1 << 20, |request| {
        begun.fetch_add(1, Ordering::SeqCst);
        async move { request }
    });
    let waited = tokio::time::timeout(Duration::from_millis(50), driven).await;
    assert!(waited.is_err());
    assert!(begun.load(Ordering::SeqCst) <= 100 + 2 * IN_FLIGHT);
}

#[tokio::test]
async fn large_requests_are_served_one_at_a_time() {
    let at_once = Arc::new(AtomicUsize::new(0));
    let mut caller = Caller::of(20, Then::End);
    caller.weight = 700;
    let ended = serve(&mut caller, &Lifecycle::new(), 1000, |request| {
        let at_once = Arc::clone(&at_once);
        async move {
            assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
            tokio::task::yield_now().await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            request
        }
    })
    .await;
    assert!(matches!(ended, Ended::Whole));
    assert_eq!(caller.taken.len(), 20);
}

#[tokio::test]
async fn what_came_before_a_failure_is_answered_and_what_came_before_leaving_is_not() {
    let mut caller = Caller::of(5, Then::Fail);
    let ended = serve(&mut caller, &Lifecycle::new(), 1000, |request| async move {
        tokio::task::yield_now().await;
        request
    })
    .await;
    assert!(matches!(ended, Ended::Failed(_)));
    assert_eq!(caller.taken, [0, 1, 2, 3, 4]);
    let mut caller = Caller::of(5, Then::Leave);
    let ended = serve(&mut caller, &Lifecycle::new(), 1000, |_| {
        std::future::pending::<usize>()
    })
    .await;
    assert!(matches!(ended, Ended::Left));
}

#[tokio::test]
async fn a_process_that_stops_waits_for_a_busy_stream_until_its_time_is_up() {
    let lifecycle = Lifecycle::new();
    let cut = Instant::now() + Duration::from_millis(1200);
    lifecycle.finish_by(cut);
    let mut caller = Caller::of(1, Then::Wait);
    let ended = serve(&mut caller, &lifecycle, 1000, |_| {
        std::future::pending::<usize>()
    })
    .await;
    assert!(matches!(ended, Ended::Failed(fault) if fault.message.contains("stopping")));
    assert!(Instant::now() >= cut);
}

#[tokio::test]
async fn a_process_that_stops_ends_a_stream_that_is_quiet() {
    let lifecycle = Lifecycle::new();
    lifecycle.finish_by(Instant::now() + Duration::from_secs(3600));
    let mut caller = Caller::of(0, Then::Wait);
    let ended = serve(
        &mut caller,
        &lifecycle,
        1000,
        |request| async move { request },
    )
    .await;
    assert!(matches!(ended, Ended::Failed(_)));
}

/// What a model has answered is counted when its request goes on; it is not left lying because the
/// caller does not read.
#[tokio::test]
async fn requests_go_on_while_their_caller_reads_nothing() {
    const COUNT: usize = 10;
    let (gate, finished) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut caller = Caller {
        appetite: 0,
        ..Caller::of(COUNT, Then::Wait)
    };
    let lifecycle = Lifecycle::new();
    let serving = serve(&mut caller, &lifecycle, usize::MAX, |request| {
        let (gate, finished) = (Arc::clone(&gate), Arc::clone(&finished));
        async move {
            if request > 0 {
                let _ = gate.acquire().await;
            } else {
                gate.add_permits(COUNT);
            }
            finished.fetch_add(1, Ordering::Relaxed);
            request
        }
    });
    let all = async {
        while finished.load(Ordering::Relaxed) < COUNT {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = serving => panic!("it ends: {ended:?}"),
        all = tokio::time::timeout(Duration::from_secs(20), all) => all.expect("all of them"),
    }
}
