//! One run of the engine for several requests: what to ask it for, and who gets what of its answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::merge::cut;
use super::queue::Entry;
use crate::{Engine, RunError, Stop};
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::Tensor;

/// Rows of a request; one that has none counts as one.
pub(super) fn entry_rows(entry: &Entry) -> usize {
    match &entry.mergeable {
        Some((_, rows)) => *rows,
        None => 1,
    }
}

/// Every output that somebody wants, ascending.
pub(super) fn wanted_outputs(entries: &[Entry]) -> Vec<usize> {
    let mut wanted: Vec<usize> = entries
        .iter()
        .flat_map(|entry| entry.work.outputs.iter().copied())
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Each request's own rows of the outputs it wants, in its order; `None` if an output of several
/// requests does not have a row for each row.
pub(super) fn scatter(
    entries: &[Entry],
    wanted: &[usize],
    outputs: &[Tensor],
    total: usize,
) -> Option<Vec<Vec<Tensor>>> {
    let mut start = 0;
    entries
        .iter()
        .map(|entry| {
            let rows = entry_rows(entry);
            let own = entry
                .work
                .outputs
                .iter()
                .map(|index| {
                    let output = outputs.get(wanted.binary_search(index).ok()?)?;
                    if entries.len() == 1 {
                        Some(output.clone())
                    } else {
                        cut(output, total, start, rows)
                    }
                })
                .collect();
            start += rows;
            own
        })
        .collect()
}

/// Runs the engine; a panic in it is this run's failure only.
pub(super) fn run(
    engine: &mut dyn Engine,
    inputs: &[Tensor],
    outputs: &[usize],
    stop: &Stop,
) -> Result<Vec<Tensor>, Fault> {
    match catch_unwind(AssertUnwindSafe(|| engine.run(inputs, outputs, stop))) {
        Ok(Ok(produced)) if produced.len() == outputs.len() => Ok(produced),
        Ok(Ok(_)) => Err(broken("it gave too few outputs")),
        Ok(Err(RunError::Failed(reason))) => Err(Fault::new(
            FaultKind::Inference,
            "inference_error",
            format!("the model failed on these inputs: {reason}"),
        )),
        Ok(Err(RunError::Stopped)) => Err(Fault::new(
            FaultKind::Cancelled,
            "cancelled",
            "the request was given up",
        )),
        Err(panic) => {
            tracing::error!(reason = panic_text(panic.as_ref()), "the engine panicked");
            Err(broken("it panicked"))
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

pub(super) fn broken(how: &str) -> Fault {
    Fault::new(
        FaultKind::Internal,
        "internal",
        format!("the engine broke while running this request: {how}"),
    )
}
