//! The settings of log and traces under Triton's names.

use serde::Serialize;

use crate::telemetry::logging::{self, LogSettings};
use crate::telemetry::traces::{Sampled, Tracer};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelState;
pub(crate) use serin_wire::control::SettingValue as Wanted;

/// The value of a log setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(in crate::server) enum LogValue {
    Bool(bool),
    Level(u32),
    Text(&'static str),
}

/// Triton's names of the log settings.
const LOG_SETTINGS: &str =
    "log_file, log_info, log_warning, log_error, log_verbose_level, log_format";

/// Triton's names of the trace settings.
const TRACE_SETTINGS: &str = "trace_file, trace_level, trace_rate, trace_count, log_frequency";

/// The settings of the log that are in force.
pub(in crate::server) fn log() -> [(&'static str, LogValue); 6] {
    let now = logging::settings();
    [
        // Empty: standard error.
        ("log_file", LogValue::Text("")),
        ("log_info", LogValue::Bool(now.info)),
        ("log_warning", LogValue::Bool(now.warning)),
        ("log_error", LogValue::Bool(now.error)),
        ("log_verbose_level", LogValue::Level(now.verbose_level)),
        ("log_format", LogValue::Text(now.format)),
    ]
}

/// Changes one log setting of `settings`; `start` has the values that the process started with.
///
/// # Errors
/// `Malformed` for an unknown name or a wrong type, `NotImplemented` for what cannot change while
/// the process runs.
pub(in crate::server) fn change_log(
    settings: &mut LogSettings,
    start: &LogSettings,
    name: &str,
    wanted: Wanted<'_>,
) -> Result<(), Fault> {
    let switch = |wanted, start| match wanted {
        Wanted::Bool(on) => Ok(on),
        Wanted::Null => Ok(start),
        _ => Err(wrong_value(name, "true or false")),
    };
    match name {
        "log_error" => settings.error = switch(wanted, start.error)?,
        "log_warning" => settings.warning = switch(wanted, start.warning)?,
        "log_info" => settings.info = switch(wanted, start.info)?,
        "log_verbose_level" => {
            settings.verbose_level = match wanted {
                Wanted::Null => start.verbose_level,
                Wanted::Number(level) => u32::try_from(level).unwrap_or(u32::MAX),
                _ => return Err(wrong_value(name, "a number from 0")),
            };
        }
        "log_file" => match wanted {
            Wanted::Null | Wanted::Text("") => {}
            Wanted::Text(_) => {
                return Err(fixed(
                    name,
                    "logs go to standard error, where the cluster collects them",
                ));
            }
            _ => return Err(wrong_value(name, "a string")),
        },
        "log_format" => match wanted {
            Wanted::Null => {}
            Wanted::Text(format) if format == settings.format => {}
            Wanted::Text(_) => {
                return Err(fixed(
                    name,
                    "the form of log lines is chosen at the start, by --log-format",
                ));
            }
            _ => return Err(wrong_value(name, "a string")),
        },
        _ => return Err(unknown(name, LOG_SETTINGS)),
    }
    Ok(())
}

/// The value of a trace setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(in crate::server) enum TraceValue {
    One(String),
    List([&'static str; 1]),
}

impl TraceValue {
    /// As a list, which gRPC has for every setting.
    pub(in crate::server) fn into_values(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::List([value]) => vec![value.to_owned()],
        }
    }
}

/// The trace settings that are in force; nothing is traced without a collector.
pub(in crate::server) fn trace(tracer: Option<&Tracer>) -> [(&'static str, TraceValue); 5] {
    let sampled = tracer.map_or(NOTHING, Tracer::sampled);
    let one = |value: &str| TraceValue::One(value.to_owned());
    let level = if sampled.on { "TIMESTAMPS" } else { "OFF" };
    [
        ("trace_file", one("")),
        ("trace_level", TraceValue::List([level])),
        ("trace_rate", TraceValue::One(sampled.one_in.to_string())),
        ("trace_count", one("-1")),
        ("log_frequency", one("0")),
    ]
}

/// The trace settings without a collector.
const NOTHING: Sampled = Sampled {
    on: false,
    one_in: 0,
};

/// Changes one trace setting of `sampled` to `values`; to what it was at the `start` where there
/// are none.
///
/// # Errors
/// `Unsupported` for an unknown name, `Malformed` for a value that is none, `NotImplemented` for
/// what cannot change.
pub(in crate::server) fn change_trace(
    sampled: &mut Sampled,
    start: &Sampled,
    name: &str,
    values: Option<&[String]>,
) -> Result<(), Fault> {
    let values: Option<Vec<&str>> =
        values.map(|values| values.iter().map(String::as_str).collect());
    match (name, values.as_deref()) {
        ("trace_level", None) => sampled.on = start.on,
        ("trace_level", Some(["OFF"])) => sampled.on = false,
        ("trace_level", Some(["TIMESTAMPS"])) => sampled.on = true,
        ("trace_level", Some(_)) => {
            return Err(fixed(
                name,
                "traces have times and never tensors; OFF and TIMESTAMPS are taken",
            ));
        }
        ("trace_rate", None) => sampled.one_in = start.one_in,
        ("trace_rate", Some([rate])) => {
            sampled.one_in = rate
                .parse()
                .map_err(|_| wrong_value(name, "a number from 0: one in so many is traced"))?;
        }
        ("trace_rate", Some(_)) => return Err(wrong_value(name, "one number")),
        ("trace_count", None | Some(["-1"])) => {}
        ("trace_count", Some(_)) => {
            return Err(fixed(
                name,
                "the number of traces is not limited, only their rate; -1 is taken",
            ));
        }
        ("trace_file", None | Some([""])) | ("log_frequency", None | Some(["0"])) => {}
        ("trace_file" | "log_frequency", Some(_)) => {
            return Err(fixed(
                name,
                "traces are sent to a collector by OTLP, never written to a file",
            ));
        }
        _ => return Err(unknown(name, TRACE_SETTINGS)),
    }
    Ok(())
}

/// The fault of a change of trace settings without a collector.
pub(in crate::server) fn no_collector(name: &str) -> Fault {
    fixed(
        name,
        "nothing is traced without a collector; spec.telemetry.traces of the InferenceService names one",
    )
}

/// The fault of a change of trace settings of one model.
pub(in crate::server) fn not_by_model() -> Fault {
    Fault::new(
        FaultKind::NotImplemented,
        "not_implemented",
        "what is traced is decided for all models together: POST /v2/trace/setting",
    )
}

/// The model of that name is configured.
///
/// # Errors
/// `NotFound`.
pub(in crate::server) fn known_model(models: &[ModelState], name: &str) -> Result<(), Fault> {
    if models.iter().any(|model| model.name == name) {
        return Ok(());
    }
    let message = format!("model '{name}' not found");
    Err(Fault::new(FaultKind::NotFound, "model_not_found", message).with_param("model"))
}

fn wrong_value(name: &str, expected: &str) -> Fault {
    let message = format!("setting '{name}' must be {expected}");
    Fault::new(FaultKind::Malformed, "invalid_parameter", message).with_param(name)
}

fn unknown(name: &str, known: &str) -> Fault {
    let message = format!("there is no setting '{name}': there are {known}");
    Fault::new(FaultKind::Unsupported, "unsupported_parameter", message).with_param(name)
}

fn fixed(name: &str, why: &str) -> Fault {
    let message = format!("setting '{name}' cannot be changed here: {why}");
    Fault::new(FaultKind::NotImplemented, "not_implemented", message).with_param(name)
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
    fn switches_and_the_level_change_and_null_restores() {
        let mut settings = START;
        let mut change = |name, wanted| change_log(&mut settings, &START, name, wanted);
        change("log_info", Wanted::Bool(false)).unwrap();
        change("log_verbose_level", Wanted::Number(2)).unwrap();
        change("log_format", Wanted::Text("json")).unwrap();
        change("log_file", Wanted::Text("")).unwrap();
        assert!(!settings.info && settings.verbose_level == 2);
        for name in ["log_info", "log_verbose_level", "log_file", "log_format"] {
            change_log(&mut settings, &START, name, Wanted::Null).unwrap();
        }
        assert_eq!(settings, START);
    }

    #[test]
    fn what_cannot_change_says_why() {
        let refused = |name, wanted| {
            let mut settings = START;
            let fault = change_log(&mut settings, &START, name, wanted).unwrap_err();
            assert_eq!(settings, START);
            fault.code
        };
        assert_eq!(
            refused("log_file", Wanted::Text("a.log")),
            "not_implemented"
        );
        assert_eq!(
            refused("log_format", Wanted::Text("default")),
            "not_implemented"
        );
        assert_eq!(
            refused("log_warnings", Wanted::Bool(true)),
            "unsupported_parameter"
        );
        assert_eq!(refused("log_info", Wanted::Number(1)), "invalid_parameter");
        assert_eq!(
            refused("log_verbose_level", Wanted::Text("1")),
            "invalid_parameter"
        );
        assert_eq!(refused("log_error", Wanted::Other), "invalid_parameter");
    }

    #[test]
    fn trace_settings_change_what_is_sampled_or_say_why_not() {
        const START: Sampled = Sampled {
            on: true,
            one_in: 10,
        };
        let mut sampled = START;
        let mut change = |name: &str, value: &str| {
            change_trace(&mut sampled, &START, name, Some(&[value.to_owned()]))
        };
        change("trace_rate", "3").unwrap();
        change("trace_level", "OFF").unwrap();
        change("trace_count", "-1").unwrap();
        let code = |refused: Result<(), Fault>| refused.unwrap_err().code;
        assert_eq!(code(change("trace_rate", "-1")), "invalid_parameter");
        assert_eq!(code(change("trace_level", "TENSORS")), "not_implemented");
        assert_eq!(code(change("trace_count", "5")), "not_implemented");
        assert_eq!(code(change("trace_file", "a.json")), "not_implemented");
        assert_eq!(
            code(change("trace_mode", "triton")),
            "unsupported_parameter"
        );
        assert_eq!((sampled.on, sampled.one_in), (false, 3));
        for (name, _) in trace(None) {
            assert!(TRACE_SETTINGS.contains(name));
            change_trace(&mut sampled, &START, name, None).unwrap();
        }
        assert_eq!(sampled, START);
    }
}
