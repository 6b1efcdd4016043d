//! A tensor's JSON data to little-endian bytes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use half::{bf16, f16};

use crate::json::{Integer, JsonError, Kind, Reader};
use crate::room::Room;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Tensor, TensorData};

/// What bytes take besides themselves once they are shared: by two tensors, or by two rows of one.
const SHARED: usize = 48;

/// The name, datatype and element count of an input, needed to read its data.
pub(crate) struct InputSpec<'a> {
    name: &'a str,
    datatype: Datatype,
    count: usize,
}

impl<'a> InputSpec<'a> {
    pub(crate) fn new(name: &'a str, datatype: Datatype, shape: &[i64]) -> Result<Self, Fault> {
        let count = Tensor::element_count(shape).ok_or_else(|| {
            Fault::new(
                FaultKind::BadTensor,
                "invalid_shape",
                format!("input '{name}': shape {shape:?} has too many elements"),
            )
        })?;
        Ok(Self {
            name,
            datatype,
            count,
        })
    }
}

/// Why an element is refused.
enum Refused {
    Json(JsonError),
    Value(Cow<'static, str>),
}

impl From<JsonError> for Refused {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// Reads the value that follows as the elements that `spec` announces: an array, flat or nested
/// but rectangular, or a bare value for a single element.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    body: &Bytes,
    spec: &InputSpec<'_>,
) -> Result<TensorData, Fault> {
    match spec.datatype {
        Datatype::Bool => fixed(reader, spec, |reader| Ok([u8::from(boolean(reader)?)])),
        Datatype::Uint8 => fixed(reader, spec, |r| integer::<u8>(r).map(u8::to_le_bytes)),
        Datatype::Uint16 => fixed(reader, spec, |r| integer::<u16>(r).map(u16::to_le_bytes)),
        Datatype::Uint32 => fixed(reader, spec, |r| integer::<u32>(r).map(u32::to_le_bytes)),
        Datatype::Uint64 => fixed(reader, spec, |r| integer::<u64>(r).map(u64::to_le_bytes)),
        Datatype::Int8 => fixed(reader, spec, |r| integer::<i8>(r).map(i8::to_le_bytes)),
        Datatype::Int16 => fixed(reader, spec, |r| integer::<i16>(r).map(i16::to_le_bytes)),
        Datatype::Int32 => fixed(reader, spec, |r| integer::<i32>(r).map(i32::to_le_bytes)),
        Datatype::Int64 => fixed(reader, spec, |r| integer::<i64>(r).map(i64::to_le_bytes)),
        Datatype::Fp16 => fixed(reader, spec, |r| {
            let value = float(r, |text| {
                let value = f16::from_f64(text.parse().unwrap_or(f64::INFINITY));
                (value.to_f64(), value)
            })?;
            Ok(value.unwrap_or_else(f16::from_f64).to_le_bytes())
        }),
        Datatype::Bf16 => fixed(reader, spec, |r| {
            let value = float(r, |text| {
                let value = bf16::from_f64(text.parse().unwrap_or(f64::INFINITY));
                (value.to_f64(), value)
            })?;
            Ok(value.unwrap_or_else(bf16::from_f64).to_le_bytes())
        }),
        Datatype::Fp32 => fixed(reader, spec, |r| {
            let value = float(r, |text| {
                let value: f32 = text.parse().unwrap_or(f32::INFINITY);
                (f64::from(value), value)
            })?;
            Ok(value.unwrap_or_else(|special| special as f32).to_le_bytes())
        }),
        Datatype::Fp64 => fixed(reader, spec, |r| {
            let value = float(r, |text| {
                let value: f64 = text.parse().unwrap_or(f64::INFINITY);
                (value, value)
            })?;
            Ok(value.unwrap_or_else(|special| special).to_le_bytes())
        }),
        Datatype::Bytes => strings(reader, body, spec),
    }
}

/// Elements of a fixed width.
fn fixed<const WIDTH: usize>(
    reader: &mut Reader<'_>,
    spec: &InputSpec<'_>,
    element: impl Fn(&mut Reader<'_>) -> Result<[u8; WIDTH], Refused>,
) -> Result<TensorData, Fault> {
    // The shape is the caller's claim: what may still come, two bytes an element, bounds the
    // allocation.
    let possible = reader.remaining() / 2 + 1;
    let mut out = reader.room().list(spec.count.min(possible) * WIDTH)?;
    Walk::over(reader, spec, |reader, index| {
        let bytes = element(reader)?;
        if index < spec.count {
            out.extend_from_slice(&bytes);
        }
        Ok(())
    })?;
    Ok(TensorData::Raw(Bytes::from(out)))
}

fn strings(
    reader: &mut Reader<'_>,
    body: &Bytes,
    spec: &InputSpec<'_>,
) -> Result<TensorData, Fault> {
    let possible = reader.remaining() / 3 + 1;
    let mut out = reader.room().list(spec.count.min(possible))?;
    Walk::over(reader, spec, |reader, index| {
        match reader.kind()? {
            Kind::String => {}
            other => return Err(not_a(Datatype::Bytes, "a string", other)),
        }
        let text = reader.string()?;
        if index < spec.count {
            out.push(match text {
                Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
                Cow::Owned(text) => Bytes::from(text),
            });
        }
        Ok(())
    })?;
    Ok(TensorData::Elements(out))
}

/// Decodes elements that came as base64.
pub(super) fn decode_base64(
    name: &str,
    encoded: &[Bytes],
    room: &Room<'_>,
) -> Result<TensorData, Fault> {
    let mut decoded = room.list(encoded.len())?;
    for (index, text) in encoded.iter().enumerate() {
        room.copy(base64::decoded_len_estimate(text.len()) + SHARED)?;
        let element = STANDARD.decode(text).map_err(|error| {
            Fault::new(
                FaultKind::BadTensor,
                "invalid_value",
                format!("input '{name}': element {index} is not base64: {error}"),
            )
        })?;
        decoded.push(Bytes::from(element));
    }
    Ok(TensorData::Elements(decoded))
}

fn not_a(datatype: Datatype, takes: &str, got: Kind) -> Refused {
    Refused::Value(format!("{datatype} takes {takes}, got {}", got.describe()).into())
}

fn boolean(reader: &mut Reader<'_>) -> Result<bool, Refused> {
    match reader.kind()? {
        Kind::Bool => Ok(reader.boolean()?),
        Kind::Number => match reader.number()? {
            "0" => Ok(false),
            "1" => Ok(true),
            other => Err(Refused::Value(
                format!("BOOL takes true, false, 0 or 1, got {}", shown(other)).into(),
            )),
        },
        other => Err(not_a(Datatype::Bool, "true, false, 0 or 1", other)),
    }
}

fn integer<T: TryFrom<i128>>(reader: &mut Reader<'_>) -> Result<T, Refused> {
    let kind = reader.kind()?;
    if kind != Kind::Number {
        return Err(Refused::Value(
            format!("an integer is needed, got {}", kind.describe()).into(),
        ));
    }
    let text = reader.number()?;
    match Integer::of(text) {
        Integer::Exact(value) => T::try_from(value)
            .map_err(|_| Refused::Value(format!("{} is out of range", shown(text)).into())),
        Integer::TooLarge => Err(Refused::Value(
            format!("{} is out of range", shown(text)).into(),
        )),
        Integer::Fraction => Err(Refused::Value(
            format!("{} is not an integer", shown(text)).into(),
        )),
    }
}

/// A float of type `T` from a number (`Ok`), or a value that JSON has no number for (`Err`).
///
/// `parse` gives the value and its magnitude as f64, infinite when the text overflows `T`.
fn float<T>(
    reader: &mut Reader<'_>,
    parse: impl Fn(&str) -> (f64, T),
) -> Result<Result<T, f64>, Refused> {
    match reader.kind()? {
        Kind::Number => {
            let text = reader.number()?;
            let (magnitude, value) = parse(text);
            if magnitude.is_infinite() {
                return Err(Refused::Value(
                    format!("{} is out of range", shown(text)).into(),
                ));
            }
            Ok(Ok(value))
        }
        Kind::String => match &*reader.string()? {
            "NaN" => Ok(Err(f64::NAN)),
            "Infinity" => Ok(Err(f64::INFINITY)),
            "-Infinity" => Ok(Err(f64::NEG_INFINITY)),
            _ => Err(Refused::Value(Cow::Borrowed(
                "a number is needed; of strings only \"NaN\", \"Infinity\" and \"-Infinity\" are taken",
            ))),
        },
        other => Err(Refused::Value(
            format!("a number is needed, got {}", other.describe()).into(),
        )),
    }
}

/// A number's text for a message, shortened.
fn shown(text: &str) -> &str {
    text.get(..40).unwrap_or(text)
}

/// The walk over nested arrays; checks that they are rectangular.
struct Walk<'a, 'b> {
    spec: &'a InputSpec<'b>,
    count: usize,
    /// Length of the arrays of each level, once one has ended.
    lengths: Vec<Option<usize>>,
    /// Level of the arrays that hold values.
    leaves: Option<usize>,
}

impl Walk<'_, '_> {
    fn over(
        reader: &mut Reader<'_>,
        spec: &InputSpec<'_>,
        mut leaf: impl FnMut(&mut Reader<'_>, usize) -> Result<(), Refused>,
    ) -> Result<(), Fault> {
        let mut walk = Walk {
            spec,
            count: 0,
            lengths: Vec::new(),
            leaves: None,
        };
        if reader.kind()? == Kind::Array {
            walk.array(reader, 0, &mut leaf)?;
        } else {
            walk.leaf(reader, &mut leaf)?;
        }
        if walk.count != spec.count {
            return Err(Fault::new(
                FaultKind::BadTensor,
                "shape_mismatch",
                format!(
                    "input '{}': expected {} elements, got {}",
                    spec.name, spec.count, walk.count
                ),
            ));
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        reader: &mut Reader<'_>,
        leaf: &mut impl FnMut(&mut Reader<'_>, usize) -> Result<(), Refused>,
    ) -> Result<(), Fault> {
        leaf(reader, self.count).map_err(|refused| match refused {
            Refused::Json(error) => Fault::from(error),
            Refused::Value(why) => Fault::new(
                FaultKind::BadTensor,
                "invalid_value",
                format!(
                    "input '{}' ({}): element {}: {why}",
                    self.spec.name, self.spec.datatype, self.count
                ),
            ),
        })?;
        self.count += 1;
        Ok(())
    }

    fn array(
        &mut self,
        reader: &mut Reader<'_>,
        level: usize,
        leaf: &mut impl FnMut(&mut Reader<'_>, usize) -> Result<(), Refused>,
    ) -> Result<(), Fault> {
        if self.lengths.len() == level {
            self.lengths.push(None);
        }
        let mut length = 0;
        let mut array = reader.array()?;
        while reader.element(&mut array)? {
            length += 1;
            if reader.kind()? == Kind::Array {
                if self.leaves.is_some_and(|leaves| leaves <= level) {
                    return Err(self.ragged());
                }
                self.array(reader, level + 1, leaf)?;
            } else {
                if *self.leaves.get_or_insert(level) != level || self.lengths.len() > level + 1 {
                    return Err(self.ragged());
                }
                self.leaf(reader, leaf)?;
            }
        }
        match self.lengths[level] {
            None => self.lengths[level] = Some(length),
            Some(other) if other != length => return Err(self.ragged()),
            Some(_) => {}
        }
        Ok(())
    }

    fn ragged(&self) -> Fault {
        Fault::new(
            FaultKind::BadTensor,
            "ragged_data",
            format!(
                "input '{}': nested data must be rectangular, it is not after element {}",
                self.spec.name, self.count
            ),
        )
    }
}
