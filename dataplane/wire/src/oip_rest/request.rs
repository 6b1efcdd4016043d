//! The body of an inference request.

use std::fmt::Display;

use bytes::Bytes;

use super::elements::{self, InputSpec};
use super::parameters::{self, InputParameters, OutputParameters};
use super::{Forms, InferRequest};
use crate::bounds;
use crate::field_path::FieldPath;
use crate::json::{Kind, Reader};
use crate::members::{self, FieldSet, missing};
use crate::parameters::RequestParameters;
use crate::raw_tensor;
use crate::room::{self, Room};
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, RequestedOutput, Tensor, TensorData};

/// Reads a request: `json_length` bytes of JSON and, after them, the data of binary inputs. What it
/// becomes is taken from `room`.
///
/// # Errors
/// `Malformed`, `BadTensor`, `Unsupported` or `NotImplemented`, naming the member, and what `room`
/// refuses with.
pub fn parse(
    body: &Bytes,
    json_length: usize,
    limits: &Limits,
    room: &Room<'_>,
) -> Result<InferRequest, Fault> {
    let json = body.get(..json_length).unwrap_or(body);
    let text = members::utf8(json)?;
    let mut request = RequestReader {
        reader: Reader::new(text, limits.json_depth, room),
        body,
        binary: body.slice(json.len()..),
        limits,
    };
    let parsed = request.document()?;
    if !request.binary.is_empty() {
        return Err(size_mismatch(format!(
            "{} bytes are left after the binary data of the last input",
            request.binary.len()
        )));
    }
    Ok(parsed)
}

/// The `id` of a request that cannot be served, where it can be read within `most` bytes.
pub fn id_of(body: &[u8], most: usize) -> Option<String> {
    let text = members::utf8(body).ok()?;
    let find = |room: &Room<'_>| -> Result<Option<String>, Fault> {
        let mut reader = Reader::new(text, Limits::default().json_depth, room);
        let mut id = None;
        let mut root = reader.object()?;
        while let Some(name) = reader.member(&mut root)? {
            match &*name {
                "id" => id = members::optional_string(&mut reader, "id")?,
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        Ok(id)
    };
    room::within(0, room::of_a_name(most), find).ok()?
}

/// An input of which not all members have been read.
#[derive(Default)]
struct Pending {
    name: Option<String>,
    shape: Option<Vec<i64>>,
    datatype: Option<Datatype>,
    parameters: InputParameters,
    data: Option<Data>,
}

enum Data {
    Read(TensorData),
    /// The offset of data whose datatype was not known yet.
    At(usize),
}

struct RequestReader<'a> {
    reader: Reader<'a>,
    body: &'a Bytes,
    /// The rest of the binary data after the JSON.
    binary: Bytes,
    limits: &'a Limits,
}

