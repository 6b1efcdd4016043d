//! The classification extension on real models: through the pipeline, whichever protocol asks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/served.rs"]
mod served;
mod support;

use std::num::NonZeroUsize;

use serin_core::fault::Fault;
use serin_core::types::{Datatype, RequestedOutput, Tensor, TensorData};
use served::{Served, call, serve};
use support::{f32s, raw};

fn best(name: &str, classes: usize) -> RequestedOutput {
    RequestedOutput {
        name: name.to_owned(),
        classes: NonZeroUsize::new(classes),
    }
}

async fn ask(
    models: &Served,
    model: &str,
    input: Tensor,
    outputs: Vec<RequestedOutput>,
) -> Result<Vec<Tensor>, Fault> {
    let mut call = call(model, vec![input]);
    call.outputs = outputs;
    Ok(models.serve(call).await?.outputs)
}

fn texts(tensor: &Tensor) -> Vec<&str> {
    assert_eq!(tensor.datatype, Datatype::Bytes);
    let TensorData::Elements(elements) = &tensor.data else {
        panic!("BYTES are elements");
    };
    elements
        .iter()
        .map(|element| std::str::from_utf8(element).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_have_the_names_of_the_models_metadata_where_they_are_as_many() {
    let models = serve(&["labelled"]).await;
    let input = f32s("X", &[2, 3], &[0.5, 2.5, 1.0, 3.0, 3.0, -1.0]);
    let wanted = vec![
        best("ranks", 1),
        best("scores", 2),
        best("others", 1),
        RequestedOutput::values("X"),
    ];
    let fault = ask(&models, "labelled", input.clone(), wanted.clone()).await;
    assert_eq!(fault.unwrap_err().code, "unknown_output");
    let outputs = ask(&models, "labelled", input, wanted[..3].to_vec())
        .await
        .unwrap();
    assert_eq!(outputs[0].shape, [2, 1]);
    assert_eq!(texts(&outputs[0]), ["2:1:versicolor", "3:0:setosa"]);
    assert_eq!(outputs[1].shape, [2, 2]);
    assert_eq!(
        texts(&outputs[1]),
        [
            "2.500000:1:versicolor",
            "1.000000:2:vir: ginica",
            "3.000000:0:setosa",
            "3.000000:1:versicolor"
        ]
    );
    // Four scores, three names: they belong to something else.
    assert_eq!(texts(&outputs[2]), ["2.500000:1", "3.000000:0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_classes_may_be_asked_for_side_by_side() {
    let models = serve(&["labelled"]).await;
    let input = f32s("X", &[1, 3], &[0.5, 2.5, 1.0]);
    let wanted = vec![RequestedOutput::values("scores"), best("ranks", 9)];
    let outputs = ask(&models, "labelled", input, wanted).await.unwrap();
    assert_eq!(
        (outputs[0].datatype, &outputs[0].shape[..]),
        (Datatype::Fp32, &[1, 3][..])
    );
    assert_eq!(
        texts(&outputs[1]),
        ["2:1:versicolor", "1:2:vir: ginica", "0:0:setosa"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_scores_are_ranked_like_few() {
    let models = serve(&["identity_fp32"]).await;
    let count = 100_000;
    let values: Vec<f32> = (0..count).map(|at| ((at * 7919) % count) as f32).collect();
    let input = f32s("X", &[1, i64::from(count)], &values);
    let outputs = ask(&models, "identity_fp32", input, vec![best("Y", 1)])
        .await
        .unwrap();
    let at = values
        .iter()
        .position(|value| *value == (count - 1) as f32)
        .unwrap();
    assert_eq!(texts(&outputs[0]), [format!("{}.000000:{at}", count - 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_without_classes_is_refused_before_the_model_runs() {
    let models = serve(&["identity_fp16"]).await;
    let input = raw("X", Datatype::Fp16, &[1, 2], vec![0; 4]);
    let fault = ask(&models, "identity_fp16", input, vec![best("Y", 1)])
        .await
        .unwrap_err();
    assert_eq!(
        (fault.code, fault.param.as_deref()),
        ("unclassifiable_output", Some("Y"))
    );
    assert!(fault.message.contains("FP16"), "{fault}");
}
