//! `ModelInferRequest` to what a [`Call`](serin_core::types::Call) needs, in one walk over its bytes.
//!
//! Prost would build the whole message first, in lists that take up to thirty times the bytes of the
//! message, and the tensors from these. Here a list is written to the tensor's bytes as it is read,
//! and memory is reserved before it is allocated. Tests compare the two.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::entry::entry;
use super::fields::Fields;
use super::input::Input;
use crate::bounds;
use crate::parameters::{Parameter, RequestParameters, classes};
use crate::room::{self, Room};
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{ModelRef, RequestedOutput, Tensor};

/// What a parameter that is kept takes, roughly.
const ENTRY: usize = 128;

/// A request, independent of the transport.
#[derive(Debug)]
pub struct Decoded {
    /// The model to run.
    pub model: ModelRef,
    /// The request's own id; empty if it has none.
    pub id: String,
    /// The inputs, in the order sent.
    pub inputs: Vec<Tensor>,
    /// The outputs to return, in this order; empty for all.
    pub outputs: Vec<RequestedOutput>,
    /// The request's parameters.
    pub parameters: RequestParameters,
    /// Bytes that the request takes in all, those of the message included: what was last reserved.
    pub memory: usize,
    /// Whether the response has typed contents: as the request, unless `binary_data_output` says.
    pub typed_answer: bool,
}

/// The model that a request names; an empty version means the default one.
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

/// Decodes a message. `reserve` is called with the bytes that the request takes in all, those of the
/// message included, before they are allocated.
///
/// # Errors
/// What `docs/errors.md` lists for tensors and parameters, and what `reserve` refuses with.
pub fn decode(
    message: &Bytes,
    limits: &Limits,
    reserve: &mut dyn FnMut(usize) -> Result<(), Fault>,
) -> Result<Decoded, Fault> {
    room::within(0, reserve, |room| {
        room.take(message.len())?;
        decode_in(message, limits, room)
    })
}

fn decode_in(message: &Bytes, limits: &Limits, room: &Room<'_>) -> Result<Decoded, Fault> {
    let request = Request::read(message, limits, room)?;
    let model = model_ref(request.model_name, request.model_version)?;
    let mut parameters = RequestParameters::default();
    for (name, value) in request.parameters {
        if name == EMPTY_FINAL_RESPONSE {
            empty_final_response(value)?;
        } else {
            parameters.set(name, value)?;
        }
    }
    let outputs = request.outputs.into_iter().map(output);
    let outputs = outputs.collect::<Result<_, _>>()?;
    let inputs = request.inputs.into_iter();
    let inputs: Vec<Input<'_>> = inputs
        .map(|input| Input::read(input, limits, room))
        .collect::<Result<_, _>>()?;
    check_forms(&inputs, &request.raw)?;
    let is_typed = inputs.iter().any(Input::is_typed);
    let mut raw = request.raw.into_iter();
    let inputs = inputs.into_iter();
    let inputs = inputs
        .map(|input| input.tensor(raw.next(), message, limits, room))
        .collect::<Result<_, _>>()?;
    Ok(Decoded {
        model,
        id: request.id.to_owned(),
        inputs,
        outputs,
        memory: room.total(),
        parameters,
        typed_answer: parameters.binary_output.map_or(is_typed, |binary| !binary),
    })
}

/// The fields of the message; inputs and outputs are not read yet.
#[derive(Default)]
struct Request<'a> {
    model_name: &'a str,
    model_version: &'a str,
    id: &'a str,
    /// Of a name that is given twice the last value counts.
    parameters: BTreeMap<&'a str, Parameter<'a>>,
    inputs: Vec<&'a [u8]>,
    outputs: Vec<&'a [u8]>,
    raw: Vec<Bytes>,
}

impl<'a> Request<'a> {
    fn read(message: &'a Bytes, limits: &Limits, room: &Room<'_>) -> Result<Self, Fault> {
        let mut request = Self::default();
        let mut fields = Fields::new(message);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => request.model_name = value.text("model_name")?,
                2 => request.model_version = value.text("model_version")?,
                3 => request.id = value.text("id")?,
                4 => {
                    let (name, value) = entry(value)?;
                    room.take(ENTRY)?;
                    request.parameters.insert(name, value);
                }
                5 => add(
                    &mut request.inputs,
                    value.bytes("inputs")?,
                    "inputs",
                    limits,
                )?,
                6 => add(
                    &mut request.outputs,
                    value.bytes("outputs")?,
                    "outputs",
                    limits,
                )?,
                7 => {
                    let bytes = message.slice_ref(value.bytes("raw_input_contents")?);
                    add(&mut request.raw, bytes, "raw_input_contents", limits)?;
                }
                _ => {}
            }
        }
        Ok(request)
    }
}

fn add<T>(list: &mut Vec<T>, value: T, member: &str, limits: &Limits) -> Result<(), Fault> {
    if list.len() == limits.tensors {
        return Err(bounds::too_many_tensors(member, limits));
    }
    list.push(value);
    Ok(())
}

/// Reads an `InferRequestedOutputTensor`.
fn output(message: &[u8]) -> Result<RequestedOutput, Fault> {
    let (mut name, mut classification) = ("", None);
    let mut fields = Fields::new(message);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => name = value.text("outputs.name")?,
            2 => {
                if let ("classification", value) = entry(value)? {
                    classification = Some(value);
                }
            }
            _ => {}
        }
    }
    let classes = classification
        .map(|value| classes(format!("output '{name}': classification"), value))
        .transpose()?;
    Ok(RequestedOutput {
        name: name.to_owned(),
        classes,
    })
}

/// Every input has its data in the same form, raw or typed.
fn check_forms(inputs: &[Input<'_>], raw: &[Bytes]) -> Result<(), Fault> {
    let mismatch = |message| Fault::new(FaultKind::BadTensor, "raw_contents_mismatch", message);
    if raw.is_empty() {
        return Ok(());
    }
    if raw.len() != inputs.len() {
        let message = format!(
            "raw_input_contents has {} entries for {} inputs: send one for each input, in their order",
            raw.len(),
            inputs.len()
        );
        return Err(mismatch(message).with_param("raw_input_contents"));
    }
    match inputs.iter().find(|input| input.is_typed()) {
        None => Ok(()),
        Some(both) => Err(mismatch(format!(
            "input '{}' has contents while raw_input_contents is used: send every input in one of the two",
            both.name
        ))),
    }
}

/// Requests one more response, without outputs, after those of a model that gives several. The last
/// response of every model here is known to be the last, and is marked as such.
const EMPTY_FINAL_RESPONSE: &str = "triton_enable_empty_final_response";

fn empty_final_response(value: Parameter<'_>) -> Result<(), Fault> {
    match value {
        Parameter::Bool(_) => Ok(()),
        _ => Err(Fault::new(
            FaultKind::Malformed,
            "invalid_parameter",
            format!("parameter '{EMPTY_FINAL_RESPONSE}' must be true or false"),
        )
        .with_param(EMPTY_FINAL_RESPONSE)),
    }
}

#[cfg(test)]
mod tests;
