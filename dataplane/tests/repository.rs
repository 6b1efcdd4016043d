//! Models loaded and unloaded while the process serves, with the real ONNX Runtime.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/served.rs"]
mod served;
mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Availability, ModelRef, Tensor};
use serin_crds::contract::pod_config::ModelConfig;
use serin_dataplane::model::{Registry, Repository, load_all};
use serin_dataplane::pipeline::{Catalog, ModelState, Pipeline, RepositoryControl, WhenBusy};
use serin_dataplane::runtime::cpu_pool::CpuPool;
use serin_dataplane::runtime::lifecycle::{Lifecycle, Phase};
use served::{call, config, infer, options, registry, until, uri};
use support::{as_f32, f32s, i64s, model};

struct Controlled {
    pipeline: Arc<Pipeline>,
    registry: Arc<Registry>,
    lifecycle: Lifecycle,
}

/// Serves these models, of which some may fail, to callers that may control them.
async fn controlled(models: Vec<ModelConfig>) -> Controlled {
    let registry = registry(models);
    let lifecycle = Lifecycle::new();
    load_all(&registry, &options(), &lifecycle).await.unwrap();
    if !registry.states().iter().any(ModelState::blocks_readiness) {
        lifecycle.advance(Phase::Ready);
    }
    let repository = Repository::new(Arc::clone(&registry), options(), lifecycle.clone());
    let pipeline =
        Pipeline::new(Arc::clone(&registry), CpuPool::new()).with_repository_control(repository);
    Controlled {
        pipeline: Arc::new(pipeline),
        registry,
        lifecycle,
    }
}

impl Controlled {
    async fn ask(&self, model: &str, input: Tensor) -> Result<Vec<f32>, Fault> {
        let reply = infer(&self.pipeline, call(model, vec![input]), WhenBusy::Refuse).await?;
        Ok(as_f32(&reply.outputs[0]))
    }

    fn stands(&self, model: &str) -> (Availability, String) {
        let states = self.registry.states();
        let state = states.into_iter().find(|state| state.name == model);
        let state = state.unwrap();
        (state.availability, state.reason.unwrap_or_default())
    }
}

fn row() -> Tensor {
    f32s("X", &[1, 4], &[1.0, 2.0, 3.0, 4.0])
}

