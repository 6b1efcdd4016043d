//! `POST /v1/embeddings`: texts or token ids to vectors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serin_crds::contract::policy::NonFinite;

use crate::json::{Integer, Kind, Reader};
use crate::members::{self, FieldSet};
use crate::oip_rest::response as values;
use crate::oip_rest::size;
use crate::room::{self, Room};
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, ModelRef};

/// Most texts of one request, as at OpenAI.
const MAX_INPUTS: usize = 2048;

/// A request for embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingsRequest {
    /// The model's name.
    pub model: String,
    /// What to embed; never empty.
    pub input: Vec<Piece>,
    /// `input` is one text or one list of ids, not a list of these.
    pub single: bool,
    /// `encoding_format`: the format of the vectors.
    pub form: Form,
    /// The number of values to return of each vector; all if `None`.
    pub dimensions: Option<usize>,
}

/// One thing to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A text, not empty.
    Text(String),
    /// Token ids, at least one.
    Tokens(Vec<u32>),
}

/// The format of vectors in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Arrays of numbers, the default.
    Float,
    /// Base64 of little-endian FP32, which openai-python requests by default.
    Base64,
}

impl Piece {
    /// Bytes of its text.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tokens(_) => 0,
        }
    }
}

impl EmbeddingsRequest {
    /// The name of a piece in errors: `input`, or `input[2]` of a list.
    pub fn param(&self, place: usize) -> String {
        param(self.single, place)
    }
}

fn param(single: bool, place: usize) -> String {
    if single {
        "input".to_owned()
    } else {
        format!("input[{place}]")
    }
}

/// Reads a whole request. Texts and ids are taken from `room`.
///
/// # Errors
/// `Malformed` or `Unsupported`, naming the member, and what `room` refuses with.
pub fn parse(body: &Bytes, limits: &Limits, room: &Room<'_>) -> Result<EmbeddingsRequest, Fault> {
    let text = members::utf8(body)?;
    let mut reader = Reader::new(text, limits.json_depth, room);
    members::expect_root(&mut reader)?;
    let mut seen = FieldSet::default();
    let (mut model, mut input, mut dimensions) = (None, None, None);
    let mut form = Form::Float;
    let mut root = reader.object()?;
    while let Some(name) = reader.member(&mut root)? {
        match &*name {
            "model" => {
                seen.once(1, "model")?;
                model = members::optional_string(&mut reader, "model")?;
            }
            "input" => {
                seen.once(2, "input")?;
                input = pieces(&mut reader)?;
            }
            "encoding_format" => {
                seen.once(4, "encoding_format")?;
                let name = members::optional_string(&mut reader, "encoding_format")?;
                form = encoding(name.as_deref())?;
            }
            "dimensions" => {
                seen.once(8, "dimensions")?;
                dimensions = self::dimensions(&mut reader)?;
            }
            "user" => {
                seen.once(16, "user")?;
                members::optional_string(&mut reader, "user")?;
            }
            _ => reader.skip()?,
        }
    }
    reader.end()?;
    let model = model.ok_or_else(|| members::missing("model"))?;
    let (input, single) = input.ok_or_else(|| members::missing("input"))?;
    Ok(EmbeddingsRequest {
        model,
        input,
        single,
        form,
        dimensions,
    })
}

/// The model that a request names, without reading the rest: members before `model` are skipped,
/// and the document after it is not looked at. Faults there are left to [`parse`].
///
/// # Errors
/// As [`parse`], for the members up to `model`, and for a missing one.
pub fn model(body: &[u8], limits: &Limits) -> Result<ModelRef, Fault> {
    let (text, broken) = match members::utf8(body) {
        Ok(text) => (text, None),
        // The text before the damage may name the model already.
        Err(fault) => {
            let text = body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            (text, Some(fault))
        }
    };
    let most = room::of_a_name(limits.uri_bytes);
    let found = room::within(0, most, |room| {
        named_model(&mut Reader::new(text, limits.json_depth, room))
    });
    found.map_err(|fault| broken.unwrap_or(fault))
}

fn named_model(reader: &mut Reader<'_>) -> Result<ModelRef, Fault> {
    members::expect_root(reader)?;
    let mut root = reader.object()?;
    while let Some(member) = reader.member(&mut root)? {
        if member == "model" {
            let name = members::optional_string(reader, "model")?;
            return Ok(ModelRef {
                name: name.ok_or_else(|| members::missing("model"))?,
                version: None,
            });
        }
        reader.skip()?;
    }
    Err(members::missing("model"))
}

fn unsupported(param: &str, message: String) -> Fault {
    Fault::new(FaultKind::Unsupported, "unsupported_value", message).with_param(param)
}

fn encoding(name: Option<&str>) -> Result<Form, Fault> {
    match name {
        None | Some("float") => Ok(Form::Float),
        Some("base64") => Ok(Form::Base64),
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            let message = format!("'encoding_format' must be float or base64, got '{other}'");
            Err(unsupported("encoding_format", message))
        }
    }
}

