//! The bodies of the repository extension: index, load, unload.

use serde::Serialize;

use super::document::{members, members_of};
use crate::control::{load_parameter, unload_parameter};
use crate::json::{Kind, Reader};
use crate::members::wrong_type;
use crate::room::Room;
use serin_core::fault::Fault;

/// The response to a load.
#[derive(Serialize)]
pub struct Loaded {
    /// The model's name.
    pub name: String,
    /// Always `true`.
    pub load: bool,
}

/// The response to an unload.
#[derive(Serialize)]
pub struct Unloaded {
    /// The model's name.
    pub name: String,
    /// Always `true`.
    pub unload: bool,
}

/// Reads the body of an index request, which may be empty: whether only models that answer are
/// wanted. `depth` bounds the nesting.
///
/// # Errors
/// `Malformed`, naming the member.
pub fn index_request(body: &[u8], depth: usize, room: &Room<'_>) -> Result<bool, Fault> {
    let mut only_ready = false;
    members(body, depth, room, |name, reader| {
        match (name, reader.kind()?) {
            ("ready", Kind::Bool) => only_ready = reader.boolean()?,
            ("ready", Kind::Null) => reader.null()?,
            ("ready", other) => return Err(wrong_type("ready", "true or false", other)),
            _ => reader.skip()?,
        }
        Ok(name == "ready")
    })?;
    Ok(only_ready)
}

/// Reads the body of a load, which may be empty.
///
/// # Errors
/// `Malformed`, and `Unsupported` for any parameter.
pub fn load_request(body: &[u8], depth: usize, room: &Room<'_>) -> Result<(), Fault> {
    parameters(body, depth, room, |name, _| Err(load_parameter(name)))
}

/// Reads the body of an unload, which may be empty.
///
/// # Errors
/// `Malformed`, and `Unsupported` for any parameter but `unload_dependents`.
pub fn unload_request(body: &[u8], depth: usize, room: &Room<'_>) -> Result<(), Fault> {
    parameters(body, depth, room, |name, reader| {
        unload_parameter(name, reader.kind()? == Kind::Bool)?;
        reader.skip()?;
        Ok(true)
    })
}

fn parameters(
    body: &[u8],
    depth: usize,
    room: &Room<'_>,
    mut visit: impl FnMut(&str, &mut Reader<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    members(body, depth, room, |name, reader| {
        match (name, reader.kind()?) {
            ("parameters", Kind::Object) => members_of(reader, &mut visit)?,
            ("parameters", Kind::Null) => reader.null()?,
            ("parameters", other) => return Err(wrong_type("parameters", "an object", other)),
            _ => reader.skip()?,
        }
        Ok(name == "parameters")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any<T>(read: impl FnOnce(&Room<'_>) -> T) -> T {
        crate::room::within(0, |_| Ok(()), read)
    }

    fn code<T: std::fmt::Debug>(outcome: Result<T, Fault>) -> &'static str {
        outcome.unwrap_err().code
    }

    #[test]
    fn an_empty_body_asks_for_everything() {
        for body in ["", " \n", "{}", r#"{"ready":null}"#, r#"{"other":[1]}"#] {
            assert!(
                !any(|room| index_request(body.as_bytes(), 100, room)).unwrap(),
                "{body}"
            );
        }
        assert!(any(|room| index_request(br#"{"ready":true}"#, 100, room)).unwrap());
    }

    #[test]
    fn a_bad_body_is_refused_by_its_fault() {
        assert_eq!(
            code(any(|room| index_request(b"[]", 100, room))),
            "invalid_type"
        );
        assert_eq!(
            code(any(|room| index_request(b"{", 100, room))),
            "malformed_json"
        );
        assert_eq!(
            code(any(|room| index_request(b"{} {}", 100, room))),
            "malformed_json"
        );
        assert_eq!(
            code(any(|room| index_request(b"\xff", 100, room))),
            "malformed_json"
        );
        assert_eq!(
            code(any(|room| index_request(br#"{"ready":1}"#, 100, room))),
            "invalid_type"
        );
        let twice = br#"{"ready":true,"ready":false}"#;
        assert_eq!(
            code(any(|room| index_request(twice, 100, room))),
            "duplicate_field"
        );
        let twice = br#"{"parameters":{},"parameters":{}}"#;
        assert_eq!(
            code(any(|room| load_request(twice, 100, room))),
            "duplicate_field"
        );
    }

    #[test]
    fn a_load_takes_no_parameter_and_an_unload_one() {
        any(|room| load_request(br#"{"parameters":{}}"#, 100, room)).unwrap();
        for body in [
            r#"{"parameters":{"config":"{}"}}"#,
            r#"{"parameters":{"file:1/model.onnx":"QUJD"}}"#,
            r#"{"parameters":{"url":"https://example.com/model.onnx"}}"#,
        ] {
            let refused = any(|room| load_request(body.as_bytes(), 100, room));
            assert_eq!(code(refused), "unsupported_parameter", "{body}");
        }
        any(|room| unload_request(br#"{"parameters":{"unload_dependents":true}}"#, 100, room))
            .unwrap();
        let wrong = br#"{"parameters":{"unload_dependents":1}}"#;
        assert_eq!(
            code(any(|room| unload_request(wrong, 100, room))),
            "invalid_parameter"
        );
        let unknown = br#"{"parameters":{"force":true}}"#;
        assert_eq!(
            code(any(|room| unload_request(unknown, 100, room))),
            "unsupported_parameter"
        );
    }
}
