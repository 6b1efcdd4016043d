//! Unusual inputs of a model's signature: extents of zero, and the extremes of each datatype.
//!
//! Native kernels exist that end the process on such inputs. They are run in a process that may be
//! ended by them, and those that ended it are refused where the model serves ([`InputGuard`]).

mod extreme;
mod guard;
mod trial;

use std::collections::BTreeSet;

pub use extreme::Extreme;
pub use guard::{InputGuard, UnsafeInput};
pub use trial::{EdgeTime, try_edges, try_rows};

use super::sample::{Guess, filled};
use serin_core::types::{Dimension, Signature, Tensor, TensorData, TensorSpec};

/// Most edges of values.
const MOST_VALUES: usize = 600;

/// Most edges of extents.
const MOST_ZEROS: usize = 128;

/// Inputs of whole or real numbers that are tried in pairs, at most.
const MOST_PAIRED: usize = 6;

/// With so few variable axes, every combination of zeros is tried.
const FEW_AXES: usize = 4;

/// One kind of unusual input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The optional input of this name is given.
    Given(String),
    /// The inputs of these names hold these values, each at least once.
    Values(Vec<(String, Extreme)>),
    /// These variable axes have extent 0, and no other variable one has.
    Zeros(ZeroAxes),
}

/// Axes by input and place.
pub type ZeroAxes = BTreeSet<(String, usize)>;

/// The edges of a signature, in the order in which they are tried: the same ones in every process.
/// Values come first, because extents that were not tried are refused.
pub fn edges(signature: &Signature) -> Vec<Edge> {
    let optional = signature.inputs.iter().filter(|input| input.optional);
    let mut found: Vec<Edge> = optional
        .map(|input| Edge::Given(input.name.clone()))
        .collect();
    found.extend(values(signature));
    found.truncate(MOST_VALUES);
    let mut combinations = zero_axes(signature);
    combinations.truncate(MOST_ZEROS);
    found.extend(combinations.into_iter().map(Edge::Zeros));
    found
}

/// Each extreme in each input, then two in one input, then in two inputs: a division overflows by
/// what its two factors are together.
fn values(signature: &Signature) -> Vec<Edge> {
    let of = |input: &TensorSpec, extreme| (input.name.clone(), extreme);
    let mut found = Vec::new();
    for input in &signature.inputs {
        for extreme in Extreme::of(input.datatype) {
            found.push(Edge::Values(vec![of(input, *extreme)]));
        }
    }
    let paired = || {
        let inputs = signature.inputs.iter();
        inputs
            .filter(|input| !Extreme::minus_one(input.datatype).is_empty())
            .take(MOST_PAIRED)
    };
    for first in paired() {
        for second in paired() {
            for least in Extreme::least(first.datatype) {
                for minus_one in Extreme::minus_one(second.datatype) {
                    found.push(Edge::Values(vec![
                        of(first, *least),
                        of(second, *minus_one),
                    ]));
                }
            }
        }
    }
    found
}

/// Combinations of variable axes: all of them where there are few, else each axis alone, those of one
/// name, the first ones, those of each input, and all.
fn zero_axes(signature: &Signature) -> Vec<ZeroAxes> {
    let variable = |input: &TensorSpec| -> Vec<(usize, String)> {
        let dimensions = input.shape.iter().flatten().enumerate();
        dimensions
            .filter_map(|(axis, dimension)| match dimension {
                Dimension::Variable(name) => Some((axis, name.clone())),
                Dimension::Fixed(_) => None,
            })
            .collect()
    };
    let mut axes: Vec<(String, usize)> = Vec::new();
    let mut groups: Vec<(String, ZeroAxes)> = Vec::new();
    let mut group =
        |key: String, axis: (String, usize)| match groups.iter_mut().find(|(name, _)| *name == key)
        {
            Some((_, axes)) => {
                axes.insert(axis);
            }
            None => groups.push((key, BTreeSet::from([axis]))),
        };
    for input in &signature.inputs {
        for (axis, name) in variable(input) {
            let place = (input.name.clone(), axis);
            axes.push(place.clone());
            if input.optional {
                continue;
            }
            group("all".to_owned(), place.clone());
            group(format!("input {}", input.name), place.clone());
            if axis == 0 {
                group("rows".to_owned(), place.clone());
            }
            if !name.is_empty() {
                group(format!("name {name}"), place);
            }
        }
    }
    let mut found: Vec<ZeroAxes> = Vec::new();
    let mut add = |axes: ZeroAxes| {
        if !axes.is_empty() && !found.contains(&axes) {
            found.push(axes);
        }
    };
    if axes.len() <= FEW_AXES {
        for chosen in 1..1usize << axes.len() {
            let of_bit = |(bit, axis): (usize, &(String, usize))| {
                (chosen >> bit & 1 == 1).then(|| axis.clone())
            };
            add(axes.iter().enumerate().filter_map(of_bit).collect());
        }
        return found;
    }
    for (_, group) in groups {
        add(group);
    }
    for axis in axes.into_iter().take(MOST_ZEROS) {
        add(BTreeSet::from([axis]));
    }
    found
}

