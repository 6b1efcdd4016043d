//! NaN and infinities in JSON responses, as `spec.api.nonFinite` of the service configures them.

use half::{bf16, f16};
use serin_crds::contract::policy::NonFinite;

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Tensor, TensorData};

/// Writes one value of a response that [`check`] accepted.
#[cold]
pub(super) fn write(out: &mut Vec<u8>, value: f64, choice: NonFinite) {
    let text: &[u8] = match choice {
        NonFinite::Null | NonFinite::Error => b"null",
        // Protobuf's JSON form, which clients read.
        NonFinite::String if value.is_nan() => b"\"NaN\"",
        NonFinite::String if value > 0.0 => b"\"Infinity\"",
        NonFinite::String => b"\"-Infinity\"",
    };
    out.extend_from_slice(text);
}

/// Whether outputs may be written as JSON.
///
/// # Errors
/// `Inference` for the first value that is not finite, where the service refuses those.
pub(super) fn check<'a>(
    outputs: impl IntoIterator<Item = &'a Tensor>,
    choice: NonFinite,
) -> Result<(), Fault> {
    if choice != NonFinite::Error {
        return Ok(());
    }
    for output in outputs {
        if let Some(at) = first(output) {
            let message = format!(
                "output '{}': element {at} is NaN or infinite, which JSON has no number for; ask for binary data",
                output.name
            );
            let fault = Fault::new(FaultKind::Inference, "inference_error", message);
            return Err(fault.with_param(output.name.clone()));
        }
    }
    Ok(())
}

/// The place of the first value that is not finite.
fn first(tensor: &Tensor) -> Option<usize> {
    let TensorData::Raw(bytes) = &tensor.data else {
        return None;
    };
    macro_rules! find {
        ($float:ty) => {
            bytes
                .as_chunks()
                .0
                .iter()
                .position(|chunk| !<$float>::from_le_bytes(*chunk).is_finite())
        };
    }
    match tensor.datatype {
        Datatype::Fp16 => find!(f16),
        Datatype::Bf16 => find!(bf16),
        Datatype::Fp32 => find!(f32),
        Datatype::Fp64 => find!(f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn tensor(datatype: Datatype, bytes: Vec<u8>) -> Tensor {
        Tensor {
            name: "y".into(),
            datatype,
            shape: vec![2],
            data: TensorData::Raw(Bytes::from(bytes)),
        }
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_named_in_every_width() {
        let one = |first: &[u8], second: &[u8]| [first, second].concat();
        for (datatype, bytes) in [
            (
                Datatype::Fp16,
                one(&f16::ONE.to_le_bytes(), &f16::NAN.to_le_bytes()),
            ),
            (
                Datatype::Bf16,
                one(&bf16::ONE.to_le_bytes(), &bf16::INFINITY.to_le_bytes()),
            ),
            (
                Datatype::Fp32,
                one(&1f32.to_le_bytes(), &f32::NEG_INFINITY.to_le_bytes()),
            ),
            (
                Datatype::Fp64,
                one(&1f64.to_le_bytes(), &f64::NAN.to_le_bytes()),
            ),
        ] {
            let tensor = tensor(datatype, bytes);
            let fault = check([&tensor], NonFinite::Error).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Inference);
            assert!(
                fault.message.starts_with("output 'y': element 1 "),
                "{fault}"
            );
            assert!(check([&tensor], NonFinite::String).is_ok());
            assert!(check([&tensor], NonFinite::Null).is_ok());
        }
        let whole = tensor(Datatype::Int32, vec![0xff; 8]);
        assert!(check([&whole], NonFinite::Error).is_ok());
    }
}
