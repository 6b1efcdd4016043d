//! Models whose rows are coupled by quantisation (`coupled_*` of `tests/models/README.md`), under
//! load: an argmax that flips in company is a wrong answer to somebody.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/served.rs"]
mod served;
mod support;

use std::sync::Arc;

use serin_core::types::{Batching, ModelRef, Tensor};
use served::{Served, call, config, serve, serve_models};
use support::f32s;

const OPERATORS: [(&str, &str); 6] = [
    ("dynamic_quantize_linear", "DynamicQuantizeLinear"),
    ("dynamic_quantize_matmul", "DynamicQuantizeMatMul"),
    ("dynamic_quantize_lstm", "DynamicQuantizeLSTM"),
    ("matmul_integer_to_float", "DynamicQuantizeLinear"),
    ("function", "DynamicQuantizeLinear"),
    ("subgraph", "DynamicQuantizeLinear"),
];

/// One row for each caller, none like another; the two scores that decide are nearly alike.
fn row(caller: i16) -> Tensor {
    let even = f32::from(caller % 9) / 8.0;
    let odd = even + f32::from(caller * 7 % 5 - 2) / 200.0;
    let others = [f32::from(caller) / 40.0, -f32::from(caller % 3)];
    f32s("X", &[1, 4], &[even, odd, others[0], others[1]])
}

async fn answer(served: &Served, name: &str, caller: i16) -> Tensor {
    let reply = served.serve(call(name, vec![row(caller)])).await.unwrap();
    reply.outputs.first().unwrap().clone()
}

/// Sixty-four callers at once, again and again; each answer is the one that its input has alone.
async fn everyone_gets_their_own(output: &str) {
    let names = OPERATORS.map(|(name, _)| format!("coupled_{name}_{output}"));
    let every: Vec<&str> = names.iter().map(String::as_str).collect();
    let served = serve(&every).await;
    for name in names {
        let mut alone = Vec::new();
        for caller in 0..64 {
            alone.push(answer(&served, &name, caller).await);
        }
        for _ in 0..8 {
            let callers: Vec<_> = (0..64)
                .map(|caller| {
                    let (served, name) = (Arc::clone(&served), name.clone());
                    tokio::spawn(async move { answer(&served, &name, caller).await })
                })
                .collect();
            for (caller, alone) in callers.into_iter().zip(&alone) {
                let together = caller.await.unwrap();
                assert_eq!(&together, alone, "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_numbers_of_a_model_quantised_by_the_batch_are_everyones_own() {
    everyone_gets_their_own("int").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_of_a_model_quantised_by_the_batch_are_everyones_own() {
    everyone_gets_their_own("string").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floats_of_a_model_quantised_by_the_batch_are_everyones_own() {
    everyone_gets_their_own("float").await;
}

fn batching(served: &Served, name: &str) -> Batching {
    let model = ModelRef {
        name: name.to_owned(),
        version: None,
    };
    served.describe(&model).unwrap().batching
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_that_mixes_rows_is_named_wherever_it_stands() {
    let expected: Vec<_> = OPERATORS
        .into_iter()
        .flat_map(|(name, operator)| {
            ["int", "string", "float"].map(|output| (format!("coupled_{name}_{output}"), operator))
        })
        .chain([
            ("set_model".to_owned(), "ReduceMean"),
            ("batch_scaled".to_owned(), "ReduceMax"),
            ("dynamic_quantised".to_owned(), "DynamicQuantizeLinear"),
            ("running_sum".to_owned(), "CumSum"),
            ("zero_rows".to_owned(), "Compress"),
            ("pairwise".to_owned(), "MatMul"),
        ])
        .collect();
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let served = serve(&names).await;
    for (name, operator) in &expected {
        let batching = batching(&served, name);
        assert!(!batching.merges(), "{name}");
        assert!(
            batching.reason.contains(&format!("operator {operator} ")),
            "{name}: {}",
            batching.reason
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floats_before_whole_numbers_show_what_these_do_not() {
    let served = serve(&[
        "hidden_scale",
        "class_only",
        "declared_wrong",
        "identity_int64",
    ])
    .await;
    let hidden = batching(&served, "hidden_scale");
    assert!(!hidden.merges());
    assert!(
        hidden.reason.contains("'D' differs"),
        "the floats before the argmax: {}",
        hidden.reason
    );
    let plain = batching(&served, "class_only");
    assert!(plain.merges(), "{}", plain.reason);
    assert!(
        plain.reason.contains("so did the floats"),
        "{}",
        plain.reason
    );
    // Where there are none, the reason says so.
    for name in ["declared_wrong", "identity_int64"] {
        let batching = batching(&served, name);
        assert!(batching.merges(), "{name}: {}", batching.reason);
        assert!(
            batching.reason.contains("no floats before them"),
            "{name}: {}",
            batching.reason
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_merged() {
    let examples = [
        ("iris", "iris/iris.onnx"),
        ("forest", "iris/v2/iris.onnx"),
        ("digits", "digits/digits.onnx"),
        ("embedder", "embedder/model"),
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let models = examples.map(|(name, path)| config(name, &format!("file://{folder}/{path}")));
    let served = serve_models(models.to_vec()).await;
    for (name, _) in examples {
        let batching = batching(&served, name);
        assert!(batching.merges(), "{name}: {}", batching.reason);
    }
}
