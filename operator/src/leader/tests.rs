use super::*;
use crate::testing::fake_apiserver::FakeApi;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/serin-system/leases/serin-operator";

fn candidate(api: &FakeApi, name: &str) -> (Candidate, Fence) {
    let fence = Fence::fallen();
    let candidate = Candidate::new(api.client(), "serin-system", name, fence.clone());
    (candidate, fence)
}

fn free(api: &FakeApi) {
    let lease = serde_json::json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": "serin-system"},
        "spec": {"holderIdentity": "", "leaseTransitions": 4},
    });
    api.put(PATH, lease);
}

fn holder(api: &FakeApi) -> String {
    api.get(PATH).unwrap()["spec"]["holderIdentity"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn acquired(candidate: Candidate) -> Held {
    candidate.acquire(std::future::pending()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_taken_at_once_and_counted() {
    let api = FakeApi::default();
    free(&api);
    let (one, fence) = candidate(&api, "one");
    assert!(!fence.stands());
    let began = Instant::now();
    let _held = acquired(one).await;
    assert!(began.elapsed() < RENEW);
    assert!(fence.stands());
    assert!(holder(&api).starts_with("one_"));
    assert_eq!(api.get(PATH).unwrap()["spec"]["leaseTransitions"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_rival_waits_for_the_whole_term_after_the_last_renewal() {
    let api = FakeApi::default();
    free(&api);
    let (one, _) = candidate(&api, "one");
    let mut held = acquired(one).await;
    let (two, fence) = candidate(&api, "two");
    let waiting = tokio::spawn(acquired(two));
    // Renewed for two terms: nobody takes it.
    tokio::select! {
        lost = held.keep() => panic!("{lost}"),
        () = tokio::time::sleep(DURATION * 2) => {}
    }
    assert!(!fence.stands());
    // The leader dies without a word.
    let died = Instant::now();
    drop(held);
    let _taken = waiting.await.unwrap();
    assert!(died.elapsed() >= DURATION - RENEW, "{:?}", died.elapsed());
    assert!(
        died.elapsed() < Duration::from_secs(20),
        "{:?}",
        died.elapsed()
    );
    assert!(holder(&api).starts_with("two_"));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_within_one_look() {
    let api = FakeApi::default();
    free(&api);
    let (one, fence) = candidate(&api, "one");
    let held = acquired(one).await;
    let (two, _) = candidate(&api, "two");
    let waiting = tokio::spawn(acquired(two));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let released = Instant::now();
    held.release().await;
    assert!(!fence.stands());
    let _taken = waiting.await.unwrap();
    assert!(
        released.elapsed() <= RENEW + Duration::from_millis(100),
        "{:?}",
        released.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_a_rival_may_begin() {
    let api = FakeApi::default();
    free(&api);
    let (one, fence) = candidate(&api, "one");
    let mut held = acquired(one).await;
    api.state().hangs = true;
    let began = Instant::now();
    let lost = held.keep().await;
    assert!(began.elapsed() < DURATION, "{:?}: {lost}", began.elapsed());
    assert!(!fence.stands());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_frozen_past_its_lease_writes_nothing_more() {
    let api = FakeApi::default();
    free(&api);
    let (one, fence) = candidate(&api, "one");
    let _held = acquired(one).await;
    // Nothing runs meanwhile, as under SIGSTOP: the fence falls by the clock alone.
    tokio::time::advance(FENCE).await;
    assert!(!fence.stands());
    assert!(FENCE + crate::deadline::DEADLINE <= DURATION);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_was_taken_knows_at_its_next_renewal() {
    let api = FakeApi::default();
    free(&api);
    let (one, fence) = candidate(&api, "one");
    let mut held = acquired(one).await;
    api.edit(PATH, |lease| lease["spec"]["holderIdentity"] = "two".into());
    let lost = held.keep().await.to_string();
    assert!(lost.contains("two"), "{lost}");
    assert!(!fence.stands());
}

#[tokio::test(start_paused = true)]
async fn a_note_on_the_lease_does_not_cost_it() {
    let api = FakeApi::default();
    free(&api);
    let (one, fence) = candidate(&api, "one");
    let mut held = acquired(one).await;
    api.edit(PATH, |lease| {
        lease["metadata"]["labels"] = serde_json::json!({"a": "b"});
    });
    tokio::select! {
        lost = held.keep() => panic!("{lost}"),
        () = tokio::time::sleep(DURATION) => {}
    }
    assert!(fence.stands());
}
