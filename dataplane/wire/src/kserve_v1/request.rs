//! `{"instances": [...]}`, a value or an object of named values for each row, or
//! `{"inputs": {...}}`, a whole tensor for each input.

use bytes::Bytes;

use crate::bounds;
use crate::json::{Kind, Reader};
use crate::members::{self, FieldSet};
use crate::oip_rest::elements::{self, InputSpec};
use crate::room::Room;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Dimension, Signature, Tensor, TensorData, TensorSpec};

/// Reads the inputs of a request to a model of this signature. Values are read as strictly as
/// under `/v2`; shapes are those of the nested lists. What they become is taken from `room`.
///
/// # Errors
/// `Malformed` or `BadTensor`, naming the member, and what `room` refuses with.
pub fn parse(
    body: &Bytes,
    signature: &Signature,
    limits: &Limits,
    room: &Room<'_>,
) -> Result<Vec<Tensor>, Fault> {
    let mut reader = Reader::new(members::utf8(body)?, limits.json_depth, room);
    members::expect_root(&mut reader)?;
    let mut seen = FieldSet::default();
    let (mut instances, mut inputs) = (None, None);
    let mut root = reader.object()?;
    while let Some(name) = reader.member(&mut root)? {
        reader.kind()?;
        let at = reader.position();
        match &*name {
            "instances" => {
                seen.once(1, "instances")?;
                instances = Some(at);
            }
            "inputs" => {
                seen.once(2, "inputs")?;
                inputs = Some(at);
            }
            _ => {}
        }
        reader.skip()?;
    }
    reader.end()?;
    let form = Form {
        body,
        signature,
        limits,
    };
    match (instances, inputs) {
        (Some(at), None) => form.instances(&mut reader.at(at)),
        (None, Some(at)) => form.inputs(&mut reader.at(at)),
        (None, None) => Err(members::missing("instances")),
        (Some(_), Some(_)) => Err(Fault::new(
            FaultKind::Malformed,
            "conflicting_data",
            "the request has both 'instances' and 'inputs'; send one",
        )
        .with_param("inputs")),
    }
}

/// The reader of both forms.
struct Form<'a> {
    body: &'a Bytes,
    signature: &'a Signature,
    limits: &'a Limits,
}

/// An input of which some rows have been read.
struct Column<'a> {
    spec: &'a TensorSpec,
    row: Vec<i64>,
    rows: i64,
    raw: Vec<u8>,
    elements: Vec<Bytes>,
}

impl<'a> Form<'a> {
    fn instances(&self, reader: &mut Reader<'_>) -> Result<Vec<Tensor>, Fault> {
        const TAKES: &str = "a list with a value, or an object of them, for each row";
        members::expect(reader, Kind::Array, "instances", TAKES)?;
        let mut first = reader.at(reader.position());
        let mut list = first.array()?;
        if first.element(&mut list)? && first.kind()? == Kind::Object {
            return self.named_rows(reader);
        }
        let spec = self.only_input("instances")?;
        Ok(vec![self.tensor(reader, spec, "instances")?])
    }

    fn inputs(&self, reader: &mut Reader<'_>) -> Result<Vec<Tensor>, Fault> {
        if reader.kind()? != Kind::Object {
            let spec = self.only_input("inputs")?;
            return Ok(vec![self.tensor(reader, spec, "inputs")?]);
        }
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut object = reader.object()?;
        while let Some(name) = reader.member(&mut object)? {
            let spec = self.input(&name)?;
            let path = format!("inputs.{name}");
            if tensors.iter().any(|tensor| tensor.name == spec.name) {
                return Err(members::duplicate(&path));
            }
            tensors.push(self.tensor(reader, spec, &path)?);
        }
        Ok(tensors)
    }

    /// Rows as objects: the values of one name are the rows of that input.
    fn named_rows(&self, reader: &mut Reader<'_>) -> Result<Vec<Tensor>, Fault> {
        let mut columns: Vec<Column<'a>> = Vec::new();
        let mut rows = 0;
        let mut list = reader.array()?;
        while reader.element(&mut list)? {
            let path = format!("instances[{rows}]");
            members::expect(reader, Kind::Object, &path, "an object, as the first is")?;
            let mut object = reader.object()?;
            while let Some(name) = reader.member(&mut object)? {
                let spec = self.input(&name)?;
                let path = format!("{path}.{name}");
                let known = columns
                    .iter()
                    .position(|column| column.spec.name == spec.name);
                let at = match known {
                    Some(at) => at,
                    None if rows == 0 => {
                        columns.push(Column::new(spec));
                        columns.len() - 1
                    }
                    None => return Err(lacking("instances[0]", &name)),
                };
                if columns[at].rows > rows {
                    return Err(members::duplicate(&path));
                }
                self.row(reader, &mut columns[at], &path)?;
            }
            rows += 1;
            if let Some(short) = columns.iter().find(|column| column.rows < rows) {
                return Err(lacking(&path, &short.spec.name));
            }
        }
        columns
            .into_iter()
            .map(|column| self.joined(column))
            .collect()
    }

