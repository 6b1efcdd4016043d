//! The small JSON bodies of the control interfaces.

use std::borrow::Cow;

use super::parameters::wrong_type;
use crate::fault::{Fault, FaultKind};
use crate::protocol::json::{Kind, Reader};

/// Visits each member of a body, which may be empty. `visit` reads the value and says whether it
/// knows the member: a known one may come once.
///
/// # Errors
/// `Malformed` for what is no object, and whatever `visit` refuses.
pub(crate) fn members(
    body: &[u8],
    depth: usize,
    visit: impl FnMut(&str, &mut Reader<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let message = format!(
            "the request body is not UTF-8 at byte {}",
            error.valid_up_to()
        );
        Fault::new(FaultKind::Malformed, "malformed_json", message)
    })?;
    let mut reader = Reader::new(text, depth);
    let kind = reader.kind()?;
    if kind != Kind::Object {
        return Err(wrong_type("the request body", "an object", kind));
    }
    members_of(&mut reader, visit)?;
    Ok(reader.end()?)
}

/// Visits each member of the object that comes next.
///
/// # Errors
/// As [`members`].
pub(crate) fn members_of(
    reader: &mut Reader<'_>,
    mut visit: impl FnMut(&str, &mut Reader<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    // Only known names, each once: short.
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    let mut object = reader.object()?;
    while let Some(name) = reader.member(&mut object)? {
        if seen.contains(&name) {
            return Err(Fault::new(
                FaultKind::Malformed,
                "duplicate_field",
                format!("'{name}' is given twice"),
            )
            .with_param(&*name));
        }
        if visit(&name, reader)? {
            seen.push(name);
        }
    }
    Ok(())
}
