use std::collections::BTreeSet;

use axum::Router;
use http::header::ALLOW;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::Service as _;

use super::*;
use crate::access::OpenAccess;
use crate::context::RequestContext;
use crate::pipeline::{Catalog, Infer, Reply, RepositoryControl, Served, WhenBusy};
use crate::policy::PolicyStore;
use crate::routing::LocalRouter;
use crate::runtime::Resources;
use crate::runtime::cpu_pool::CpuPool;
use crate::runtime::lifecycle::Lifecycle;
use crate::server::Parts;
use crate::server::documents::Documents;
use crate::server::http::{openai, routes};
use crate::telemetry::{Metrics, Monitoring};
use serin_core::Limits;
use serin_core::fault::FaultKind;
use serin_core::types::{
    Availability, Batching, Call, Datatype, ModelState, Signature, TensorSpec,
};

/// One model, `m` version `1`, of one input and one output.
struct OneModel(Arc<Signature>);

impl OneModel {
    fn new() -> Self {
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            datatype: Datatype::Fp32,
            shape: None,
            optional: false,
        };
        Self(Arc::new(Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
            unserved_outputs: Vec::new(),
            producer: None,
        }))
    }

    fn description(&self) -> ModelDescription {
        ModelDescription {
            name: "m".into(),
            version: "1".into(),
            versions: vec!["1".into()],
            platform: "onnxruntime_onnx",
            signature: Arc::clone(&self.0),
            batching: Batching::off("made up"),
            embedding: None,
        }
    }
}

impl RepositoryControl for OneModel {}

impl Served for ModelDescription {
    fn description(&self) -> &ModelDescription {
        self
    }
}

impl Infer for OneModel {
    type Model = ModelDescription;

    fn model(&self, model: &ModelRef) -> Result<Arc<ModelDescription>, Fault> {
        self.describe(model).map(Arc::new)
    }

    async fn infer(&self, _: &Arc<ModelDescription>, _: Call, _: WhenBusy) -> Result<Reply, Fault> {
        Err(Fault::new(FaultKind::Internal, "internal", "made up"))
    }
}

impl Catalog for OneModel {
    fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault> {
        if model.name == "m" {
            return Ok(self.description());
        }
        Err(Fault::new(
            FaultKind::NotFound,
            "model_not_found",
            "made up",
        ))
    }

    fn models(&self) -> Vec<ModelState> {
        vec![ModelState {
            name: "m".into(),
            version: "1".into(),
            availability: Availability::Ready,
            reason: None,
        }]
    }
}

fn router() -> Router {
    let parts = Parts {
        service: Arc::new(OneModel::new()),
        access: Arc::new(OpenAccess),
        router: Arc::new(LocalRouter),
        resources: Resources::new(Limits::default(), CpuPool::new()),
        policy: Arc::new(PolicyStore::new(Default::default(), String::new())),
        metrics: Arc::new(Metrics::new([])),
        lifecycle: Lifecycle::new(),
        monitoring: Monitoring::default(),
    };
    routes::router(Arc::new(ServerState::new(parts)))
}

async fn ask(
    router: &mut Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let context = Arc::new(RequestContext::begin(&request, peer, None));
    request.extensions_mut().insert(context);
    router.call(request).await.unwrap()
}

async fn document(router: &mut Router, path: &str) -> Value {
    let answer = ask(router, Method::GET, path, &[]).await;
    assert_eq!(answer.status(), 200, "{path}");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn what_is_served_and_what_is_described_are_the_same() {
    let mut router = router();
    let mut served = BTreeSet::new();
    let common = routes::table::<OneModel>().into_iter();
    let openai = openai::table::<OneModel>().into_iter();
    let mut paths = vec!["/".to_owned()];
    paths.extend(common.map(|(path, _)| path.to_owned()));
    paths.extend(openai.map(|(path, _)| path));
    for path in paths {
        if let Some(models) = path.strip_suffix(openai::ID) {
            // What is asked of the model stands in the same segment as its name.
            for (rest, method) in [("m", "get"), ("m:predict", "post"), ("m:explain", "post")] {
                served.insert((format!("{models}{rest}"), method.to_owned()));
            }
            continue;
        }
        let path = path.replace("{name}", "m").replace("{version}", "1");
        let answer = ask(&mut router, Method::OPTIONS, &path, &[]).await;
        let methods = answer.headers()[ALLOW].to_str().unwrap().to_lowercase();
        for method in methods.split(',').filter(|method| *method != "head") {
            served.insert((path.clone(), method.to_owned()));
        }
    }
    let document = document(&mut router, "/openapi.json").await;
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert((path.clone(), method.clone()));
        }
    }
    let unserved: Vec<_> = described.difference(&served).collect();
    let undescribed: Vec<_> = served.difference(&described).collect();
    assert!(
        unserved.is_empty() && undescribed.is_empty(),
        "described and not served: {unserved:#?}\nserved and not described (see protocol/openapi/paths): {undescribed:#?}"
    );
}

#[tokio::test]
async fn a_document_that_the_reader_has_is_not_sent_again() {
    let mut router = router();
    for path in [
        "/openapi.json",
        "/v2/docs/dataplane.json/",
        "/v2/models/m/versions/1/docs/dataplane.json",
    ] {
        let first = ask(&mut router, Method::GET, path, &[]).await;
        let etag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for known in [
            etag.clone(),
            format!("W/{etag}"),
            format!("\"a\", {etag}"),
            "*".into(),
        ] {
            let again = ask(&mut router, Method::GET, path, &[("if-none-match", &known)]).await;
            assert_eq!(again.status(), 304, "{path} {known}");
            assert_eq!(again.headers()[ETAG].to_str().unwrap(), etag);
        }
        let other = ask(
            &mut router,
            Method::GET,
            path,
            &[("if-none-match", "\"a\"")],
        )
        .await;
        assert_eq!(other.status(), 200);
    }
}

#[test]
fn the_document_is_made_again_when_a_model_is_replaced() {
    let documents = Documents::default();
    let (one, other) = (OneModel::new(), OneModel::new());
    let first = documents.of(&[one.description()]);
    assert_eq!(
        documents.of(&[one.description()]).body.as_ptr(),
        first.body.as_ptr()
    );
    assert_ne!(
        documents.of(&[other.description()]).body.as_ptr(),
        first.body.as_ptr()
    );
    assert_ne!(documents.of(&[]).etag, first.etag);
}

#[tokio::test]
async fn pages_carry_a_policy_and_lead_back_to_the_root() {
    let mut router = router();
    for (path, root) in [
        ("/docs", "./"),
        ("/docs/", "../"),
        ("/docs/models/m", "../../"),
        ("/v2/models/m/versions/1/docs", "../../../../../"),
    ] {
        let answer = ask(&mut router, Method::GET, path, &[]).await;
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers();
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], *docs_page::POLICY);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let page = std::str::from_utf8(&body).unwrap();
        assert!(page.contains(&format!("href=\"{root}v2")), "{path}: {page}");
    }
    let answer = ask(&mut router, Method::GET, "/docs/models/none", &[]).await;
    assert_eq!(answer.status(), 404);
}
