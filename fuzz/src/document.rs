//! A JSON document as the pull reader gives it, value by value.

use serin_wire::json::{JsonError, Kind, Reader};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// The text, which is a number by JSON's grammar.
    Number(String),
    String(String),
    Array(Vec<Self>),
    /// Members in their order, duplicates included.
    Object(Vec<(String, Self)>),
}

/// Reads a document value by value.
///
/// # Errors
/// What the reader refuses.
pub fn json(text: &str, max_depth: usize) -> Result<Json, JsonError> {
    let mut reader = Reader::new(text, max_depth);
    let document = value(&mut reader)?;
    reader.end()?;
    Ok(document)
}

/// Skips a document, as the reader does with unknown members.
///
/// # Errors
/// As [`json`].
pub fn skip_json(text: &str, max_depth: usize) -> Result<(), JsonError> {
    let mut reader = Reader::new(text, max_depth);
    reader.skip()?;
    reader.end()
}

fn value(reader: &mut Reader<'_>) -> Result<Json, JsonError> {
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
