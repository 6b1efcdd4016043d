//! The document of Triton's model configuration extension, as far as its members apply.

use serde::Serialize;

use crate::control::{BACKEND, config_dims, data_type, max_batch_size};
use serin_core::types::{Batching, ModelDescription, TensorSpec};

/// `GET /v2/models/{name}[/versions/{version}]/config`.
#[derive(Serialize)]
pub struct ModelConfig<'a> {
    name: &'a str,
    platform: &'static str,
    backend: &'static str,
    version_policy: VersionPolicy,
    max_batch_size: i32,
    input: Vec<Tensor<'a>>,
    output: Vec<Tensor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_batching: Option<DynamicBatching>,
    model_transaction_policy: TransactionPolicy,
    response_cache: ResponseCache,
}

/// Every configured version is served.
#[derive(Serialize)]
struct VersionPolicy {
    all: All,
}

#[derive(Serialize)]
struct All {}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    data_type: &'static str,
    dims: Vec<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

/// Requests are never delayed to form a batch.
#[derive(Serialize)]
struct DynamicBatching {
    preferred_batch_size: [i32; 0],
    max_queue_delay_microseconds: u64,
}

#[derive(Serialize)]
struct TransactionPolicy {
    decoupled: bool,
}

#[derive(Serialize)]
struct ResponseCache {
    enable: bool,
}

impl<'a> ModelConfig<'a> {
    /// The configuration of `model`.
    pub fn new(model: &'a ModelDescription) -> Self {
        let batching = &model.batching;
        Self {
            name: &model.name,
            platform: model.platform,
            backend: BACKEND,
            version_policy: VersionPolicy { all: All {} },
            max_batch_size: max_batch_size(batching),
            input: tensors(&model.signature.inputs, batching),
            output: tensors(&model.signature.outputs, batching),
            dynamic_batching: batching.merges().then_some(DynamicBatching {
                preferred_batch_size: [],
                max_queue_delay_microseconds: 0,
            }),
            model_transaction_policy: TransactionPolicy { decoupled: false },
            response_cache: ResponseCache { enable: false },
        }
    }
}

fn tensors<'a>(specs: &'a [TensorSpec], batching: &Batching) -> Vec<Tensor<'a>> {
    specs
        .iter()
        .map(|spec| Tensor {
            name: &spec.name,
            data_type: data_type(spec.datatype),
            dims: config_dims(spec, batching),
            optional: spec.optional,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serin_core::types::{Datatype, Dimension, Signature};

    fn described(max_rows: usize) -> ModelDescription {
        let spec = |name: &str, datatype, optional| TensorSpec {
            name: name.to_owned(),
            datatype,
            shape: Some(vec![Dimension::Variable("N".into()), Dimension::Fixed(2)]),
            optional,
        };
        ModelDescription {
            name: "m".to_owned(),
            version: "1".to_owned(),
            versions: vec!["1".to_owned()],
            platform: "onnxruntime_onnx",
            signature: Arc::new(Signature {
                inputs: vec![
                    spec("a", Datatype::Fp32, false),
                    spec("b", Datatype::Bytes, true),
                ],
                outputs: vec![spec("y", Datatype::Bf16, false)],
                unserved_outputs: Vec::new(),
                producer: None,
            }),
            embedding: None,
            batching: Batching {
                max_rows,
                reason: "made up".to_owned(),
            },
        }
    }

    #[test]
    fn dimensions_leave_the_batch_out_where_rows_are_merged() {
        let model = described(64);
        let document = serde_json::to_value(ModelConfig::new(&model)).unwrap();
        let expected = serde_json::json!({
            "name": "m", "platform": "onnxruntime_onnx", "backend": "onnxruntime",
            "version_policy": {"all": {}}, "max_batch_size": 64,
            "input": [
                {"name": "a", "data_type": "TYPE_FP32", "dims": [2]},
                {"name": "b", "data_type": "TYPE_STRING", "dims": [2], "optional": true},
            ],
            "output": [{"name": "y", "data_type": "TYPE_BF16", "dims": [2]}],
            "dynamic_batching": {"preferred_batch_size": [], "max_queue_delay_microseconds": 0},
            "model_transaction_policy": {"decoupled": false}, "response_cache": {"enable": false},
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn a_model_whose_rows_are_not_merged_has_no_batch_of_tritons() {
        let model = described(1);
        let document = serde_json::to_value(ModelConfig::new(&model)).unwrap();
        assert_eq!(document["max_batch_size"], 0);
        assert_eq!(document["input"][0]["dims"], serde_json::json!([-1, 2]));
        assert_eq!(document.get("dynamic_batching"), None);
    }
}
