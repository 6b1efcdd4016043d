//! The nodes of an ONNX file, with what a decision about its rows needs: names, operators, small
//! attributes, ranks and types. Weights are skipped by seeking. Field numbers are those of
//! `onnx.proto`.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};

use super::protobuf::{Field, WalkError, Walker};

/// Most bytes of names and attributes that are kept of a file: many times what any known model has.
const MOST_KEPT: u64 = 32 << 20;

/// Deepest nesting of subgraphs, as in [`super::graph`].
const DEEPEST: usize = 32;

/// Most elements of a list of whole numbers that is kept: axes and shapes have no more.
const LONGEST_LIST: usize = 32;

/// Longest text attribute that is kept, in bytes: equations and modes.
const LONGEST_TEXT: u64 = 1024;

/// A model's graph, its local functions and the versions of the operator sets it uses.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) graph: Graph,
    /// By domain and name; overloads stand beside each other.
    pub(super) functions: HashMap<(String, String), Vec<Function>>,
    pub(super) opset: i64,
}

/// `FunctionProto`.
#[derive(Debug, Default)]
pub(super) struct Function {
    pub(super) inputs: Vec<String>,
    pub(super) body: Graph,
    pub(super) opset: i64,
}

/// `GraphProto`. The outputs of a function's body are its graph's outputs.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) initializers: HashMap<String, Tensor>,
    pub(super) inputs: Vec<Declared>,
    pub(super) outputs: Vec<Declared>,
    /// `value_info`: what the exporter knew of the tensors between.
    pub(super) inner: Vec<Declared>,
}

/// `ValueInfoProto` of a tensor.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    pub(super) name: String,
    /// `TensorProto.DataType`; 0 where none is declared.
    pub(super) element: u64,
    pub(super) rank: Option<usize>,
}

/// `NodeProto`.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) operator: String,
    /// Empty for the standard's own operators.
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
}

/// `AttributeProto`.
#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Setting,
    pub(super) graphs: Vec<Graph>,
}

/// The value of an attribute.
#[derive(Debug, Default)]
pub(super) enum Setting {
    Integer(i64),
    Integers(Vec<i64>),
    Text(String),
    Tensor(Tensor),
    /// Of another type, too long, or given by the caller of a function.
    #[default]
    Other,
}

/// `TensorProto`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensor {
    pub(super) element: u64,
    pub(super) rank: usize,
    /// Its elements, where they are whole numbers and few.
    pub(super) integers: Option<Vec<i64>>,
}

/// `TensorProto.DataType` of the types that are named in rules.
pub(super) mod element {
    pub(in crate::onnx) const INT32: u64 = 6;
    pub(in crate::onnx) const INT64: u64 = 7;
    pub(in crate::onnx) const BOOL: u64 = 9;

    /// Whether elements are floating-point numbers.
    pub(in crate::onnx) fn is_float(element: u64) -> bool {
        matches!(element, 1 | 10 | 11 | 16 | 17..=20)
    }
}

impl Node {
    /// The attribute of this name.
    pub(super) fn attribute(&self, name: &str) -> Option<&Setting> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|attribute| &attribute.value)
    }

    /// Adds every name that it reads, in its subgraphs too.
    fn mention<'n>(&'n self, names: &mut Vec<&'n str>) {
        let mut nodes = vec![self];
        while let Some(node) = nodes.pop() {
            names.extend(node.inputs.iter().map(String::as_str));
            for graph in node.graphs() {
                names.extend(graph.outputs.iter().map(|output| output.name.as_str()));
                nodes.extend(&graph.nodes);
            }
        }
    }

    /// The graphs in its attributes.
    pub(super) fn graphs(&self) -> impl Iterator<Item = &Graph> {
        self.attributes
            .iter()
            .flat_map(|attribute| &attribute.graphs)
    }
}

