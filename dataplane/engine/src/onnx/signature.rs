//! What a model takes and gives, from the runtime's lists and the file's own declarations.

use ort::session::Session;
use ort::value::{Outlet, ValueType};

use super::graph::GraphFile;
use super::value::datatype;
use serin_core::types::{Dimension, Signature, TensorSpec};

/// Why a model that loads cannot be served.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Unservable {
    #[error("its input '{name}' is {kind}, which no request can carry")]
    Input { name: String, kind: String },
    #[error(
        "none of its outputs can be sent in a reply ({0}): add an output of a plain tensor type"
    )]
    NoOutput(String),
}

/// Reads the signature of a session.
pub(super) fn read(session: &Session, graph: &GraphFile) -> Result<Signature, Unservable> {
    let mut inputs = Vec::new();
    for outlet in session.inputs() {
        inputs.push(
            spec(outlet.name(), outlet.dtype(), graph, false).ok_or_else(|| Unservable::Input {
                name: outlet.name().to_owned(),
                kind: kind(outlet.dtype()),
            })?,
        );
    }
    // An input with a default may be of any type: a request then cannot replace it.
    inputs.extend(
        session
            .overridable_initializers()
            .iter()
            .filter_map(|input| spec(input.name(), input.dtype(), graph, true)),
    );
    let mut outputs = Vec::new();
    let mut unserved_outputs = Vec::new();
    for outlet in session.outputs() {
        match spec(outlet.name(), outlet.dtype(), graph, false) {
            Some(output) => outputs.push(output),
            None => unserved_outputs.push(outlet),
        }
    }
    if outputs.is_empty() {
        return Err(Unservable::NoOutput(list(&unserved_outputs)));
    }
    if !unserved_outputs.is_empty() {
        tracing::warn!(
            outputs = list(&unserved_outputs),
            "these outputs have types that the protocol has no name for and are not served"
        );
    }
    Ok(Signature {
        inputs,
        outputs,
        unserved_outputs: unserved_outputs
            .into_iter()
            .map(|outlet| outlet.name().to_owned())
            .collect(),
        producer: graph.producer.clone(),
    })
}

fn list(outlets: &[&Outlet]) -> String {
    outlets
        .iter()
        .map(|outlet| format!("'{}' is {}", outlet.name(), kind(outlet.dtype())))
        .collect::<Vec<_>>()
        .join(", ")
}

fn spec(name: &str, value: &ValueType, graph: &GraphFile, optional: bool) -> Option<TensorSpec> {
    let ValueType::Tensor {
        ty,
        shape,
        dimension_symbols,
    } = value
    else {
        return None;
    };
    let declared = graph.shape(name).cloned().unwrap_or_else(|| {
        // Not listed in the file: what the runtime inferred.
        Some(
            shape
                .iter()
                .zip(dimension_symbols.iter())
                .map(|(extent, symbol)| match *extent {
                    extent if extent >= 0 => Dimension::Fixed(extent),
                    _ => Dimension::Variable(symbol.clone()),
                })
                .collect(),
        )
    });
    Some(TensorSpec {
        name: name.to_owned(),
        datatype: datatype(*ty)?,
        shape: declared,
        optional,
    })
}

fn kind(value: &ValueType) -> String {
    match value {
        ValueType::Tensor { ty, .. } => format!("a tensor of {ty}"),
        ValueType::Sequence(_) => "a sequence".to_owned(),
        ValueType::Map { .. } => "a map".to_owned(),
        ValueType::Optional(_) => "an optional value".to_owned(),
    }
}
