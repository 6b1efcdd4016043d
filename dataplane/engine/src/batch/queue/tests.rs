use bytes::Bytes;
use proptest::prelude::*;
use serin_core::types::{Datatype, Tensor, TensorData};

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

fn entry(permit: QueuePermit, waiter: &Arc<Waiter>, row: u8) -> Entry {
    Entry {
        work: Work {
            inputs: vec![Tensor {
                name: "x".to_owned(),
                datatype: Datatype::Uint8,
                shape: vec![1],
                data: TensorData::Raw(Bytes::copy_from_slice(&[row])),
            }],
            outputs: Vec::new(),
            arrived: Instant::now(),
            deadline: Instant::now() + std::time::Duration::from_secs(60),
            priority: 0,
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
                    let permit = queue.try_permit();
                    prop_assert_eq!(permit.is_some(), waiting < capacity);
                    if let Some(permit) = permit {
                        let caller = Arc::new(Waiter::default());
                        queue.push(entry(permit, &caller, 0));
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
