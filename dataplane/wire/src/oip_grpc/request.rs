//! From a `ModelInferRequest` to a [`Call`].

use bytes::Bytes;

use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::InferInputTensor;
use super::proto::{InferParameter, ModelInferRequest};
use super::typed;
use crate::bounds;
use crate::parameters::{Parameter, RequestParameters, classes};
use crate::raw_tensor;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, ModelRef, RequestedOutput, Tensor};

/// A request as far as it is independent of the transport.
#[derive(Debug)]
pub struct Decoded {
    pub model: ModelRef,
    pub id: String,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<RequestedOutput>,
    pub parameters: RequestParameters,
    /// The answer goes in typed contents, as the request came.
    pub typed_answer: bool,
}

/// The model that a request means; an empty version means the default one.
///
/// # Errors
/// `Malformed` for an empty name.
pub fn model_ref(name: &str, version: &str) -> Result<ModelRef, Fault> {
    if name.is_empty() {
        return Err(Fault::new(
            FaultKind::Malformed,
            "missing_field",
            "model_name is empty: name the model to run",
        )
        .with_param("model_name"));
    }
    Ok(ModelRef {
        name: name.to_owned(),
        version: (!version.is_empty()).then(|| version.to_owned()),
    })
}

/// Reads everything but the model's name.
///
/// # Errors
/// What `docs/errors.md` lists for tensors and parameters.
pub fn decode(request: ModelInferRequest, limits: &Limits) -> Result<Decoded, Fault> {
    for (member, count) in [
        ("inputs", request.inputs.len()),
        ("outputs", request.outputs.len()),
    ] {
        if count > limits.tensors {
            return Err(bounds::too_many_tensors(member, limits));
        }
    }
    let model = model_ref(&request.model_name, &request.model_version)?;
    let mut parameters = RequestParameters::default();
    for (name, value) in &request.parameters {
        if name == EMPTY_FINAL_RESPONSE {
            empty_final_response(value)?;
            continue;
        }
        parameters.set(name, parameter(value))?;
    }
    let outputs = request
        .outputs
        .into_iter()
        .map(|output| {
            let classes = output
                .parameters
                .get("classification")
                .map(|value| {
                    let path = format!("output '{}': classification", output.name);
                    classes(&path, parameter(value))
                })
                .transpose()?;
            Ok(RequestedOutput {
                name: output.name,
                classes,
            })
        })
        .collect::<Result<_, Fault>>()?;
    let is_typed = request.inputs.iter().any(|input| input.contents.is_some());
    let inputs = inputs(request.inputs, request.raw_input_contents, limits)?;
    Ok(Decoded {
        model,
        id: request.id,
        inputs,
        outputs,
        parameters,
        typed_answer: parameters.binary_output.map_or(is_typed, |binary| !binary),
    })
}

fn inputs(
    inputs: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    limits: &Limits,
) -> Result<Vec<Tensor>, Fault> {
    if !raw.is_empty() {
        if raw.len() != inputs.len() {
            return Err(Fault::new(
                FaultKind::BadTensor,
                "raw_contents_mismatch",
                format!(
                    "raw_input_contents has {} entries for {} inputs: send one for each input, in their order",
                    raw.len(),
                    inputs.len()
                ),
            )
            .with_param("raw_input_contents"));
        }
        if let Some(both) = inputs.iter().find(|input| input.contents.is_some()) {
            return Err(Fault::new(
                FaultKind::BadTensor,
                "raw_contents_mismatch",
                format!(
                    "input '{}' has contents while raw_input_contents is used: send every input in one of the two",
                    both.name
                ),
            ));
        }
    }
    let mut raw = raw.into_iter();
    inputs
        .into_iter()
        .map(|input| tensor(input, raw.next(), limits))
        .collect()
}

fn tensor(input: InferInputTensor, raw: Option<Bytes>, limits: &Limits) -> Result<Tensor, Fault> {
    let InferInputTensor {
        name,
        datatype,
        shape,
        parameters,
        contents,
    } = input;
    if parameters.contains_key("shared_memory_region") {
        return Err(Fault::new(
            FaultKind::NotImplemented,
            "not_implemented",
            format!("input '{name}': shared memory is not offered, send the data"),
        ));
    }
    let Some(datatype) = Datatype::parse(&datatype) else {
        return Err(Fault::new(
            FaultKind::BadTensor,
            "unknown_datatype",
            format!("input '{name}': datatype '{datatype}' is none of the protocol's"),
        ));
    };
    if shape.len() > limits.dimensions {
        return Err(bounds::too_many_dimensions(format!("{name}.shape"), limits));
    }
    let data = match raw {
        Some(bytes) => raw_tensor::decode(&name, datatype, &shape, bytes)?,
        None => typed::decode(&name, datatype, &shape, contents.unwrap_or_default())?,
    };
    bounds::check_elements(&name, &data, limits)?;
    Ok(Tensor {
        name,
        datatype,
        shape,
        data,
    })
}

