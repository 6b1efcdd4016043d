//! The readers of this folder, for fuzz targets.

use bytes::Bytes;
use serin_crds::contract::policy::NonFinite;

use super::json::{self, Kind, Problem, Reader};
use super::openai::embeddings::{self, Piece};
use super::{kserve_v1, ndjson, oip_rest, raw_tensor};
use crate::config::Limits;
use crate::fault::Fault;
use crate::types::{Datatype, Reply, RequestedOutput, Signature, Tensor, TensorData};

pub use super::content_coding::fuzzing as codings;
pub use super::oip_grpc::fuzzing as grpc;

/// A document as the pull reader gives it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Json {
    Null,
    Bool(bool),
    /// The text, which is a number by JSON's grammar.
    Number(String),
    String(String),
    Array(Vec<Self>),
    /// Members in their order, doubles included.
    Object(Vec<(String, Self)>),
}

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// More levels than allowed.
    TooDeep,
    /// A `\u` escape names half a character.
    LoneSurrogate,
    /// Anything else, as the caller is told, with its place.
    Other(String, usize),
}

impl From<json::JsonError> for Refused {
    fn from(error: json::JsonError) -> Self {
        match error.problem {
            Problem::TooDeep => Self::TooDeep,
            Problem::LoneSurrogate => Self::LoneSurrogate,
            _ => Self::Other(error.to_string(), error.at),
        }
    }
}

/// Reads a document value by value.
///
/// # Errors
/// [`Refused`].
pub fn json(text: &str, max_depth: usize) -> Result<Json, Refused> {
    let mut reader = Reader::new(text, max_depth);
    let document = value(&mut reader)?;
    reader.end()?;
    Ok(document)
}

/// Passes over a document, as the reader does with members that nobody knows.
///
/// # Errors
/// [`Refused`].
pub fn skip_json(text: &str, max_depth: usize) -> Result<(), Refused> {
    let mut reader = Reader::new(text, max_depth);
    reader.skip()?;
    Ok(reader.end()?)
}

fn value(reader: &mut Reader<'_>) -> Result<Json, Refused> {
    Ok(match reader.kind()? {
        Kind::Null => {
            reader.null()?;
            Json::Null
        }
        Kind::Bool => Json::Bool(reader.boolean()?),
        Kind::Number => Json::Number(reader.number()?.to_owned()),
        Kind::String => Json::String(reader.string()?.into_owned()),
        Kind::Array => {
            let mut elements = Vec::new();
            let mut array = reader.array()?;
            while reader.element(&mut array)? {
                elements.push(value(reader)?);
            }
            Json::Array(elements)
        }
        Kind::Object => {
            let mut members = Vec::new();
            let mut object = reader.object()?;
            while let Some(name) = reader.member(&mut object)? {
                members.push((name.into_owned(), value(reader)?));
            }
            Json::Object(members)
        }
    })
}

/// What integer a JSON number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Integer {
    Exact(i128),
    TooLarge,
    Fraction,
}

/// The integer that the text of a JSON number stands for.
pub fn integer(text: &str) -> Integer {
    match json::Integer::of(text) {
        json::Integer::Exact(value) => Integer::Exact(value),
        json::Integer::TooLarge => Integer::TooLarge,
        json::Integer::Fraction => Integer::Fraction,
    }
}

/// What a REST request asks for.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct RestRequest {
    pub id: Option<String>,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<RequestedOutput>,
}

/// Reads the body of `POST …/infer`, of which `json_length` bytes are JSON.
///
/// # Errors
/// What the caller is told.
pub fn rest_request(
    body: &Bytes,
    json_length: usize,
    limits: &Limits,
) -> Result<RestRequest, Fault> {
    oip_rest::parse(body, json_length, limits).map(Into::into)
}

/// Reads a body without JSON.
///
/// # Errors
/// What the caller is told.
pub fn raw_request(body: Bytes, signature: &Signature) -> Result<RestRequest, Fault> {
    oip_rest::raw_request(body, signature).map(Into::into)
}

