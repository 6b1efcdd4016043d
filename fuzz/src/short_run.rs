//! The bounded run that belongs to the tests: the corpus, and mutations of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::mutate::{below, mutate};
use crate::{Target, corpus};

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Inputs of the corpus, seeds included.
    pub replayed: usize,
    /// Mutations of them.
    pub mutated: usize,
}

/// An input that made a target panic.
#[derive(Debug)]
pub struct Finding {
    /// The input.
    pub input: Vec<u8>,
    /// What the target said as it panicked.
    pub why: String,
}

/// Replays the target's corpus and tries up to `mutations` of it, ending early after `limit`.
///
/// # Errors
/// The first input that makes the target panic.
pub fn run(
    target: &Target,
    inputs: &[Vec<u8>],
    mutations: usize,
    limit: Duration,
) -> Result<Ran, Finding> {
    let begun = Instant::now();
    let mut ran = Ran::default();
    for input in inputs {
        attempt(target, input)?;
        ran.replayed += 1;
    }
    let mut random = Rng::with_seed(mutations as u64);
    while ran.mutated < mutations && begun.elapsed() < limit {
        let mut input = match inputs {
            [] => Vec::new(),
            inputs => inputs[below(&mut random, inputs.len())].clone(),
        };
        let other = inputs
            .get(below(&mut random, inputs.len()))
            .map_or(&[][..], Vec::as_slice);
        mutate(
            &mut input,
            other,
            target.dictionary,
            target.longest,
            &mut random,
        );
        attempt(target, &input)?;
        ran.mutated += 1;
    }
    Ok(ran)
}

/// The target's inputs in the tree, and its seeds.
///
/// # Errors
/// A corpus that cannot be read.
pub fn inputs(target: &Target) -> std::io::Result<Vec<Vec<u8>>> {
    corpus::read(target)
}

fn attempt(target: &Target, input: &[u8]) -> Result<(), Finding> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| Finding {
        input: input.to_vec(),
        why: panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_else(|| "it panicked without a message".to_owned()),
    })
}
