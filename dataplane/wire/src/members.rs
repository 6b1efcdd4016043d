//! Members of a JSON object, and the faults of wrong ones.

use std::fmt::Display;

use super::json::{Kind, Problem, Reader};
use crate::json::JsonError;
use serin_core::fault::{Fault, FaultKind};

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Self {
        let code = match error.problem {
            Problem::NoRoom(fault) => return *fault,
            Problem::TooDeep => "too_deep",
            _ => "malformed_json",
        };
        Self::new(
            FaultKind::Malformed,
            code,
            format!("the request body is not acceptable JSON: {error}"),
        )
    }
}

/// The members of an object that have been read. A duplicate is refused: two readers of one body
/// could use different ones.
#[derive(Default)]
pub(super) struct FieldSet(u64);

impl FieldSet {
    /// Adds the member at `path`; each member of an object has a bit of its own.
    ///
    /// # Errors
    /// `Malformed` for a duplicate.
    pub fn once(&mut self, bit: u64, path: impl Display) -> Result<(), Fault> {
        if self.0 & bit != 0 {
            return Err(duplicate(path));
        }
        self.0 |= bit;
        Ok(())
    }
}

/// A member that is given twice.
pub fn duplicate(member: impl Display) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "duplicate_field",
        format!("'{member}' is given twice"),
    )
    .with_param(member.to_string())
}

/// A required member that is absent.
pub fn missing(path: impl Display) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "missing_field",
        format!("'{path}' is missing"),
    )
    .with_param(path.to_string())
}

/// A member of the wrong JSON type.
pub fn wrong_type(path: impl Display, expected: &str, got: Kind) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "invalid_type",
        format!("'{path}' must be {expected}, got {}", got.describe()),
    )
    .with_param(path.to_string())
}

/// A body as text.
pub fn utf8(body: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(body).map_err(|error| {
        Fault::new(
            FaultKind::Malformed,
            "malformed_json",
            format!(
                "the request body is not UTF-8 at byte {}",
                error.valid_up_to()
            ),
        )
    })
}

/// The body must be an object.
pub fn expect_root(reader: &mut Reader<'_>) -> Result<(), Fault> {
    match reader.kind()? {
        Kind::Object => Ok(()),
        other => Err(Fault::new(
            FaultKind::Malformed,
            "invalid_type",
            format!(
                "the request body must be an object, got {}",
                other.describe()
            ),
        )),
    }
}

/// The value that follows must be of this kind.
pub fn expect(
    reader: &mut Reader<'_>,
    wanted: Kind,
    path: impl Display,
    described: &str,
) -> Result<(), Fault> {
    match reader.kind()? {
        kind if kind == wanted => Ok(()),
        other => Err(wrong_type(path, described, other)),
    }
}

/// Reads a null, if that is what follows.
pub fn is_null(reader: &mut Reader<'_>) -> Result<bool, Fault> {
    let null = reader.kind()? == Kind::Null;
    if null {
        reader.null()?;
    }
    Ok(null)
}

/// Reads a string; null is none.
pub fn optional_string(reader: &mut Reader<'_>, path: &str) -> Result<Option<String>, Fault> {
    if is_null(reader)? {
        return Ok(None);
    }
    expect(reader, Kind::String, path, "a string")?;
    Ok(Some(reader.owned_string()?))
}