/// Puts a test model in the place of `file`, as a rename: the old one may be mapped.
fn put(name: &str, file: &Path) {
    let beside = file.with_extension("new");
    fs::copy(model(name), &beside).unwrap();
    fs::rename(beside, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unloaded_model_finishes_what_it_has_and_says_how_to_load_it() {
    let server = controlled(vec![
        config("slow", &uri("slow")),
        config("linear", &uri("linear")),
    ])
    .await;
    let slow = i64s("steps", &[1, 1], &[300]);
    let running = tokio::spawn({
        let (pipeline, slow) = (Arc::clone(&server.pipeline), slow.clone());
        async move { infer(&pipeline, call("slow", vec![slow]), WhenBusy::Refuse).await }
    });
    let name = ModelRef {
        name: "slow".to_owned(),
        version: None,
    };
    until("the request runs", || {
        let model = server.registry.resolve(&name).unwrap();
        model.runner.counts().running == 1
    })
    .await;
    server.pipeline.unload("slow").unwrap();
    let refused = server.ask("slow", slow.clone()).await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.code),
        (FaultKind::NotReady, "model_unloaded")
    );
    assert!(
        refused.message.contains("/v2/repository/models/slow/load"),
        "{refused}"
    );
    assert!(
        running.await.unwrap().is_ok(),
        "what had come before is answered"
    );
    until("the model has gone", || {
        server.stands("slow").0 == Availability::Unloaded
    })
    .await;
    assert_eq!(server.stands("slow").1, "unloaded");
    // It is no outage, and others are not touched.
    assert_eq!(server.lifecycle.phase(), Phase::Ready);
    assert!(server.ask("linear", row()).await.is_ok());
    server.pipeline.unload("slow").unwrap();
    server.pipeline.load("slow").await.unwrap();
    assert_eq!(server.stands("slow").0, Availability::Ready);
    let again = call("slow", vec![i64s("steps", &[1, 1], &[1])]);
    assert!(
        infer(&server.pipeline, again, WhenBusy::Refuse)
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_model_takes_over_when_it_is_ready_and_one_that_cannot_load_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    put("linear", &file);
    let address = format!("file://{}", file.display());
    let server = controlled(vec![config("m", &address)]).await;
    let mut phases = server.lifecycle.subscribe();
    phases.borrow_and_update();
    let before = server.ask("m", row()).await.unwrap();
    put("identity_fp32", &file);
    assert_eq!(
        server.ask("m", row()).await.unwrap(),
        before,
        "nothing changes by itself"
    );
    server.pipeline.load("m").await.unwrap();
    let after = server.ask("m", row()).await.unwrap();
    assert_eq!(after, [1.0, 2.0, 3.0, 4.0]);
    assert_ne!(after, before);

    put("not_onnx", &file);
    let refused = server.pipeline.load("m").await.unwrap_err();
    assert_eq!(refused.code, "load_failed");
    assert!(refused.message.contains("goes on answering"), "{refused}");
    assert_eq!(server.ask("m", row()).await.unwrap(), after);
    assert_eq!(server.stands("m").0, Availability::Ready);
    assert!(
        !phases.has_changed().unwrap(),
        "the process was ready all the time"
    );

    server.pipeline.unload("m").unwrap();
    let refused = server.pipeline.load("m").await.unwrap_err();
    assert!(!refused.message.contains("goes on answering"), "{refused}");
    let (availability, reason) = server.stands("m");
    assert_eq!(availability, Availability::Unloaded);
    assert!(reason.contains("loading it again failed"), "{reason}");
    let counted = server.pipeline.statistics(None).unwrap();
    assert_eq!(
        counted[0].statistics.success.count, 4,
        "loading resets no count"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_answered_all_the_while_a_model_is_loaded_again() {
    let server = Arc::new(controlled(vec![config("linear", &uri("linear"))]).await);
    let asking = tokio::spawn({
        let server = Arc::clone(&server);
        async move {
            let expected = server.ask("linear", row()).await?;
            for _ in 0..300 {
                assert_eq!(server.ask("linear", row()).await?, expected);
            }
            Ok::<_, Fault>(())
        }
    });
    for _ in 0..5 {
        server.pipeline.load("linear").await.unwrap();
    }
    asking.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_load_of_a_model_is_refused_while_the_first_runs() {
    let server = controlled(vec![
        config("linear", &uri("linear")),
        config("slow", &uri("slow")),
    ])
    .await;
    let (first, second, other, gone) = tokio::join!(
        server.pipeline.load("linear"),
        server.pipeline.load("linear"),
        server.pipeline.load("slow"),
        async { server.pipeline.unload("linear") },
    );
    first.unwrap();
    other.unwrap();
    for refused in [second.unwrap_err(), gone.unwrap_err()] {
        assert_eq!(refused.code, "model_busy");
        assert!(refused.retry_after.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_does_not_stop_a_load() {
    let server = controlled(vec![config("linear", &uri("linear"))]).await;
    server.pipeline.unload("linear").unwrap();
    let load = server.pipeline.load("linear");
    // One poll: it has begun, and is dropped.
    assert!(futures_util::FutureExt::now_or_never(load).is_none());
    until("the model answers", || {
        server.stands("linear").0 == Availability::Ready
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lacks_a_model_is_ready_once_that_is_unloaded_or_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    put("not_onnx", &file);
    let broken = || config("broken", &format!("file://{}", file.display()));
    let server = controlled(vec![config("linear", &uri("linear")), broken()]).await;
    assert_ne!(server.lifecycle.phase(), Phase::Ready);
    server.pipeline.unload("broken").unwrap();
    assert_eq!(server.lifecycle.phase(), Phase::Ready);

    let server = controlled(vec![config("linear", &uri("linear")), broken()]).await;
    server.pipeline.load("broken").await.unwrap_err();
    assert_ne!(server.lifecycle.phase(), Phase::Ready);
    put("linear", &file);
    server.pipeline.load("broken").await.unwrap();
    assert_eq!(server.lifecycle.phase(), Phase::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_models_and_forbidden_control_are_different_faults() {
    let server = controlled(vec![config("linear", &uri("linear"))]).await;
    let refused = server.pipeline.load("nobody").await.unwrap_err();
    assert_eq!(
        (refused.kind, refused.code),
        (FaultKind::NotFound, "model_not_found")
    );
    assert_eq!(
        server.pipeline.unload("nobody").unwrap_err().code,
        "model_not_found"
    );
    let closed = Pipeline::new(Arc::clone(&server.registry), CpuPool::new());
    for name in ["linear", "nobody"] {
        for refused in [closed.load(name).await, closed.unload(name)] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind, FaultKind::NotImplemented);
        }
    }
    assert_eq!(server.stands("linear").0, Availability::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_count_rows_runs_and_failures() {
    let server = controlled(vec![config("linear", &uri("linear"))]).await;
    let counted = || {
        let statistics = server.pipeline.statistics(None).unwrap();
        statistics.into_iter().next().unwrap().statistics
    };
    let rows = f32s("X", &[3, 4], &[0.5; 12]);
    server.ask("linear", rows).await.unwrap();
    server
        .ask("linear", f32s("Z", &[1, 4], &[0.0; 4]))
        .await
        .unwrap_err();
    let seen = counted();
    assert_eq!((seen.inference_count, seen.execution_count), (3, 1));
    assert_eq!(
        (seen.success.count, seen.fail.count, seen.queue.count),
        (1, 1, 1)
    );
    assert_eq!(seen.batches.len(), 1);
    assert_eq!(
        (
            seen.batches[0].batch_size,
            seen.batches[0].compute_infer.count
        ),
        (3, 1)
    );
    let phases =
        seen.queue.ns + seen.compute_input.ns + seen.compute_infer.ns + seen.compute_output.ns;
    assert!(
        seen.compute_infer.ns > 0 && phases <= seen.success.ns,
        "{seen:?}"
    );
    assert!(seen.last_inference_ms > 0);
}

fn version(version: &str, uri: &str) -> ModelConfig {
    ModelConfig {
        version: version.to_owned(),
        ..config("m", uri)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_added_answers_and_one_that_is_removed_is_unknown() {
    let server = controlled(vec![config("m", &uri("linear"))]).await;
    let repository = Repository::new(
        Arc::clone(&server.registry),
        options(),
        server.lifecycle.clone(),
    );
    let ask = async |version: Option<&str>| {
        let mut call = call("m", vec![row()]);
        call.model.version = version.map(str::to_owned);
        let reply = infer(&server.pipeline, call, WhenBusy::Refuse).await?;
        Ok::<_, Fault>((reply.model_version, as_f32(&reply.outputs[0])))
    };
    let added = version("2", &uri("identity_fp32"));
    repository.insert(added.clone()).await.unwrap();
    let answer = ask(Some("2")).await.unwrap();
    assert_eq!(answer, ("2".to_owned(), vec![1.0, 2.0, 3.0, 4.0]));
    // The first one configured stays the default, and what is there cannot be added again.
    assert_eq!(ask(None).await.unwrap().0, "1");
    assert_eq!(
        repository.insert(added).await.unwrap_err().code,
        "model_busy"
    );

    let broken = version("3", &uri("not_onnx"));
    assert_eq!(
        repository.insert(broken).await.unwrap_err().code,
        "load_failed"
    );
    assert_eq!(server.registry.versions("m"), ["1", "2"]);

    repository.remove("m", "1").unwrap();
    assert_eq!(ask(Some("1")).await.unwrap_err().code, "version_not_found");
    assert_eq!(ask(None).await.unwrap().0, "2");
    assert_eq!(
        repository.remove("m", "1").unwrap_err().code,
        "version_not_found"
    );
    assert_eq!(server.lifecycle.phase(), Phase::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_version_finishes_what_it_has() {
    let server = controlled(vec![config("slow", &uri("slow"))]).await;
    let slow = call("slow", vec![i64s("steps", &[1, 1], &[300])]);
    let running = tokio::spawn({
        let pipeline = Arc::clone(&server.pipeline);
        async move { infer(&pipeline, slow, WhenBusy::Refuse).await }
    });
    let name = ModelRef {
        name: "slow".to_owned(),
        version: None,
    };
    until("the request runs", || {
        let model = server.registry.resolve(&name).unwrap();
        model.runner.counts().running == 1
    })
    .await;
    assert!(server.registry.remove("slow", "1"));
    assert!(server.registry.known(&name).is_err());
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_waits_for_its_source_does_not_hold_up_another() {
    // A store that accepts the connection and never answers.
    let store = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = store.local_addr().unwrap();
    let held = config("held", &format!("https://{address}/m.onnx"));
    let server = controlled(vec![config("linear", &uri("linear"))]).await;
    let repository = Repository::new(
        Arc::clone(&server.registry),
        options(),
        server.lifecycle.clone(),
    );
    let waiting = tokio::spawn({
        let repository = repository.clone();
        async move { repository.insert(held).await }
    });
    let (connection, _) = store.accept().await.unwrap();
    server.pipeline.load("linear").await.unwrap();
    repository
        .insert(version("1", &uri("identity_fp32")))
        .await
        .unwrap();
    assert!(!waiting.is_finished());
    drop(connection);
    assert_eq!(waiting.await.unwrap().unwrap_err().code, "load_failed");
}
