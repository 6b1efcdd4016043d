//! Models from file to answer, with the real ONNX Runtime: loaded, proved, merged or not, stopped.

#[path = "support/served.rs"]
mod served;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serin_core::fault::FaultKind;
use serin_core::types::{ModelRef, RequestedOutput, Tensor};
use serin_crds::contract::pod_config::ModelConfig;
use serin_crds::inference_service::Batching;
use served::{call, config, serve, serve_models, until, uri};
use support::{as_f32, as_i64, f32s, i64s};

/// Rows that any seed makes; small whole numbers, exact in FP32.
fn rows(seed: usize, count: usize, width: usize) -> Vec<Vec<f32>> {
    (0..count)
        .map(|row| {
            (0..width)
                .map(|column| ((seed * 31 + row * 7 + column * 3) % 19) as f32 - 9.0)
                .collect()
        })
        .collect()
}

fn x(rows: &[Vec<f32>]) -> Tensor {
    let width = rows.first().map_or(0, Vec::len) as i64;
    f32s("X", &[rows.len() as i64, width], &rows.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_merged_only_where_they_do_not_influence_each_other() {
    let merged = [
        "linear",
        "class_only",
        "two_inputs",
        "multi_var",
        "slow",
        "fails_at_runtime",
        "identity_fp16",
        "identity_int64",
        "identity_bytes",
        "strings_rank1",
        "declared_wrong",
        "odd_names",
        "map_output",
    ];
    let alone = [
        "set_model",
        "batch_scaled",
        "dynamic_quantised",
        "running_sum",
        "reversed_rows",
        "row_count",
        "zero_rows",
        "pairwise",
        "hidden_scale",
        "padded_words",
        "fixed_batch",
        "batch_axis1",
        "scalar_input",
        "unknown_rank",
        "no_input",
    ];
    let every: Vec<&str> = merged.iter().chain(&alone).copied().collect();
    let pipeline = serve(&every).await;
    for name in every {
        let batching = pipeline
            .describe(&ModelRef {
                name: name.to_owned(),
                version: None,
            })
            .unwrap()
            .batching;
        assert_eq!(
            batching.merges(),
            merged.contains(&name),
            "{name}: {}",
            batching.reason
        );
        assert!(!batching.reason.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_not_merged_where_that_is_switched_off() {
    let model = |name: &str, batching| ModelConfig {
        batching,
        ..config(name, &uri("linear"))
    };
    let pipeline = serve_models(vec![
        model("auto", Some(Batching::Auto)),
        model("disabled", Some(Batching::Disabled)),
    ])
    .await;
    let of = |name: &str| {
        let model = ModelRef {
            name: name.to_owned(),
            version: None,
        };
        pipeline.describe(&model).unwrap().batching
    };
    assert!(of("auto").merges());
    let off = of("disabled");
    assert!(!off.merges());
    assert!(off.reason.contains("switched off"), "{}", off.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_each_get_their_own_rows() {
    type Expected = fn(&[Vec<f32>]) -> Vec<f32>;
    let models: [(&str, usize, Expected); 4] = [
        ("linear", 4, |rows| {
            rows.iter()
                .flat_map(|row| [row.iter().sum(), row[0] - row[1], 10.0 * row[3] + 1.0])
                .collect()
        }),
        ("set_model", 4, |rows| {
            let mean =
                |column: usize| rows.iter().map(|row| row[column]).sum::<f32>() / rows.len() as f32;
            rows.iter()
                .flat_map(|row| {
                    (0..4)
                        .map(|column| row[column] - mean(column))
                        .collect::<Vec<_>>()
                })
                .collect()
        }),
        ("batch_scaled", 4, |rows| {
            let largest = rows
                .iter()
                .flatten()
                .fold(0f32, |largest, value| largest.max(value.abs()));
            rows.iter().flatten().map(|value| value / largest).collect()
        }),
        ("fails_at_runtime", 4, |rows| {
            rows.iter().flatten().map(|value| value * 2.0).collect()
        }),
    ];
    let pipeline = serve(&models.map(|(name, ..)| name)).await;
    for (name, width, expected) in models {
        let callers: Vec<_> = (0..64)
            .map(|caller| {
                let pipeline = Arc::clone(&pipeline);
                tokio::spawn(async move {
                    let mut largest_batch = 0;
                    for round in 0..8 {
                        let rows = rows(caller * 8 + round, caller % 5 + 1, width);
                        let reply = pipeline.serve(call(name, vec![x(&rows)])).await.unwrap();
                        let (got, wanted) = (as_f32(&reply.outputs[0]), expected(&rows));
                        assert_eq!(got.len(), wanted.len(), "{name}");
                        for (got, wanted) in got.iter().zip(&wanted) {
                            assert!((got - wanted).abs() < 1e-4, "{name}: {got} is not {wanted}");
                        }
                        largest_batch = largest_batch.max(reply.timing.batch_rows);
                    }
                    largest_batch
                })
            })
            .collect();
        let mut largest = 0;
        for caller in callers {
            largest = largest.max(caller.await.unwrap());
        }
        // Requests are merged where that is right, at this load some of them; elsewhere none is.
        let merges = pipeline
            .describe(&ModelRef {
                name: name.to_owned(),
                version: None,
            })
            .unwrap()
            .batching
            .merges();
        assert!(
            if merges { largest > 5 } else { largest == 1 },
            "{name}: {largest}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_together_run_together_if_alike() {
    let pipeline = serve(&["slow"]).await;
    let first = tokio::spawn({
        let pipeline = Arc::clone(&pipeline);
        async move {
            pipeline
                .serve(call("slow", vec![i64s("steps", &[1, 1], &[500])]))
                .await
        }
    });
    until("the first runs", || pipeline.counts("slow").running == 1).await;
    let callers: Vec<_> = (1..=6i64)
        .map(|n| {
            let pipeline = Arc::clone(&pipeline);
            tokio::spawn(async move {
                pipeline
                    .serve(call("slow", vec![i64s("steps", &[1, 1], &[n])]))
                    .await
            })
        })
        .collect();
    let before = pipeline.counts("slow").executions;
    for (caller, n) in callers.into_iter().zip(1..) {
        let reply = caller.await.unwrap().unwrap();
        assert_eq!(as_i64(&reply.outputs[0]), [n]);
        assert!(reply.timing.queue > Duration::ZERO);
    }
    assert_eq!(as_i64(&first.await.unwrap().unwrap().outputs[0]), [500]);
    // How many fit into one run depends on how fast this machine is at the moment.
    let runs = pipeline.counts("slow").executions - before;
    assert!(runs <= 4, "six requests and the first in {runs} runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_other_widths_wait_for_a_run_of_their_own() {
    let pipeline = serve(&["multi_var"]).await;
    let callers: Vec<_> = (0..64usize)
        .map(|caller| {
            let pipeline = Arc::clone(&pipeline);
            tokio::spawn(async move {
                let rows = rows(caller, caller % 3 + 1, caller % 4 + 1);
                let reply = pipeline
                    .serve(call("multi_var", vec![x(&rows)]))
                    .await
                    .unwrap();
                let doubled: Vec<f32> = rows.iter().flatten().map(|value| value * 2.0).collect();
                let totals: Vec<f32> = rows.iter().map(|row| row.iter().sum()).collect();
                assert_eq!(as_f32(&reply.outputs[0]), doubled);
                assert_eq!(as_f32(&reply.outputs[1]), totals);
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_row_at_fault_fails() {
    let pipeline = serve(&["fails_at_runtime"]).await;
    for _ in 0..10 {
        let callers: Vec<_> = (0..16usize)
            .map(|caller| {
                let pipeline = Arc::clone(&pipeline);
                tokio::spawn(async move {
                    let at_fault = caller == 5;
                    let value = if at_fault { -2000.0 } else { caller as f32 };
                    let result = pipeline
                        .serve(call("fails_at_runtime", vec![x(&[vec![value; 4]])]))
                        .await;
                    if at_fault {
                        let fault = result.unwrap_err();
                        assert_eq!(
                            (fault.kind, fault.code),
                            (FaultKind::Inference, "inference_error")
                        );
                        assert!(!fault.message.contains("/onnxruntime"), "{fault}");
                    } else {
                        assert_eq!(as_f32(&result.unwrap().outputs[0]), [value * 2.0; 4]);
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    }
}

/// About a quarter of an hour, if it is not stopped.
fn endless() -> Tensor {
    i64s("steps", &[1, 1], &[1_000_000])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_caller_left_makes_way() {
    let pipeline = serve(&["slow"]).await;
    let left = tokio::spawn({
        let pipeline = Arc::clone(&pipeline);
        async move { pipeline.serve(call("slow", vec![endless()])).await }
    });
    until("it runs", || pipeline.counts("slow").running == 1).await;
    left.abort();
    let begun = Instant::now();
    pipeline
        .serve(call("slow", vec![i64s("steps", &[1, 1], &[1])]))
        .await
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_deadline_ends_the_run_and_a_late_request_never_begins_one() {
    let pipeline = serve(&["slow"]).await;
    let before = pipeline.counts("slow").executions;
    let mut late = call("slow", vec![i64s("steps", &[1, 1], &[1])]);
    late.meta.deadline = Instant::now();
    assert_eq!(
        pipeline.serve(late).await.unwrap_err().kind,
        FaultKind::Timeout
    );
    assert_eq!(pipeline.counts("slow").executions, before);

    let mut long = call("slow", vec![endless()]);
    long.meta.deadline = Instant::now() + Duration::from_millis(200);
    assert_eq!(
        pipeline.serve(long).await.unwrap_err().kind,
        FaultKind::Timeout
    );
    until("the run has ended", || pipeline.counts("slow").running == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_would_be_late_is_refused_at_once() {
    let pipeline = serve(&["slow"]).await;
    // It is measured what a request costs.
    for _ in 0..4 {
        pipeline
            .serve(call("slow", vec![i64s("steps", &[1, 1], &[300])]))
            .await
            .unwrap();
    }
    let running: Vec<_> = (0..4)
        .map(|_| {
            let pipeline = Arc::clone(&pipeline);
            tokio::spawn(async move { pipeline.serve(call("slow", vec![endless()])).await })
        })
        .collect();
    until("all four run or wait", || {
        let counts = pipeline.counts("slow");
        counts.running + counts.queued == 4
    })
    .await;
    let mut hasty = call("slow", vec![i64s("steps", &[1, 1], &[1])]);
    // Time enough to be asked on a busy machine, and less than four runs of 300 steps take on a quick one.
    hasty.meta.deadline = Instant::now() + Duration::from_millis(150);
    let fault = pipeline.serve(hasty).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.code),
        (FaultKind::Overloaded, "overloaded"),
        "{fault}"
    );
    assert!(fault.retry_after.is_some());
    for caller in running {
        caller.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_streams_that_wait_for_room_are_no_failures() {
    // More than may be queued.
    const ROWS: usize = 600;
    let pipeline = serve(&["linear"]).await;
    let rows: Vec<_> = (0..ROWS)
        .map(|_| {
            let pipeline = Arc::clone(&pipeline);
            let row = call("linear", vec![f32s("X", &[1, 4], &[0.5; 4])]);
            tokio::spawn(async move { pipeline.infer_queued(row).await })
        })
        .collect();
    for row in rows {
        row.await.unwrap().unwrap();
    }
    assert_eq!(pipeline.answered_and_failed(), (ROWS as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_checked_before_it_is_queued() {
    let pipeline = serve(&["linear", "two_inputs"]).await;
    let short = Tensor {
        shape: vec![1, 4],
        ..f32s("X", &[1, 3], &[1.0; 3])
    };
    let fault = pipeline
        .serve(call("linear", vec![short]))
        .await
        .unwrap_err();
    assert_eq!(fault.message, "input 'X': expected 4 elements, got 3");
    assert_eq!(fault.code, "shape_mismatch");

    let uneven = vec![f32s("A", &[2, 2], &[0.0; 4]), i64s("B", &[3, 2], &[0; 6])];
    let fault = pipeline
        .serve(call("two_inputs", uneven))
        .await
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::BadTensor, "{fault}");
    assert!(
        fault.message.contains("'A'") && fault.message.contains("'B'"),
        "{fault}"
    );

    let mut unknown = call("linear", vec![f32s("X", &[1, 4], &[0.0; 4])]);
    unknown.outputs = vec![RequestedOutput::values("Z")];
    assert_eq!(
        pipeline.serve(unknown).await.unwrap_err().code,
        "unknown_output"
    );
    let fault = pipeline
        .serve(call("nobody", Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (FaultKind::NotFound, "model 'nobody' not found")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_axes_are_free_takes_uneven_inputs() {
    let pipeline = serve(&["pairwise"]).await;
    let inputs = vec![
        f32s("A", &[1, 2], &[1.0, 2.0]),
        f32s("B", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
    ];
    let reply = pipeline.serve(call("pairwise", inputs)).await.unwrap();
    assert_eq!(reply.outputs[0].shape, [1, 3]);
    assert_eq!(as_f32(&reply.outputs[0]), [1.0, 2.0, 3.0]);
}
