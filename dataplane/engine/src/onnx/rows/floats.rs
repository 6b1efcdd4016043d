//! The floats before outputs of whole numbers and strings: an argmax may be the same although what
//! it was taken of is not.

use std::collections::{HashMap, HashSet};

use super::super::topology::{Graph, Node};
use super::value::Value;

/// Most tensors that are named; a model's outputs have one or two each.
const MOST: usize = 16;

/// The tensors nearest before the outputs that are no floats, those of unknown type included.
pub(super) fn before_outputs(graph: &Graph, values: &HashMap<&str, Value>) -> Vec<String> {
    let makers: HashMap<&str, &Node> = graph
        .nodes
        .iter()
        .flat_map(|node| node.outputs.iter().map(move |name| (name.as_str(), node)))
        .collect();
    let is_float = |name: &str| values.get(name).and_then(|value| value.float);
    let outputs: HashSet<&str> = graph.outputs.iter().map(|one| one.name.as_str()).collect();
    let mut open: Vec<&str> = outputs
        .iter()
        .copied()
        .filter(|name| is_float(name) != Some(true))
        .collect();
    open.sort_unstable();
    let mut seen: HashSet<&str> = open.iter().copied().collect();
    let mut found: Vec<String> = Vec::new();
    while let Some(name) = open.pop() {
        let Some(node) = makers.get(name) else {
            continue;
        };
        // A classifier gives its scores beside the label.
        let beside = node.outputs.iter().filter(|other| *other != name);
        let scores = beside.filter(|other| is_float(other) == Some(true));
        for near in node.inputs.iter().chain(scores) {
            let made = makers.contains_key(near.as_str());
            if !made || near.is_empty() || !seen.insert(near) {
                continue;
            }
            if is_float(near) != Some(false) && !outputs.contains(near.as_str()) {
                if found.len() == MOST {
                    return found;
                }
                found.push(near.clone());
            }
            if is_float(near) != Some(true) {
                open.push(near);
            }
        }
    }
    found
}
