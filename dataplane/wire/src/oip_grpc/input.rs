//! `InferInputTensor` to a tensor.

use bytes::Bytes;

use super::contents::Contents;
use super::entry::entry;
use super::fields::{Fields, Value, varint, wrong_type};
use crate::room::Room;
use crate::{bounds, raw_tensor};
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Tensor};

/// The fields of an input, but for its contents: what these are depends on a datatype and a shape
/// that may come after them.
pub(super) struct Input<'a> {
    pub(super) name: &'a str,
    datatype: &'a str,
    /// At most one dimension more than are allowed.
    shape: Vec<i64>,
    shared_memory: bool,
    /// The fields from the first `contents` on.
    contents: Option<Fields<'a>>,
}

impl<'a> Input<'a> {
    /// Reads an input.
    ///
    /// # Errors
    /// `Malformed`, and what the reservation of memory refuses with.
    pub(super) fn read(message: &'a [u8], limits: &Limits, room: &Room<'_>) -> Result<Self, Fault> {
        let mut input = Self {
            name: "",
            datatype: "",
            shape: Vec::new(),
            shared_memory: false,
            contents: None,
        };
        let mut fields = Fields::new(message);
        loop {
            let here = fields;
            let Some((tag, value)) = fields.next()? else {
                break;
            };
            match tag {
                1 => input.name = value.text("inputs.name")?,
                2 => input.datatype = value.text("inputs.datatype")?,
                3 => input.extents(value, limits)?,
                4 => input.shared_memory |= entry(value)?.0 == "shared_memory_region",
                5 => {
                    value.bytes("inputs.contents")?;
                    input.contents.get_or_insert(here);
                }
                _ => {}
            }
        }
        room.take(size_of::<Tensor>() + input.name.len() + size_of_val(&input.shape[..]))?;
        Ok(input)
    }

    fn extents(&mut self, value: Value<'_>, limits: &Limits) -> Result<(), Fault> {
        let mut add = |extent: u64| {
            if self.shape.len() <= limits.dimensions {
                self.shape.push(extent.cast_signed());
            }
        };
        match value {
            Value::Varint(extent) => add(extent),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    add(varint(&mut packed)?);
                }
            }
            _ => return Err(wrong_type("inputs.shape")),
        }
        Ok(())
    }

    /// Whether the input has typed contents.
    pub(super) fn is_typed(&self) -> bool {
        self.contents.is_some()
    }

    /// The tensor, from its raw bytes or from the typed contents within `message`.
    ///
    /// # Errors
    /// What `docs/errors.md` lists for tensors.
    pub(super) fn tensor(
        self,
        raw: Option<Bytes>,
        message: &Bytes,
        limits: &Limits,
        room: &Room<'_>,
    ) -> Result<Tensor, Fault> {
        let (name, shape) = (self.name, self.shape);
        if self.shared_memory {
            return Err(Fault::new(
                FaultKind::NotImplemented,
                "not_implemented",
                format!("input '{name}': shared memory is not offered, send the data"),
            ));
        }
        let Some(datatype) = Datatype::parse(self.datatype) else {
            return Err(Fault::new(
                FaultKind::BadTensor,
                "unknown_datatype",
                format!(
                    "input '{name}': datatype '{}' is none of the protocol's",
                    self.datatype
                ),
            ));
        };
        if shape.len() > limits.dimensions {
            return Err(bounds::too_many_dimensions(format!("{name}.shape"), limits));
        }
        let data = match raw {
            Some(bytes) => raw_tensor::decode(name, datatype, &shape, bytes, room)?,
            None => {
                let mut contents = Contents::new(name, datatype, &shape, message, room);
                let mut fields = self.contents.unwrap_or(Fields::new(&[]));
                while let Some((tag, value)) = fields.next()? {
                    if tag == 5 {
                        contents.merge(value.bytes("inputs.contents")?)?;
                    }
                }
                contents.finish()?
            }
        };
        bounds::check_elements(name, &data, limits)?;
        Ok(Tensor {
            name: name.to_owned(),
            datatype,
            shape,
            data,
        })
    }
}
