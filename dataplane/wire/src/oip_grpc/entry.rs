//! The entries of `map<string, InferParameter>`.

use super::fields::{Fields, Value, malformed};
use crate::parameters::Parameter;
use serin_core::fault::Fault;

/// Reads an entry: its name and its value. Of a name that is given twice in a map the last entry
/// counts.
///
/// # Errors
/// `Malformed`.
pub(super) fn entry(value: Value<'_>) -> Result<(&str, Parameter<'_>), Fault> {
    let Value::Bytes(bytes) = value else {
        // Prost reads an entry whatever its wire type is. Two readings of one message are worse than
        // a refusal.
        return Err(malformed(&"an entry of 'parameters' is no message"));
    };
    let (mut name, mut parameter) = ("", Parameter::Other);
    let mut fields = Fields::new(bytes);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => name = value.text("parameters.key")?,
            2 => merge(value.bytes("parameters.value")?, &mut parameter)?,
            _ => {}
        }
    }
    Ok((name, parameter))
}

/// Reads an `InferParameter` into `parameter`, which stays as it is if the message is empty.
fn merge<'a>(message: &'a [u8], parameter: &mut Parameter<'a>) -> Result<(), Fault> {
    let mut fields = Fields::new(message);
    while let Some((tag, value)) = fields.next()? {
        *parameter = match (tag, value) {
            (1, value) => Parameter::Bool(value.varint("bool_param")? != 0),
            (2, value) => Parameter::Int(value.varint("int64_param")?.cast_signed()),
            (3, value) => Parameter::Text(value.text("string_param")?),
            (4, Value::Fixed64(value)) => Parameter::Double(f64::from_le_bytes(value)),
            (4, _) => return Err(super::fields::wrong_type("double_param")),
            (5, value) => Parameter::Uint(value.varint("uint64_param")?),
            _ => continue,
        };
    }
    Ok(())
}
