//! The model configuration as a message.

use super::proto::model_version_policy::{All, PolicyChoice};
use super::proto::{
    DataType, ModelConfig, ModelDynamicBatching, ModelInput, ModelOutput, ModelResponseCache,
    ModelTransactionPolicy, ModelVersionPolicy,
};
use crate::control::{BACKEND, config_dims, data_type, max_batch_size};
use serin_core::types::{Datatype, ModelDescription};

/// The configuration of `model`, as far as Triton's members apply.
pub fn of(model: &ModelDescription) -> ModelConfig {
    let (signature, batching) = (&model.signature, &model.batching);
    ModelConfig {
        name: model.name.clone(),
        platform: model.platform.to_owned(),
        version_policy: Some(ModelVersionPolicy {
            policy_choice: Some(PolicyChoice::All(All {})),
        }),
        max_batch_size: max_batch_size(batching),
        input: signature
            .inputs
            .iter()
            .map(|input| ModelInput {
                name: input.name.clone(),
                data_type: number(input.datatype),
                dims: config_dims(input, batching),
                optional: input.optional,
            })
            .collect(),
        output: signature
            .outputs
            .iter()
            .map(|output| ModelOutput {
                name: output.name.clone(),
                data_type: number(output.datatype),
                dims: config_dims(output, batching),
            })
            .collect(),
        dynamic_batching: batching.merges().then(ModelDynamicBatching::default),
        backend: BACKEND.to_owned(),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
        response_cache: Some(ModelResponseCache { enable: false }),
    }
}

fn number(datatype: Datatype) -> i32 {
    // Every name is one of the enumeration's, as a test shows.
    DataType::from_str_name(data_type(datatype))
        .unwrap_or(DataType::TypeInvalid)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datatype_has_a_number() {
        for datatype in Datatype::ALL {
            assert_ne!(number(datatype), 0, "{datatype}");
        }
        assert_eq!((number(Datatype::Bool), number(Datatype::Bf16)), (1, 14));
    }
}
