//! Where rows go in operators that move, add or remove axes, or that pick elements.

use super::super::topology::Setting;
use super::value::{Call, Rows, Value, place};

/// Nothing is known of rows on an axis that a malformed node makes up.
pub(super) fn along(axis: usize, rank: usize) -> Value {
    if axis >= rank {
        return Value::default();
    }
    Value {
        rows: Rows::Axis(axis),
        rank: Some(rank),
        ..Value::default()
    }
}

pub(super) fn remove(rows: usize, rank: usize, gone: &[usize]) -> Option<Value> {
    let before = gone.iter().filter(|at| **at < rows).count();
    Some(along(
        rows.checked_sub(before)?,
        rank.checked_sub(gone.len())?,
    ))
}

pub(super) fn kind(call: &Call<'_>) -> Option<bool> {
    call.input(0).and_then(|value| value.float)
}

pub(super) fn transposed(call: &Call<'_>) -> Value {
    let turned = || {
        let (rows, rank) = call.rows(0)?;
        let to = match call.node.attribute("perm") {
            None => rank - 1 - rows,
            Some(Setting::Integers(order)) => order
                .iter()
                .position(|from| usize::try_from(*from) == Ok(rows))?,
            Some(_) => return None,
        };
        Some(along(to, rank))
    };
    turned().unwrap_or_default().typed(kind(call))
}

/// The axes of an attribute in older opsets, of the second input since.
fn listed(call: &Call<'_>, input: usize) -> Option<Vec<i64>> {
    match call.node.attribute("axes") {
        Some(Setting::Integers(axes)) => Some(axes.clone()),
        Some(_) => None,
        None => call.constant(input).map(<[i64]>::to_vec),
    }
}

pub(super) fn squeezed(call: &Call<'_>) -> Value {
    let rest = || {
        let (rows, rank) = call.rows(0)?;
        let axes = listed(call, 1)?;
        let gone: Vec<usize> = axes
            .iter()
            .map(|axis| place(*axis, rank))
            .collect::<Option<_>>()?;
        if gone.contains(&rows) {
            return None;
        }
        remove(rows, rank, &gone)
    };
    rest().unwrap_or_default().typed(kind(call))
}

pub(super) fn unsqueezed(call: &Call<'_>) -> Value {
    let more = || {
        let (rows, rank) = call.rows(0)?;
        let axes = listed(call, 1)?;
        let rank = rank + axes.len();
        let new: Vec<usize> = axes
            .iter()
            .map(|axis| place(*axis, rank))
            .collect::<Option<_>>()?;
        let mut old = (0..rank).filter(|at| !new.contains(at));
        Some(along(old.nth(rows)?, rank))
    };
    more().unwrap_or_default().typed(kind(call))
}

pub(super) fn flattened(call: &Call<'_>) -> Value {
    let flat = match (call.rows(0), call.integer("axis", 1)) {
        (Some((0, _)), Some(1..)) => along(0, 2),
        _ => Value::default(),
    };
    flat.typed(kind(call))
}

/// A constant shape that keeps the first axis, or lets it take what the others leave.
pub(super) fn reshaped(call: &Call<'_>) -> Value {
    let kept = || {
        let (0, _) = call.rows(0)? else { return None };
        let shape = match call.node.attribute("shape") {
            Some(Setting::Integers(shape)) => shape,
            Some(_) => return None,
            None => call.constant(1)?,
        };
        let (first, others) = shape.split_first()?;
        let copied = *first == 0 && call.integer("allowzero", 0)? == 0;
        let rest = *first == -1 && others.iter().all(|extent| *extent > 0);
        (copied || rest).then(|| along(0, shape.len()))
    };
    kept().unwrap_or_default().typed(kind(call))
}

pub(super) fn gathered(call: &Call<'_>) -> Value {
    let found = || {
        let (data, indices) = (call.input(0)?, call.input(1)?);
        let (data_rank, index_rank) = (data.rank?, indices.rank?);
        let axis = place(call.integer("axis", 0)?, data_rank)?;
        let rank = (data_rank + index_rank).checked_sub(1)?;
        match (data.axis(), indices.axis()) {
            (Some((rows, _)), None) if indices.is_constant() && rows < axis => {
                Some(along(rows, rank))
            }
            (Some((rows, _)), None) if indices.is_constant() && rows > axis => {
                Some(along((rows + index_rank).checked_sub(1)?, rank))
            }
            (None, Some((rows, _))) if data.is_constant() => Some(along(rows + axis, rank)),
            _ => None,
        }
    };
    found().unwrap_or_default().typed(kind(call))
}

/// Only other axes than that of the rows are touched.
pub(super) fn spared(call: &Call<'_>, axis: Option<i64>) -> Value {
    let whole = || {
        let (rows, rank) = call.rows(0)?;
        (place(axis?, rank)? != rows).then(|| along(rows, rank))
    };
    whole().unwrap_or_default()
}

pub(super) fn sliced(call: &Call<'_>) -> Value {
    let whole = || {
        let (rows, rank) = call.rows(0)?;
        let axes = listed(call, 3)?;
        let untouched = axes.iter().all(|axis| place(*axis, rank) != Some(rows));
        untouched.then(|| along(rows, rank))
    };
    whole().unwrap_or_default().typed(kind(call))
}

pub(super) fn joined(call: &Call<'_>) -> Value {
    let whole = || {
        let (rows, rank) = call.inputs.iter().flatten().find_map(Value::axis)?;
        let alike = call
            .inputs
            .iter()
            .flatten()
            .all(|value| value.axis() == Some((rows, rank)));
        let axis = place(call.integer("axis", i64::MIN)?, rank)?;
        (alike && axis != rows).then(|| along(rows, rank))
    };
    whole().unwrap_or_default().typed(kind(call))
}