impl Edge {
    /// Made-up requests that are this edge, of as few rows as it needs.
    pub(super) fn inputs(&self, signature: &Signature, guess: Guess) -> Vec<Vec<Tensor>> {
        match self {
            // As one that holds nothing unusual.
            Self::Given(name) => {
                let axes = ZeroAxes::from([(name.clone(), usize::MAX)]);
                with_zeros(signature, guess, &axes).into_iter().collect()
            }
            Self::Values(held) => (0..2)
                .filter_map(|variant| with_values(signature, guess, held, variant))
                .collect(),
            Self::Zeros(axes) => with_zeros(signature, guess, axes).into_iter().collect(),
        }
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Given(name) => format!("input '{name}', which may be left out"),
            Self::Values(held) => {
                let each: Vec<String> = held
                    .iter()
                    .map(|(input, extreme)| format!("{extreme} in input '{input}'"))
                    .collect();
                each.join(" and ")
            }
            Self::Zeros(axes) => describe_axes(axes),
        }
    }
}

/// `extent 0 on axis 1 of input 'x'`, for each.
pub(super) fn describe_axes(axes: &ZeroAxes) -> String {
    let each: Vec<String> = axes
        .iter()
        .map(|(input, axis)| format!("extent 0 on axis {axis} of input '{input}'"))
        .collect();
    each.join(" and ")
}

/// A request of one row with these extents zero.
fn with_zeros(signature: &Signature, guess: Guess, axes: &ZeroAxes) -> Option<Vec<Tensor>> {
    let touched = |input: &TensorSpec| axes.iter().any(|(name, _)| *name == input.name);
    let inputs = signature.inputs.iter().enumerate();
    inputs
        .filter(|(_, input)| !input.optional || touched(input))
        .map(|(at, input)| {
            let mut shape = shape_of(input, guess, 1);
            for (axis, extent) in shape.iter_mut().enumerate() {
                if axes.contains(&(input.name.clone(), axis)) {
                    *extent = 0;
                }
            }
            filled(input, shape, guess, at as u64)
        })
        .collect()
}

/// A request whose inputs hold these values: everywhere, then in the first element only;
/// two values of one input take turns, either first.
fn with_values(
    signature: &Signature,
    guess: Guess,
    held: &[(String, Extreme)],
    variant: usize,
) -> Option<Vec<Tensor>> {
    let of = |input: &TensorSpec| -> Vec<Extreme> {
        let here = held.iter().filter(|(name, _)| *name == input.name);
        here.map(|(_, extreme)| *extreme).collect()
    };
    // Two values of one input need two elements.
    let rows = signature.inputs.iter().map(|input| of(input).len()).max();
    let rows = i64::try_from(rows.unwrap_or(1).max(1)).ok()?;
    let inputs = signature.inputs.iter().enumerate();
    inputs
        .filter(|(_, input)| !input.optional || !of(input).is_empty())
        .map(|(at, input)| {
            let mut tensor = filled(input, shape_of(input, guess, rows), guess, at as u64)?;
            let values = of(input);
            let value = |place: usize| match values.as_slice() {
                [] => None,
                [only] => (variant == 0 || place == 0).then_some(*only),
                several => several.get((place + variant) % several.len()).copied(),
            };
            tensor.data = replaced(&tensor, value);
            Some(tensor)
        })
        .collect()
}

/// The elements of a tensor with some of them replaced.
fn replaced(tensor: &Tensor, value: impl Fn(usize) -> Option<Extreme>) -> TensorData {
    match &tensor.data {
        TensorData::Elements(elements) => {
            let each = elements.iter().enumerate().map(|(place, element)| {
                let bytes = value(place).and_then(|value| value.element(tensor.datatype));
                bytes.map_or_else(|| element.clone(), Into::into)
            });
            TensorData::Elements(each.collect())
        }
        TensorData::Raw(bytes) => {
            let width = tensor.datatype.width().unwrap_or(1);
            let mut bytes = bytes.to_vec();
            for (place, element) in bytes.chunks_exact_mut(width).enumerate() {
                if let Some(new) = value(place).and_then(|value| value.element(tensor.datatype)) {
                    element.copy_from_slice(&new);
                }
            }
            TensorData::Raw(bytes.into())
        }
    }
}

/// So many rows; two axes where nothing is declared.
fn shape_of(input: &TensorSpec, guess: Guess, rows: i64) -> Vec<i64> {
    let Some(dimensions) = &input.shape else {
        return vec![rows, guess.extent];
    };
    let extent = |(axis, dimension): (usize, &Dimension)| match dimension {
        Dimension::Fixed(extent) => *extent,
        Dimension::Variable(_) if axis == 0 => rows,
        Dimension::Variable(_) => guess.extent,
    };
    dimensions.iter().enumerate().map(extent).collect()
}

#[cfg(test)]
mod tests;
