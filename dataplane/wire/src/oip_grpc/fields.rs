//! The fields of an encoded message, one by one (Protocol Buffers, "Encoding").

use std::fmt::Display;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use serin_core::fault::{Fault, FaultKind};

/// The value of a field, by its wire type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    /// A group of the second version, skipped: no field of these messages is one.
    Group,
}

impl<'a> Value<'a> {
    /// The bytes of a string, a message or a packed list.
    ///
    /// # Errors
    /// `Malformed` for another wire type.
    pub(super) fn bytes(self, field: &str) -> Result<&'a [u8], Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(wrong_type(field)),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// `Malformed` for another wire type, and for bytes that are not UTF-8.
    pub(super) fn text(self, field: &str) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes(field)?)
            .map_err(|_| malformed(&format_args!("'{field}' is not UTF-8")))
    }

    /// An integer or a boolean.
    ///
    /// # Errors
    /// `Malformed` for another wire type.
    pub(super) fn varint(self, field: &str) -> Result<u64, Fault> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(wrong_type(field)),
        }
    }
}

/// The fields of a message that have not been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The number and the value of the next field; `None` at the end of the message.
    ///
    /// # Errors
    /// `Malformed` for bytes that are no field.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Fault> {
        let rest = &mut self.0;
        if rest.is_empty() {
            return Ok(None);
        }
        let (tag, wire_type) = decode_key(rest).map_err(|error| malformed(&error))?;
        let value = match wire_type {
            WireType::Varint => Value::Varint(varint(rest)?),
            WireType::ThirtyTwoBit => Value::Fixed32(fixed(rest)?),
            WireType::SixtyFourBit => Value::Fixed64(fixed(rest)?),
            WireType::LengthDelimited => {
                let length = usize::try_from(varint(rest)?).unwrap_or(usize::MAX);
                let (bytes, after) = rest.split_at_checked(length).ok_or_else(truncated)?;
                *rest = after;
                Value::Bytes(bytes)
            }
            WireType::StartGroup | WireType::EndGroup => {
                skip_field(wire_type, tag, rest, DecodeContext::default())
                    .map_err(|error| malformed(&error))?;
                Value::Group
            }
        };
        Ok(Some((tag, value)))
    }
}

/// Reads a number of variable length.
///
/// # Errors
/// `Malformed` for a number that does not end, or has more than 64 bits.
#[inline]
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, Fault> {
    decode_varint(rest).map_err(|error| malformed(&error))
}

fn fixed<const WIDTH: usize>(rest: &mut &[u8]) -> Result<[u8; WIDTH], Fault> {
    let (value, after) = rest.split_first_chunk().ok_or_else(truncated)?;
    *rest = after;
    Ok(*value)
}

fn truncated() -> Fault {
    malformed(&"it ends within a field")
}

/// The fault of a field whose wire type is not that of its declaration.
pub(super) fn wrong_type(field: &str) -> Fault {
    malformed(&format_args!("'{field}' has the wrong wire type"))
}

/// The fault of bytes that are no `ModelInferRequest`.
#[cold]
pub(super) fn malformed(reason: &dyn Display) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "malformed_body",
        format!("the message is no ModelInferRequest: {reason}"),
    )
}
