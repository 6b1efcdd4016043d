//! The documents of log and trace settings.

use serde_json::{Map, Value};

use super::document::members;
use crate::fault::Fault;
use crate::protocol::json::{Integer, Kind};
use crate::protocol::settings::{Wanted, change_log, log, trace, trace_change};
use crate::telemetry::logging::LogSettings;

/// `GET /v2/logging`.
pub(crate) fn log_document() -> Map<String, Value> {
    document(log())
}

/// `GET /v2[/models/{name}]/trace/setting`.
pub(crate) fn trace_document() -> Map<String, Value> {
    document(trace())
}

fn document<T: serde::Serialize>(
    settings: impl IntoIterator<Item = (&'static str, T)>,
) -> Map<String, Value> {
    settings
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), serde_json::to_value(value).ok()?)))
        .collect()
}

/// Reads a change of log settings: `now` with what the body asks for. All of it or none.
///
/// # Errors
/// `Malformed`, `Unsupported`, `NotImplemented`, naming the setting.
pub(crate) fn log_change(
    body: &[u8],
    depth: usize,
    now: &LogSettings,
    start: &LogSettings,
) -> Result<LogSettings, Fault> {
    let mut settings = now.clone();
    members(body, depth, |name, reader| {
        let text;
        let wanted = match reader.kind()? {
            Kind::Null => {
                reader.null()?;
                Wanted::Null
            }
            Kind::Bool => Wanted::Bool(reader.boolean()?),
            Kind::String => {
                text = reader.string()?;
                Wanted::Text(&text)
            }
            Kind::Number => match Integer::of(reader.number()?) {
                Integer::Exact(value) => u64::try_from(value).map_or(Wanted::Other, Wanted::Number),
                Integer::TooLarge | Integer::Fraction => Wanted::Other,
            },
            Kind::Object | Kind::Array => {
                reader.skip()?;
                Wanted::Other
            }
        };
        change_log(&mut settings, start, name, wanted)?;
        Ok(true)
    })?;
    Ok(settings)
}

/// Reads a change of trace settings, of which none can be made. `null` clears a setting, which
/// leaves it at what the configuration says: that it may ask for.
///
/// # Errors
/// `Malformed`, `Unsupported`, `NotImplemented`, naming the setting.
pub(crate) fn trace_settings_change(body: &[u8], depth: usize) -> Result<(), Fault> {
    members(body, depth, |name, reader| {
        let is_known = trace().iter().any(|(known, _)| *known == name);
        if reader.kind()? != Kind::Null || !is_known {
            return Err(trace_change(name));
        }
        reader.null()?;
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: LogSettings = LogSettings {
        error: true,
        warning: true,
        info: true,
        verbose_level: 0,
        format: "json",
    };

    #[test]
    fn a_change_of_the_log_is_made_whole_or_not_at_all() {
        let change = |body: &str| log_change(body.as_bytes(), 100, &START, &START);
        let changed = change(r#"{"log_verbose_level":1,"log_info":false}"#).unwrap();
        assert_eq!((changed.verbose_level, changed.info), (1, false));
        assert_eq!(change("").unwrap(), START);
        for (body, code) in [
            (
                r#"{"log_verbose_level":1,"log_file":"x"}"#,
                "not_implemented",
            ),
            (r#"{"log_verbose_level":-1}"#, "invalid_parameter"),
            (r#"{"log_verbose_level":1.5}"#, "invalid_parameter"),
            (r#"{"log_info":true,"log_info":true}"#, "duplicate_field"),
            (r#"{"log_colour":true}"#, "unsupported_parameter"),
            ("[]", "invalid_type"),
        ] {
            assert_eq!(change(body).unwrap_err().code, code, "{body}");
        }
    }

    #[test]
    fn trace_settings_may_be_cleared_and_not_changed() {
        let change = |body: &str| trace_settings_change(body.as_bytes(), 100);
        change(r#"{"trace_rate":null}"#).unwrap();
        change("{}").unwrap();
        let code = |body| change(body).unwrap_err().code;
        assert_eq!(code(r#"{"trace_rate":"1"}"#), "not_implemented");
        assert_eq!(code(r#"{"trace_level":["TIMESTAMPS"]}"#), "not_implemented");
        assert_eq!(code(r#"{"speed":null}"#), "unsupported_parameter");
    }

    #[test]
    fn the_documents_have_tritons_names() {
        let names: Vec<_> = log_document().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"log_warning".to_owned()), "{names:?}");
        assert_eq!(trace_document()["trace_level"], serde_json::json!(["OFF"]));
    }
}
