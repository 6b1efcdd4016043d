//! A server over a made-up model set, and a client that says exactly the bytes it is told to.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

mod client;
pub mod frames;
pub mod grpc;
pub mod samples;
pub mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{
    Availability, Batching, Call, Datatype, Dimension, ModelDescription, ModelRef, ModelState,
    Outputs, Signature, Tensor, TensorData, TensorSpec, Timing,
};
use serin_crds::contract::policy::{ApiConfig, Policy};
use serin_dataplane::access::{Access, OpenAccess};
use serin_dataplane::config::Options;
use serin_dataplane::pipeline::{Catalog, Infer, Reply, RepositoryControl, Served, WhenBusy};
use serin_dataplane::policy::PolicyStore;
use serin_dataplane::routing::{LocalRouter, Router};
use serin_dataplane::runtime::Resources;
use serin_dataplane::runtime::cpu_pool::CpuPool;
use serin_dataplane::runtime::lifecycle::{Lifecycle, Phase};
use serin_dataplane::server::shutdown::{Shutdown, Trigger, channel};
use serin_dataplane::server::{Parts, Server};
use serin_dataplane::telemetry::{Metrics, Monitoring};
use tokio::sync::Semaphore;

pub use self::client::{Answer, Client};
use self::samples::Samples;

/// Longest time a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Models by name: `echo` gives its inputs back, `slow` waits for [`FakeModels::release`], `panic`
/// panics, `fails` fails as a model would, `loading` is not ready, `raw` takes one FP32 `[-1,2]`,
/// `late` gives the milliseconds left until its deadline, `busy` has room for those alone that wait
/// for it, `team/model` has a slash in its name, `parts` answers in three parts.
pub struct FakeModels {
    /// Lets one call of `slow` go on per permit.
    pub release: Semaphore,
    /// One permit per call of `slow` that has begun.
    pub begun: Semaphore,
    /// One permit per call of `slow` that was dropped.
    pub cancelled: Semaphore,
    /// Models that requests were resolved to.
    pub looked_up: AtomicUsize,
    /// Lets one part of an answer of `parts` be made per permit.
    pub release_parts: Arc<Semaphore>,
}

const MODELS: [&str; 10] = [
    "echo",
    "slow",
    "panic",
    "fails",
    "late",
    "busy",
    "loading",
    "raw",
    "team/model",
    "parts",
];

struct Cancelled<'a>(&'a FakeModels, bool);

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.cancelled.add_permits(1);
        }
    }
}

impl RepositoryControl for FakeModels {}

/// A made-up model.
pub struct FakeModel(ModelDescription);

impl Served for FakeModel {
    fn description(&self) -> &ModelDescription {
        &self.0
    }
}

impl Infer for FakeModels {
    type Model = FakeModel;

    fn model(&self, model: &ModelRef) -> Result<Arc<FakeModel>, Fault> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        self.describe(model)
            .map(|description| Arc::new(FakeModel(description)))
    }

    async fn infer(
        &self,
        model: &Arc<FakeModel>,
        call: Call,
        when_busy: WhenBusy,
    ) -> Result<Reply, Fault> {
        let name = model.0.name.as_str();
        match name {
            "slow" => {
                let mut cancelled = Cancelled(self, false);
                self.begun.add_permits(1);
                self.release.acquire().await.expect("never closed").forget();
                cancelled.1 = true;
            }
            "panic" => panic!("as asked"),
            "busy" if when_busy == WhenBusy::Refuse => {
                return Err(Fault::new(
                    FaultKind::Overloaded,
                    "overloaded",
                    "the model's queue is full",
                ));
            }
            "fails" => {
                return Err(Fault::new(
                    FaultKind::Inference,
                    "inference_error",
                    "the model failed: Gather: index out of range",
                ));
            }
            "parts" => return Ok(self.parts(call)),
            _ => {}
        }
        let tensors = if name == "late" {
            let left = call
                .meta
                .deadline
                .saturating_duration_since(std::time::Instant::now());
            let left = i64::try_from(left.as_millis()).expect("a few");
            vec![Tensor {
                name: "left".to_owned(),
                datatype: Datatype::Int64,
                shape: vec![1],
                data: TensorData::Raw(left.to_le_bytes().to_vec().into()),
            }]
        } else if call.outputs.is_empty() {
            call.inputs
        } else {
            let find = |name: &str| call.inputs.iter().find(|input| input.name == name).cloned();
            call.outputs
                .iter()
                .map(|output| {
                    find(&output.name).ok_or_else(|| {
                        Fault::new(
                            FaultKind::BadTensor,
                            "unknown_output",
                            format!("there is no output '{}'", output.name),
                        )
                    })
                })
                .collect::<Result<_, _>>()?
        };
        Ok(Reply::Whole(outputs(name, tensors)))
    }
}