impl From<oip_rest::InferRequest> for RestRequest {
    fn from(request: oip_rest::InferRequest) -> Self {
        Self {
            id: request.id,
            inputs: request.inputs,
            outputs: request.outputs,
        }
    }
}

/// Writes an answer, its outputs all binary or all JSON: the body, and its bytes of JSON.
///
/// # Errors
/// None: floats that JSON has no number for are written as strings here.
pub fn rest_answer(reply: &Reply, id: &str, binary: bool) -> Result<(Bytes, usize), Fault> {
    let forms = oip_rest::Forms {
        binary_by_default: binary,
        listed: Vec::new(),
    };
    let answer = oip_rest::render(reply, id, &forms, NonFinite::String)?;
    let json_length = answer.json_length.unwrap_or(answer.body.len());
    Ok((answer.body, json_length))
}

/// Reads a tensor's bytes.
///
/// # Errors
/// What the caller is told.
pub fn raw_tensor(datatype: Datatype, shape: &[i64], bytes: Bytes) -> Result<TensorData, Fault> {
    raw_tensor::decode("x", datatype, shape, bytes)
}

/// Writes a tensor's bytes.
pub fn raw_bytes(data: &TensorData) -> Bytes {
    raw_tensor::encode(data)
}

/// A line of NDJSON that holds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NdjsonLine {
    /// From 1; blank lines count.
    pub number: u64,
    /// `None` for a line that is too long.
    pub text: Option<Vec<u8>>,
}

/// What a text in pieces came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ndjson {
    /// Its lines, up to the one that was given up.
    pub lines: Vec<NdjsonLine>,
    /// The number of the line that went on and on.
    pub lost: Option<u64>,
    /// Most bytes held of a line that had not ended.
    pub most_held: usize,
}

/// Reads lines of no more than `longest` bytes from a text that comes `piece` bytes at a time.
pub fn ndjson(text: &[u8], piece: usize, longest: usize) -> Ndjson {
    let mut splitter = ndjson::Splitter::new(longest);
    let line = |line: ndjson::Line| NdjsonLine {
        number: line.number,
        text: match line.text {
            ndjson::Text::Whole(text) => Some(text.to_vec()),
            ndjson::Text::TooLong => None,
        },
    };
    let mut read = Ndjson {
        lines: Vec::new(),
        lost: None,
        most_held: 0,
    };
    for piece in text.chunks(piece) {
        splitter.push(Bytes::copy_from_slice(piece));
        loop {
            match splitter.next_line() {
                Ok(Some(next)) => read.lines.push(line(next)),
                Ok(None) => break,
                Err(lost) => {
                    read.lost = Some(lost.number);
                    return read;
                }
            }
        }
        read.most_held = read.most_held.max(splitter.held());
    }
    read.lines.extend(splitter.finish().map(line));
    read
}

/// The id under which a request is logged.
pub fn request_id(given: Option<&[u8]>) -> String {
    super::request_id::of(given)
}

/// Reads the body of KServe's `:predict`.
///
/// # Errors
/// What the caller is told.
pub fn predict(body: &Bytes, signature: &Signature, limits: &Limits) -> Result<Vec<Tensor>, Fault> {
    kserve_v1::parse(body, signature, limits)
}

/// Reads the body of `/v1/embeddings`: the length of each text and of each list of token ids.
///
/// # Errors
/// What the caller is told.
pub fn embeddings(body: &Bytes, limits: &Limits) -> Result<Vec<usize>, Fault> {
    let length = |piece: &Piece| match piece {
        Piece::Text(text) => text.len(),
        Piece::Tokens(ids) => ids.len(),
    };
    let request = embeddings::parse(body, limits)?;
    Ok(request.input.iter().map(length).collect())
}

/// Reads a body as each control request does: index, load, unload, trace settings.
pub fn control(body: &[u8], depth: usize) -> [Result<(), Fault>; 4] {
    use oip_rest::{repository, settings};
    [
        repository::index_request(body, depth).map(drop),
        repository::load_request(body, depth),
        repository::unload_request(body, depth),
        settings::trace_change(body, depth, None),
    ]
}
