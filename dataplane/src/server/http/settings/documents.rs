//! The documents of log and trace settings.

use serde_json::{Map, Value};

use super::values::{change_log, change_trace, log, no_collector, trace};
use crate::telemetry::logging::LogSettings;
use crate::telemetry::traces::Tracer;
use serin_core::fault::Fault;
use serin_wire::oip_rest::settings;
use serin_wire::room::Room;

/// `GET /v2/logging`.
pub(in crate::server) fn log_document() -> Map<String, Value> {
    document(log())
}

/// `GET /v2[/models/{name}]/trace/setting`.
pub(in crate::server) fn trace_document(tracer: Option<&Tracer>) -> Map<String, Value> {
    document(trace(tracer))
}

fn document<T: serde::Serialize>(
    values: impl IntoIterator<Item = (&'static str, T)>,
) -> Map<String, Value> {
    values
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), serde_json::to_value(value).ok()?)))
        .collect()
}

/// Reads a change of log settings: `now` with the changes of the body. All of them or none.
///
/// # Errors
/// `Malformed`, `Unsupported`, `NotImplemented`, naming the setting.
pub(in crate::server) fn log_change(
    body: &[u8],
    depth: usize,
    room: &Room<'_>,
    now: &LogSettings,
    start: &LogSettings,
) -> Result<LogSettings, Fault> {
    let mut changed = now.clone();
    settings::log_change(body, depth, room, |name, value| {
        change_log(&mut changed, start, name, value)
    })?;
    Ok(changed)
}

/// Reads a change of trace settings and makes it: all of it or none.
///
/// # Errors
/// `Malformed`, `Unsupported`, `NotImplemented`, naming the setting.
pub(in crate::server) fn trace_change(
    body: &[u8],
    depth: usize,
    room: &Room<'_>,
    tracer: Option<&Tracer>,
) -> Result<(), Fault> {
    let mut wanted = tracer.map(Tracer::sampled);
    settings::trace_change(body, depth, room, |name, values| {
        match (&mut wanted, tracer) {
            (Some(sampled), Some(tracer)) => {
                change_trace(sampled, &tracer.sampled_at_start(), name, values)
            }
            _ => Err(no_collector(name)),
        }
    })?;
    if let (Some(sampled), Some(tracer)) = (wanted, tracer)
        && sampled != tracer.sampled()
    {
        tracing::info!(?sampled, "the settings of traces are changed");
        tracer.sample(sampled);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serin_wire::room::within;

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
        let change = |body: &str| {
            let read = |room: &Room<'_>| log_change(body.as_bytes(), 100, room, &START, &START);
            within(0, |_| Ok(()), read)
        };
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
    fn without_a_collector_no_trace_setting_changes() {
        let change = |body: &str| {
            let read = |room: &Room<'_>| trace_change(body.as_bytes(), 100, room, None);
            within(0, |_| Ok(()), read)
        };
        change("{}").unwrap();
        change("").unwrap();
        let code = |body| change(body).unwrap_err().code;
        assert_eq!(code(r#"{"trace_rate":"1"}"#), "not_implemented");
        assert_eq!(code(r#"{"trace_level":["TIMESTAMPS"]}"#), "not_implemented");
        assert_eq!(code(r#"{"trace_level":[1]}"#), "invalid_type");
        assert_eq!(code(r#"{"trace_level":{}}"#), "invalid_type");
    }

    #[test]
    fn the_documents_have_tritons_names() {
        let names: Vec<_> = log_document().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"log_warning".to_owned()), "{names:?}");
        assert_eq!(
            trace_document(None)["trace_level"],
            serde_json::json!(["OFF"])
        );
    }
}
