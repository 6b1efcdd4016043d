//! The settings of log and traces under Triton's names.

use serde::Serialize;

use crate::fault::{Fault, FaultKind};
use crate::telemetry::logging::{self, LogSettings};
use crate::types::ModelState;

/// The value of a log setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum LogValue {
    Bool(bool),
    Level(u32),
    Text(&'static str),
}

/// The value of a trace setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum TraceValue {
    One(&'static str),
    List([&'static str; 1]),
}

impl TraceValue {
    /// As a list, which gRPC has for every setting.
    pub(crate) fn into_values(self) -> Vec<String> {
        match self {
            Self::One(value) | Self::List([value]) => vec![value.to_owned()],
        }
    }
}

/// Triton's names of the log settings.
const LOG_SETTINGS: &str =
    "log_file, log_info, log_warning, log_error, log_verbose_level, log_format";

/// Triton's names of the trace settings.
const TRACE_SETTINGS: &str = "trace_file, trace_level, trace_rate, trace_count, log_frequency";

/// The settings of the log that are in force.
pub(crate) fn log() -> [(&'static str, LogValue); 6] {
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

/// A wanted value of a log setting, as far as a protocol can carry one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// As at the start.
    Null,
    Bool(bool),
    Number(u64),
    Text(&'a str),
    Other,
}

/// Changes one log setting of `settings`; `start` has the values that the process started with.
///
/// # Errors
/// `Malformed` for an unknown name or a wrong type, `NotImplemented` for what cannot change while
/// the process runs.
pub(crate) fn change_log(
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

/// The trace settings that are in force: no traces are taken.
pub(crate) fn trace() -> [(&'static str, TraceValue); 5] {
    [
        ("trace_file", TraceValue::One("")),
        ("trace_level", TraceValue::List(["OFF"])),
        ("trace_rate", TraceValue::One("0")),
        ("trace_count", TraceValue::One("-1")),
        ("log_frequency", TraceValue::One("0")),
    ]
}

/// The fault of changing a trace setting.
pub(crate) fn trace_change(name: &str) -> Fault {
    match name {
        "trace_file" | "log_frequency" => fixed(
            name,
            "traces are sent to a collector by OTLP, never written to a file",
        ),
        "trace_level" | "trace_rate" | "trace_count" => fixed(
            name,
            "what is traced is decided by spec.telemetry.traces of the InferenceService",
        ),
        _ => unknown(name, TRACE_SETTINGS),
    }
}

/// The model of that name is configured.
///
/// # Errors
/// `NotFound`.
pub(crate) fn known_model(models: &[ModelState], name: &str) -> Result<(), Fault> {
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
    fn every_trace_setting_that_is_shown_says_why_it_stays() {
        for (name, _) in trace() {
            assert_eq!(trace_change(name).code, "not_implemented", "{name}");
            assert!(TRACE_SETTINGS.contains(name));
        }
        assert_eq!(trace_change("trace_mode").code, "unsupported_parameter");
    }
}
