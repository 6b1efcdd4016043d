//! Inference over gRPC, one request or a stream of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serin_e2e::answers::Tensors;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::connection::DEADLINE;
use proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use proto::model_infer_request::InferInputTensor;
use proto::{ModelInferRequest, ModelInferResponse};

#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod proto {
    tonic::include_proto!("inference");
}

/// Inference over gRPC.
#[derive(clap::Args)]
pub struct Arguments {
    /// `HOST:PORT` of a Service.
    address: String,
    /// The model.
    model: String,
    /// Name of its input, of datatype FP32.
    input: String,
    /// One row of it.
    #[arg(required = true, allow_negative_numbers = true)]
    row: Vec<f32>,
    /// Sends the row this often over one `ModelStreamInfer` instead of once over `ModelInfer`.
    #[arg(long)]
    stream: Option<usize>,
}

/// Prints one line of JSON for each answer: [`Tensors`].
pub async fn run(arguments: Arguments) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{}", arguments.address))
        .map_err(|error| error.to_string())?
        .connect_timeout(DEADLINE);
    let answer = async {
        let channel = endpoint.connect().await.map_err(|error| shown(&error))?;
        answers(GrpcInferenceServiceClient::new(channel), &arguments).await
    };
    for answer in timeout(DEADLINE, answer)
        .await
        .map_err(|_| format!("no answer in {DEADLINE:?}"))??
    {
        println!(
            "{}",
            serde_json::to_string(&answer).map_err(|error| error.to_string())?
        );
    }
    Ok(())
}

async fn answers(
    mut client: GrpcInferenceServiceClient<Channel>,
    arguments: &Arguments,
) -> Result<Vec<Tensors>, String> {
    let Some(times) = arguments.stream else {
        let answer = client
            .model_infer(request(arguments, 0))
            .await
            .map_err(|status| shown(&status))?;
        return Ok(vec![tensors(answer.into_inner())]);
    };
    let requests: Vec<_> = (0..times).map(|at| request(arguments, at)).collect();
    let mut stream = client
        .model_stream_infer(futures_util::stream::iter(requests))
        .await
        .map_err(|status| shown(&status))?
        .into_inner();
    let mut answers = Vec::with_capacity(times);
    while let Some(message) = stream.message().await.map_err(|status| shown(&status))? {
        if !message.error_message.is_empty() {
            return Err(message.error_message);
        }
        answers.extend(message.infer_response.map(tensors));
    }
    Ok(answers)
}

fn request(arguments: &Arguments, at: usize) -> ModelInferRequest {
    let raw: Vec<u8> = arguments
        .row
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    ModelInferRequest {
        model_name: arguments.model.clone(),
        id: at.to_string(),
        inputs: vec![InferInputTensor {
            name: arguments.input.clone(),
            datatype: "FP32".to_owned(),
            shape: vec![1, i64::try_from(arguments.row.len()).unwrap_or(i64::MAX)],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![Bytes::from(raw)],
        ..ModelInferRequest::default()
    }
}

fn tensors(answer: ModelInferResponse) -> Tensors {
    let raw = answer.raw_output_contents.iter();
    let outputs: BTreeMap<_, _> = answer
        .outputs
        .into_iter()
        .zip(raw)
        .map(|(output, raw)| (output.name, raw.to_vec()))
        .collect();
    Tensors {
        id: answer.id,
        model_version: answer.model_version,
        outputs,
    }
}

/// An error with its causes: tonic's own text is only the outermost.
fn shown(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
