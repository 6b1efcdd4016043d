//! The parameters of a request that the server acts on, the same for every protocol.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::time::Duration;

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::MOST_CLASSES;

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Parameter<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a str),
    /// An object or a list: accepted and ignored, as MLServer's clients send some.
    Other,
}

/// The parameters of a request that the server acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestParameters {
    /// `timeout`: budget of queue and execution together; `None` if absent or 0.
    pub timeout: Option<Duration>,
    /// `priority`: 1 is highest, 0 the default.
    pub priority: u64,
    /// `binary_data_output`: the format of outputs that name none themselves.
    pub binary_output: Option<bool>,
}

/// `classification` of a requested output: how many of the highest scores are wanted. More than there
/// are means all.
///
/// # Errors
/// `Malformed` for anything but a whole number from 1 to [`MOST_CLASSES`].
pub(crate) fn classes(path: impl Display, value: Parameter<'_>) -> Result<NonZeroUsize, Fault> {
    let count = match value {
        Parameter::Int(value) => usize::try_from(value).ok(),
        Parameter::Uint(value) => usize::try_from(value).ok(),
        _ => None,
    };
    count
        .filter(|count| *count <= MOST_CLASSES)
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| {
            wrong_type(
                &path.to_string(),
                &format!("a whole number from 1 to {MOST_CLASSES}"),
            )
        })
}

impl RequestParameters {
    /// Sets one parameter. Unknown names are ignored.
    ///
    /// # Errors
    /// A known name with a value of the wrong type, and names that ask for what is not offered.
    pub(crate) fn set(&mut self, name: &str, value: Parameter<'_>) -> Result<(), Fault> {
        match name {
            "timeout" => {
                let micros = unsigned(name, "microseconds", value)?;
                self.timeout = (micros > 0).then(|| Duration::from_micros(micros));
            }
            "priority" => self.priority = unsigned(name, "an unsigned integer", value)?,
            "binary_data_output" => match value {
                Parameter::Bool(wanted) => self.binary_output = Some(wanted),
                _ => return Err(wrong_type(name, "true or false")),
            },
            "sequence_id" | "sequence_start" | "sequence_end" => {
                return Err(Fault::new(
                    FaultKind::NotImplemented,
                    "not_implemented",
                    format!("parameter '{name}': sequences need a stateful model, this one keeps no state"),
                )
                .with_param(name));
            }
            _ if name.starts_with("triton_") => {
                return Err(Fault::new(
                    FaultKind::Unsupported,
                    "unsupported_parameter",
                    format!("parameter '{name}' is not supported: names that start with triton_ are reserved"),
                )
                .with_param(name));
            }
            _ => {}
        }
        Ok(())
    }
}

fn unsigned(name: &str, wanted: &str, value: Parameter<'_>) -> Result<u64, Fault> {
    match value {
        Parameter::Uint(value) => Ok(value),
        Parameter::Int(value) => u64::try_from(value).map_err(|_| wrong_type(name, wanted)),
        _ => Err(wrong_type(name, wanted)),
    }
}

fn wrong_type(name: &str, wanted: &str) -> Fault {
    Fault::new(
        FaultKind::Malformed,
        "invalid_parameter",
        format!("parameter '{name}' must be {wanted}"),
    )
    .with_param(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_is_none() {
        let mut parameters = RequestParameters::default();
        parameters.set("timeout", Parameter::Int(1500)).unwrap();
        assert_eq!(parameters.timeout, Some(Duration::from_micros(1500)));
        parameters.set("timeout", Parameter::Int(0)).unwrap();
        assert_eq!(parameters.timeout, None);
    }

    #[test]
    fn classes_are_counted_from_one_to_a_thousand() {
        let count = |value| classes("outputs[0].parameters.classification", value).map(usize::from);
        assert_eq!(count(Parameter::Int(1)).unwrap(), 1);
        assert_eq!(count(Parameter::Uint(1000)).unwrap(), 1000);
        for bad in [
            Parameter::Int(0),
            Parameter::Int(-1),
            Parameter::Int(1001),
            Parameter::Uint(u64::MAX),
            Parameter::Double(1.5),
            Parameter::Text("2"),
            Parameter::Bool(true),
            Parameter::Other,
        ] {
            assert_eq!(count(bad).unwrap_err().code, "invalid_parameter", "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name_and_the_rest_is_the_models() {
        let mut parameters = RequestParameters::default();
        for (name, value, kind) in [
            ("sequence_id", Parameter::Int(5), FaultKind::NotImplemented),
            ("triton_x", Parameter::Bool(true), FaultKind::Unsupported),
            ("timeout", Parameter::Int(-1), FaultKind::Malformed),
            ("priority", Parameter::Text("1"), FaultKind::Malformed),
            (
                "binary_data_output",
                Parameter::Int(1),
                FaultKind::Malformed,
            ),
        ] {
            let fault = parameters.set(name, value).unwrap_err();
            assert_eq!(fault.kind, kind, "{name}");
            assert_eq!(fault.param.as_deref(), Some(name));
        }
        assert!(parameters.set("k", Parameter::Double(1.5)).is_ok());
    }
}
