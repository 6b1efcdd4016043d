//! The JSON bodies of the control interfaces.

use std::borrow::Cow;

use crate::json::Reader;
use crate::members::{duplicate, expect_root, utf8};
use crate::room::Room;
use serin_core::fault::Fault;

/// Visits each member of a body, which may be empty. `visit` reads the value and returns whether the
/// member is known: a known one may be given once.
///
/// # Errors
/// `Malformed` for what is no object, and whatever `visit` refuses.
pub fn members(
    body: &[u8],
    depth: usize,
    room: &Room<'_>,
    visit: impl FnMut(&str, &mut Reader<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let mut reader = Reader::new(utf8(body)?, depth, room);
    expect_root(&mut reader)?;
    members_of(&mut reader, visit)?;
    Ok(reader.end()?)
}

/// Visits each member of the object that comes next.
///
/// # Errors
/// As [`members`].
pub fn members_of(
    reader: &mut Reader<'_>,
    mut visit: impl FnMut(&str, &mut Reader<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    // Only known names, each once: short.
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    let mut object = reader.object()?;
    while let Some(name) = reader.member(&mut object)? {
        if seen.contains(&name) {
            return Err(duplicate(&name));
        }
        if visit(&name, reader)? {
            seen.push(name);
        }
    }
    Ok(())
}
