//! What a `ModelInferRequest` asks and how much memory reading it takes, found without reading it: an
//! input of two bytes becomes one of three hundred, an empty string one of thirty-two, and a small
//! number eight.

use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use crate::bounds;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;

/// What an entry of a map takes, roughly: its name, its value and its slot.
const ENTRY: usize = 128;

/// What is known of a request before it is read.
#[derive(Debug)]
pub struct Prescan {
    /// The model that it names.
    pub model: ModelRef,
    /// Its own id; empty if it has none.
    pub id: String,
    /// Bytes that it takes once it is read, its own included.
    pub memory: usize,
}

impl Default for Prescan {
    fn default() -> Self {
        Self {
            model: ModelRef {
                name: String::new(),
                version: None,
            },
            id: String::new(),
            memory: 0,
        }
    }
}

/// Surveys the bytes of a message.
///
/// # Errors
/// `Malformed` for what is no message, and for more tensors than a request may have.
pub fn prescan(message: &[u8], limits: &Limits) -> Result<Prescan, Fault> {
    let mut prescan = Prescan {
        memory: message.len(),
        ..Prescan::default()
    };
    let (mut inputs, mut outputs, mut raw) = (0, 0, 0);
    let one_more = |count: &mut usize, member: &str| {
        *count += 1;
        if *count > limits.tensors {
            return Err(bounds::too_many_tensors(member, limits));
        }
        Ok(())
    };
    let mut rest = message;
    while let Some((tag, value)) = next(&mut rest)? {
        if tag == 4 {
            prescan.memory += entry(value)?;
        }
        let Value::Bytes(bytes) = value else { continue };
        match tag {
            1 => prescan.model.name = text(bytes),
            2 => prescan.model.version = Some(text(bytes)).filter(|version| !version.is_empty()),
            3 => prescan.id = text(bytes),
            5 => {
                one_more(&mut inputs, "inputs")?;
                prescan.memory += size_of::<InferInputTensor>() + input(bytes)?;
            }
            6 => {
                one_more(&mut outputs, "outputs")?;
                prescan.memory += size_of::<InferRequestedOutputTensor>() + output(bytes)?;
            }
            7 => {
                one_more(&mut raw, "raw_input_contents")?;
                prescan.memory += size_of::<Bytes>();
            }
            _ => {}
        }
    }
    Ok(prescan)
}

/// What an `InferInputTensor` takes besides itself.
fn input(mut rest: &[u8]) -> Result<usize, Fault> {
    let mut memory = 0;
    while let Some((tag, value)) = next(&mut rest)? {
        memory += match (tag, value) {
            (3, value) => list::<i64>(value),
            (4, value) => entry(value)?,
            (5, Value::Bytes(bytes)) => contents(bytes)?,
            _ => 0,
        };
    }
    Ok(memory)
}

/// What an `InferRequestedOutputTensor` takes besides itself.
fn output(mut rest: &[u8]) -> Result<usize, Fault> {
    let mut memory = 0;
    while let Some((tag, value)) = next(&mut rest)? {
        memory += if tag == 2 { entry(value)? } else { 0 };
    }
    Ok(memory)
}

/// What an entry of a map takes. Prost reads one whatever its wire type says: what is skipped here as
/// a number would be an entry there, and all that follows something else than what was surveyed.
fn entry(value: Value<'_>) -> Result<usize, Fault> {
    match value {
        Value::Bytes(_) => Ok(ENTRY),
        Value::Number => Err(malformed(&"an entry of 'parameters' is a number")),
    }
}

/// What the lists of an `InferTensorContents` take.
fn contents(mut rest: &[u8]) -> Result<usize, Fault> {
    let mut memory = 0;
    while let Some((tag, value)) = next(&mut rest)? {
        memory += match tag {
            1 => list::<bool>(value),
            2 | 4 => list::<i32>(value),
            3 | 5 => list::<i64>(value),
            6 => fixed::<f32>(value),
            7 => fixed::<f64>(value),
            8 => size_of::<Bytes>(),
            _ => 0,
        };
    }
    Ok(memory)
}

/// What numbers of any length take that may each be one byte here.
fn list<T>(value: Value<'_>) -> usize {
    match value {
        Value::Bytes(packed) => packed.len() * size_of::<T>(),
        Value::Number => size_of::<T>(),
    }
}

/// What numbers take that are as long here.
fn fixed<T>(value: Value<'_>) -> usize {
    match value {
        Value::Bytes(packed) => packed.len(),
        Value::Number => size_of::<T>(),
    }
}

