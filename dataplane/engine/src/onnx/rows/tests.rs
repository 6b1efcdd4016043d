use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::topology::{Attribute, Declared, Function, Graph, Model, Node, Setting, Tensor};
use super::operators::{OPERATORS, Refused};
use super::*;

const FLOAT: u64 = 1;
const INT64: u64 = 7;
const STRING: u64 = 8;

fn names(list: &str) -> Vec<String> {
    list.split_whitespace()
        .map(|name| if name == "-" { "" } else { name }.to_owned())
        .collect()
}

/// `domain.Operator`, `inputs`, `outputs`; "-" is an input that is left out.
fn node(operator: &str, inputs: &str, outputs: &str) -> Node {
    let (domain, operator) = operator.rsplit_once('.').unwrap_or(("", operator));
    Node {
        operator: operator.to_owned(),
        domain: domain.to_owned(),
        inputs: names(inputs),
        outputs: names(outputs),
        ..Node::default()
    }
}

impl Node {
    fn with(mut self, name: &str, value: Setting) -> Self {
        self.attributes.push(Attribute {
            name: name.to_owned(),
            value,
            graphs: Vec::new(),
        });
        self
    }

    fn integer(self, name: &str, value: i64) -> Self {
        self.with(name, Setting::Integer(value))
    }

    fn list(self, name: &str, values: &[i64]) -> Self {
        self.with(name, Setting::Integers(values.to_vec()))
    }

    fn text(self, name: &str, value: &str) -> Self {
        self.with(name, Setting::Text(value.to_owned()))
    }

    fn graph(mut self, name: &str, graph: Graph) -> Self {
        self.attributes.push(Attribute {
            name: name.to_owned(),
            graphs: vec![graph],
            ..Attribute::default()
        });
        self
    }
}

fn declared(name: &str, element: u64, rank: usize) -> Declared {
    Declared {
        name: name.to_owned(),
        element,
        rank: Some(rank),
    }
}

fn graph(nodes: Vec<Node>) -> Graph {
    Graph {
        nodes,
        outputs: vec![Declared {
            name: "y".to_owned(),
            ..Declared::default()
        }],
        ..Graph::default()
    }
}

/// Takes `x1`..`x4` of floats, `i2` of whole numbers and `s1` of strings, of these ranks with the
/// rows first; gives `y`. `w1`..`w3` are weights; `zero`, `one`, `minus`, `yes` are constants.
fn model(nodes: Vec<Node>) -> Model {
    let mut whole = graph(nodes);
    for rank in 1..=4 {
        let input = declared(&format!("x{rank}"), FLOAT, rank);
        whole.inputs.push(input);
        let weights = Tensor {
            element: FLOAT,
            rank,
            integers: None,
        };
        whole.initializers.insert(format!("w{rank}"), weights);
    }
    whole.inputs.push(declared("i2", INT64, 2));
    whole.inputs.push(declared("s1", STRING, 1));
    for (name, value) in [("zero", 0), ("one", 1), ("minus", -1), ("yes", 1)] {
        let constant = Tensor {
            element: INT64,
            rank: 1,
            integers: Some(vec![value]),
        };
        whole.initializers.insert(name.to_owned(), constant);
    }
    Model {
        graph: whole,
        functions: HashMap::new(),
        opset: 17,
    }
}

fn coupled(nodes: Vec<Node>) -> Option<String> {
    examine(&model(nodes)).coupled
}

/// Runs along the rows of `x2`; the state becomes what this operator makes.
fn scan(operator: &str, inputs: &str) -> Node {
    let mut body = graph(vec![
        node(operator, inputs, "next"),
        node("Sub", "state row", "out"),
    ]);
    body.inputs = vec![declared("state", FLOAT, 1), declared("row", FLOAT, 1)];
    body.outputs = vec![declared("next", FLOAT, 1), declared("out", FLOAT, 1)];
    node("Scan", "w1 x2", "last y")
        .integer("num_scan_inputs", 1)
        .graph("body", body)
}

