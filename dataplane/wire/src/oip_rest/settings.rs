//! The bodies of changes of log and trace settings. Which settings there are, and what each takes,
//! is up to the caller.

use super::document::members;
use crate::control::SettingValue;
use crate::json::{Integer, Kind, Reader};
use crate::members::{expect, wrong_type};
use crate::room::Room;
use serin_core::fault::Fault;

/// Reads a change of log settings, which may be empty, and calls `set` with the name and the value of
/// each setting. `depth` bounds the nesting.
///
/// # Errors
/// `Malformed` for a body that is no object and for a setting that is given twice, and what `set`
/// refuses with.
pub fn log_change(
    body: &[u8],
    depth: usize,
    room: &Room<'_>,
    mut set: impl FnMut(&str, SettingValue<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    members(body, depth, room, |name, reader| {
        let text;
        let value = match reader.kind()? {
            Kind::Null => {
                reader.null()?;
                SettingValue::Null
            }
            Kind::Bool => SettingValue::Bool(reader.boolean()?),
            Kind::String => {
                text = reader.string()?;
                SettingValue::Text(&text)
            }
            Kind::Number => match Integer::of(reader.number()?) {
                Integer::Exact(value) => {
                    u64::try_from(value).map_or(SettingValue::Other, SettingValue::Number)
                }
                Integer::TooLarge | Integer::Fraction => SettingValue::Other,
            },
            Kind::Object | Kind::Array => {
                reader.skip()?;
                SettingValue::Other
            }
        };
        set(name, value)?;
        Ok(true)
    })
}

/// Reads a change of trace settings, which may be empty, and calls `set` with the name and the values
/// of each setting; `None` restores the setting of the start.
///
/// # Errors
/// As [`log_change`], and `Malformed` for a value that is no string, number or list of strings.
pub fn trace_change(
    body: &[u8],
    depth: usize,
    room: &Room<'_>,
    mut set: impl FnMut(&str, Option<&[String]>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    members(body, depth, room, |name, reader| {
        let values = values(name, reader)?;
        set(name, values.as_deref())?;
        Ok(true)
    })
}

/// A string, a number or a list of strings; `None` for null.
fn values(name: &str, reader: &mut Reader<'_>) -> Result<Option<Vec<String>>, Fault> {
    match reader.kind()? {
        Kind::Null => {
            reader.null()?;
            Ok(None)
        }
        Kind::String => Ok(Some(vec![reader.owned_string()?])),
        Kind::Number => Ok(Some(vec![reader.number()?.to_owned()])),
        Kind::Array => {
            let mut found = Vec::new();
            let mut array = reader.array()?;
            while reader.element(&mut array)? {
                expect(reader, Kind::String, name, "a list of strings")?;
                reader.room().grow(&mut found, 1, usize::MAX)?;
                found.push(reader.owned_string()?);
            }
            Ok(Some(found))
        }
        other => Err(wrong_type(name, "a string or a list of strings", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::within;

    #[test]
    fn every_kind_of_a_log_settings_value_is_told_apart() {
        let mut found = Vec::new();
        let body = br#"{"a":null,"b":true,"c":2.0,"d":"x","e":-1,"f":[1],"g":1.5}"#;
        let set = |name: &str, value: SettingValue<'_>| {
            found.push(format!("{name}={value:?}"));
            Ok(())
        };
        within(0, |_| Ok(()), |room| log_change(body, 100, room, set)).unwrap();
        let expected = "a=Null b=Bool(true) c=Number(2) d=Text(\"x\") e=Other f=Other g=Other";
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn a_trace_settings_value_is_a_list_of_texts() {
        let mut found = Vec::new();
        let body = br#"{"a":null,"b":"x","c":1e2,"d":["y","z"]}"#;
        let set = |_: &str, values: Option<&[String]>| {
            found.push(values.map(<[String]>::to_vec));
            Ok(())
        };
        within(0, |_| Ok(()), |room| trace_change(body, 100, room, set)).unwrap();
        let list = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect());
        let expected = [None, list(&["x"]), list(&["1e2"]), list(&["y", "z"])];
        assert_eq!(found, expected);
        for (body, code) in [
            (r#"{"a":{}}"#, "invalid_type"),
            (r#"{"a":[1]}"#, "invalid_type"),
            (r#"{"a":"1","a":"2"}"#, "duplicate_field"),
            ("[]", "invalid_type"),
        ] {
            let change = |room: &Room<'_>| trace_change(body.as_bytes(), 100, room, |_, _| Ok(()));
            let fault = within(0, |_| Ok(()), change).unwrap_err();
            assert_eq!(fault.code, code, "{body}");
        }
    }
}
