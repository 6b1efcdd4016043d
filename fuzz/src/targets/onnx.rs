//! The walk through a model's file, against a reader that loads all of it.

use std::collections::BTreeSet;

use prost::Message;
use serin_engine::onnx::fuzzing as onnx;

use crate::Target;

pub const GRAPH: Target = Target {
    name: "onnx_graph",
    about: "every file that a model refers to is found, however it is hidden, or the model refused",
    run: graph,
    seeds: || {
        let mut seeds = vec![
            include_bytes!("../../../dataplane/tests/models/linear.onnx").to_vec(),
            include_bytes!("../../../dataplane/tests/models/scalar_input.onnx").to_vec(),
            include_bytes!("../../../dataplane/tests/models/coupled_function_int.onnx").to_vec(),
            include_bytes!("../../../dataplane/tests/models/coupled_subgraph_int.onnx").to_vec(),
        ];
        seeds.extend(
            [nested(1), nested(3), sparse()]
                .iter()
                .map(Message::encode_to_vec),
        );
        seeds
    },
    dictionary: &[
        "location",
        "weights.bin",
        "../secret",
        "\u{8}\u{8}",
        "\u{8}\u{7}:",
    ],
    longest: 4096,
};

fn graph(data: &[u8]) {
    let coupled = onnx::coupled_rows(data);
    assert!(coupled.is_none_or(|why| why.chars().count() < 600));
    let found = onnx::external_data(data);
    if let Err(why) = &found {
        assert!(!why.is_empty() && why.len() < 200, "{why}");
    }
    let (Ok(found), Ok(model)) = (found, Model::decode(data)) else {
        return;
    };
    let found: BTreeSet<_> = found.into_iter().map(String::into_bytes).collect();
    let mut wanted = BTreeSet::new();
    model.collect(&mut wanted);
    assert_eq!(found, wanted, "other files are found than are referred to");
}

pub const MESSAGE: Target = Target {
    name: "onnx_message",
    about: "what the runtime says is passed on in one bounded line",
    run: message,
    seeds: || {
        vec![b"Load model from /srv/models/a.onnx failed:/onnxruntime_src/core/graph/model.cc:182 Name:'/encoder/MatMul'".to_vec()]
    },
    dictionary: &[" /a/b", ".cc:", "'/a/b'", "\n"],
    longest: 2048,
};

fn message(data: &[u8]) {
    let Ok(said) = std::str::from_utf8(data) else {
        return;
    };
    let clean = onnx::clean(said);
    assert!(clean.len() <= 610 && !clean.contains('\n'), "{clean}");
    // What is cut off may have been the quote that a name needs.
    assert!(
        clean.ends_with('…') || onnx::clean(&clean) == clean,
        "{clean} is not clean yet"
    );
}

/// `ModelProto`, as far as it can hold tensors; field numbers are those of `onnx.proto`.
#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(message, repeated, tag = "7")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "11")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializers: Vec<Sparse>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(message, optional, tag = "5")]
    tensor: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<Graph>,
    #[prost(message, optional, tag = "22")]
    sparse: Option<Sparse>,
    #[prost(message, repeated, tag = "23")]
    sparses: Vec<Sparse>,
}

#[derive(Clone, PartialEq, Message)]
struct Sparse {
    #[prost(message, optional, tag = "1")]
    values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    indices: Option<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

impl Model {
    fn collect(&self, found: &mut BTreeSet<Vec<u8>>) {
        self.graph.iter().for_each(|graph| graph.collect(found));
        for function in &self.functions {
            function.nodes.iter().for_each(|node| node.collect(found));
            function
                .attributes
                .iter()
                .for_each(|attribute| attribute.collect(found));
        }
    }
}

impl Graph {
    fn collect(&self, found: &mut BTreeSet<Vec<u8>>) {
        self.nodes.iter().for_each(|node| node.collect(found));
        self.initializers
            .iter()
            .for_each(|tensor| tensor.collect(found));
        self.sparse_initializers
            .iter()
            .for_each(|sparse| sparse.collect(found));
    }
}

impl Node {
    fn collect(&self, found: &mut BTreeSet<Vec<u8>>) {
        self.attributes
            .iter()
            .for_each(|attribute| attribute.collect(found));
    }
}

impl Attribute {
    fn collect(&self, found: &mut BTreeSet<Vec<u8>>) {
        self.tensor
            .iter()
            .chain(&self.tensors)
            .for_each(|tensor| tensor.collect(found));
        self.graph
            .iter()
            .chain(&self.graphs)
            .for_each(|graph| graph.collect(found));
        self.sparse
            .iter()
            .chain(&self.sparses)
            .for_each(|sparse| sparse.collect(found));
    }
}

impl Sparse {
    fn collect(&self, found: &mut BTreeSet<Vec<u8>>) {
        self.values
            .iter()
            .chain(&self.indices)
            .for_each(|tensor| tensor.collect(found));
    }
}

impl Tensor {
    fn collect(&self, found: &mut BTreeSet<Vec<u8>>) {
        let locations = self
            .external_data
            .iter()
            .filter(|entry| entry.key == b"location");
        found.extend(locations.map(|entry| entry.value.clone()));
    }
}

fn outside(location: &str) -> Tensor {
    Tensor {
        external_data: vec![Entry {
            key: b"location".to_vec(),
            value: location.as_bytes().to_vec(),
        }],
    }
}

/// A model with a reference in subgraphs this deep.
fn nested(levels: usize) -> Model {
    let mut graph = Graph {
        initializers: vec![outside("w.bin")],
        ..Default::default()
    };
    for level in 0..levels {
        let attribute = Attribute {
            graph: (level % 2 == 0).then(|| graph.clone()),
            graphs: if level % 2 == 0 {
                Vec::new()
            } else {
                vec![graph]
            },
            tensors: vec![outside("t.bin")],
            ..Default::default()
        };
        graph = Graph {
            nodes: vec![Node {
                attributes: vec![attribute],
            }],
            ..Default::default()
        };
    }
    Model {
        ir_version: 8,
        graph: Some(graph),
        functions: Vec::new(),
    }
}

fn sparse() -> Model {
    let sparse = Sparse {
        values: Some(outside("v.bin")),
        indices: Some(outside("../secret")),
    };
    let attribute = Attribute {
        sparse: Some(sparse.clone()),
        sparses: vec![sparse.clone()],
        ..Default::default()
    };
    Model {
        ir_version: 8,
        graph: Some(Graph {
            sparse_initializers: vec![sparse],
            ..Default::default()
        }),
        functions: vec![Function {
            nodes: Vec::new(),
            attributes: vec![attribute],
        }],
    }
}
