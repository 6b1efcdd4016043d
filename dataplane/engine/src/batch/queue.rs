//! The bounded queue before an engine thread, and who still waits for what.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::merge::RowClass;
use super::observer::{Observer, Waiting};
use super::order::{Place, Placed, Rounds};
use super::policy::{Candidate, plan};
use super::work::{Completion, Work};
use crate::Stop;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::Standing;

/// A queued request.
pub(super) struct Entry {
    pub(super) work: Work,
    /// Its place among those that wait.
    pub(super) place: Place,
    /// Its class and rows, where it may share a run.
    pub(super) mergeable: Option<(RowClass, usize)>,
    /// Given back when it begins to run or is removed.
    pub(super) permit: Option<QueuePermit>,
    pub(super) waiter: Arc<Waiter>,
    pub(super) reply: oneshot::Sender<Result<Completion, Fault>>,
    /// Where the caller waits.
    pub(super) runtime: Handle,
}

impl Placed for Entry {
    fn place(&self) -> &Place {
        &self.place
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }
}

/// The right to be in the queue; counted in its depth.
pub(super) struct QueuePermit {
    _waiting: Waiting,
    _permit: OwnedSemaphorePermit,
    /// Of a request that may wait for its permit.
    _patient: Option<OwnedSemaphorePermit>,
}

/// Whether a request's caller still waits, and for which run.
#[derive(Default)]
pub(super) struct Waiter {
    state: Mutex<WaiterState>,
}

#[derive(Default)]
struct WaiterState {
    left: bool,
    run: Option<Arc<Run>>,
}

/// A run in progress: stopped when the last of its callers has left.
pub(super) struct Run {
    waiting: AtomicUsize,
    pub(super) stop: Stop,
}

impl Waiter {
    /// The caller does not wait any more: the last one of a run stops it. `false` where the request
    /// has not begun to run.
    pub(super) fn leave(&self) -> bool {
        let mut state = lock(&self.state);
        state.left = true;
        let run = state.run.take();
        if let Some(run) = &run {
            run.forget_one();
        }
        run.is_some()
    }

    pub(super) fn has_left(&self) -> bool {
        lock(&self.state).left
    }
}

impl Run {
    /// Begins a run for those entries whose callers still wait; `None` if there are none.
    pub(super) fn begin(entries: &mut Vec<Entry>) -> Option<Arc<Self>> {
        // One for ourselves, so that the count cannot reach 0 while callers are still added.
        let run = Arc::new(Self {
            waiting: AtomicUsize::new(1),
            stop: Stop::new(),
        });
        entries.retain_mut(|entry| {
            let mut state = lock(&entry.waiter.state);
            if !state.left {
                run.waiting.fetch_add(1, Ordering::SeqCst);
                entry.permit = None;
                state.run = Some(Arc::clone(&run));
            }
            !state.left
        });
        run.forget_one();
        (!entries.is_empty()).then_some(run)
    }

    fn forget_one(&self) {
        if self.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stop.raise();
        }
    }
}

/// A bounded queue with one or more threads at its end.
///
/// It is bounded by permits: each entry holds one. A caller that waits for a permit gets it in the
/// order of arrival; [`try_permit`](Self::try_permit) does not overtake those that wait. Requests that
/// may wait, those of streams, have half of the permits together, and one caller of others has half:
/// whoever comes with a single request finds room although some send many.
pub(super) struct Queue {
    state: Mutex<QueueState>,
    arrived: Condvar,
    permits: Arc<Semaphore>,
    /// Permits of requests that wait for them.
    patient: Arc<Semaphore>,
    /// Most permits of one caller of other requests.
    share: usize,
    observer: Arc<dyn Observer>,
}

