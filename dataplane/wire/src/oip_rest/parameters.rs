//! The `parameters` objects: reserved keys are applied or refused, others ignored.

use std::fmt::Display;
use std::num::NonZeroUsize;

use crate::field_path::FieldPath;
use crate::json::{Integer, Kind, Reader};
use crate::members::wrong_type;
use crate::parameters::{Parameter, RequestParameters, classes};
use serin_core::fault::{Fault, FaultKind};

/// The `parameters` of an input.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InputParameters {
    /// Bytes of this input's data after the JSON.
    pub(super) binary_data_size: Option<usize>,
    /// Elements of BYTES are base64 (MLServer's convention).
    pub(super) base64: bool,
}

/// Reads the request's `parameters`.
pub(super) fn of_request(reader: &mut Reader<'_>) -> Result<RequestParameters, Fault> {
    let mut found = RequestParameters::default();
    each(reader, "parameters", |name, reader| {
        match reader.kind()? {
            Kind::Bool => found.set(name, Parameter::Bool(reader.boolean()?)),
            Kind::Number => found.set(name, number(reader.number()?)),
            Kind::String => found.set(name, Parameter::Text(&reader.string()?)),
            Kind::Object | Kind::Array | Kind::Null => {
                reader.skip()?;
                found.set(name, Parameter::Other)
            }
        }
    })?;
    Ok(found)
}

fn number(text: &str) -> Parameter<'static> {
    let exact = match Integer::of(text) {
        Integer::Exact(value) => i64::try_from(value)
            .map(Parameter::Int)
            .or_else(|_| u64::try_from(value).map(Parameter::Uint))
            .ok(),
        Integer::TooLarge | Integer::Fraction => None,
    };
    exact.unwrap_or_else(|| Parameter::Double(text.parse().unwrap_or(f64::INFINITY)))
}

/// Reads the `parameters` of the input at `path`.
pub(super) fn of_input(reader: &mut Reader<'_>, path: FieldPath) -> Result<InputParameters, Fault> {
    let mut found = InputParameters::default();
    each(reader, path.member("parameters"), |name, reader| {
        match name {
            "binary_data_size" => {
                let size = unsigned(reader, path.member("parameters.binary_data_size"))?;
                // Larger than memory is larger than the body: refused when the bytes are taken.
                found.binary_data_size = Some(usize::try_from(size).unwrap_or(usize::MAX));
            }
            "content_type" if reader.kind()? == Kind::String => {
                found.base64 = reader.string()? == "base64";
            }
            "shared_memory_region" => return Err(no_shared_memory(path)),
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

/// The `parameters` of an output.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OutputParameters {
    /// `binary_data`: the data comes after the JSON.
    pub(super) binary: Option<bool>,
    /// `classification`: the number of classes to return instead of the values.
    pub(super) classes: Option<NonZeroUsize>,
}

/// Reads the `parameters` of the output at `path`.
pub(super) fn of_output(
    reader: &mut Reader<'_>,
    path: FieldPath,
) -> Result<OutputParameters, Fault> {
    let mut found = OutputParameters::default();
    each(reader, path.member("parameters"), |name, reader| {
        match name {
            "binary_data" => {
                found.binary = Some(boolean(reader, path.member("parameters.binary_data"))?);
            }
            "classification" => {
                let value = match reader.kind()? {
                    Kind::Number => number(reader.number()?),
                    _ => {
                        reader.skip()?;
                        Parameter::Other
                    }
                };
                let path = path.member("parameters.classification");
                found.classes = Some(classes(path, value)?);
            }
            "shared_memory_region" => return Err(no_shared_memory(path)),
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

/// Visits each parameter that is not null; null for the whole object means none.
fn each(
    reader: &mut Reader<'_>,
    path: impl Display,
    mut visit: impl FnMut(&str, &mut Reader<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match reader.kind()? {
        Kind::Null => return Ok(reader.null()?),
        Kind::Object => {}
        other => return Err(wrong_type(path, "an object", other)),
    }
    let mut object = reader.object()?;
    while let Some(name) = reader.member(&mut object)? {
        match reader.kind()? {
            Kind::Null => reader.null()?,
            _ => visit(&name, reader)?,
        }
    }
    Ok(())
}

fn boolean(reader: &mut Reader<'_>, path: FieldPath) -> Result<bool, Fault> {
    match reader.kind()? {
        Kind::Bool => Ok(reader.boolean()?),
        other => Err(invalid(path, "true or false", other.describe())),
    }
}

fn unsigned(reader: &mut Reader<'_>, path: FieldPath) -> Result<u64, Fault> {
    let kind = reader.kind()?;
    if kind != Kind::Number {
        return Err(invalid(path, "a number from 0", kind.describe()));
    }
    let text = reader.number()?;
    match Integer::of(text) {
        Integer::Exact(value) => u64::try_from(value).ok(),
        _ => None,
    }
    .ok_or_else(|| invalid(path, "a whole number from 0", text))
}

fn invalid(path: FieldPath, expected: &str, got: &str) -> Fault {
    let got: String = got.chars().take(40).collect();
    Fault::new(
        FaultKind::Malformed,
        "invalid_parameter",
        format!("'{path}' must be {expected}, got {got}"),
    )
    .with_param(path.to_string())
}

fn no_shared_memory(path: FieldPath) -> Fault {
    Fault::new(
        FaultKind::NotImplemented,
        "not_implemented",
        format!("{path}: shared memory is not offered; send the data in the request"),
    )
    .with_param(path.member("parameters.shared_memory_region").to_string())
}
