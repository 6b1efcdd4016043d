//! One model in ONNX Runtime, owned by one thread.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ort::session::{Session, SessionInputValue};

use super::file::ModelFile;
use super::message::clean;
use super::options::{Device, SessionOptions, builder};
use super::raw::SharedRunOptions;
use super::reopen::Reopen;
use super::runtime::Runtime;
use super::value::Room;
use super::{signature, value};
use crate::{Engine, RowStructure, RunError, Stop};
use serin_core::types::{Signature, Tensor};

/// Why a model's file does not become an engine. No text holds a path.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// The runtime refuses the file.
    #[error("ONNX Runtime refuses it: {0}")]
    Refused(String),
    /// It loads, but cannot be served.
    #[error("it cannot be served: {0}")]
    Unservable(String),
    /// There is not enough memory for it.
    #[error(
        "{0}: raise the container's memory limit or --model-memory-mib, or serve a smaller model"
    )]
    Memory(String),
    /// The GPU it needs cannot be used.
    #[error("it needs a GPU and none can be used: {0}")]
    Gpu(String),
}

/// A model in ONNX Runtime.
pub struct OnnxEngine {
    session: Session,
    signature: Signature,
    /// Bytes that tensors may take in all, if that is bounded.
    memory: Option<usize>,
    /// The file that it was loaded from; `None` of an engine for comparisons.
    source: Option<Reopen>,
}

impl OnnxEngine {
    /// Loads a checked file.
    ///
    /// # Errors
    /// [`OpenError`]; all of them are permanent.
    pub fn open(
        runtime: &Runtime,
        file: &ModelFile,
        options: SessionOptions,
    ) -> Result<Self, OpenError> {
        // `ort` panics on type descriptions that it does not know; one odd model may not end the
        // process.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let session = build(runtime, file, options).map_err(|error| {
                let message = error.to_string();
                if let Some(asked) = bytes_short(&message) {
                    return OpenError::Memory(shortage(asked, runtime.memory()));
                }
                let reason = load_reason(&message);
                match options.device {
                    Device::Cuda if is_device_error(&reason) => OpenError::Gpu(reason),
                    Device::Cpu | Device::Cuda => OpenError::Refused(reason),
                }
            })?;
            let signature = signature::read(&session, file.graph())
                .map_err(|error| OpenError::Unservable(error.to_string()))?;
            Ok(Self {
                session,
                signature,
                memory: runtime.memory(),
                source: Reopen::new(runtime, file, options),
            })
        }));
        opened.unwrap_or_else(|_| {
            Err(OpenError::Unservable(
                "an input or output is of a type that is not understood".to_owned(),
            ))
        })
    }
}

fn build(runtime: &Runtime, file: &ModelFile, options: SessionOptions) -> ort::Result<Session> {
    builder(runtime, options)?.commit_from_file(file.path())
}

/// The runtime's reason without "Load model from PATH failed:".
fn load_reason(message: &str) -> String {
    let reason = message
        .strip_prefix("Load model from ")
        .and_then(|rest| rest.split_once(" failed:"))
        .map_or(message, |(_, reason)| reason);
    clean(reason)
}

fn is_device_error(reason: &str) -> bool {
    ["CUDA", "cuda", "cudnn", "providers_shared"]
        .iter()
        .any(|word| reason.contains(word))
}

impl Engine for OnnxEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn row_structure(&self) -> RowStructure {
        self.source
            .as_ref()
            .map(Reopen::row_structure)
            .unwrap_or_default()
    }

    fn with_floats(&self) -> Result<Box<dyn Engine>, String> {
        let Some(source) = &self.source else {
            return Err("it shows them already".to_owned());
        };
        let (session, signature) = source.with_floats(&self.signature)?;
        Ok(Box::new(Self {
            session,
            signature,
            memory: self.memory,
            source: None,
        }))
    }

    fn run(
        &mut self,
        inputs: &[Tensor],
        outputs: &[usize],
        stop: &Stop,
    ) -> Result<Vec<Tensor>, RunError> {
        let mut result = self.attempt(inputs, outputs, stop, false);
        // The allocator keeps what it once took, in pieces that may all be too small. A second try
        // gives them back at its end, and the third has all that there is.
        for give_back in [true, false] {
            let short = matches!(&result, Err(Failure::Short(_)));
            if short && !stop.is_raised() {
                result = self.attempt(inputs, outputs, stop, give_back);
            }
        }
        result.map_err(|failure| match failure {
            _ if stop.is_raised() => RunError::Stopped,
            Failure::Other(reason) => RunError::Failed(reason),
            Failure::Short(asked) => RunError::Failed(shortage(asked, self.memory)),
        })
    }
}

