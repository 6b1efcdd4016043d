use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::poll_fn;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio::time::{advance, timeout};

use super::*;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::memory_budget::MemoryBudget;

const HOUR: Duration = Duration::from_secs(3600);
/// A message of two bytes.
const WHOLE: &[u8] = &[0, 0, 0, 0, 2, 1, 1];
/// The beginning of one of a hundred.
const BEGUN: &[u8] = &[0, 0, 0, 0, 100, 1, 1];

type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

/// The body of a call, as tonic gets it, and where its bytes come from.
fn call(method: &str, budget: usize) -> (Sender, Body, Arc<MemoryBudget>) {
    let said = [("content-type", "application/grpc")];
    call_with(method, budget, &said)
}

fn call_with(
    method: &str,
    budget: usize,
    headers: &[(&str, &str)],
) -> (Sender, Body, Arc<MemoryBudget>) {
    let ahead = if method == STREAM {
        STREAM_WINDOW as usize
    } else {
        0
    };
    let limits = Limits {
        body_bytes_in_flight: Some(budget + ahead),
        ..Limits::default()
    };
    let resources = Resources::new(limits, CpuPool::new());
    let (sender, mut frames) = mpsc::unbounded_channel();
    let mut request = Request::post(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Body::new(StreamBody::new(poll_fn(move |cx| {
            frames.poll_recv(cx)
        }))))
        .unwrap();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    // The clock of these tests stands still, unlike the context's.
    let context = RequestContext::begin(&request, peer, None);
    let body = paced(request, &context, &resources).into_body();
    (sender, body, resources.memory)
}

fn send(sender: &Sender, bytes: &'static [u8]) {
    sender
        .send(Ok(Frame::data(Bytes::from_static(bytes))))
        .unwrap();
}

const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
const CALL: &str = "/inference.GRPCInferenceService/ModelInfer";

async fn arrives(body: &mut Body) -> bool {
    body.frame().await.is_some_and(|frame| frame.is_ok())
}

async fn fails(body: &mut Body) -> String {
    let error = body.frame().await.unwrap().unwrap_err().into_inner();
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_silent_between_its_messages_and_a_call_may_not() {
    for (method, patient) in [(STREAM, true), (CALL, false)] {
        let (sender, mut body, _) = call(method, 1000);
        for _ in 0..2 {
            send(&sender, WHOLE);
            assert!(arrives(&mut body).await);
            let waited = timeout(HOUR, body.frame()).await;
            assert_eq!(waited.is_err(), patient, "{method}");
            if !patient {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_come_whole_ends_its_call() {
    for method in [STREAM, CALL] {
        let (sender, mut body, _) = call(method, 1000);
        send(&sender, BEGUN);
        assert!(arrives(&mut body).await);
        let message = timeout(HOUR, fails(&mut body)).await.unwrap();
        assert!(
            message.contains("came too slowly: 7 bytes so far"),
            "{message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_trickles_ends_its_stream() {
    let (sender, mut body, _) = call(STREAM, 1000);
    send(&sender, WHOLE);
    assert!(arrives(&mut body).await);
    advance(HOUR).await;
    send(&sender, BEGUN);
    let begun = Instant::now();
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            send(&sender, &[1]);
        }
    };
    let reading = async { while arrives(&mut body).await {} };
    tokio::select! {
        () = reading => {}
        () = trickle => {}
    }
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_asked_is_not_the_callers() {
    let (sender, mut body, _) = call(STREAM, 1000);
    send(&sender, BEGUN);
    assert!(arrives(&mut body).await);
    advance(HOUR).await;
    let waiting = timeout(Duration::from_secs(5), body.frame()).await;
    assert!(waiting.is_err(), "the caller is given time");
    send(&sender, &[1; 98]);
    assert!(arrives(&mut body).await);
    assert!(timeout(HOUR, body.frame()).await.is_err(), "whole");
}

#[tokio::test]
async fn what_has_come_of_a_message_counts_until_the_message_is_whole() {
    let (sender, mut body, bodies) = call(STREAM, 64);
    send(&sender, BEGUN);
    assert!(arrives(&mut body).await);
    assert!(bodies.hold().grow(4).is_err());
    send(&sender, &[1; 60]);
    let message = fails(&mut body).await;
    assert!(message.contains("too many request bodies"), "{message}");
    drop(body);
    assert!(bodies.hold().grow(10).is_ok());

    let (sender, mut body, bodies) = call(STREAM, 64);
    for _ in 0..50 {
        send(&sender, WHOLE);
        assert!(arrives(&mut body).await);
    }
    assert!(
        bodies.hold().grow(10).is_ok(),
        "whole messages are not counted here"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_say_what_it_is_keeps_the_pace_as_well() {
    let (sender, mut body, _) = call_with(CALL, 1000, &[]);
    send(&sender, BEGUN);
    assert!(arrives(&mut body).await);
    let message = timeout(HOUR, fails(&mut body)).await.unwrap();
    assert!(message.contains("came too slowly"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_callers_time_runs_while_its_message_comes() {
    let (sender, mut body, _) = call_with(CALL, 1000, &[("grpc-timeout", "2S")]);
    let begun = Instant::now();
    send(&sender, BEGUN);
    assert!(arrives(&mut body).await);
    let message = timeout(HOUR, fails(&mut body)).await.unwrap();
    assert!(message.contains("the deadline passed"), "{message}");
    assert_eq!(begun.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn a_stream_whose_window_has_no_room_in_the_budget_is_refused() {
    let (_sender, mut body, bodies) = call(STREAM, 0);
    assert!(bodies.hold().grow(1).is_err(), "the window is counted");
    drop(body);
    let mut others = bodies.hold();
    others.grow(1).unwrap();
    let limits = Limits {
        body_bytes_in_flight: Some(STREAM_WINDOW as usize - 1),
        ..Limits::default()
    };
    let resources = Resources::new(limits, CpuPool::new());
    let request = Request::post(STREAM).body(Body::empty()).unwrap();
    let context = RequestContext::begin(&request, SocketAddr::from(([127, 0, 0, 1], 1)), None);
    body = paced(request, &context, &resources).into_body();
    assert!(fails(&mut body).await.contains("too many request bodies"));
}

#[tokio::test]
async fn what_tonic_decodes_itself_is_small() {
    let load = "/inference.GRPCInferenceService/RepositoryModelLoad";
    for (method, refused) in [(load, true), (CALL, false)] {
        let (sender, mut body, _) = call(method, 10 << 20);
        let large = Bytes::from(vec![0; INLINE_LIMIT + 1]);
        sender.send(Ok(Frame::data(large))).unwrap();
        let frame = body.frame().await.unwrap();
        assert_eq!(frame.is_err(), refused, "{method}");
    }
}
