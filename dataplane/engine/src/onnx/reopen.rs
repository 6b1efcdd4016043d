//! A loaded model's file, read once more: what its structure says of its rows, and the same model
//! with further outputs, for comparisons before it serves.

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ort::session::Session;

use super::file::{CheckedFile, ModelFile};
use super::message::clean;
use super::options::{SessionOptions, builder};
use super::rows::{Findings, examine};
use super::runtime::Runtime;
use super::topology::Model;
use super::value::datatype;
use crate::RowStructure;
use serin_core::types::{Signature, TensorSpec};

/// Largest file that is loaded a second time, in bytes.
const LARGEST: u64 = 64 << 20;

/// A model's file and how it was loaded.
pub(super) struct Reopen {
    runtime: Runtime,
    file: CheckedFile,
    options: SessionOptions,
    findings: OnceCell<Findings>,
}

impl Reopen {
    pub(super) fn new(
        runtime: &Runtime,
        file: &ModelFile,
        options: SessionOptions,
    ) -> Option<Self> {
        Some(Self {
            runtime: runtime.clone(),
            file: file.again()?,
            options,
            findings: OnceCell::new(),
        })
    }

    pub(super) fn row_structure(&self) -> RowStructure {
        let findings = self.findings();
        RowStructure {
            coupled: findings.coupled.clone(),
            quantised: findings.quantised,
        }
    }

    fn findings(&self) -> &Findings {
        self.findings.get_or_init(|| {
            let model = self.file.open().ok();
            let model = model.and_then(|file| Model::read(file, self.file.length()));
            match model {
                Some(model) => examine(&model),
                None => Findings {
                    coupled: Some(
                        "its graph cannot be examined for operators that mix rows: it has too many names, or its file \
                         was changed"
                            .to_owned(),
                    ),
                    ..Findings::default()
                },
            }
        })
    }

    /// A session of the model with the floats before its other outputs as outputs of their own, and
    /// its signature.
    pub(super) fn with_floats(
        &self,
        signature: &Signature,
    ) -> Result<(Session, Signature), String> {
        let floats = &self.findings().floats;
        if floats.is_empty() {
            return Err("its graph has no floats before them".to_owned());
        }
        if self.file.has_weights_beside {
            return Err("its weights are in other files, and so it is not loaded twice".to_owned());
        }
        if self.file.length() > LARGEST {
            return Err(format!(
                "its file is larger than {} MiB, and so it is not loaded twice",
                LARGEST >> 20
            ));
        }
        let mut content = self.file.content().map_err(|error| error.to_string())?;
        add_outputs(&mut content, floats);
        // `ort` panics on types that it does not know.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            builder(&self.runtime, self.options)?.commit_from_memory(&content)
        }));
        let session = opened
            .map_err(|_| "a tensor before them is of a type that is not understood".to_owned())?
            .map_err(|error| format!("ONNX Runtime refuses it: {}", clean(&error.to_string())))?;
        let mut signature = signature.clone();
        for outlet in session.outputs() {
            let float = outlet.dtype().tensor_type().and_then(datatype);
            if let Some(datatype) = float.filter(|datatype| datatype.is_float())
                && floats.iter().any(|name| name == outlet.name())
            {
                signature.outputs.push(TensorSpec {
                    name: outlet.name().to_owned(),
                    datatype,
                    shape: None,
                    optional: false,
                });
            }
        }
        Ok((session, signature))
    }
}

/// Appends a second part of the model's graph, which has outputs only: protobuf joins the parts of a
/// message. An output needs no type; the runtime infers it.
fn add_outputs(model: &mut Vec<u8>, names: &[String]) {
    const GRAPH: u8 = 7;
    const OUTPUT: u8 = 12;
    const NAME: u8 = 1;
    let mut outputs = Vec::new();
    for name in names {
        let mut output = Vec::new();
        put(&mut output, NAME, name.as_bytes());
        put(&mut outputs, OUTPUT, &output);
    }
    put(model, GRAPH, &outputs);
}

/// A field of bytes, whose number is below 16.
fn put(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = content.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_added_behind_the_model_as_a_part_of_its_graph() {
        let mut model = vec![0x08, 0x08, 0x3a, 0x00];
        add_outputs(&mut model, &["z".repeat(200)]);
        let read = Model::read(std::io::Cursor::new(&model), model.len() as u64).unwrap();
        let names = read.graph.outputs.iter().map(|output| output.name.len());
        assert_eq!(names.collect::<Vec<_>>(), [200]);
    }
}
