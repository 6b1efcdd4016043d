//! `POST /v1/embeddings`: texts or token ids in, one vector for each out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serin_crds::contract::policy::NonFinite;

use crate::json::{Integer, Kind, Reader};
use crate::members::{self, FieldSet};
use crate::oip_rest::response as values;
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
    /// `input` was one text or one list of ids, not a list of them.
    pub single: bool,
    /// How vectors are written.
    pub form: Form,
    /// How many values of each vector are wanted, if not all.
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

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As lists of numbers.
    Float,
    /// As base64 of little-endian FP32: what openai-python asks for by default.
    Base64,
}

impl EmbeddingsRequest {
    /// How errors name a piece.
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

/// The model that a request names.
///
/// # Errors
/// As [`parse`].
pub fn model(body: &Bytes, limits: &Limits) -> Result<ModelRef, Fault> {
    parse(body, limits).map(|request| ModelRef {
        name: request.model,
        version: None,
    })
}

/// Reads a request.
///
/// # Errors
/// `Malformed` or `Unsupported`, naming the member.
pub fn parse(body: &Bytes, limits: &Limits) -> Result<EmbeddingsRequest, Fault> {
    let text = members::utf8(body)?;
    let mut reader = Reader::new(text, limits.json_depth);
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
            Kind::Number if pieces.is_empty() => ids.push(id(reader, &param(false, place))?),
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
    let text = reader.string()?.into_owned();
    if text.is_empty() {
        return Err(unsupported(param, format!("'{param}' is an empty text")));
    }
    Ok(Piece::Text(text))
}

fn tokens(reader: &mut Reader<'_>, param: &str) -> Result<Piece, Fault> {
    let mut list = reader.array()?;
    let mut ids = Vec::new();
    while reader.element(&mut list)? {
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

/// Writes the answer; `tokens` is how many were read in all.
pub fn render(model: &str, vectors: &[Vec<f32>], form: Form, tokens: usize) -> Bytes {
    let values: usize = vectors.iter().map(Vec::len).sum();
    let mut out = Vec::with_capacity(256 + vectors.len() * 64 + values * 12);
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
mod tests {
    use super::*;

    fn parsed(body: &str) -> Result<EmbeddingsRequest, Fault> {
        parse(&Bytes::copy_from_slice(body.as_bytes()), &Limits::default())
    }

    fn input(input: &str) -> Result<(Vec<Piece>, bool), Fault> {
        let request = parsed(&format!(r#"{{"model": "m", "input": {input}}}"#))?;
        Ok((request.input, request.single))
    }

    #[test]
    fn every_form_of_input_is_read() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(input(r#""a""#).unwrap(), (vec![text("a")], true));
        let two = input(r#"["a", "b\u00e9"]"#).unwrap();
        assert_eq!(two, (vec![text("a"), text("bé")], false));
        let ids = input("[1, 2.0]").unwrap();
        assert_eq!(ids, (vec![Piece::Tokens(vec![1, 2])], true));
        let lists = input("[[1], [2, 3]]").unwrap();
        let expected = vec![Piece::Tokens(vec![1]), Piece::Tokens(vec![2, 3])];
        assert_eq!(lists, (expected, false));
    }

    #[test]
    fn null_is_absent_and_unknown_members_are_passed_over() {
        let request = parsed(
            r#"{"model":"m","input":"a","encoding_format":null,"dimensions":null,"user":null,"foo":[{}]}"#,
        )
        .unwrap();
        assert_eq!((request.form, request.dimensions), (Form::Float, None));
        let request =
            parsed(r#"{"model":"m","input":"a","encoding_format":"base64","dimensions":8}"#)
                .unwrap();
        assert_eq!((request.form, request.dimensions), (Form::Base64, Some(8)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many = format!("[{}]", vec!["\"a\""; MAX_INPUTS + 1].join(","));
        for (body, code, param) in [
            (r#"{"input":"a"}"#, "missing_field", "model"),
            (r#"{"model":"m"}"#, "missing_field", "input"),
            (r#"{"model":"m","input":null}"#, "missing_field", "input"),
            (r#"{"model":1,"input":"a"}"#, "invalid_type", "model"),
            (r#"{"model":"m","input":{}}"#, "invalid_type", "input"),
            (
                r#"{"model":"m","input":["a",1]}"#,
                "invalid_type",
                "input[1]",
            ),
            (
                r#"{"model":"m","input":[1,"a"]}"#,
                "invalid_type",
                "input[1]",
            ),
            (
                r#"{"model":"m","input":[["a"]]}"#,
                "invalid_type",
                "input[0]",
            ),
            (r#"{"model":"m","input":[]}"#, "unsupported_value", "input"),
            (r#"{"model":"m","input":""}"#, "unsupported_value", "input"),
            (
                r#"{"model":"m","input":["a",""]}"#,
                "unsupported_value",
                "input[1]",
            ),
            (
                r#"{"model":"m","input":[[]]}"#,
                "unsupported_value",
                "input[0]",
            ),
            (
                r#"{"model":"m","input":[-1]}"#,
                "unsupported_value",
                "input[0]",
            ),
            (
                r#"{"model":"m","input":[1.5]}"#,
                "unsupported_value",
                "input[0]",
            ),
            (
                r#"{"model":"m","input":"a","dimensions":0}"#,
                "unsupported_value",
                "dimensions",
            ),
            (
                r#"{"model":"m","input":"a","dimensions":"1"}"#,
                "invalid_type",
                "dimensions",
            ),
            (
                r#"{"model":"m","input":"a","encoding_format":"int8"}"#,
                "unsupported_value",
                "encoding_format",
            ),
            (
                r#"{"model":"m","input":"a","user":1}"#,
                "invalid_type",
                "user",
            ),
            (
                r#"{"model":"m","model":"m","input":"a"}"#,
                "duplicate_field",
                "model",
            ),
            (
                &format!(r#"{{"model":"m","input":{many}}}"#),
                "unsupported_value",
                "input",
            ),
        ] {
            let fault = parsed(body).unwrap_err();
            assert_eq!(
                (fault.code, fault.param.as_deref()),
                (code, Some(param)),
                "{fault}"
            );
        }
        assert_eq!(parsed("[]").unwrap_err().code, "invalid_type");
        assert_eq!(parsed("{").unwrap_err().code, "malformed_json");
    }

    #[test]
    fn vectors_are_written_as_numbers_or_as_base64_of_the_same() {
        let vectors = [vec![1.0, -0.5], vec![0.1]];
        let written = |form| String::from_utf8(render("m", &vectors, form, 9).to_vec()).unwrap();
        assert_eq!(
            written(Form::Float),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]},{"object":"embedding","index":1,"embedding":[0.1]}],"model":"m","usage":{"prompt_tokens":9,"total_tokens":9}}"#
        );
        assert!(written(Form::Base64).contains(r#""embedding":"AACAPwAAAL8="}"#));
    }
}
