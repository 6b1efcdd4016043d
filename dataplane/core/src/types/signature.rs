//! A model's inputs and outputs.

use super::Datatype;

/// Inputs and outputs of a model, as its file declares them.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The inputs, in the model's order.
    pub inputs: Vec<TensorSpec>,
    /// The outputs that can be served, in the model's order.
    pub outputs: Vec<TensorSpec>,
    /// Outputs of types without a protocol name (sequences, maps, float8...): listed in metadata and
    /// logs, never served.
    pub unserved_outputs: Vec<String>,
    /// The producer's name and version, if the file has them.
    pub producer: Option<String>,
}

/// One declared input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Its name; any text at all.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Its declared dimensions; `None` where the file declares no shape (any rank will do).
    /// Declared *output* shapes are unreliable: never allocate or refuse by them.
    pub shape: Option<Vec<Dimension>>,
    /// Whether a request may omit it (an input with a default in the file).
    pub optional: bool,
}

/// One declared dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Always this extent.
    Fixed(i64),
    /// Any extent, with the exporter's name for it, often empty or `?`. Equal names do not imply
    /// equal extents.
    Variable(String),
}

impl TensorSpec {
    /// The shape as metadata shows it: -1 for a variable dimension; empty without a shape.
    #[inline]
    pub fn shape_for_metadata(&self) -> Vec<i64> {
        self.shape
            .iter()
            .flatten()
            .map(|dimension| match dimension {
                Dimension::Fixed(extent) => *extent,
                Dimension::Variable(_) => -1,
            })
            .collect()
    }
}

impl Signature {
    /// The input of that name.
    #[inline]
    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// The output of that name.
    #[inline]
    pub fn output(&self, name: &str) -> Option<&TensorSpec> {
        self.outputs.iter().find(|output| output.name == name)
    }
}
