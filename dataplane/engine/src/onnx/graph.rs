//! Reads of an ONNX file what the runtime does not tell, or must not be asked before it is checked:
//! declared shapes (the runtime shows rank 0 and "no shape" alike) and the files it refers to.
//!
//! The file is walked, not loaded: weights are skipped by seeking. Field numbers are those of
//! `onnx.proto`.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Seek};

use super::protobuf::{Field, WalkError, Walker};
use serin_core::types::Dimension;

/// Deepest nesting of subgraphs; protobuf itself refuses more than 100 levels of messages.
const DEEPEST: usize = 32;

/// Largest file that protobuf, and so the runtime, reads; larger models keep weights beside it.
const LARGEST: u64 = i32::MAX as u64;

/// Most bytes of names, shapes and places that are kept of a file: thousands of times what any
/// known model has.
const MOST_KEPT: u64 = 8 << 20;

/// The metadata entry that names classes, and the longest that is read: tens of thousands of names.
const LABELS: &str = "labels";
const LONGEST_LABELS: u64 = 2 << 20;

/// What a model's file says about itself.
#[derive(Debug, Default)]
pub(super) struct GraphFile {
    /// Declared shapes of the graph's inputs and outputs; `None` where the file declares none.
    shapes: HashMap<String, Option<Vec<Dimension>>>,
    /// The other files that hold weights, as the file spells them.
    pub(super) external: BTreeSet<String>,
    /// The metadata entry `labels`, or why it is not read.
    pub(super) labels: Option<Result<String, String>>,
    /// Producer name and version.
    pub(super) producer: Option<String>,
}

/// Why a file is not a model.
#[derive(Debug, thiserror::Error)]
pub(super) enum GraphError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its bytes are not an ONNX model; the text says what they look like.
    #[error("{0}")]
    NotOnnx(String),
}

impl GraphFile {
    /// The declared shape of an input or output: outer `None` if the file does not list it.
    pub(super) fn shape(&self, name: &str) -> Option<&Option<Vec<Dimension>>> {
        self.shapes.get(name)
    }

    /// Walks a file of `length` bytes.
    pub(super) fn read(mut file: impl Read + Seek, length: u64) -> Result<Self, GraphError> {
        if length > LARGEST {
            return Err(GraphError::NotOnnx(format!(
                "its {length} bytes are more than the 2 GiB that an ONNX file may have: export it with its weights in \
                 a file of their own (external data)"
            )));
        }
        let mut start = [0; 512];
        let filled = read_up_to(&mut file, &mut start)?;
        file.rewind()?;
        let start = &start[..filled];
        let mut graph = Self::default();
        let mut walk = Walk {
            walker: Walker::new(file),
            graph: &mut graph,
            kept: 0,
        };
        match walk.model(length) {
            Ok(()) => Ok(graph),
            Err(WalkError::Malformed(_)) if walk.kept > MOST_KEPT => Err(GraphError::NotOnnx(
                format!("its names and shapes take more than {MOST_KEPT} bytes"),
            )),
            Err(WalkError::Io(error)) => Err(error.into()),
            Err(WalkError::Malformed(at)) => Err(GraphError::NotOnnx(describe(start, length, at))),
            // Every writer puts `ir_version` first; anything else was no model to begin with.
            Err(WalkError::CutOff) if start.first() == Some(&0x08) => Err(GraphError::NotOnnx(
                format!("it ends after {length} bytes in the middle of the model: it was cut off"),
            )),
            Err(WalkError::CutOff) => Err(GraphError::NotOnnx(describe(start, length, 0))),
        }
    }
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn describe(start: &[u8], length: u64, at: u64) -> String {
    match looks_like(start) {
        Some(kind) => format!("it is {kind}"),
        None => format!("its {length} bytes do not read as an ONNX model (at byte {at})"),
    }
}

/// Kinds of files that are put in a model's place by mistake.
fn looks_like(start: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 8] = [
        (
            b"version https://git-lfs",
            "a Git LFS pointer; fetch the real file with `git lfs pull`",
        ),
        (
            b"PK\x03\x04",
            "a zip archive (PyTorch files are); export the model to ONNX",
        ),
        (b"\x1f\x8b", "gzip-compressed"),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
        (b"\x80\x04\x95", "a Python pickle; export the model to ONNX"),
        (
            b"\x89HDF",
            "an HDF5 file (Keras files are); export the model to ONNX",
        ),
        (b"GGUF", "a GGUF file; an ONNX model is needed"),
        (b"<", "an HTML or XML page"),
    ];
    if start.is_empty() {
        return Some("empty");
    }
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(kind);
    }
    // ONNX files hold text, but start with a field tag below the space character.
    let text = std::str::from_utf8(start).is_ok_and(|text| {
        text.chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    });
    text.then_some("a text file")
}