/// For each operator that may be refused: a use of it that mixes rows, and one that does not.
fn uses() -> Vec<(Node, Node)> {
    let pair = |name: &str, bad: &str, good: &str| (node(name, bad, "y"), node(name, good, "y"));
    let mut uses = vec![
        pair("DynamicQuantizeLinear", "x2", "w2"),
        pair("com.microsoft.DynamicQuantizeMatMul", "x2 w2", "w2 w2"),
        pair("com.microsoft.DynamicQuantizeLSTM", "x3 w3", "w3 w3"),
        pair("Dropout", "x2 zero yes", "x2 zero zero"),
        (
            node("BatchNormalization", "x2 w1 w1 w1 w1", "y").integer("training_mode", 1),
            node("BatchNormalization", "x2 w1 w1 w1 w1", "y"),
        ),
        pair("Unique", "x1", "w1"),
        pair("com.microsoft.Unique", "x1", "w1"),
        (
            node("Compress", "x2 w1", "y").integer("axis", 0),
            node("Compress", "x2 w1", "y").integer("axis", 1),
        ),
        pair("TopK", "x1 one", "x2 one"),
        pair("ArgMax", "x2", "w2"),
        pair("ArgMin", "x2", "w2"),
        pair("LpNormalization", "x1", "x2"),
        pair("MeanVarianceNormalization", "x4", "w4"),
        pair("CumSum", "x2 zero", "x2 one"),
        pair("CumProd", "x2 zero", "x2 minus"),
        (
            node("DFT", "x3", "y").integer("axis", 0),
            node("DFT", "x3", "y"),
        ),
        (
            node("LSTM", "x3 w3 w3", "y"),
            node("LSTM", "x3 w3 w3", "y").integer("layout", 1),
        ),
        (
            node("GRU", "x3 w3 w3", "y"),
            node("GRU", "x3 w3 w3", "y").integer("layout", 1),
        ),
        (
            node("RNN", "x3 w3 w3", "y"),
            node("RNN", "x3 w3 w3", "y").integer("layout", 1),
        ),
        (scan("Add", "state row"), scan("Identity", "state")),
        (
            node("ReverseSequence", "x2 w1", "y"),
            node("ReverseSequence", "x2 w1", "y").integer("time_axis", 1),
        ),
        pair("MatMul", "w2 x2", "x2 w2"),
        pair("MatMulInteger", "w2 x2", "x2 w2"),
        pair("QLinearMatMul", "w2 w1 w1 x2", "x2 w1 w1 w2"),
        (
            node("Gemm", "x2 w2", "y").integer("transA", 1),
            node("Gemm", "x2 w2", "y").integer("transB", 1),
        ),
        (
            node("Einsum", "x2 w2", "y").text("equation", "ni,nj->ij"),
            node("Einsum", "x2 w2", "y").text("equation", "ni,ij->nj"),
        ),
        pair("com.microsoft.CDist", "x2 x2", "x2 w2"),
        pair("ai.onnx.ml.Normalizer", "x1", "x2"),
    ];
    for name in [
        "MatMulIntegerToFloat",
        "MatMulInteger16",
        "FusedMatMul",
        "TransposeMatMul",
    ] {
        uses.push(pair(&format!("com.microsoft.{name}"), "w2 x2", "x2 w2"));
    }
    for name in [
        "Softmax",
        "LogSoftmax",
        "Hardmax",
        "com.microsoft.QLinearSoftmax",
    ] {
        uses.push((
            node(name, "x2", "y").integer("axis", 0),
            node(name, "x2", "y").integer("axis", -1),
        ));
    }
    for name in [
        "com.microsoft.BiasSoftmax",
        "LayerNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
    ] {
        uses.push((
            node(name, "x3 w3", "y").integer("axis", 0),
            node(name, "x3 w3", "y").integer("axis", 1),
        ));
    }
    for name in [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "com.microsoft.QLinearReduceMean",
        "com.microsoft.ReduceSumInteger",
    ] {
        uses.push((
            node(name, "x2", "y"),
            node(name, "x2", "y").list("axes", &[1]),
        ));
    }
    for name in ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"] {
        uses.push((
            node(name, "x2 w1", "y"),
            node(name, "x2 w1", "y").text("reduction", "none"),
        ));
    }
    uses
}

