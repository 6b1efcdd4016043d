//! A machine without ONNX Runtime. A binary of its own: the library is opened once per process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/served.rs"]
mod served;

use std::path::PathBuf;
use std::sync::Arc;

use serin_dataplane::backends;
use serin_dataplane::model::load_all;
use serin_dataplane::pipeline::{Catalog, Pipeline};
use serin_dataplane::runtime::cpu_pool::CpuPool;
use serin_dataplane::runtime::lifecycle::Lifecycle;
use serin_engine::onnx::{Runtime, RuntimeError};
use served::{config, options, registry, uri};

#[tokio::test]
async fn the_cure_is_named_and_callers_learn_no_path() {
    let mut options = options();
    options.backends = backends::all(Some(PathBuf::from("/nowhere/libonnxruntime.so.1")));
    let registry = registry(vec![config("m", &uri("linear"))]);
    let error = load_all(&registry, &options, &Lifecycle::new())
        .await
        .unwrap_err();
    assert!(error.permanent, "{error}");
    assert!(
        error.message.contains("/nowhere/libonnxruntime.so.1"),
        "{error}"
    );
    assert!(error.message.contains("`serin runtime install`"), "{error}");
    let reason = Pipeline::new(Arc::clone(&registry), CpuPool::new()).models()[0]
        .reason
        .clone()
        .unwrap();
    assert!(
        reason.contains("ONNX Runtime") && !reason.contains('/'),
        "{reason}"
    );
}

#[test]
fn a_file_that_is_no_library_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "not a library").unwrap();
    let error = Runtime::open(Some(file.path())).err().unwrap();
    assert!(matches!(error, RuntimeError::Unusable { .. }), "{error}");
    assert!(
        error.to_string().contains("`serin runtime install`"),
        "{error}"
    );
}