/// Why one try gave no answer.
enum Failure {
    /// There is no memory for a tensor of so many bytes; 0 where that is not known.
    Short(u64),
    /// The runtime's reason.
    Other(String),
}

impl From<ort::Error> for Failure {
    fn from(error: ort::Error) -> Self {
        let message = error.to_string();
        match bytes_short(&message) {
            Some(bytes) => Self::Short(bytes),
            None => Self::Other(clean(&message)),
        }
    }
}

/// The bytes that could not be had, where that is what the runtime says.
fn bytes_short(message: &str) -> Option<u64> {
    const SAYINGS: [&str; 2] = [
        "is smaller than requested bytes of ",
        "Failed to allocate memory for requested buffer of size ",
    ];
    let after = SAYINGS
        .iter()
        .find_map(|saying| message.split_once(saying).map(|(_, rest)| rest));
    match after {
        Some(rest) => {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            Some(digits.and_then(|digits| digits.parse().ok()).unwrap_or(0))
        }
        None => message.contains("bad_alloc").then_some(0),
    }
}

fn shortage(asked: u64, bound: Option<usize>) -> String {
    let asked = match asked {
        0 => "more memory".to_owned(),
        bytes => format!("{} MiB", bytes.div_ceil(1 << 20)),
    };
    match bound {
        Some(bound) => format!(
            "the model asks for {asked}, which is not left of the {} MiB that models may take",
            bound >> 20
        ),
        None => format!("the model asks for {asked}, which the system has not"),
    }
}

impl OnnxEngine {
    fn attempt(
        &mut self,
        inputs: &[Tensor],
        outputs: &[usize],
        stop: &Stop,
        give_back: bool,
    ) -> Result<Vec<Tensor>, Failure> {
        let wanted: Vec<_> = outputs
            .iter()
            .filter_map(|index| self.signature.outputs.get(*index))
            .collect();
        let names = wanted.iter().map(|output| output.name.as_str());
        let options = Arc::new(SharedRunOptions::new(names, give_back)?);
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> =
            Vec::with_capacity(inputs.len());
        for tensor in inputs {
            values.push((Cow::Borrowed(&tensor.name), value::input(tensor)?));
        }
        let hooked = Arc::clone(&options);
        stop.set_hook(Some(Box::new(move || hooked.terminate())));
        let result = self.session.run_with_options(values, options.get());
        stop.set_hook(None);
        let mut produced = result?;
        let bound = self.memory.map_or(usize::MAX, |memory| memory / 8);
        let mut room = Room { bound, left: bound };
        wanted
            .iter()
            .map(|output| {
                let value = produced.remove(&output.name).ok_or_else(|| {
                    Failure::Other(format!("output '{}' was not produced", output.name))
                })?;
                Ok(value::output(
                    &output.name,
                    output.datatype,
                    value,
                    &mut room,
                )?)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes_short, load_reason};

    #[test]
    fn what_could_not_be_allocated_is_read_of_what_the_runtime_says() {
        let arena =
            "bfc_arena.cc:360 Available memory of 0 is smaller than requested bytes of 4096";
        assert_eq!(bytes_short(arena), Some(4096));
        assert_eq!(bytes_short("std::bad_alloc"), Some(0));
        assert_eq!(bytes_short("Gather: index out of range"), None);
    }

    #[test]
    fn a_load_error_names_no_path() {
        assert_eq!(
            load_reason("Load model from /srv/m/a.onnx failed:Protobuf parsing failed."),
            "Protobuf parsing failed."
        );
    }
}