/// What some tensors of a graph are made of.
pub(super) struct Needed<'g> {
    /// For each node of the graph, whether it takes part.
    pub(super) nodes: Vec<bool>,
    /// The tensors that take part.
    pub(super) names: HashSet<&'g str>,
}

impl Graph {
    /// What these tensors are made of, by way of subgraphs too.
    pub(super) fn needed_by<'g>(&'g self, mut open: Vec<&'g str>) -> Needed<'g> {
        let mut makers: HashMap<&str, usize> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            makers.extend(node.outputs.iter().map(|name| (name.as_str(), at)));
        }
        let mut nodes = vec![false; self.nodes.len()];
        let mut names = HashSet::new();
        while let Some(name) = open.pop() {
            if names.insert(name)
                && let Some(at) = makers.get(name).copied()
                && !nodes[at]
            {
                nodes[at] = true;
                self.nodes[at].mention(&mut open);
            }
        }
        Needed { nodes, names }
    }
}

impl Model {
    /// Walks a file of `length` bytes that has been found to be an ONNX model; `None` where it has
    /// more names than are kept.
    pub(super) fn read(file: impl Read + Seek, length: u64) -> Option<Self> {
        let mut reader = Reader {
            walker: Walker::new(file),
            kept: 0,
        };
        reader.model(length).ok()
    }
}

struct Reader<R> {
    walker: Walker<R>,
    kept: u64,
}

type Kept<T> = Result<T, WalkError>;

impl<R: Read + Seek> Reader<R> {
    fn end(&self, length: u64) -> u64 {
        self.walker.position() + length
    }

    fn keep(&mut self, bytes: u64) -> Kept<()> {
        self.kept += bytes;
        if self.kept > MOST_KEPT {
            return Err(WalkError::Malformed(self.walker.position()));
        }
        Ok(())
    }

    fn text(&mut self, length: u64) -> Kept<String> {
        self.keep(length + size_of::<String>() as u64)?;
        self.walker.text(length)
    }

