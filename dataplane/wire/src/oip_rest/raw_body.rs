//! A request body without JSON: the data of one input (`Inference-Header-Content-Length: 0`).

use bytes::Bytes;

use super::{Forms, InferRequest};
use crate::raw_tensor;
use crate::room::Room;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Dimension, Signature, Tensor, TensorData, TensorSpec};

/// Reads the body as the model's only input; every output is returned in binary.
///
/// # Errors
/// `BadTensor` when the model has not exactly one input, or its shape does not follow from the
/// body's length.
pub fn raw_request(
    body: Bytes,
    signature: &Signature,
    room: &Room<'_>,
) -> Result<InferRequest, Fault> {
    let [input] = signature.inputs.as_slice() else {
        return Err(unfit(format!(
            "a body without JSON needs a model of one input, this one has {}",
            signature.inputs.len()
        )));
    };
    let shape = shape_of(input, body.len())?;
    let data = if input.datatype == Datatype::Bytes {
        TensorData::Elements(vec![body])
    } else {
        raw_tensor::decode(&input.name, input.datatype, &shape, body, room)?
    };
    Ok(InferRequest {
        id: None,
        timeout: None,
        priority: 0,
        inputs: vec![Tensor {
            name: input.name.clone(),
            datatype: input.datatype,
            shape,
            data,
        }],
        outputs: Vec::new(),
        forms: Forms {
            binary_by_default: true,
            listed: Vec::new(),
        },
    })
}

/// The shape that `length` bytes have: fixed dimensions as declared, the variable one from the
/// length. BYTES has no element width, so the whole body is one element.
fn shape_of(input: &TensorSpec, length: usize) -> Result<Vec<i64>, Fault> {
    let name = &input.name;
    let Some(dimensions) = &input.shape else {
        return Err(unfit(format!(
            "input '{name}' declares no shape: send JSON that names one"
        )));
    };
    let mut fixed: usize = 1;
    let mut variable = 0;
    for dimension in dimensions {
        match dimension {
            Dimension::Fixed(extent) => {
                let extent = usize::try_from(*extent).unwrap_or(0);
                fixed = fixed.saturating_mul(extent);
            }
            Dimension::Variable(_) => variable += 1,
        }
    }
    let inferred = match (input.datatype.width(), variable) {
        (_, 2..) => {
            return Err(unfit(format!(
                "input '{name}' has {variable} variable dimensions: send JSON that names a shape"
            )));
        }
        (None, _) if fixed != 1 => {
            return Err(unfit(format!(
                "input '{name}' takes {fixed} BYTES elements, a body without JSON holds one"
            )));
        }
        (None, _) | (Some(_), 0) => 1,
        (Some(width), _) => {
            let row = fixed.saturating_mul(width);
            if row == 0 || !length.is_multiple_of(row) {
                return Err(unfit(format!(
                    "input '{name}': {length} bytes are no whole number of rows of {row} bytes"
                )));
            }
            length / row
        }
    };
    let inferred = i64::try_from(inferred).unwrap_or(i64::MAX);
    Ok(dimensions
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(extent) => *extent,
            Dimension::Variable(_) => inferred,
        })
        .collect())
}

fn unfit(message: String) -> Fault {
    Fault::new(FaultKind::BadTensor, "raw_request_unfit", message)
}
