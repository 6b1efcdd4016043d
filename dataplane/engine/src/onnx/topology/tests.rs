use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::super::rows::examine;
use super::*;

fn read(bytes: &[u8]) -> Option<Model> {
    Model::read(Cursor::new(bytes), bytes.len() as u64)
}

/// The test models, wherever this crate stands in the tree.
fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = here.ancestors().map(|folder| folder.join("tests/models"));
    folders.find(|path| path.exists()).unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.onnx"))).unwrap()
}

#[test]
fn nodes_functions_subgraphs_and_small_constants_are_kept() {
    let model = read(&bytes("coupled_function_int")).unwrap();
    assert_eq!(model.opset, 17);
    let operators = model.graph.nodes.iter().map(|node| node.operator.as_str());
    assert_eq!(
        operators.collect::<Vec<_>>(),
        ["Softmax", "Dense", "ArgMax"]
    );
    let argmax = model.graph.nodes.last().unwrap();
    assert!(matches!(
        argmax.attribute("axis"),
        Some(Setting::Integer(1))
    ));
    let key = ("example.local".to_owned(), "Dense".to_owned());
    let function = &model.functions[&key][0];
    assert_eq!((function.inputs.len(), function.opset), (4, 17));
    let input = &model.graph.inputs[0];
    assert_eq!((input.element, input.rank), (1, Some(2)));

    let model = read(&bytes("coupled_subgraph_int")).unwrap();
    let branches = model.graph.nodes.iter().flat_map(Node::graphs).count();
    assert_eq!(branches, 2);

    let model = read(&bytes("reversed_rows")).unwrap();
    let step = &model.graph.initializers["step"];
    assert_eq!((step.rank, step.integers.as_deref()), (1, Some(&[-1][..])));
    assert_eq!(
        read(&bytes("linear")).unwrap().graph.initializers["W"].rank,
        2
    );
}

#[test]
fn what_tensors_are_made_of_includes_what_subgraphs_read() {
    let model = read(&bytes("coupled_subgraph_int")).unwrap();
    let needed = model.graph.needed_by(vec!["L"]);
    assert!(needed.names.contains("U"), "the branches read it");
    assert!(!needed.names.contains("Y"));
    assert_eq!(needed.nodes.last(), Some(&false));
}

#[test]
fn no_part_and_no_changed_byte_of_a_model_breaks_the_examination() {
    for name in [
        "coupled_function_int",
        "coupled_subgraph_int",
        "two_inputs",
        "pairwise",
        "reversed_rows",
    ] {
        let whole = bytes(name);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            for flip in [0x01, 0x10, 0x80, 0xff] {
                changed[at] = whole[at] ^ flip;
                let _ = read(&changed).map(|model| examine(&model));
            }
            let _ = read(&whole[..at]).map(|model| examine(&model));
        }
    }
}

#[test]
fn a_graph_with_more_names_than_are_kept_is_not_read() {
    let field = |number: u8, content: &[u8]| {
        let mut length = content.len();
        let mut bytes = vec![number << 3 | 2];
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        [&bytes[..], content].concat()
    };
    let node = field(1, &field(1, &[b'x'; 60_000]));
    assert!(read(&field(7, &node.repeat(10))).is_some());
    assert!(read(&field(7, &node.repeat(600))).is_none());
}
