//! Typed lists (`InferTensorContents`) to tensors: each list is written to little-endian bytes as it
//! is read.

use bytes::Bytes;

use super::fields::{Fields, Value, malformed, varint, wrong_type};
use crate::room::Room;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Tensor, TensorData};

/// Each list, in the order of its field number from 1, and the datatypes whose elements it holds.
const LISTS: [(&str, &[Datatype]); 8] = [
    ("bool_contents", &[Datatype::Bool]),
    (
        "int_contents",
        &[Datatype::Int8, Datatype::Int16, Datatype::Int32],
    ),
    ("int64_contents", &[Datatype::Int64]),
    (
        "uint_contents",
        &[Datatype::Uint8, Datatype::Uint16, Datatype::Uint32],
    ),
    ("uint64_contents", &[Datatype::Uint64]),
    ("fp32_contents", &[Datatype::Fp32]),
    ("fp64_contents", &[Datatype::Fp64]),
    ("bytes_contents", &[Datatype::Bytes]),
];

/// The elements of one input, as far as they have been read.
pub(super) struct Contents<'a> {
    name: &'a str,
    datatype: Datatype,
    shape: &'a [i64],
    message: &'a Bytes,
    room: &'a Room<'a>,
    /// Elements that the shape asks for: no more are kept. 0 for a shape that is none.
    expected: usize,
    /// The index in [`LISTS`] of the datatype's own list.
    own: Option<usize>,
    /// Which lists have elements.
    filled: [bool; LISTS.len()],
    /// Elements of the own list, kept or not.
    count: usize,
    bytes: Vec<u8>,
    elements: Vec<Bytes>,
    /// The first value that the datatype cannot hold.
    out_of_range: Option<i64>,
}

impl<'a> Contents<'a> {
    /// No elements yet of this input. `message` is the message that the lists lie in.
    pub(super) fn new(
        name: &'a str,
        datatype: Datatype,
        shape: &'a [i64],
        message: &'a Bytes,
        room: &'a Room<'a>,
    ) -> Self {
        Self {
            name,
            datatype,
            shape,
            message,
            room,
            expected: Tensor::element_count(shape).unwrap_or(0),
            own: LISTS.iter().position(|(_, own)| own.contains(&datatype)),
            filled: [false; LISTS.len()],
            count: 0,
            bytes: Vec::new(),
            elements: Vec::new(),
            out_of_range: None,
        }
    }

