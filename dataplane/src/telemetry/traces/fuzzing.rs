//! The readers of this folder, for fuzz targets.

use super::context::Context;

/// The `traceparent` and `tracestate` that are passed on of those that came.
pub fn passed_on(parents: &[&[u8]], states: &[&[u8]]) -> Option<(String, String)> {
    let context = Context::read(parents.iter().copied(), states.iter().copied())?;
    Some((context.header(), context.state))
}