#[derive(Default)]
struct QueueState {
    /// In the order in which they run.
    entries: VecDeque<Entry>,
    rounds: Rounds,
    /// Threads that wait and that nobody has woken yet.
    asleep: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize, observer: Arc<dyn Observer>) -> Self {
        let capacity = capacity.min(Semaphore::MAX_PERMITS);
        let share = capacity.div_ceil(2);
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            permits: Arc::new(Semaphore::new(capacity)),
            patient: Arc::new(Semaphore::new(share)),
            share,
            observer,
        }
    }

    /// Entries in the queue.
    pub(super) fn len(&self) -> usize {
        lock(&self.state).entries.len()
    }

    /// Entries that run before a new one of this standing.
    pub(super) fn ahead_of(&self, standing: Standing) -> usize {
        let state = lock(&self.state);
        state.rounds.ahead_of(&state.entries, standing)
    }

    /// A permit, if one is free, nobody waits for it, and its caller has no more than its share.
    pub(super) fn try_permit(&self, standing: Standing) -> Option<QueuePermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        // No caller can have more than its share while so many are free.
        if self.permits.available_permits() < self.share {
            let state = lock(&self.state);
            let own = |entry: &&Entry| entry.place.standing == standing;
            if state.entries.iter().filter(own).count() >= self.share {
                return None;
            }
        }
        Some(self.counted(permit, None))
    }

    /// A permit, as soon as it is this caller's turn. Dropping the future gives the turn to the next
    /// caller.
    pub(super) async fn permit(&self) -> Option<QueuePermit> {
        // The semaphores are never closed.
        let patient = Arc::clone(&self.patient).acquire_owned().await.ok()?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        Some(self.counted(permit, Some(patient)))
    }

    fn counted(
        &self,
        permit: OwnedSemaphorePermit,
        patient: Option<OwnedSemaphorePermit>,
    ) -> QueuePermit {
        QueuePermit {
            _waiting: Waiting::new(&self.observer),
            _permit: permit,
            _patient: patient,
        }
    }

    /// Adds a request, which has its permit.
    pub(super) fn push(&self, entry: Entry) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.rounds.insert(&mut state.entries, entry);
        let wake = state.asleep > 0;
        if wake {
            state.asleep -= 1;
        }
        drop(guard);
        // Only where a thread sleeps: each call costs a system call, and a busy thread looks by
        // itself.
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Removes the entries whose callers have left, so that neither their permits nor their tensors
    /// are kept until the engine is free.
    pub(super) fn remove_left(&self) {
        let left = lock(&self.state).remove_left(&*self.observer);
        // Giving a permit back wakes the next caller: outside of the lock.
        drop(left);
    }

    /// Waits for requests and takes those that run next; `None` once the queue is closed and
    /// empty. Those whose deadline has passed are answered here.
    pub(super) fn take(&self, max_rows: usize) -> Option<Vec<Entry>> {
        let mut state = lock(&self.state);
        loop {
            while state.entries.is_empty() {
                if state.closed {
                    return None;
                }
                state.asleep += 1;
                let woken = self
                    .arrived
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                // The thread that woke this one often has more requests at hand, and is preempted on
                // a shared core: it goes on first, and its requests share one run. On an idle core
                // this returns at once.
                drop(woken);
                std::thread::yield_now();
                state = lock(&self.state);
            }
            state.remove_left(&*self.observer);
            let (run, expired) = state.take_next(max_rows, Instant::now());
            for mut entry in expired {
                // Counted before the caller knows.
                entry.permit = None;
                self.observer.rejected("timeout");
                let _ = entry.reply.send(Err(expired_in_queue()));
            }
            if !run.is_empty() {
                return Some(run);
            }
        }
    }

    /// Lets the threads end after what is queued.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.arrived.notify_all();
    }
}

impl QueueState {
    /// Takes out the entries whose callers have left, and counts each by its reason.
    fn remove_left(&mut self, observer: &dyn Observer) -> Vec<Entry> {
        let mut removed = Vec::new();
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            if !entry.waiter.has_left() {
                at += 1;
                continue;
            }
            let expired = entry.work.deadline <= Instant::now();
            observer.rejected(if expired { "timeout" } else { "cancelled" });
            removed.extend(self.entries.remove(at));
        }
        removed
    }

    /// What runs now and what has expired; what was left is gone.
    fn take_next(&mut self, max_rows: usize, now: Instant) -> (Vec<Entry>, Vec<Entry>) {
        let alone = RowClass::default();
        let candidates = self.entries.iter().map(|entry| {
            let (class, rows) = match &entry.mergeable {
                Some((class, rows)) => (class, Some(*rows)),
                None => (&alone, None),
            };
            Candidate {
                rows,
                class,
                deadline: entry.work.deadline,
                left: entry.waiter.has_left(),
            }
        });
        let plan = plan(candidates, max_rows, now);
        let (mut run, mut expired) = (Vec::with_capacity(plan.run.len()), Vec::new());
        let mut kept = VecDeque::with_capacity(self.entries.len());
        for (at, entry) in self.entries.drain(..).enumerate() {
            if plan.run.binary_search(&at).is_ok() {
                run.push(entry);
            } else if plan.expired.binary_search(&at).is_ok() {
                expired.push(entry);
            } else if plan.left.binary_search(&at).is_err() {
                kept.push_back(entry);
            }
        }
        self.entries = kept;
        if let Some(head) = run.first() {
            self.rounds.begin(&head.place);
        }
        (run, expired)
    }
}

/// The deadline passed before the engine was free.
fn expired_in_queue() -> Fault {
    Fault::new(
        FaultKind::Timeout,
        "timeout",
        "the deadline passed while the request was queued",
    )
}

/// Nothing below can panic while it holds a lock; a poisoned one is as good as new.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