/// Asks for one more answer, without outputs, after those of a model that gives several. The last
/// answer of every model here is known to be the last, and says so itself.
const EMPTY_FINAL_RESPONSE: &str = "triton_enable_empty_final_response";

fn empty_final_response(value: &InferParameter) -> Result<(), Fault> {
    match parameter(value) {
        Parameter::Bool(_) => Ok(()),
        _ => Err(Fault::new(
            FaultKind::Malformed,
            "invalid_parameter",
            format!("parameter '{EMPTY_FINAL_RESPONSE}' must be true or false"),
        )
        .with_param(EMPTY_FINAL_RESPONSE)),
    }
}

fn parameter(value: &InferParameter) -> Parameter<'_> {
    match &value.parameter_choice {
        Some(ParameterChoice::BoolParam(value)) => Parameter::Bool(*value),
        Some(ParameterChoice::Int64Param(value)) => Parameter::Int(*value),
        Some(ParameterChoice::Uint64Param(value)) => Parameter::Uint(*value),
        Some(ParameterChoice::DoubleParam(value)) => Parameter::Double(*value),
        Some(ParameterChoice::StringParam(value)) => Parameter::Text(value),
        None => Parameter::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::InferTensorContents;
    use super::*;

    fn read(request: ModelInferRequest) -> Result<Decoded, Fault> {
        decode(request, &Limits::default())
    }

    fn input(name: &str) -> InferInputTensor {
        InferInputTensor {
            name: name.into(),
            datatype: "FP32".into(),
            shape: vec![1],
            ..Default::default()
        }
    }

    fn request(inputs: Vec<InferInputTensor>, raw: &[&'static [u8]]) -> ModelInferRequest {
        ModelInferRequest {
            model_name: "m".into(),
            inputs,
            raw_input_contents: raw.iter().map(|bytes| Bytes::from_static(bytes)).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn raw_contents_must_be_as_many_as_the_inputs() {
        let fault = read(request(vec![input("a"), input("b")], &[b"\0\0\0\0"])).unwrap_err();
        assert!(fault.message.contains("1 entries for 2 inputs"), "{fault}");
    }

    #[test]
    fn an_input_may_not_come_twice_in_two_forms() {
        let mut both = input("a");
        both.contents = Some(InferTensorContents::default());
        let fault = read(request(vec![both], &[b"\0\0\0\0"])).unwrap_err();
        assert_eq!(fault.code, "raw_contents_mismatch");
    }

    #[test]
    fn the_answer_takes_the_form_of_the_request_unless_told_otherwise() {
        let raw = request(vec![input("a")], &[b"\0\0\0\0"]);
        assert!(!read(raw.clone()).unwrap().typed_answer);
        let mut typed = input("a");
        typed.contents = Some(InferTensorContents {
            fp32_contents: vec![1.0],
            ..Default::default()
        });
        let mut typed = request(vec![typed], &[]);
        assert!(read(typed.clone()).unwrap().typed_answer);
        let binary = InferParameter {
            parameter_choice: Some(ParameterChoice::BoolParam(true)),
        };
        typed.parameters.insert("binary_data_output".into(), binary);
        assert!(!read(typed).unwrap().typed_answer);
    }

    #[test]
    fn an_empty_final_response_may_be_asked_for_by_true_or_false() {
        let ask = |choice| {
            let mut asking = request(vec![], &[]);
            let value = InferParameter {
                parameter_choice: Some(choice),
            };
            asking.parameters.insert(EMPTY_FINAL_RESPONSE.into(), value);
            read(asking)
        };
        assert!(ask(ParameterChoice::BoolParam(true)).is_ok());
        let fault = ask(ParameterChoice::Int64Param(1)).unwrap_err();
        assert_eq!(fault.code, "invalid_parameter");
    }

    #[test]
    fn an_empty_model_name_is_refused() {
        let mut nameless = request(vec![], &[]);
        nameless.model_name.clear();
        assert_eq!(read(nameless).unwrap_err().kind, FaultKind::Malformed);
    }

    #[test]
    fn more_inputs_or_dimensions_than_allowed_are_refused() {
        let many = (0..257).map(|index| input(&index.to_string())).collect();
        let fault = read(request(many, &[])).unwrap_err();
        assert_eq!(fault.code, "too_many_tensors");
        let mut deep = input("a");
        deep.shape = vec![1; 17];
        let fault = read(request(vec![deep], &[])).unwrap_err();
        assert_eq!(fault.code, "too_many_dimensions");
    }
}
