//! What must hold of every tensor and every refusal, wherever they come from.

use serin_core::Limits;
use serin_core::fault::{Fault, LONGEST_MESSAGE};
use serin_core::types::{Tensor, TensorData};

/// A tensor holds exactly what its shape says, and no more than the limits allow.
pub fn tensor(tensor: &Tensor, limits: &Limits) {
    assert!(
        tensor.shape.len() <= limits.dimensions,
        "{} dimensions",
        tensor.shape.len()
    );
    let count = Tensor::element_count(&tensor.shape);
    let held = match (&tensor.data, tensor.datatype.width()) {
        (TensorData::Raw(bytes), Some(width)) => {
            assert_eq!(bytes.len() % width, 0, "part of an element");
            bytes.len() / width
        }
        (TensorData::Elements(elements), None) => {
            assert!(elements.iter().all(|one| one.len() <= limits.element_bytes));
            elements.len()
        }
        (data, _) => panic!("{} as {data:?}", tensor.datatype),
    };
    assert_eq!(count, Some(held), "elements of {:?}", tensor.shape);
}

/// A refusal says something, and not too much: it goes into a header, a log line and a body.
pub fn fault(fault: &Fault) {
    assert!(!fault.message.is_empty(), "{fault:?} says nothing");
    assert!(
        fault.message.len() <= LONGEST_MESSAGE,
        "{} bytes of message",
        fault.message.len()
    );
    let param = fault.param.as_deref().unwrap_or_default();
    assert!(
        param.len() <= LONGEST_MESSAGE,
        "{} bytes of param",
        param.len()
    );
    let status = fault.kind.http_status();
    assert!(
        (400..500).contains(&status) || status == 501,
        "{fault:?} is no fault of the caller"
    );
}

/// Whether two tensors are the same but for the bits of a NaN, which no text carries.
pub fn same(one: &Tensor, other: &Tensor) -> bool {
    use serin_core::types::Datatype::{Bf16, Fp16, Fp32, Fp64};
    let (TensorData::Raw(a), TensorData::Raw(b)) = (&one.data, &other.data) else {
        return one == other;
    };
    // Sign, exponent and the highest bits of the fraction are in the last bytes.
    let is_nan = |bytes: &[u8]| match (one.datatype, bytes) {
        (Fp64, &[.., x, y]) => y & 0x7f == 0x7f && x & 0xf0 == 0xf0,
        (Fp32 | Bf16, &[.., x, y]) => y & 0x7f == 0x7f && x & 0x80 == 0x80,
        (Fp16, &[.., y]) => y & 0x7c == 0x7c,
        _ => false,
    };
    let width = one.datatype.width().unwrap_or(1);
    one.name == other.name
        && one.datatype == other.datatype
        && one.shape == other.shape
        && a.len() == b.len()
        && a.chunks(width).zip(b.chunks(width)).all(|(a, b)| {
            // Infinities end here too; they compare equal by their bits first.
            a == b || (is_nan(a) && is_nan(b))
        })
}
