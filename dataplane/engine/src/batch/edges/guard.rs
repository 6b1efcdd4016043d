//! Refuses the inputs that ended the process in which a model was tried.

use std::collections::HashSet;

use super::{Edge, ZeroAxes, describe_axes, edges};
use serin_core::types::{Dimension, Signature, Tensor, TensorData};

/// What a model's edges did, as far as requests are refused for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputGuard {
    /// Optional inputs that ended the process when they were given.
    fatal_given: Vec<String>,
    /// Values that ended the process.
    fatal_values: Vec<Vec<(String, super::Extreme)>>,
    /// Combinations of extents that ended it.
    fatal_zeros: HashSet<ZeroAxes>,
    /// Combinations of extents that did not.
    survived_zeros: HashSet<ZeroAxes>,
}

/// Why a request is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsafeInput {
    /// The input to change.
    pub input: String,
    /// What is wrong with it, after its name, and what to do.
    pub why: String,
}

impl InputGuard {
    /// After the first `tried` edges of a signature were tried, of which those at `fatal` ended the
    /// process.
    pub fn new(signature: &Signature, tried: usize, fatal: &[usize]) -> Self {
        let mut guard = Self::default();
        for (at, edge) in edges(signature).into_iter().take(tried).enumerate() {
            match (edge, fatal.contains(&at)) {
                (Edge::Given(input), true) => guard.fatal_given.push(input),
                (Edge::Given(_), false) => {}
                (Edge::Values(held), true) => guard.fatal_values.push(held),
                (Edge::Values(_), false) => {}
                (Edge::Zeros(axes), true) => {
                    guard.fatal_zeros.insert(axes);
                }
                (Edge::Zeros(axes), false) => {
                    guard.survived_zeros.insert(axes);
                }
            }
        }
        guard
    }

    /// Whether values are refused: looking for them takes time by the size of a request.
    pub fn has_fatal_values(&self) -> bool {
        !self.fatal_values.is_empty()
    }

    /// Refuses optional inputs that did harm, and variable extents of 0 unless exactly these were tried and
    /// did none.
    ///
    /// # Errors
    /// [`UnsafeInput`].
    pub fn check_shapes(
        &self,
        inputs: &[Tensor],
        signature: &Signature,
    ) -> Result<(), UnsafeInput> {
        let given = |name: &&String| inputs.iter().any(|input| input.name == **name);
        if let Some(input) = self.fatal_given.iter().find(given) {
            return Err(UnsafeInput {
                input: input.clone(),
                why: "cannot be given: the model ended the process in which that was tried; leave it out".to_owned(),
            });
        }
        let mut axes = ZeroAxes::new();
        for input in inputs.iter().filter(|input| input.shape.contains(&0)) {
            let declared = signature.input(&input.name);
            let declared = declared.and_then(|spec| spec.shape.as_deref());
            for (axis, extent) in input.shape.iter().enumerate() {
                let dimension = declared.and_then(|dimensions| dimensions.get(axis));
                if *extent == 0 && !matches!(dimension, Some(Dimension::Fixed(_))) {
                    axes.insert((input.name.clone(), axis));
                }
            }
        }
        let Some((input, _)) = axes.first() else {
            return Ok(());
        };
        if self.survived_zeros.contains(&axes) {
            return Ok(());
        }
        let tried = match self.fatal_zeros.contains(&axes) {
            true => "the model ended the process in which that was tried",
            false => "the model was not tried with that",
        };
        Err(UnsafeInput {
            input: input.clone(),
            why: format!(
                "cannot be run with {}: {tried}; send at least one element",
                describe_axes(&axes)
            ),
        })
    }

    /// Refuses values that ended the process.
    ///
    /// # Errors
    /// [`UnsafeInput`].
    pub fn check_values(&self, inputs: &[Tensor]) -> Result<(), UnsafeInput> {
        let holds = |(name, extreme): &(String, super::Extreme)| {
            let mut inputs = inputs.iter();
            inputs.any(|input| input.name == *name && contains(input, *extreme))
        };
        for held in &self.fatal_values {
            if let ([(input, _), ..], true) = (held.as_slice(), held.iter().all(holds)) {
                return Err(UnsafeInput {
                    input: input.clone(),
                    why: format!(
                        "cannot be run with {}: the model ended the process in which that was tried; send other values",
                        Edge::Values(held.clone()).describe()
                    ),
                });
            }
        }
        Ok(())
    }
}

fn contains(tensor: &Tensor, extreme: super::Extreme) -> bool {
    match &tensor.data {
        TensorData::Elements(elements) => elements
            .iter()
            .any(|element| extreme.is(tensor.datatype, element)),
        TensorData::Raw(bytes) => bytes
            .chunks_exact(tensor.datatype.width().unwrap_or(1))
            .any(|element| extreme.is(tensor.datatype, element)),
    }
}
