use std::task::Poll;

use bytes::Bytes;
use proptest::prelude::*;
use serin_core::types::{CallerId, Datatype, Tensor, TensorData};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A request comes, and is queued where a permit is free.
    Come,
    /// The caller of one of the requests so far leaves.
    Leave(prop::sample::Index),
    /// The engine takes what runs next, and begins the run.
    Run,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Come),
        3 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => Just(Step::Run),
    ]
}

fn of(caller: u64) -> Standing {
    Standing {
        caller: CallerId(caller),
        preferred: false,
    }
}

fn entry(permit: QueuePermit, waiter: &Arc<Waiter>, caller: u64) -> Entry {
    Entry {
        place: Place {
            standing: of(caller),
            ..Place::default()
        },
        work: Work {
            inputs: vec![Tensor {
                name: "x".to_owned(),
                datatype: Datatype::Uint8,
                shape: vec![1],
                data: TensorData::Raw(Bytes::from_static(&[0])),
            }],
            outputs: Vec::new(),
            arrived: Instant::now(),
            deadline: Instant::now() + std::time::Duration::from_secs(60),
            priority: 0,
            standing: Standing::default(),
        },
        mergeable: None,
        permit: Some(permit),
        waiter: Arc::clone(waiter),
        reply: oneshot::channel().0,
        runtime: Handle::current(),
    }
}

proptest! {
    #[test]
    fn the_queue_is_bounded_and_loses_no_permit_although_callers_leave(
        steps in prop::collection::vec(step(), 0..80),
        capacity in 1usize..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _runtime = runtime.enter();
        let queue = Queue::new(capacity, Arc::new(()));
        let mut callers: Vec<(Arc<Waiter>, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Come => {
                    let waiting = callers.iter().filter(|(_, waits)| *waits).count();
                    let number = callers.len() as u64;
                    let permit = queue.try_permit(of(number));
                    prop_assert_eq!(permit.is_some(), waiting < capacity);
                    if let Some(permit) = permit {
                        let caller = Arc::new(Waiter::default());
                        queue.push(entry(permit, &caller, number));
                        callers.push((caller, true));
                    }
                }
                Step::Leave(index) => {
                    let at = index.index(callers.len().max(1));
                    if let Some((caller, waits)) = callers.get_mut(at) {
                        if !caller.leave() {
                            queue.remove_left();
                        }
                        *waits = false;
                    }
                }
                Step::Run => {
                    if queue.len() > 0 {
                        let mut entries = queue.take(1).unwrap();
                        let run = Run::begin(&mut entries);
                        prop_assert!(run.is_some());
                        for (caller, waits) in &mut callers {
                            *waits &= !Arc::ptr_eq(caller, &entries[0].waiter);
                        }
                    }
                }
            }
            prop_assert!(queue.len() <= capacity);
            prop_assert_eq!(queue.len() + queue.permits.available_permits(), capacity);
        }
    }
}

fn wait_as(queue: &Queue, caller: u64) -> Option<Arc<Waiter>> {
    let waiter = Arc::new(Waiter::default());
    queue.push(entry(queue.try_permit(of(caller))?, &waiter, caller));
    Some(waiter)
}

#[tokio::test]
async fn one_caller_fills_half_of_the_queue_and_others_find_room() {
    let queue = Queue::new(8, Arc::new(()));
    let own = (0..8).filter(|_| wait_as(&queue, 1).is_some()).count();
    assert_eq!(own, 4);
    assert!((2..6).all(|caller| wait_as(&queue, caller).is_some()));
    assert!(wait_as(&queue, 6).is_none(), "the queue is full");
}

#[tokio::test]
async fn requests_that_may_wait_have_half_of_the_queue_together() {
    let queue = Queue::new(8, Arc::new(()));
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(queue.permit().await.unwrap());
    }
    let mut fifth = Box::pin(queue.permit());
    let polled = std::future::poll_fn(|cx| Poll::Ready(fifth.as_mut().poll(cx).is_pending()));
    assert!(polled.await, "the fifth waits");
    assert!(wait_as(&queue, 1).is_some(), "others are not refused");
    streams.pop();
    assert!(
        fifth.await.is_some(),
        "a permit that is given back goes to the next"
    );
}

#[tokio::test]
async fn callers_take_turns_although_one_has_filled_its_share() {
    let queue = Queue::new(8, Arc::new(()));
    let flood: Vec<_> = (0..4).map(|_| wait_as(&queue, 1).unwrap()).collect();
    let single = wait_as(&queue, 2).unwrap();
    assert_eq!(queue.ahead_of(of(3)), 2);
    let next = || queue.take(1).unwrap().remove(0).waiter;
    assert!(Arc::ptr_eq(&next(), &flood[0]));
    assert!(Arc::ptr_eq(&next(), &single));
    assert!(Arc::ptr_eq(&next(), &flood[1]));
}