fn outputs(model: &str, outputs: Vec<Tensor>) -> Outputs {
    Outputs {
        model_name: model.to_owned(),
        model_version: "1".to_owned(),
        outputs,
        timing: Timing::default(),
    }
}

impl FakeModels {
    /// The inputs again, one part per permit of [`FakeModels::release`], three in all; the third fails
    /// where there are two inputs.
    fn parts(&self, call: Call) -> Reply {
        let fails = call.inputs.len() > 1;
        let release = Arc::clone(&self.release_parts);
        let parts = futures_util::stream::iter(1..=3).then(move |number| {
            let (inputs, release) = (call.inputs.clone(), Arc::clone(&release));
            async move {
                release.acquire().await.expect("never closed").forget();
                if fails && number == 3 {
                    let message = "the model failed in its third part";
                    return Err(Fault::new(FaultKind::Inference, "inference_error", message));
                }
                Ok(outputs("parts", inputs))
            }
        });
        Reply::Stream(parts.boxed())
    }
}

impl Catalog for FakeModels {
    fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault> {
        let known = MODELS.contains(&model.name.as_str());
        let version = model.version.as_deref().unwrap_or("1");
        if !known || version != "1" {
            return Err(Fault::new(
                FaultKind::NotFound,
                "model_not_found",
                format!("model '{}' version '{version}' not found", model.name),
            ));
        }
        if model.name == "loading" {
            return Err(Fault::new(
                FaultKind::NotReady,
                "model_not_ready",
                "model 'loading' is loading",
            ));
        }
        let spec = |name: &str| TensorSpec {
            name: name.to_owned(),
            datatype: Datatype::Fp32,
            shape: Some(vec![Dimension::Variable("N".into()), Dimension::Fixed(2)]),
            optional: false,
        };
        Ok(ModelDescription {
            name: model.name.clone(),
            version: "1".to_owned(),
            versions: vec!["1".to_owned()],
            platform: "onnxruntime_onnx",
            signature: Arc::new(Signature {
                inputs: vec![spec("x")],
                outputs: vec![spec("x")],
                unserved_outputs: Vec::new(),
                producer: None,
            }),
            embedding: None,
            batching: Batching {
                max_rows: 1,
                reason: "made up".to_owned(),
            },
        })
    }

    fn models(&self) -> Vec<ModelState> {
        MODELS
            .iter()
            .filter(|name| **name != "loading")
            .map(|name| ModelState {
                name: (*name).to_owned(),
                version: "1".to_owned(),
                availability: Availability::Ready,
                reason: None,
            })
            .collect()
    }
}

/// A server on free ports of the loopback.
pub struct Running {
    pub server: Server,
    pub models: Arc<FakeModels>,
    pub lifecycle: Lifecycle,
    pub trigger: Trigger,
    pub shutdown: Shutdown,
}

/// Options for loopback and free ports.
pub fn options() -> Options {
    Options {
        bind: "127.0.0.1".parse().expect("an address"),
        http_port: 0,
        grpc_port: 0,
        admin_port: 0,
        ..Options::default()
    }
}

