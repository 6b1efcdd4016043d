//! A pipeline over models of `tests/models`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serin_core::fault::Fault;
use serin_core::types::{
    Call, CallMeta, ModelDescription, ModelRef, Outputs, RequestedOutput, Standing, Tensor,
};
use serin_crds::contract::pod_config::{ModelConfig, SourceConfig};
use serin_dataplane::backends;
use serin_dataplane::model::{
    LoadBounds, LoadError, LoaderOptions, Registry, SourceOptions, load_all,
};
use serin_dataplane::pipeline::{Catalog, Infer, Pipeline, WhenBusy};
use serin_dataplane::runtime::cpu_pool::CpuPool;
use serin_dataplane::runtime::lifecycle::Lifecycle;
use serin_dataplane::telemetry::Metrics;
use serin_engine::batch::Counts;

/// Loaded models.
pub struct Served {
    registry: Arc<Registry>,
    pipeline: Pipeline,
}

pub fn config(name: &str, uri: &str) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        version: "1".to_owned(),
        source: SourceConfig {
            uri: uri.to_owned(),
            path: None,
            digest: None,
            allowed_networks: Vec::new(),
        },
        gpu: false,
        batching: None,
    }
}

pub fn uri(name: &str) -> String {
    format!(
        "file://{}/tests/models/{name}.onnx",
        env!("CARGO_MANIFEST_DIR")
    )
}

pub fn options() -> LoaderOptions {
    LoaderOptions {
        source: SourceOptions {
            cache_dir: PathBuf::from("/nonexistent"),
            max_bytes: 1 << 20,
            local_mode: true,
            extra_roots: None,
        },
        backends: backends::all(None),
        threads: 1,
        bounds: LoadBounds {
            memory: 1 << 30,
            timeout: Duration::from_secs(60),
            preflight: false,
        },
    }
}

pub fn registry(models: Vec<ModelConfig>) -> Arc<Registry> {
    let names: Vec<_> = models
        .iter()
        .map(|model| (model.name.clone(), model.version.clone()))
        .collect();
    Arc::new(Registry::new(models, &Arc::new(Metrics::new(names))))
}

/// The error that loading one model ends with.
pub async fn refusal(model: ModelConfig) -> LoadError {
    load_all(&registry(vec![model]), &options(), &Lifecycle::new())
        .await
        .unwrap_err()
}

/// Loads models by the names of their files.
pub async fn serve(names: &[&str]) -> Arc<Served> {
    serve_models(names.iter().map(|name| config(name, &uri(name))).collect()).await
}

/// Loads models from wherever they are.
pub async fn serve_models(models: Vec<ModelConfig>) -> Arc<Served> {
    let registry = registry(models);
    load_all(&registry, &options(), &Lifecycle::new())
        .await
        .unwrap();
    let pipeline = Pipeline::new(Arc::clone(&registry), CpuPool::new());
    Arc::new(Served { registry, pipeline })
}

/// A request as a test puts it together.
#[derive(Clone)]
pub struct TestCall {
    pub model: ModelRef,
    pub meta: CallMeta,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<RequestedOutput>,
}

/// Runs a request by the model that it names.
pub async fn infer(
    pipeline: &Pipeline,
    call: TestCall,
    when_busy: WhenBusy,
) -> Result<Outputs, Fault> {
    let model = pipeline.model(&call.model)?;
    let call = Call {
        meta: call.meta,
        inputs: call.inputs,
        outputs: call.outputs,
    };
    pipeline.infer(&model, call, when_busy).await?.whole()
}

impl Served {
    pub async fn serve(&self, call: TestCall) -> Result<Outputs, Fault> {
        infer(&self.pipeline, call, WhenBusy::Refuse).await
    }

    pub async fn infer_queued(&self, call: TestCall) -> Result<Outputs, Fault> {
        infer(&self.pipeline, call, WhenBusy::Wait).await
    }

    /// Requests of the only model that were answered, and others.
    pub fn answered_and_failed(&self) -> (u64, u64) {
        let all = self.registry.statistics(None).unwrap();
        let statistics = &all[0].statistics;
        (statistics.success.count, statistics.fail.count)
    }

    pub fn describe(&self, model: &ModelRef) -> Result<ModelDescription, Fault> {
        self.pipeline.describe(model)
    }

    pub fn counts(&self, name: &str) -> Counts {
        let model = ModelRef {
            name: name.to_owned(),
            version: None,
        };
        self.registry.resolve(&model).unwrap().runner.counts()
    }
}

pub fn call(model: &str, inputs: Vec<Tensor>) -> TestCall {
    TestCall {
        meta: CallMeta {
            deadline: Instant::now() + Duration::from_secs(60),
            priority: 0,
            standing: Standing::default(),
        },
        model: ModelRef {
            name: model.to_owned(),
            version: None,
        },
        inputs,
        outputs: Vec::new(),
    }
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