    fn model(&mut self, end: u64) -> Kept<Model> {
        let mut model = Model::default();
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(7, n) => self.graph(n, 0, &mut model.graph)?,
                Field::Block(8, n) => self.opset(n, &mut model.opset)?,
                Field::Block(25, n) => {
                    let (key, function) = self.function(n)?;
                    model.functions.entry(key).or_default().push(function);
                }
                other => self.walker.skip(other)?,
            }
        }
        Ok(model)
    }

    /// `OperatorSetIdProto`: only the standard's own set matters.
    fn opset(&mut self, length: u64, version: &mut i64) -> Kept<()> {
        let end = self.end(length);
        let (mut domain, mut number) = (String::new(), 0);
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => domain = self.walker.text(n)?,
                Field::Varint(2, value) => number = value.cast_signed(),
                other => self.walker.skip(other)?,
            }
        }
        if standard(domain).is_empty() {
            *version = number;
        }
        Ok(())
    }

    fn function(&mut self, length: u64) -> Kept<((String, String), Function)> {
        let end = self.end(length);
        let (mut name, mut domain) = (String::new(), String::new());
        let mut function = Function::default();
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => name = self.text(n)?,
                Field::Block(4, n) => function.inputs.push(self.text(n)?),
                Field::Block(5, n) => {
                    let name = self.text(n)?;
                    function.body.outputs.push(Declared {
                        name,
                        ..Declared::default()
                    });
                }
                Field::Block(7, n) => {
                    let node = self.node(n, 1)?;
                    function.body.nodes.push(node);
                }
                Field::Block(9, n) => self.opset(n, &mut function.opset)?,
                Field::Block(10, n) => domain = self.text(n)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(((standard(domain), name), function))
    }

    fn graph(&mut self, length: u64, depth: usize, graph: &mut Graph) -> Kept<()> {
        if depth > DEEPEST {
            return Err(WalkError::Malformed(self.walker.position()));
        }
        let end = self.end(length);
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => graph.nodes.push(self.node(n, depth)?),
                Field::Block(5, n) => {
                    let (name, tensor) = self.tensor(n)?;
                    graph.initializers.insert(name, tensor);
                }
                Field::Block(15, n) => {
                    let name = self.sparse_name(n)?;
                    graph.initializers.insert(name, Tensor::sparse());
                }
                Field::Block(11, n) => graph.inputs.push(self.declared(n)?),
                Field::Block(12, n) => graph.outputs.push(self.declared(n)?),
                Field::Block(13, n) => graph.inner.push(self.declared(n)?),
                other => self.walker.skip(other)?,
            }
        }
        Ok(())
    }

    fn node(&mut self, length: u64, depth: usize) -> Kept<Node> {
        self.keep(size_of::<Node>() as u64)?;
        let end = self.end(length);
        let mut node = Node::default();
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => node.inputs.push(self.text(n)?),
                Field::Block(2, n) => node.outputs.push(self.text(n)?),
                Field::Block(3, n) => node.name = self.text(n)?,
                Field::Block(4, n) => node.operator = self.text(n)?,
                Field::Block(5, n) => node.attributes.push(self.attribute(n, depth)?),
                Field::Block(7, n) => node.domain = standard(self.text(n)?),
                other => self.walker.skip(other)?,
            }
        }
        Ok(node)
    }

    fn attribute(&mut self, length: u64, depth: usize) -> Kept<Attribute> {
        self.keep(size_of::<Attribute>() as u64)?;
        let end = self.end(length);
        let mut attribute = Attribute::default();
        let (mut integer, mut list, mut referred) = (None, Some(Vec::new()), false);
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => attribute.name = self.text(n)?,
                Field::Varint(3, value) => integer = Some(value.cast_signed()),
                Field::Block(4, n) if n <= LONGEST_TEXT => {
                    attribute.value = Setting::Text(self.text(n)?);
                }
                Field::Block(5, n) => attribute.value = Setting::Tensor(self.tensor(n)?.1),
                Field::Block(6 | 11, n) => {
                    let mut graph = Graph::default();
                    self.graph(n, depth + 1, &mut graph)?;
                    attribute.graphs.push(graph);
                }
                Field::Varint(8, value) => add(&mut list, value),
                Field::Block(8, n) => self.packed(n, &mut list)?,
                Field::Block(21, n) => {
                    referred = n > 0;
                    self.walker.skip(field)?;
                }
                other => self.walker.skip(other)?,
            }
        }
        match (integer, list) {
            _ if referred => attribute.value = Setting::Other,
            (_, Some(list)) if !list.is_empty() => {
                self.keep(list.len() as u64 * 8)?;
                attribute.value = Setting::Integers(list);
            }
            (Some(integer), Some(_)) => attribute.value = Setting::Integer(integer),
            _ => {}
        }
        Ok(attribute)
    }

    /// `SparseTensorProto` is called as its values are.
    fn sparse_name(&mut self, length: u64) -> Kept<String> {
        let end = self.end(length);
        let mut name = String::new();
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => name = self.tensor(n)?.0,
                other => self.walker.skip(other)?,
            }
        }
        Ok(name)
    }

    fn tensor(&mut self, length: u64) -> Kept<(String, Tensor)> {
        self.keep(size_of::<Tensor>() as u64)?;
        let end = self.end(length);
        let (mut name, mut tensor) = (String::new(), Tensor::default());
        let (mut dimensions, mut plain) = (Some(Vec::new()), Some(Vec::new()));
        let mut raw = None;
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Varint(1, value) => add(&mut dimensions, value),
                Field::Block(1, n) => self.packed(n, &mut dimensions)?,
                Field::Varint(2, value) => tensor.element = value,
                Field::Varint(5 | 7, value) => add(&mut plain, value),
                Field::Block(5 | 7, n) => self.packed(n, &mut plain)?,
                Field::Block(8, n) => name = self.text(n)?,
                Field::Block(9, n) if n <= 8 * LONGEST_LIST as u64 => {
                    raw = Some(self.walker.bytes(n)?);
                }
                other => self.walker.skip(other)?,
            }
        }
        let dimensions = dimensions.unwrap_or_default();
        tensor.rank = dimensions.len();
        let count = dimensions
            .iter()
            .try_fold(1i64, |count, extent| count.checked_mul(*extent))
            .and_then(|count| usize::try_from(count).ok());
        let list = match raw {
            Some(bytes) => integers(tensor.element, &bytes),
            None => plain,
        };
        tensor.integers = list.filter(|list| Some(list.len()) == count);
        self.keep(tensor.integers.as_ref().map_or(0, Vec::len) as u64 * 8)?;
        Ok((name, tensor))
    }

    /// A packed list of numbers; a list that has become too long is dropped.
    fn packed(&mut self, length: u64, list: &mut Option<Vec<i64>>) -> Kept<()> {
        if length > 10 * LONGEST_LIST as u64 {
            *list = None;
            return self.walker.skip(Field::Block(0, length));
        }
        let (mut value, mut shift) = (0u64, 0);
        for byte in self.walker.bytes(length)? {
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                add(list, value);
                (value, shift) = (0, 0);
            }
        }
        Ok(())
    }

    fn declared(&mut self, length: u64) -> Kept<Declared> {
        self.keep(size_of::<Declared>() as u64)?;
        let end = self.end(length);
        let mut declared = Declared::default();
        while let Some(field) = self.walker.next(end)? {
            match field {
                Field::Block(1, n) => declared.name = self.text(n)?,
                Field::Block(2, n) => self.tensor_type(n, &mut declared, 0)?,
                other => self.walker.skip(other)?,
            }
        }
        Ok(declared)
    }

    /// `TypeProto { tensor_type = 1 { elem_type = 1, shape = 2 { dim = 1 } } }`.
    fn tensor_type(&mut self, length: u64, declared: &mut Declared, level: usize) -> Kept<()> {
        let end = self.end(length);
        while let Some(field) = self.walker.next(end)? {
            match (level, field) {
                (0, Field::Block(1, n)) => self.tensor_type(n, declared, 1)?,
                (1, Field::Varint(1, value)) => declared.element = value,
                (1, Field::Block(2, n)) => {
                    declared.rank = Some(0);
                    self.tensor_type(n, declared, 2)?;
                }
                (2, Field::Block(1, _)) => {
                    declared.rank = declared.rank.map(|rank| rank + 1);
                    self.walker.skip(field)?;
                }
                (_, other) => self.walker.skip(other)?,
            }
        }
        Ok(())
    }
}

impl Tensor {
    fn sparse() -> Self {
        Self {
            rank: 2,
            ..Self::default()
        }
    }
}

/// The standard's own domain has two names.
fn standard(domain: String) -> String {
    if domain == "ai.onnx" {
        String::new()
    } else {
        domain
    }
}

fn add(list: &mut Option<Vec<i64>>, value: u64) {
    match list {
        Some(kept) if kept.len() < LONGEST_LIST => kept.push(value.cast_signed()),
        _ => *list = None,
    }
}

/// Little-endian whole numbers of the types that axes, shapes and flags have.
fn integers(kind: u64, bytes: &[u8]) -> Option<Vec<i64>> {
    match kind {
        element::INT64 => Some(
            bytes
                .chunks_exact(8)
                .map(bytemuck::pod_read_unaligned::<i64>)
                .collect(),
        ),
        element::INT32 => Some(
            bytes
                .chunks_exact(4)
                .map(|four| i64::from(bytemuck::pod_read_unaligned::<i32>(four)))
                .collect(),
        ),
        element::BOOL => Some(bytes.iter().map(|byte| i64::from(*byte)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