/// Starts a server that is ready.
pub async fn start(options: &Options) -> Running {
    start_offering(options, ApiConfig::default()).await
}

/// Starts a server with other limits.
pub async fn limited(change: impl FnOnce(&mut Limits)) -> Running {
    let mut options = options();
    change(&mut options.limits);
    start(&options).await
}

/// The two seams of a request's way, and its threads.
pub struct Gates {
    pub access: Arc<dyn Access>,
    pub router: Arc<dyn Router>,
    /// Where large bodies are read.
    pub cpu_pool: CpuPool,
}

/// Lets everybody in, and answers everything here.
pub fn open_gates() -> Gates {
    Gates {
        access: Arc::new(OpenAccess),
        router: Arc::new(LocalRouter),
        cpu_pool: CpuPool::new(),
    }
}

/// Starts a server whose service chose what its protocols offer.
pub async fn start_offering(options: &Options, api: ApiConfig) -> Running {
    start_behind(options, api, open_gates()).await
}

/// Starts a server behind other gates.
pub async fn start_behind(options: &Options, api: ApiConfig, gates: Gates) -> Running {
    let models = Arc::new(FakeModels {
        release: Semaphore::new(0),
        begun: Semaphore::new(0),
        cancelled: Semaphore::new(0),
        looked_up: AtomicUsize::new(0),
        release_parts: Arc::new(Semaphore::new(0)),
    });
    let lifecycle = Lifecycle::new();
    let names = MODELS.map(|name| (name.to_owned(), "1".to_owned()));
    let parts = Parts {
        service: Arc::clone(&models),
        access: gates.access,
        router: gates.router,
        resources: Resources::new(options.limits.clone(), gates.cpu_pool),
        metrics: Arc::new(Metrics::new(names)),
        lifecycle: lifecycle.clone(),
        policy: Arc::new(PolicyStore::new(
            Policy {
                api,
                ..Policy::default()
            },
            String::new(),
        )),
        monitoring: Monitoring::default(),
    };
    let server = Server::start(options, parts).await.expect("free ports");
    lifecycle.advance(Phase::Ready);
    let (trigger, shutdown) = channel();
    Running {
        server,
        models,
        lifecycle,
        trigger,
        shutdown,
    }
}

impl Running {
    pub async fn client(&self) -> Client {
        Client::connect(self.server.http_addr).await
    }

    pub async fn admin(&self) -> Client {
        Client::connect(self.server.admin_addr).await
    }

    /// The metrics now.
    pub async fn samples(&self) -> Samples {
        self.client().await.get("/metrics").await.samples()
    }

    /// Waits until the metrics are as `wanted`, for what happens after an answer: a caller that
    /// leaves, a connection that ends.
    pub async fn until_samples(&self, wanted: impl Fn(&Samples) -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let samples = self.samples().await;
            if wanted(&samples) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{samples:?}");
        }
    }
}

/// Polls until `done`, or fails.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not in time: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A request body with one input `x`.
pub fn body(datatype: &str, shape: &str, data: &str) -> String {
    format!(
        r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","data":{data}}}]}}"#
    )
}

/// A tensor as the server reads it.
pub fn fp32(name: &str, values: &[f32]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        datatype: Datatype::Fp32,
        shape: vec![i64::try_from(values.len()).expect("few")],
        data: TensorData::Raw(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
    }
}

/// Nothing panicked, nothing was answered by a 5xx but what is not offered at all.
pub async fn assert_no_defect(client: &mut Client) {
    let samples = client.get("/metrics").await.samples();
    for (labels, _) in samples.series("serin_requests_total") {
        let code = &labels["code"];
        assert!(!code.starts_with('5') || code == "501", "{labels:?}");
    }
    assert_eq!(samples.get("serin_panics_total", &[]), Some(0.0));
}
