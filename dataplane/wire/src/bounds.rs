//! Bounds on the content of a request, the same for every protocol.

use std::fmt::Display;

use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::TensorData;

/// More inputs or outputs than [`Limits::tensors`].
pub(super) fn too_many_tensors(member: &str, limits: &Limits) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "too_many_tensors",
        format!("'{member}' lists more than {}", limits.tensors),
    )
    .with_param(member)
}

/// More dimensions than [`Limits::dimensions`].
pub(super) fn too_many_dimensions(path: impl Display, limits: &Limits) -> Fault {
    Fault::new(
        FaultKind::BadTensor,
        "too_many_dimensions",
        format!("'{path}' has more than {} dimensions", limits.dimensions),
    )
    .with_param(path.to_string())
}

/// Refuses elements of BYTES that are larger than [`Limits::element_bytes`].
///
/// # Errors
/// Names the first one.
pub(super) fn check_elements(name: &str, data: &TensorData, limits: &Limits) -> Result<(), Fault> {
    let TensorData::Elements(elements) = data else {
        return Ok(());
    };
    match elements
        .iter()
        .position(|element| element.len() > limits.element_bytes)
    {
        None => Ok(()),
        Some(index) => Err(Fault::new(
            FaultKind::BadTensor,
            "element_too_large",
            format!(
                "input '{name}': element {index} has {} bytes, at most {} are taken",
                elements[index].len(),
                limits.element_bytes
            ),
        )),
    }
}