/// Names are read twice: here as far as they can be, and by prost, which refuses what is no text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Number,
    Bytes(&'a [u8]),
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<(u32, Value<'a>)>, Fault> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (tag, wire_type) = decode_key(rest).map_err(|error| malformed(&error))?;
    if wire_type != WireType::LengthDelimited {
        skip_field(wire_type, tag, rest, DecodeContext::default())
            .map_err(|error| malformed(&error))?;
        return Ok(Some((tag, Value::Number)));
    }
    let length = decode_varint(rest).map_err(|error| malformed(&error))?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (bytes, after) = rest
        .split_at_checked(length)
        .ok_or_else(|| malformed(&"it ends within a field"))?;
    *rest = after;
    Ok(Some((tag, Value::Bytes(bytes))))
}

/// Bytes that are no `ModelInferRequest`.
pub fn malformed(reason: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "malformed_body",
        format!("the message is no ModelInferRequest: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::proto::{InferTensorContents, ModelInferRequest};
    use super::*;

    fn of(message: &ModelInferRequest) -> Prescan {
        prescan(&message.encode_to_vec(), &Limits::default()).unwrap()
    }

    fn with(contents: InferTensorContents) -> ModelInferRequest {
        ModelInferRequest {
            inputs: vec![InferInputTensor {
                contents: Some(contents),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn the_model_and_the_id_are_found_without_reading_the_rest() {
        let prescan = of(&ModelInferRequest {
            model_name: "iris".into(),
            model_version: "2".into(),
            id: "a".into(),
            raw_input_contents: vec![Bytes::from_static(b"12345")],
            ..Default::default()
        });
        assert_eq!(prescan.model.name, "iris");
        assert_eq!(prescan.model.version.as_deref(), Some("2"));
        assert_eq!(prescan.id, "a");
    }

    #[test]
    fn lists_count_as_what_they_take_in_memory() {
        let numbers = of(&with(InferTensorContents {
            int64_contents: vec![1; 1000],
            ..Default::default()
        }));
        assert!((8000..10_000).contains(&numbers.memory), "{numbers:?}");
        let texts = of(&with(InferTensorContents {
            bytes_contents: vec![Bytes::new(); 1000],
            ..Default::default()
        }));
        assert!((32_000..36_000).contains(&texts.memory), "{texts:?}");
        let floats = of(&with(InferTensorContents {
            fp32_contents: vec![1.0; 1000],
            ..Default::default()
        }));
        assert!((4000..9000).contains(&floats.memory), "{floats:?}");
    }

    #[test]
    fn more_tensors_than_a_request_may_have_are_refused_before_they_are_made() {
        for (tag, member) in [(5_u8, "inputs"), (6, "outputs"), (7, "raw_input_contents")] {
            let message = [tag << 3 | 2, 0].repeat(1_000_000);
            let fault = prescan(&message, &Limits::default()).unwrap_err();
            assert_eq!(fault.code, "too_many_tensors");
            assert_eq!(fault.param.as_deref(), Some(member));
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        for bytes in [&[0x2A, 5, 1][..], &[0xFF; 20], &[0x0C], &[0]] {
            let fault = prescan(bytes, &Limits::default()).unwrap_err();
            assert_eq!(fault.code, "malformed_body", "{bytes:?}");
        }
    }

    #[test]
    fn a_map_that_is_written_as_a_number_hides_nothing() {
        // Read as a number, the first field ends before its second byte, and the rest of the message
        // is an unknown field; prost reads an empty entry of the map there, and then a list.
        let numbers = InferInputTensor {
            shape: vec![1; 100_000],
            ..Default::default()
        };
        let hidden = ModelInferRequest {
            inputs: vec![numbers],
            ..Default::default()
        }
        .encode_to_vec();
        for map in [4_u8, 5, 6] {
            let of_a_tensor = [2, if map == 5 { 4 << 3 } else { 2 << 3 }, 0];
            let field = match map {
                4 => [&[4 << 3, 0][..]].concat(),
                tag => [&[tag << 3 | 2][..], &of_a_tensor].concat(),
            };
            let message = [&field[..], &hidden].concat();
            let fault = prescan(&message, &Limits::default()).unwrap_err();
            assert_eq!(fault.code, "malformed_body", "{map}");
        }
    }

    proptest::proptest! {
        /// Else a message could be refused here that prost takes. As prost writes it: what it reads
        /// leniently is refused.
        #[test]
        fn whatever_prost_reads_can_be_surveyed(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
        ) {
            if let Ok(message) = ModelInferRequest::decode(&bytes[..]) {
                let written = message.encode_to_vec();
                proptest::prop_assert!(prescan(&written, &Limits::default()).is_ok());
            }
        }
    }
}