    /// Reads an `InferTensorContents`; its lists are added to those of one before it.
    ///
    /// # Errors
    /// `Malformed`, and what the reservation of memory refuses with.
    pub(super) fn merge(&mut self, contents: &[u8]) -> Result<(), Fault> {
        let mut fields = Fields::new(contents);
        while let Some((tag, value)) = fields.next()? {
            let list = tag as usize - 1;
            match tag {
                1..=5 => self.numbers(list, value)?,
                6 => self.floats::<4>(list, value)?,
                7 => self.floats::<8>(list, value)?,
                8 => self.element(list, value)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The tensor's data.
    ///
    /// # Errors
    /// `BadTensor` for elements in the list of another datatype, a count that is not the shape's, a
    /// value out of range, and for FP16 and BF16, which have no list.
    pub(super) fn finish(self) -> Result<TensorData, Fault> {
        let (name, datatype) = (self.name, self.datatype);
        let mut filled = self.filled.iter().enumerate();
        if let Some((other, _)) = filled.find(|(list, filled)| **filled && Some(*list) != self.own)
        {
            let right = self.own.map_or("raw_input_contents", |own| LISTS[own].0);
            return Err(bad(
                "unsupported_contents",
                format!(
                    "input '{name}': {datatype} elements do not belong into {}, send them in {right}",
                    LISTS[other].0
                ),
            ));
        }
        if self.own.is_none() {
            return Err(bad(
                "unsupported_contents",
                format!(
                    "input '{name}': {datatype} has no typed contents, send it in raw_input_contents"
                ),
            ));
        }
        if let Some(value) = self.out_of_range {
            return Err(bad(
                "invalid_value",
                format!("input '{name}': {value} is out of range for {datatype}"),
            ));
        }
        let (shape, count) = (self.shape, self.count);
        match Tensor::element_count(shape) {
            Some(expected) if expected == count => Ok(match datatype {
                Datatype::Bytes => TensorData::Elements(self.elements),
                _ => TensorData::Raw(Bytes::from(self.bytes)),
            }),
            Some(expected) => Err(bad(
                "shape_mismatch",
                format!("input '{name}': expected {expected} elements, got {count}"),
            )),
            None => Err(bad(
                "invalid_shape",
                format!(
                    "input '{name}': shape {shape:?} has a negative dimension or too many elements"
                ),
            )),
        }
    }

    /// One number of variable length, or a packed list of them.
    fn numbers(&mut self, list: usize, value: Value<'_>) -> Result<(), Fault> {
        let mut numbers = match value {
            Value::Varint(number) => Numbers::One(number),
            Value::Bytes(packed) => Numbers::Packed(packed),
            _ => return Err(wrong_type(LISTS[list].0)),
        };
        if self.own != Some(list) {
            while numbers.next()?.is_some() {
                self.filled[list] = true;
            }
            return Ok(());
        }
        // Only the lower half of a number counts in a list of 32 bits.
        match self.datatype {
            Datatype::Bool => self.write(list, numbers, |number| Ok([u8::from(number != 0)])),
            Datatype::Int8 => self.write(list, numbers, |number| {
                signed::<i8>(number).map(i8::to_le_bytes)
            }),
            Datatype::Int16 => self.write(list, numbers, |number| {
                signed::<i16>(number).map(i16::to_le_bytes)
            }),
            Datatype::Uint8 => self.write(list, numbers, |number| {
                unsigned::<u8>(number).map(u8::to_le_bytes)
            }),
            Datatype::Uint16 => self.write(list, numbers, |number| {
                unsigned::<u16>(number).map(u16::to_le_bytes)
            }),
            Datatype::Int32 | Datatype::Uint32 => {
                self.write(list, numbers, |number| Ok((number as u32).to_le_bytes()))
            }
            _ => self.write(list, numbers, |number| Ok(number.to_le_bytes())),
        }
    }

    /// Writes the numbers of the own list; `convert` fails with a value that is out of range.
    fn write<const WIDTH: usize>(
        &mut self,
        list: usize,
        mut numbers: Numbers<'_>,
        convert: impl Fn(u64) -> Result<[u8; WIDTH], i64>,
    ) -> Result<(), Fault> {
        let kept = numbers
            .at_most()
            .min(self.expected.saturating_sub(self.count));
        let most = self.expected.saturating_mul(WIDTH);
        self.room
            .grow(&mut self.bytes, kept.saturating_mul(WIDTH), most)?;
        while let Some(number) = numbers.next()? {
            self.filled[list] = true;
            match convert(number) {
                Ok(bytes) if self.count < self.expected => self.bytes.extend_from_slice(&bytes),
                Ok(_) => {}
                Err(value) => {
                    self.out_of_range.get_or_insert(value);
                }
            }
            self.count += 1;
        }
        Ok(())
    }

    /// One float, or a packed list of them: they are little-endian on the wire, too.
    fn floats<const WIDTH: usize>(&mut self, list: usize, value: Value<'_>) -> Result<(), Fault> {
        let bytes = match &value {
            Value::Fixed32(float) if WIDTH == 4 => &float[..],
            Value::Fixed64(float) if WIDTH == 8 => &float[..],
            Value::Bytes(packed) => packed,
            _ => return Err(wrong_type(LISTS[list].0)),
        };
        if !bytes.len().is_multiple_of(WIDTH) {
            return Err(malformed(&format_args!(
                "'{}' ends within an element",
                LISTS[list].0
            )));
        }
        let count = bytes.len() / WIDTH;
        self.filled[list] |= count > 0;
        if self.own == Some(list) {
            let kept = count.min(self.expected.saturating_sub(self.count)) * WIDTH;
            let most = self.expected.saturating_mul(WIDTH);
            self.room.grow(&mut self.bytes, kept, most)?;
            self.bytes.extend_from_slice(&bytes[..kept]);
            self.count += count;
        }
        Ok(())
    }

    /// One element of BYTES, which is not copied.
    fn element(&mut self, list: usize, value: Value<'_>) -> Result<(), Fault> {
        let element = value.bytes(LISTS[list].0)?;
        self.filled[list] = true;
        if self.own == Some(list) {
            if self.count < self.expected {
                self.room.grow(&mut self.elements, 1, self.expected)?;
                self.elements.push(self.message.slice_ref(element));
            }
            self.count += 1;
        }
        Ok(())
    }
}

/// The numbers of one field.
enum Numbers<'a> {
    One(u64),
    Packed(&'a [u8]),
}

impl Numbers<'_> {
    /// A bound on how many there are: each has a byte at least.
    fn at_most(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Packed(packed) => packed.len(),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<u64>, Fault> {
        match self {
            Self::Packed([]) => Ok(None),
            Self::Packed(packed) => varint(packed).map(Some),
            Self::One(number) => {
                let number = *number;
                *self = Self::Packed(&[]);
                Ok(Some(number))
            }
        }
    }
}

fn signed<T: TryFrom<i32>>(number: u64) -> Result<T, i64> {
    let value = (number as u32).cast_signed();
    T::try_from(value).map_err(|_| value.into())
}

fn unsigned<T: TryFrom<u32>>(number: u64) -> Result<T, i64> {
    let value = number as u32;
    T::try_from(value).map_err(|_| value.into())
}

fn bad(code: &'static str, message: String) -> Fault {
    Fault::new(FaultKind::BadTensor, code, message)
}

#[cfg(test)]
mod tests;