#[test]
fn each_operator_of_the_table_is_refused_where_it_mixes_rows_and_nowhere_else() {
    let uses = uses();
    for operator in OPERATORS {
        for name in operator.names {
            let is_it = |node: &Node| node.operator == *name && node.domain == operator.domain;
            let known = uses.iter().find(|(bad, _)| is_it(bad));
            match operator.refused {
                Refused::Never => assert!(known.is_none(), "{name}"),
                Refused::When("whatever its input is", _) => {
                    let run = node(&format!("{}.{name}", operator.domain), "w1", "y");
                    let run = Node {
                        domain: operator.domain.to_owned(),
                        ..run
                    };
                    assert!(coupled(vec![run]).is_some(), "{name}");
                }
                Refused::When(..) => assert!(known.is_some(), "{name} has no test"),
            }
        }
    }
    for (bad, good) in uses {
        let name = bad.operator.clone();
        let reason = coupled(vec![bad]).unwrap_or_else(|| panic!("{name} is not refused"));
        assert!(reason.contains(&format!("operator {name} ")), "{reason}");
        assert_eq!(coupled(vec![good]), None, "{name}");
    }
}

#[test]
fn one_operator_has_one_entry() {
    let mut all: Vec<_> = OPERATORS
        .iter()
        .flat_map(|operator| operator.names.iter().map(|name| (operator.domain, *name)))
        .collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn quantisation_is_found_in_functions_and_subgraphs_at_any_depth() {
    let quantise = || graph(vec![node("DynamicQuantizeLinear", "a", "y s z")]);
    let function = |body: Graph| Function {
        inputs: vec!["a".to_owned()],
        body,
        opset: 17,
    };
    let mut whole = model(vec![node("local.Outer", "x2", "y")]);
    let mut call = |name: &str, body: Graph| {
        let key = ("local".to_owned(), name.to_owned());
        whole.functions.insert(key, vec![function(body)]);
    };
    let inner = graph(vec![
        node("Identity", "a", "b"),
        node("local.Inner", "b", "y"),
    ]);
    call("Inner", quantise());
    call(
        "Outer",
        graph(vec![node("Loop", "- -", "y").graph(
            "body",
            graph(vec![node("If", "c", "y").graph("then_branch", inner)]),
        )]),
    );
    let reason = examine(&whole).coupled.unwrap();
    assert!(
        reason.contains("operator DynamicQuantizeLinear "),
        "{reason}"
    );
    // The same function on weights does not touch the rows.
    whole.graph.nodes = vec![node("local.Inner", "w2", "q"), node("MatMul", "x2 q", "y")];
    assert_eq!(examine(&whole).coupled, None);
}

#[test]
fn a_function_that_calls_itself_or_doubles_ends_the_examination() {
    for body in [
        vec![node("local.F", "a", "y")],
        vec![node("local.F", "a", "b"), node("local.F", "b", "y")],
    ] {
        let mut whole = model(vec![node("local.F", "x2", "y")]);
        let function = Function {
            inputs: vec!["a".to_owned()],
            body: graph(body),
            opset: 17,
        };
        let key = ("local".to_owned(), "F".to_owned());
        whole.functions.insert(key, vec![function]);
        let reason = examine(&whole).coupled.unwrap();
        assert!(reason.contains("too deep"), "{reason}");
    }
}

#[test]
fn what_no_output_depends_on_is_not_looked_at() {
    let nodes = vec![
        node("DynamicQuantizeLinear", "x2", "q s z"),
        node("Relu", "x2", "y"),
    ];
    assert_eq!(coupled(nodes), None);
}

#[test]
fn rows_are_followed_where_they_go() {
    let mean = |of: &str, axis: i64| node("ReduceMean", of, "y").list("axes", &[axis]);
    // Time first, as recurrent networks have it: the rows are on the second axis there.
    let turned = || node("Transpose", "x3", "t").list("perm", &[1, 0, 2]);
    assert_eq!(coupled(vec![turned(), mean("t", 0)]), None);
    assert!(coupled(vec![turned(), mean("t", 1)]).is_some());
    assert_eq!(coupled(vec![turned(), node("LSTM", "t w3 w3", "y")]), None);
    let through = [
        vec![node("Reshape", "x3 shape", "t")],
        vec![
            node("Unsqueeze", "x2 zero", "u"),
            node("Squeeze", "u zero", "t"),
        ],
        vec![node("Conv", "x4 w4", "c"), node("Flatten", "c", "t")],
        vec![node("Gather", "w2 i2", "t")],
        vec![
            node("MatMul", "x2 w2", "m"),
            node("Add", "m w1", "a"),
            node("Relu", "a", "t"),
        ],
        vec![
            node("Slice", "x2 zero one one", "l"),
            node("Concat", "l x2", "t").integer("axis", 1),
        ],
        vec![node("ai.onnx.ml.LinearClassifier", "x2", "label t")],
    ];
    for mut nodes in through {
        let shape = Tensor {
            element: INT64,
            rank: 1,
            integers: Some(vec![0, -1]),
        };
        let mut fine = model(Vec::new());
        fine.graph.initializers.insert("shape".to_owned(), shape);
        let mut bad = model(Vec::new());
        bad.graph.initializers = fine.graph.initializers.clone();
        let last = nodes.last().unwrap().operator.clone();
        let again: Vec<Node> = nodes.iter().map(copy).collect();
        nodes.push(mean("t", 1));
        fine.graph.nodes = nodes;
        assert_eq!(examine(&fine).coupled, None, "{last}");
        bad.graph.nodes = again;
        bad.graph.nodes.push(mean("t", 0));
        assert!(examine(&bad).coupled.is_some(), "{last}");
    }
}

fn copy(node: &Node) -> Node {
    let mut copied = self::node(&node.operator, "", "");
    copied.domain.clone_from(&node.domain);
    copied.inputs.clone_from(&node.inputs);
    copied.outputs.clone_from(&node.outputs);
    for attribute in &node.attributes {
        if let Setting::Integer(value) = attribute.value {
            copied = copied.integer(&attribute.name, value);
        }
    }
    copied
}

#[test]
fn the_longest_text_of_a_batch_may_be_looked_for() {
    // A maximum of whole numbers sets a number of steps, which may be harmless.
    assert_eq!(coupled(vec![node("ReduceMax", "i2", "y")]), None);
    let as_float = vec![
        node("Cast", "i2", "f").integer("to", 1),
        node("ReduceMax", "f", "y"),
    ];
    assert!(coupled(as_float).is_some());
}

#[test]
fn an_operator_of_somebody_else_is_left_to_the_trial() {
    let nodes = vec![
        node("somebody.DynamicQuantizeLinear", "x2", "a"),
        node("ReduceMax", "a", "y"),
    ];
    let findings = examine(&model(nodes));
    assert_eq!(findings.coupled, None);
    assert!(!findings.quantised);
}

#[test]
fn the_floats_before_whole_numbers_and_strings_are_found() {
    let found = |nodes: Vec<Node>| examine(&model(nodes)).floats;
    let lookup = node("ai.onnx.ml.LabelEncoder", "a", "y").text("values_strings", "");
    let argmax = || node("ArgMax", "l", "a").integer("axis", 1);
    let logits = || node("MatMul", "x2 w2", "l");
    assert_eq!(found(vec![logits(), argmax(), lookup]), ["l"]);
    let classify = node("ai.onnx.ml.TreeEnsembleClassifier", "x2", "y scores");
    assert_eq!(found(vec![classify]), ["scores"]);
    assert_eq!(found(vec![node("Relu", "x2", "y")]), [""; 0]);
    // Nothing is made before them.
    assert_eq!(found(vec![node("Add", "i2 i2", "y")]), [""; 0]);
}

/// The page of the project's documents, wherever this crate stands in the tree.
fn page(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = here
        .ancestors()
        .map(|folder| folder.join("docs").join(name));
    folders.find(|path| path.exists()).unwrap()
}

#[test]
fn the_documents_show_this_table() {
    let rows: String = OPERATORS
        .iter()
        .map(|operator| {
            let names: Vec<_> = operator
                .names
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            let domain = match operator.domain {
                "" => "ai.onnx",
                domain => domain,
            };
            let case = match operator.refused {
                Refused::When(case, _) => case,
                Refused::Never => "never by itself",
            };
            format!(
                "| {} | {domain} | {case} | {} |\n",
                names.join(", "),
                operator.why
            )
        })
        .collect();
    let text = std::fs::read_to_string(page("models.md")).unwrap();
    assert!(text.contains(&rows), "docs/models.md should have:\n{rows}");
}
