//! `…/infer_stream`: one request whose answers are events, or rows in and rows out, over HTTP or
//! over a WebSocket. What users need to know stands in `docs/streams.md`.

mod events;
mod lines;
mod options;
mod request;
mod rows;
mod single;
mod websocket;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{MethodRouter, post};
use futures_util::FutureExt;
use http::Response;

use self::options::StreamOptions;
use self::request::StreamRequests;
use super::app::App;
use super::exchange::{Exchange, refusal};
use super::routes::{model_of, refuse};
use crate::pipeline::Serve;
use crate::telemetry::{Metrics, RequestInfo, RequestRecord};
use serin_core::types::ModelRef;

/// The paths of streams.
pub(super) fn routes<S: Serve>() -> [(&'static str, MethodRouter<Arc<App<S>>>); 2] {
    let methods = || post(stream::<S>).get(websocket::upgrade::<S>);
    [
        ("/v2/models/{name}/infer_stream", methods()),
        (
            "/v2/models/{name}/versions/{version}/infer_stream",
            methods(),
        ),
    ]
}

async fn stream<S: Serve>(State(app): State<Arc<App<S>>>, request: Request) -> Response<Body> {
    let model = match model_of(request.uri().path()) {
        Ok(model) => model,
        Err(fault) => return refuse(&app, "/v2/models/{name}/infer_stream", &fault, request),
    };
    let (mut parts, body) = request.into_parts();
    let exchange = Exchange::of(&mut parts);
    let record = begin(&app, "rest", &exchange, &model);
    let asked = StreamOptions::of(&parts.headers)
        .and_then(|asked| app.service.describe(&model).map(|_| asked));
    let asked = match asked {
        Ok(asked) => asked,
        Err(fault) => {
            let _settled = record.failed(&fault);
            return refusal(&fault, &parts, &exchange);
        }
    };
    let rows = Arc::new(StreamRequests::new(
        &app,
        model,
        exchange.id(),
        asked.budget,
    ));
    if asked.rows {
        return rows::respond(rows, asked.form, record, body);
    }
    match single::respond(rows, asked.form, record, (&parts, body)).await {
        Ok(response) => response,
        Err(fault) => refusal(&fault, &parts, &exchange),
    }
}

/// A stream has come in.
fn begin<S>(
    app: &App<S>,
    protocol: &'static str,
    exchange: &Exchange,
    model: &ModelRef,
) -> RequestRecord<'static> {
    let info = RequestInfo {
        protocol,
        operation: "stream",
        request_id: Cow::Owned(exchange.id().to_owned()),
        model: Cow::Owned(model.clone()),
        received: exchange.received,
    };
    RequestRecord::begin_stream(&app.metrics, info)
}

/// Runs a stream on a task of its own, which `work` ends when its caller is gone. A panic ends
/// this stream alone.
fn spawn(metrics: Arc<Metrics>, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            metrics.panics.inc();
            tracing::error!("a stream panicked; please report it");
        }
    });
}