impl RequestReader<'_> {
    fn document(&mut self) -> Result<InferRequest, Fault> {
        members::expect_root(&mut self.reader)?;
        let mut seen = FieldSet::default();
        let mut id = None;
        let mut parameters = RequestParameters::default();
        let mut inputs = None;
        let mut outputs = Vec::new();
        let mut forms = Vec::new();
        let mut root = self.reader.object()?;
        while let Some(name) = self.reader.member(&mut root)? {
            match &*name {
                "id" => {
                    seen.once(1, "id")?;
                    id = members::optional_string(&mut self.reader, "id")?;
                }
                "parameters" => {
                    seen.once(2, "parameters")?;
                    parameters = parameters::of_request(&mut self.reader)?;
                }
                "inputs" => {
                    seen.once(4, "inputs")?;
                    inputs = Some(self.inputs()?);
                }
                "outputs" => {
                    seen.once(8, "outputs")?;
                    (outputs, forms) = self.outputs()?;
                }
                _ => self.reader.skip()?,
            }
        }
        self.reader.end()?;
        Ok(InferRequest {
            id: id.filter(|id| !id.is_empty()),
            timeout: parameters.timeout,
            priority: parameters.priority,
            inputs: inputs.ok_or_else(|| missing("inputs"))?,
            outputs,
            forms: Forms {
                binary_by_default: parameters.binary_output.unwrap_or(false),
                listed: forms,
            },
        })
    }

    fn inputs(&mut self) -> Result<Vec<Tensor>, Fault> {
        self.expect(Kind::Array, "inputs", "an array")?;
        let mut array = self.reader.array()?;
        let mut inputs = Vec::new();
        while self.reader.element(&mut array)? {
            let path = FieldPath::element("inputs", inputs.len());
            if inputs.len() == self.limits.tensors {
                return Err(bounds::too_many_tensors("inputs", self.limits));
            }
            inputs.push(self.input(path)?);
        }
        Ok(inputs)
    }

    fn input(&mut self, path: FieldPath) -> Result<Tensor, Fault> {
        self.expect(Kind::Object, path, "an object")?;
        let mut seen = FieldSet::default();
        let mut input = Pending::default();
        let mut object = self.reader.object()?;
        while let Some(name) = self.reader.member(&mut object)? {
            match &*name {
                "name" => {
                    seen.once(1, path.member("name"))?;
                    input.name = Some(self.string(path.member("name"))?);
                }
                "shape" => {
                    seen.once(2, path.member("shape"))?;
                    input.shape = Some(self.shape(path.member("shape"))?);
                }
                "datatype" => {
                    seen.once(4, path.member("datatype"))?;
                    input.datatype = Some(self.datatype(path.member("datatype"))?);
                }
                "parameters" => {
                    seen.once(8, path.member("parameters"))?;
                    input.parameters = parameters::of_input(&mut self.reader, path)?;
                }
                "data" => {
                    seen.once(16, path.member("data"))?;
                    input.data = Some(self.data(&input)?);
                }
                _ => self.reader.skip()?,
            }
        }
        self.complete(path, input)
    }

    /// Reads the data if name, shape and datatype are known, as they mostly are; else checks its
    /// grammar and keeps its offset.
    fn data(&mut self, input: &Pending) -> Result<Data, Fault> {
        if let (Some(name), Some(shape), Some(datatype)) =
            (&input.name, &input.shape, input.datatype)
        {
            let spec = InputSpec::new(name, datatype, shape)?;
            let data = elements::read(&mut self.reader, self.body, &spec)?;
            return Ok(Data::Read(data));
        }
        self.reader.kind()?;
        let position = self.reader.position();
        self.reader.skip()?;
        Ok(Data::At(position))
    }

    fn complete(&mut self, path: FieldPath, input: Pending) -> Result<Tensor, Fault> {
        let absent = |member| missing(path.member(member));
        let name = input.name.ok_or_else(|| absent("name"))?;
        let shape = input.shape.ok_or_else(|| absent("shape"))?;
        let datatype = input.datatype.ok_or_else(|| absent("datatype"))?;
        let data = match (input.data, input.parameters.binary_data_size) {
            (Some(_), Some(_)) => {
                return Err(Fault::new(
                    FaultKind::Malformed,
                    "conflicting_data",
                    format!("input '{name}' has both 'data' and 'binary_data_size'; send one"),
                )
                .with_param(path.member("data").to_string()));
            }
            (None, None) => return Err(absent("data")),
            (None, Some(size)) => {
                if size > self.binary.len() {
                    return Err(size_mismatch(format!(
                        "input '{name}' announces {size} bytes of binary data, {} are left in the body",
                        self.binary.len()
                    )));
                }
                let bytes = self.binary.split_to(size);
                raw_tensor::decode(&name, datatype, &shape, bytes, self.reader.room())?
            }
            (Some(Data::Read(data)), None) => data,
            (Some(Data::At(position)), None) => {
                let spec = InputSpec::new(&name, datatype, &shape)?;
                let mut reader = self.reader.at(position);
                elements::read(&mut reader, self.body, &spec)?
            }
        };
        let data = match data {
            TensorData::Elements(encoded) if input.parameters.base64 => {
                elements::decode_base64(&name, &encoded, self.reader.room())?
            }
            other => other,
        };
        bounds::check_elements(&name, &data, self.limits)?;
        Ok(Tensor {
            name,
            datatype,
            shape,
            data,
        })
    }

    fn outputs(&mut self) -> Result<(Vec<RequestedOutput>, Vec<Option<bool>>), Fault> {
        let mut outputs = Vec::new();
        let mut forms = Vec::new();
        if self.reader.kind()? == Kind::Null {
            self.reader.null()?;
            return Ok((outputs, forms));
        }
        self.expect(Kind::Array, "outputs", "an array")?;
        let mut array = self.reader.array()?;
        while self.reader.element(&mut array)? {
            let path = FieldPath::element("outputs", outputs.len());
            if outputs.len() == self.limits.tensors {
                return Err(bounds::too_many_tensors("outputs", self.limits));
            }
            self.expect(Kind::Object, path, "an object")?;
            let mut seen = FieldSet::default();
            let mut name = None;
            let mut asked = OutputParameters::default();
            let mut object = self.reader.object()?;
            while let Some(member) = self.reader.member(&mut object)? {
                match &*member {
                    "name" => {
                        seen.once(1, path.member("name"))?;
                        name = Some(self.string(path.member("name"))?);
                    }
                    "parameters" => {
                        seen.once(2, path.member("parameters"))?;
                        asked = parameters::of_output(&mut self.reader, path)?;
                    }
                    _ => self.reader.skip()?,
                }
            }
            let name = name.ok_or_else(|| missing(path.member("name")))?;
            outputs.push(RequestedOutput {
                name,
                classes: asked.classes,
            });
            forms.push(asked.binary);
        }
        Ok((outputs, forms))
    }

    fn shape(&mut self, path: FieldPath) -> Result<Vec<i64>, Fault> {
        self.expect(Kind::Array, path, "an array of integers")?;
        let mut shape = Vec::new();
        let mut array = self.reader.array()?;
        while self.reader.element(&mut array)? {
            let bad = |got: &str| {
                let got: String = got.chars().take(40).collect();
                Fault::new(
                    FaultKind::BadTensor,
                    "invalid_shape",
                    format!("'{path}' must hold integers from 0, got {got}"),
                )
                .with_param(path.to_string())
            };
            if shape.len() == self.limits.dimensions {
                return Err(bounds::too_many_dimensions(path, self.limits));
            }
            let kind = self.reader.kind()?;
            if kind != Kind::Number {
                return Err(bad(kind.describe()));
            }
            let text = self.reader.number()?;
            match text.parse::<i64>() {
                Ok(extent) if extent >= 0 => shape.push(extent),
                _ => return Err(bad(text)),
            }
        }
        Ok(shape)
    }

    fn datatype(&mut self, path: FieldPath) -> Result<Datatype, Fault> {
        let name = self.string(path)?;
        Datatype::parse(&name).ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            let known: Vec<_> = Datatype::ALL.iter().map(|known| known.as_str()).collect();
            Fault::new(
                FaultKind::BadTensor,
                "unknown_datatype",
                format!(
                    "'{path}': '{name}' is no datatype; use one of {}",
                    known.join(", ")
                ),
            )
            .with_param(path.to_string())
        })
    }

    fn string(&mut self, path: FieldPath) -> Result<String, Fault> {
        self.expect(Kind::String, path, "a string")?;
        Ok(self.reader.owned_string()?)
    }

    fn expect(&mut self, wanted: Kind, path: impl Display, described: &str) -> Result<(), Fault> {
        members::expect(&mut self.reader, wanted, path, described)
    }
}

fn size_mismatch(message: String) -> Fault {
    Fault::new(FaultKind::BadTensor, "size_mismatch", message)
}