    fn row(
        &self,
        reader: &mut Reader<'_>,
        column: &mut Column<'a>,
        path: &str,
    ) -> Result<(), Fault> {
        let inner = column
            .spec
            .shape
            .as_deref()
            .and_then(|shape| shape.get(1..));
        let shape = self.shape(reader, inner, path)?;
        if column.rows == 0 {
            column.row.clone_from(&shape);
        } else if column.row != shape {
            return Err(Fault::new(
                FaultKind::BadTensor,
                "ragged_data",
                format!(
                    "'{path}' has shape {shape:?}, the rows before it have {:?}",
                    column.row
                ),
            )
            .with_param(path));
        }
        let room = reader.room();
        match self.data(reader, column.spec, &shape)? {
            TensorData::Raw(bytes) => {
                room.grow(&mut column.raw, bytes.len(), usize::MAX)?;
                column.raw.extend_from_slice(&bytes);
                room.give(bytes.len());
            }
            TensorData::Elements(elements) => {
                room.grow(&mut column.elements, elements.len(), usize::MAX)?;
                room.give(size_of_val(elements.as_slice()));
                column.elements.extend(elements);
            }
        }
        column.rows += 1;
        Ok(())
    }

    fn joined(&self, column: Column<'_>) -> Result<Tensor, Fault> {
        let mut shape = column.row;
        shape.insert(0, column.rows);
        let data = match column.spec.datatype.width() {
            Some(_) => TensorData::Raw(Bytes::from(column.raw)),
            None => TensorData::Elements(column.elements),
        };
        Ok(Tensor {
            name: column.spec.name.clone(),
            datatype: column.spec.datatype,
            shape,
            data,
        })
    }

    fn tensor(
        &self,
        reader: &mut Reader<'_>,
        spec: &TensorSpec,
        path: &str,
    ) -> Result<Tensor, Fault> {
        let shape = self.shape(reader, spec.shape.as_deref(), path)?;
        Ok(Tensor {
            name: spec.name.clone(),
            datatype: spec.datatype,
            data: self.data(reader, spec, &shape)?,
            shape,
        })
    }

    fn data(
        &self,
        reader: &mut Reader<'_>,
        spec: &TensorSpec,
        shape: &[i64],
    ) -> Result<TensorData, Fault> {
        let input = InputSpec::new(&spec.name, spec.datatype, shape)?;
        let data = elements::read(reader, self.body, &input)?;
        bounds::check_elements(&spec.name, &data, self.limits)?;
        Ok(data)
    }

    /// The extents of the nested lists that follow, without reading them. Below an empty list the
    /// `declared` dimensions are used.
    fn shape(
        &self,
        reader: &Reader<'_>,
        declared: Option<&[Dimension]>,
        path: &str,
    ) -> Result<Vec<i64>, Fault> {
        let mut shape = extents(&mut reader.at(reader.position()))?;
        if shape.last() == Some(&0) {
            let inner = declared.unwrap_or_default().iter().skip(shape.len());
            shape.extend(inner.map(|dimension| match dimension {
                Dimension::Fixed(extent) => *extent,
                Dimension::Variable(_) => 0,
            }));
        }
        if shape.len() > self.limits.dimensions {
            return Err(bounds::too_many_dimensions(path, self.limits));
        }
        Ok(shape)
    }

    /// The input that values without a name are for.
    fn only_input(&self, member: &str) -> Result<&'a TensorSpec, Fault> {
        let mut required = self.signature.inputs.iter().filter(|spec| !spec.optional);
        match (
            self.signature.inputs.as_slice(),
            required.next(),
            required.next(),
        ) {
            ([only], ..) | (_, Some(only), None) => Ok(only),
            (all, ..) => {
                let names: Vec<String> =
                    all.iter().map(|spec| format!("'{}'", spec.name)).collect();
                let form = match (names.as_slice(), member) {
                    ([], _) => "the model takes no inputs: send {\"inputs\":{}}".to_owned(),
                    (names, "instances") => format!(
                        "the model has the inputs {}: each instance must be an object with these names",
                        names.join(", ")
                    ),
                    (names, _) => format!(
                        "the model has the inputs {}: '{member}' must be an object with these names",
                        names.join(", ")
                    ),
                };
                Err(Fault::new(FaultKind::Malformed, "invalid_type", form).with_param(member))
            }
        }
    }

    fn input(&self, name: &str) -> Result<&'a TensorSpec, Fault> {
        self.signature.input(name).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            let known: Vec<String> = self
                .signature
                .inputs
                .iter()
                .map(|spec| format!("'{}'", spec.name))
                .collect();
            let message = format!(
                "input '{shown}' is unknown; the model has {}",
                known.join(", ")
            );
            Fault::new(FaultKind::BadTensor, "unknown_input", message).with_param(shown)
        })
    }
}

impl<'a> Column<'a> {
    fn new(spec: &'a TensorSpec) -> Self {
        Self {
            spec,
            row: Vec::new(),
            rows: 0,
            raw: Vec::new(),
            elements: Vec::new(),
        }
    }
}

fn lacking(path: &str, name: &str) -> Fault {
    let message = format!("'{path}' has no '{name}', which other rows have");
    Fault::new(FaultKind::BadTensor, "missing_input", message).with_param(path)
}

/// Lengths of the lists, outermost first, by the first list of each level; reads the value. That
/// all lists of a level are alike is checked when the elements are read.
fn extents(reader: &mut Reader<'_>) -> Result<Vec<i64>, Fault> {
    if reader.kind()? != Kind::Array {
        reader.skip()?;
        return Ok(Vec::new());
    }
    let mut length = 0;
    let mut inner = Vec::new();
    let mut list = reader.array()?;
    while reader.element(&mut list)? {
        if length == 0 {
            inner = extents(reader)?;
        } else {
            reader.skip()?;
        }
        length += 1;
    }
    inner.insert(0, length);
    Ok(inner)
}

#[cfg(test)]
mod tests;
