//! The two seams of a request's way, access and routing: both stand before anything of a model is
//! touched, for every protocol.
#![allow(clippy::expect_used, reason = "failing is what a test does")]

mod harness;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use harness::{Answer, Client, Gates, body, grpc, open_gates, options, start, start_behind};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;
use serin_crds::contract::policy::ApiConfig;
use serin_dataplane::access::{Access, Admission};
use serin_dataplane::context::Dialect;
use serin_dataplane::envelope::Envelope;
use serin_dataplane::routing::{Route, Router};

/// Lets nobody in, and notes who asked for what.
#[derive(Default)]
struct Closed(Mutex<Vec<(Dialect, String, usize, bool)>>);

impl Access for Closed {
    fn admit(&self, request: &Envelope<'_>) -> Result<Admission, Fault> {
        let loopback = request.context.peer.ip().is_loopback();
        let seen = (
            request.context.dialect,
            request.model.name.clone(),
            request.body.len(),
            loopback,
        );
        self.0.lock().expect("no panic").push(seen);
        let message = "nobody is let in";
        Err(Fault::new(
            FaultKind::Forbidden,
            "permission_denied",
            message,
        ))
    }
}

/// Sends every request to the model `echo`.
struct Echo;

impl Router for Echo {
    fn choose<'a>(&self, _: &Envelope<'a>) -> Result<Route<'a>, Fault> {
        Ok(Route::Local(Cow::Owned(ModelRef {
            name: "echo".to_owned(),
            version: None,
        })))
    }
}

/// One request of each protocol, for a model that does not exist, with a body that is no request.
async fn ask_everything(client: &mut Client, text: &str) -> Vec<(Dialect, Answer)> {
    let embeddings = r#"{"model":"nobody","input":7}"#;
    vec![
        (
            Dialect::OipRest,
            client.post("/v2/models/nobody/infer", text).await,
        ),
        (
            Dialect::OpenAi,
            client.post("/v1/embeddings", embeddings).await,
        ),
        (
            Dialect::KServeV1,
            client.post("/v1/models/nobody:predict", text).await,
        ),
        (
            Dialect::Grpc { stream: false },
            grpc::call(client, "ModelInfer", "", &grpc::infer("nobody")).await,
        ),
    ]
}

#[tokio::test]
async fn who_is_not_let_in_is_told_in_the_own_protocol_and_reaches_no_model() {
    let access = Arc::new(Closed::default());
    let gates = Gates {
        access: Arc::clone(&access) as Arc<dyn Access>,
        ..open_gates()
    };
    let server = start_behind(&options(), ApiConfig::default(), gates).await;
    let mut client = server.client().await;
    let answers = ask_everything(&mut client, "no request").await;
    let seen = access.0.lock().expect("no panic").clone();
    for ((dialect, answer), (seen, model, bytes, loopback)) in answers.iter().zip(seen) {
        assert_eq!((*dialect, model.as_str(), loopback), (seen, "nobody", true));
        assert!(bytes > 0, "{dialect:?} is decided on the undecoded body");
        match dialect {
            Dialect::Grpc { .. } => {
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(answer.header("grpc-status"), Some("7"), "{answer:?}");
            }
            Dialect::OipRest => {
                assert_eq!(answer.status, 403, "{answer:?}");
                assert_eq!(answer.json()["code"], "permission_denied");
            }
            Dialect::OpenAi | Dialect::KServeV1 => {
                assert_eq!(answer.status, 403, "{answer:?}");
                assert_eq!(answer.json()["error"]["type"], "permission_error");
            }
        }
    }
    assert_eq!(server.models.looked_up.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_route_is_chosen_before_the_body_is_read_by_any_model() {
    let gates = Gates {
        router: Arc::new(Echo),
        ..open_gates()
    };
    let server = start_behind(&options(), ApiConfig::default(), gates).await;
    let mut client = server.client().await;
    let text = body("FP32", "[1,2]", "[1,2]");
    let answer = client.post("/v2/models/elsewhere/infer", &text).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["model_name"], "echo");
    let answer = grpc::call(&mut client, "ModelInfer", "", &grpc::infer("elsewhere")).await;
    assert_eq!(answer.header("grpc-status"), None, "{answer:?}");
    assert_eq!(server.models.looked_up.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_unknown_model_is_not_found_whatever_the_body_says() {
    let server = start(&options()).await;
    let mut client = server.client().await;
    for text in ["", "{", "no JSON", r#"{"inputs":7}"#, "[]"] {
        for (dialect, answer) in ask_everything(&mut client, text).await {
            match dialect {
                Dialect::Grpc { .. } => {
                    assert_eq!(answer.header("grpc-status"), Some("5"), "{answer:?}");
                }
                _ => assert_eq!(answer.status, 404, "{dialect:?} {text}: {answer:?}"),
            }
        }
    }
}
