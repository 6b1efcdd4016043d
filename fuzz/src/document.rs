//! A JSON document as the pull reader gives it, value by value.

use serin_wire::json::{JsonError, Kind, Reader};
use serin_wire::room::within;

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
    read(text, max_depth, |reader| {
        let document = value(reader)?;
        reader.end()?;
        Ok(document)
    })
}

/// Skips a document, as the reader does with unknown members.
///
/// # Errors
/// As [`json`].
pub fn skip_json(text: &str, max_depth: usize) -> Result<(), JsonError> {
    read(text, max_depth, |reader| {
        reader.skip()?;
        reader.end()
    })
}

fn read<T>(text: &str, max_depth: usize, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
    within(
        0,
        |_| Ok(()),
        |room| read(&mut Reader::new(text, max_depth, room)),
    )
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