struct Walk<'g, R> {
    walker: Walker<R>,
    graph: &'g mut GraphFile,
    /// Bytes kept of the file so far.
    kept: u64,
}

type Step = Result<(), WalkError>;

impl<R: Read + Seek> Walk<'_, R> {
    /// `ModelProto`.
    fn model(&mut self, end: u64) -> Step {
        let mut producer = (String::new(), String::new());
        let (mut has_version, mut has_graph) = (false, false);
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Varint(1, _) => has_version = true,
                Field::Block(2, n) => producer.0 = self.walker.text(n)?,
                Field::Block(3, n) => producer.1 = self.walker.text(n)?,
                Field::Block(7, n) => {
                    has_graph = true;
                    let end = self.walker.position() + n;
                    self.graph(end, 0)?;
                }
                Field::Block(20, n) => self.training(n)?,
                Field::Block(14, n) => self.metadata(n)?,
                Field::Block(25, n) => self.function(n)?,
                other => self.walker.skip(other)?,
            }
        }
        if !(has_version && has_graph) {
            return Err(WalkError::Malformed(self.walker.position()));
        }
        let name = format!("{} {}", producer.0, producer.1);
        self.graph.producer = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
        Ok(())
    }

    /// Counts what is kept.
    fn keep(&mut self, bytes: u64) -> Step {
        self.kept += bytes;
        if self.kept > MOST_KEPT {
            return Err(WalkError::Malformed(self.walker.position()));
        }
        Ok(())
    }

    /// `TrainingInfoProto`: two graphs, which the runtime passes over today.
    fn training(&mut self, length: u64) -> Step {
        let end = self.walker.position() + length;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1 | 2, n) => {
                    let end = self.walker.position() + n;
                    self.graph(end, 1)?;
                }
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `FunctionProto`, whose nodes may hold tensors as a graph's do.
    fn function(&mut self, length: u64) -> Step {
        let end = self.walker.position() + length;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(7, n) => self.node(n, 1)?,
                Field::Block(11, n) => self.attribute(n, 1)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `GraphProto`; depth 0 is the model's own.
    fn graph(&mut self, end: u64, depth: usize) -> Step {
        if depth > DEEPEST {
            return Err(WalkError::Malformed(self.walker.position()));
        }
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => self.node(n, depth)?,
                Field::Block(5, n) => self.tensor(n)?,
                Field::Block(15, n) => self.sparse_tensor(n)?,
                Field::Block(11 | 12, n) if depth == 0 => self.value(n)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `NodeProto`.
    fn node(&mut self, length: u64, depth: usize) -> Step {
        let end = self.walker.position() + length;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(5, n) => self.attribute(n, depth)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `AttributeProto`.
    fn attribute(&mut self, length: u64, depth: usize) -> Step {
        let end = self.walker.position() + length;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(5 | 10, n) => self.tensor(n)?,
                Field::Block(6 | 11, n) => {
                    let end = self.walker.position() + n;
                    self.graph(end, depth + 1)?;
                }
                Field::Block(22 | 23, n) => self.sparse_tensor(n)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `SparseTensorProto`: values and indices are tensors.
    fn sparse_tensor(&mut self, length: u64) -> Step {
        let end = self.walker.position() + length;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1 | 2, n) => self.tensor(n)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `TensorProto`: only `external_data` matters.
    fn tensor(&mut self, length: u64) -> Step {
        let end = self.walker.position() + length;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(13, n) => {
                    let (key, value) = self.entry(n)?;
                    if key == b"location" {
                        // A name read leniently here and exactly there would be another file.
                        let Ok(location) = String::from_utf8(value) else {
                            return Err(WalkError::Malformed(self.walker.position()));
                        };
                        if !self.graph.external.contains(&location) {
                            self.keep(location.len() as u64)?;
                            self.graph.external.insert(location);
                        }
                    }
                }
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `StringStringEntryProto`.
    fn entry(&mut self, length: u64) -> Result<(Vec<u8>, Vec<u8>), WalkError> {
        let end = self.walker.position() + length;
        let mut entry = (Vec::new(), Vec::new());
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => entry.0 = self.walker.bytes(n)?,
                Field::Block(2, n) => entry.1 = self.walker.bytes(n)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(entry)
    }

    /// One of the model's `metadata_props`, of which writers put the key first. A value that nobody
    /// reads may be of any length.
    fn metadata(&mut self, length: u64) -> Step {
        let end = self.walker.position() + length;
        let mut is_labels = false;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) if n == LABELS.len() as u64 => {
                    is_labels = self.walker.text(n)? == LABELS;
                }
                Field::Block(2, n) if is_labels && n <= LONGEST_LABELS => {
                    self.keep(n)?;
                    self.graph.labels = Some(Ok(self.walker.long_text(n)?));
                }
                Field::Block(2, n) if is_labels => {
                    self.graph.labels = Some(Err(format!(
                        "'labels' has {n} bytes, more than {LONGEST_LABELS}"
                    )));
                    self.walker.skip(field)?;
                }
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    /// `ValueInfoProto` of an input or output.
    fn value(&mut self, length: u64) -> Step {
        self.keep(length)?;
        let end = self.walker.position() + length;
        let (mut name, mut shape) = (String::new(), None);
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => name = self.walker.text(n)?,
                // TypeProto { tensor_type = 1 { shape = 2 } }
                Field::Block(2, n) => shape = self.nested_shape(n, 0)?,
                other => self.walker.skip(other)?,
            }
        }
        self.graph.shapes.insert(name, shape);
        Ok(())
    }

    fn nested_shape(
        &mut self,
        length: u64,
        level: usize,
    ) -> Result<Option<Vec<Dimension>>, WalkError> {
        let end = self.walker.position() + length;
        let mut shape = None;
        while let Some(field) = self.walker.next(end)? {
            match (level, field) {
                (0, Field::Block(1, n)) => shape = self.nested_shape(n, 1)?,
                (1, Field::Block(2, n)) => shape = Some(self.dimensions(n)?),
                (_, other) => self.walker.skip(other)?,
            }
        }
        Ok(shape)
    }

    /// `TensorShapeProto`.
    fn dimensions(&mut self, length: u64) -> Result<Vec<Dimension>, WalkError> {
        let end = self.walker.position() + length;
        let mut dimensions = Vec::new();
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => {
                    self.keep(size_of::<Dimension>() as u64)?;
                    dimensions.push(self.dimension(n)?);
                }
                other => self.walker.skip(other)?,
            }
        }
        Ok(dimensions)
    }

    fn dimension(&mut self, length: u64) -> Result<Dimension, WalkError> {
        let end = self.walker.position() + length;
        let mut dimension = Dimension::Variable(String::new());
        while let Some(field) = self.walker.next(end)? {
            match field {
                // Some exporters write -1 for "any".
                Field::Varint(1, value) => {
                    let extent = value.cast_signed();
                    dimension = if extent < 0 {
                        Dimension::Variable(String::new())
                    } else {
                        Dimension::Fixed(extent)
                    };
                }
                Field::Block(2, n) => {
                    dimension = Dimension::Variable(self.walker.text(n)?);
                }
                other => self.walker.skip(other)?,
            }
        }
        Ok(dimension)
    }
}

#[cfg(test)]
mod tests;