fn dimensions(reader: &mut Reader<'_>) -> Result<Option<usize>, Fault> {
    const NAME: &str = "dimensions";
    if members::is_null(reader)? {
        return Ok(None);
    }
    members::expect(reader, Kind::Number, NAME, "a whole number from 1")?;
    let text = reader.number()?;
    match Integer::of(text) {
        Integer::Exact(value) if value >= 1 => {
            Ok(Some(usize::try_from(value).unwrap_or(usize::MAX)))
        }
        _ => {
            let text: String = text.chars().take(40).collect();
            let message = format!("'{NAME}' must be a whole number from 1, got {text}");
            Err(unsupported(NAME, message))
        }
    }
}

/// The pieces, and whether they were given as one; `None` for null.
fn pieces(reader: &mut Reader<'_>) -> Result<Option<(Vec<Piece>, bool)>, Fault> {
    const TAKES: &str = "a string, token ids, or a list of these";
    match reader.kind()? {
        Kind::Null => {
            reader.null()?;
            return Ok(None);
        }
        Kind::String => return Ok(Some((vec![text(reader, "input")?], true))),
        Kind::Array => {}
        other => return Err(members::wrong_type("input", TAKES, other)),
    }
    let mut list = reader.array()?;
    let mut pieces = Vec::new();
    let mut ids = Vec::new();
    while reader.element(&mut list)? {
        let place = pieces.len() + ids.len();
        let kind = reader.kind()?;
        match kind {
            Kind::Number if pieces.is_empty() => {
                reader.room().grow(&mut ids, 1, usize::MAX)?;
                ids.push(id(reader, &param(false, place))?);
            }
            Kind::String | Kind::Array if ids.is_empty() => {
                if pieces.len() == MAX_INPUTS {
                    let message = format!(
                        "'input' holds more than {MAX_INPUTS} texts; send them in several requests"
                    );
                    return Err(unsupported("input", message));
                }
                let param = param(false, place);
                let piece = if kind == Kind::String {
                    text(reader, &param)?
                } else {
                    tokens(reader, &param)?
                };
                pieces.push(piece);
            }
            other => {
                return Err(members::wrong_type(param(false, place), TAKES, other));
            }
        }
    }
    if !ids.is_empty() {
        return Ok(Some((vec![Piece::Tokens(ids)], true)));
    }
    if pieces.is_empty() {
        return Err(unsupported("input", "'input' is an empty list".to_owned()));
    }
    Ok(Some((pieces, false)))
}

fn text(reader: &mut Reader<'_>, param: &str) -> Result<Piece, Fault> {
    let text = reader.owned_string()?;
    if text.is_empty() {
        return Err(unsupported(param, format!("'{param}' is an empty text")));
    }
    Ok(Piece::Text(text))
}

fn tokens(reader: &mut Reader<'_>, param: &str) -> Result<Piece, Fault> {
    let mut list = reader.array()?;
    let mut ids = Vec::new();
    while reader.element(&mut list)? {
        reader.room().grow(&mut ids, 1, usize::MAX)?;
        ids.push(id(reader, param)?);
    }
    if ids.is_empty() {
        return Err(unsupported(param, format!("'{param}' is an empty list")));
    }
    Ok(Piece::Tokens(ids))
}

fn id(reader: &mut Reader<'_>, param: &str) -> Result<u32, Fault> {
    members::expect(reader, Kind::Number, param, "token ids")?;
    let text = reader.number()?;
    let exact = match Integer::of(text) {
        Integer::Exact(value) => u32::try_from(value).ok(),
        _ => None,
    };
    exact.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        unsupported(param, format!("'{param}': {text} is no token id"))
    })
}

/// Most bytes of a response, and of what is made on the way to it.
pub fn largest(model: &str, vectors: &[Vec<f32>]) -> usize {
    let values: usize = vectors.iter().map(Vec::len).sum();
    let longest = vectors.iter().map(Vec::len).max().unwrap_or(0);
    let one = longest * (size_of::<f32>() + 6);
    256 + size::text(model) + vectors.len() * 80 + values * size::number(Datatype::Fp32) + one
}

/// Renders the response; `tokens` is the number of input tokens, `largest` is what [`largest`] says.
pub fn render(
    model: &str,
    vectors: &[Vec<f32>],
    form: Form,
    tokens: usize,
    largest: usize,
) -> Bytes {
    let mut out = Vec::with_capacity(largest);
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, vector) in vectors.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let head = format!("{{\"object\":\"embedding\",\"index\":{index},\"embedding\":");
        out.extend_from_slice(head.as_bytes());
        let bytes: Vec<u8> = vector
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        match form {
            Form::Float => {
                out.push(b'[');
                // The embedder refuses vectors that are not finite: there is nothing to choose.
                values::numbers(&mut out, Datatype::Fp32, &bytes, NonFinite::String);
                out.push(b']');
            }
            Form::Base64 => {
                out.push(b'"');
                out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                out.push(b'"');
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"model\":");
    values::string(&mut out, model);
    let usage = format!(",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}}}");
    out.extend_from_slice(usage.as_bytes());
    Bytes::from(out)
}

#[cfg(test)]
mod tests;
