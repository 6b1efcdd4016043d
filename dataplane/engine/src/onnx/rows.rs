//! Whether an ONNX graph shows that the rows of a batch influence each other: a pure pass over the
//! file's nodes, through local functions and subgraphs.
//!
//! It says "coupled" only where that is proved. [`operators::OPERATORS`] lists the operators and the
//! reasons; whatever is not proved here is left to trying the model out.

mod floats;
mod flow;
mod operators;
mod rearrange;
mod rules;
#[cfg(test)]
mod tests;
mod value;

use std::collections::HashMap;

use operators::find;
use value::{Call, Value};

use super::topology::{Function, Graph, Model, Node};

/// Most nodes, with the names they have, that are looked at, those of a function once for each call.
const MOST_NODES: usize = 1 << 20;

/// Deepest nesting of functions and subgraphs.
const DEEPEST: usize = 32;

/// Longest name of a node that is told, in characters.
const LONGEST_NAME: usize = 80;

/// What a graph says of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Why its rows may not share a run, where its structure shows that.
    pub(super) coupled: Option<String>,
    /// Whether it computes with quantised numbers anywhere.
    pub(super) quantised: bool,
    /// Tensors from which outputs of whole numbers and strings are made, floats as far as is known.
    pub(super) floats: Vec<String>,
}

/// Examines a model.
pub(super) fn examine(model: &Model) -> Findings {
    let mut walk = Walk {
        model,
        left: MOST_NODES,
        coupled: None,
        quantised: false,
    };
    let mut scope = vec![HashMap::new()];
    for input in &model.graph.inputs {
        let value = Value::of_input(input);
        scope[0].insert(input.name.as_str(), value);
    }
    walk.body(&model.graph, model.opset, &mut scope, 0);
    Findings {
        coupled: walk.coupled,
        quantised: walk.quantised,
        floats: floats::before_outputs(&model.graph, &scope[0]),
    }
}

type Scope<'m> = Vec<HashMap<&'m str, Value>>;

struct Walk<'m> {
    model: &'m Model,
    /// Nodes that may still be looked at.
    left: usize,
    coupled: Option<String>,
    quantised: bool,
}

impl<'m> Walk<'m> {
    /// Follows the rows through the nodes of a graph that its outputs depend on.
    fn body(&mut self, graph: &'m Graph, opset: i64, scope: &mut Scope<'m>, depth: usize) {
        let nodes = graph.nodes.iter();
        let names: usize = nodes
            .map(|node| 1 + node.inputs.len() + node.outputs.len())
            .sum();
        let size = names + graph.initializers.len() + graph.inner.len();
        match self.left.checked_sub(size) {
            Some(left) if depth <= DEEPEST => self.left = left,
            _ => return self.give_up(),
        }
        let declared: HashMap<&str, _> = graph
            .inner
            .iter()
            .chain(&graph.outputs)
            .map(|value| (value.name.as_str(), value))
            .collect();
        for (name, tensor) in &graph.initializers {
            set(scope, name, Value::of_tensor(tensor));
        }
        let outputs = graph.outputs.iter().map(|one| one.name.as_str());
        // The runtime leaves out what no output depends on.
        let needed = graph.needed_by(outputs.collect()).nodes;
        for (node, _) in graph.nodes.iter().zip(needed).filter(|(_, needed)| *needed) {
            if self.coupled.is_some() {
                return;
            }
            let values = self.node(node, opset, scope, depth);
            for (name, mut value) in node.outputs.iter().zip(values) {
                if let Some(declared) = declared.get(name.as_str()) {
                    value.learn(declared);
                }
                set(scope, name, value);
            }
        }
    }

    fn give_up(&mut self) {
        self.coupled.get_or_insert_with(|| {
            "its graph is too large or too deep to be examined for operators that mix rows"
                .to_owned()
        });
    }

    fn node(
        &mut self,
        node: &'m Node,
        opset: i64,
        scope: &mut Scope<'m>,
        depth: usize,
    ) -> Vec<Value> {
        let inputs = node.inputs.iter();
        let call = Call {
            node,
            opset,
            inputs: inputs
                .map(|name| (!name.is_empty()).then(|| look_up(scope, name)))
                .collect(),
        };
        self.quantised |= operators::is_quantised(node);
        if let Some(operator) = find(node)
            && let Some(case) = operator.couples(&call)
        {
            self.coupled = Some(told(node, operator.why, case));
            return Vec::new();
        }
        let functions = &self.model.functions;
        let key = (node.domain.clone(), node.operator.clone());
        if let Some(overloads) = functions.get(&key) {
            return self.function(overloads, &call, depth);
        }
        let branches = self.branches(node, opset, scope, depth);
        match branches {
            Some(values) => values,
            None => flow::outputs(&call),
        }
    }

    /// What a call of a local function gives; with overloads, what all of them give.
    fn function(&mut self, overloads: &'m [Function], call: &Call<'_>, depth: usize) -> Vec<Value> {
        let mut given: Option<Vec<Value>> = None;
        for function in overloads {
            let formals = function.inputs.iter().enumerate();
            let mut scope = vec![
                formals
                    .map(|(at, name)| {
                        let value = call.inputs.get(at).cloned().flatten();
                        (name.as_str(), value.unwrap_or_default())
                    })
                    .collect(),
            ];
            self.body(&function.body, function.opset, &mut scope, depth + 1);
            given = Some(join(given, results(&function.body, &scope)));
        }
        given.unwrap_or_default()
    }

    /// What a node with subgraphs gives; `None` where it has none.
    fn branches(
        &mut self,
        node: &'m Node,
        opset: i64,
        scope: &mut Scope<'m>,
        depth: usize,
    ) -> Option<Vec<Value>> {
        let mut given = None;
        for graph in node.graphs() {
            let formals = graph.inputs.iter();
            scope.push(
                formals
                    .map(|input| (input.name.as_str(), Value::of_formal(input)))
                    .collect(),
            );
            self.body(graph, opset, scope, depth + 1);
            let own = results(graph, scope);
            scope.pop();
            given = Some(join(given, own));
        }
        // Only the branches of `If` give what the node gives.
        given.map(|values| match node.operator.as_str() {
            "If" => values,
            _ => vec![Value::default(); node.outputs.len()],
        })
    }
}

fn set<'m>(scope: &mut Scope<'m>, name: &'m str, value: Value) {
    if let Some(own) = scope.last_mut() {
        own.insert(name, value);
    }
}

fn look_up(scope: &Scope<'_>, name: &str) -> Value {
    let found = scope.iter().rev().find_map(|level| level.get(name));
    found.cloned().unwrap_or_default()
}

fn results(graph: &Graph, scope: &Scope<'_>) -> Vec<Value> {
    let outputs = graph.outputs.iter();
    outputs.map(|output| look_up(scope, &output.name)).collect()
}

/// What is true of both.
fn join(before: Option<Vec<Value>>, now: Vec<Value>) -> Vec<Value> {
    match before {
        None => now,
        Some(before) => before
            .into_iter()
            .zip(now)
            .map(|(one, other)| one.join(&other))
            .collect(),
    }
}

/// The sentence that a refusal says.
fn told(node: &Node, why: &str, case: &str) -> String {
    let name: String = node
        .name
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_NAME)
        .collect();
    let place = if name.is_empty() {
        String::new()
    } else {
        format!(" (node '{name}')")
    };
    format!(
        "rows influence each other: the operator {}{place} {why} ({case})",
        node.operator
    )
}
