//! What is said of models that cannot be loaded: the source, what is wrong, and what to do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/served.rs"]
mod served;
#[path = "support/store.rs"]
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serin_core::fault::FaultKind;
use serin_dataplane::model::{check, load_all};
use serin_dataplane::pipeline::{Catalog, Pipeline, WhenBusy};
use serin_dataplane::runtime::cpu_pool::CpuPool;
use serin_dataplane::runtime::lifecycle::Lifecycle;
use served::{call, config, infer, options, refusal, registry, until, uri};
use store::{Answer, Store};

const MODEL: &[u8] = include_bytes!("models/linear.onnx");

#[tokio::test]
async fn every_broken_file_is_named_with_what_is_wrong_with_it() {
    for (name, part) in [
        ("not_onnx", "it is a text file"),
        ("truncated", "it was cut off"),
        ("absent", "there is no such file"),
        ("unknown_operator", "ONNX Runtime refuses it"),
        ("float8_input", "its input 'X' is"),
    ] {
        let error = refusal(config("m", &uri(name))).await;
        assert!(error.permanent, "{error}");
        assert!(error.message.contains(&uri(name)), "{error}");
        assert!(error.message.contains(part), "{error}");
        assert!(!error.message.contains("onnxruntime_src"), "{error}");
    }
}

#[tokio::test]
async fn another_file_than_the_digest_says_names_both_and_the_cure() {
    let wrong = format!("sha256:{}", "0".repeat(64));
    // A file that is no model at all is better named as the wrong file, too.
    for name in ["linear", "not_onnx"] {
        let mut model = config("m", &uri(name));
        model.source.digest = Some(wrong.clone());
        let error = refusal(model).await;
        assert!(error.permanent, "{error}");
        for part in [
            "digest mismatch",
            &uri(name),
            &wrong,
            "model.source.digest if it is the file",
        ] {
            assert!(error.message.contains(part), "{error}");
        }
    }
}

#[tokio::test]
async fn a_folder_is_a_source_if_it_holds_model_onnx() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("file://{}", folder.path().display());
    let error = refusal(config("m", &uri)).await;
    assert!(
        error.message.contains("the folder has no model.onnx"),
        "{error}"
    );
    std::fs::write(folder.path().join("model.onnx"), MODEL).unwrap();
    let signature = check(&config("m", &uri).source, &options()).await.unwrap();
    assert_eq!(signature.inputs[0].name, "X");
}

#[tokio::test]
async fn what_a_pod_mounts_is_read_through_links_and_nothing_outside_is() {
    let mount = tempfile::tempdir().unwrap();
    let data = mount.path().join("..data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("iris.onnx"), MODEL).unwrap();
    std::os::unix::fs::symlink("..data/iris.onnx", mount.path().join("iris.onnx")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", mount.path().join("out.onnx")).unwrap();
    let mut model = config("m", "configmap://iris/iris.onnx");
    model.source.path = Some(mount.path().join("iris.onnx").display().to_string());
    check(&model.source, &options()).await.unwrap();
    model.source.path = Some(mount.path().join("out.onnx").display().to_string());
    let error = refusal(model).await;
    assert!(
        error.message.contains("configmap://iris/iris.onnx"),
        "{error}"
    );
    assert!(error.message.contains("link to outside"), "{error}");
    assert!(
        !error.message.contains(&*mount.path().to_string_lossy()),
        "{error}"
    );
}

#[tokio::test]
async fn a_gpu_that_is_not_there_is_a_reason_not_a_slow_model() {
    let mut model = config("m", &uri("linear"));
    model.gpu = true;
    let error = refusal(model).await;
    assert!(error.permanent && error.message.contains("GPU"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_goes_on_without_a_model_that_cannot_be_loaded() {
    let registry = registry(vec![
        config("good", &uri("linear")),
        config("bad", &uri("not_onnx")),
    ]);
    load_all(&registry, &options(), &Lifecycle::new())
        .await
        .unwrap();
    let pipeline = Pipeline::new(Arc::clone(&registry), CpuPool::new());
    let states = pipeline.models();
    assert!(states[0].ready() && !states[1].ready());
    assert!(
        states[1]
            .reason
            .as_ref()
            .unwrap()
            .contains("it is a text file"),
        "{states:?}"
    );
    let fault = infer(&pipeline, call("bad", Vec::new()), WhenBusy::Refuse)
        .await
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.code),
        (FaultKind::NotReady, "model_not_ready")
    );
    assert_eq!(fault.retry_after, None, "it will not get better");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_asked_again_until_it_is_back() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let store = Store::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Answer::status("503 Service Unavailable"),
        _ => Answer::ok(MODEL),
    });
    let cache = tempfile::tempdir().unwrap();
    let mut options = options();
    options.source.cache_dir = cache.path().to_path_buf();
    options.source.extra_roots = Some(store.roots());
    let registry = registry(vec![config("m", &store.url("/m.onnx"))]);
    let pipeline = Pipeline::new(Arc::clone(&registry), CpuPool::new());
    let loading = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { load_all(&registry, &options, &Lifecycle::new()).await }
    });
    until("the first failure is shown", || {
        pipeline.models()[0]
            .reason
            .as_ref()
            .is_some_and(|reason| reason.contains("503"))
    })
    .await;
    let fault = infer(&pipeline, call("m", Vec::new()), WhenBusy::Refuse)
        .await
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotReady);
    assert!(fault.retry_after.is_some());
    loading.await.unwrap().unwrap();
    assert!(pipeline.models()[0].ready());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
