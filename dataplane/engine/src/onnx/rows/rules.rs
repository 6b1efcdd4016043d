//! When an operator mixes rows: each rule answers "yes" only where its inputs and attributes prove it.

use super::super::topology::Setting;
use super::value::{Axes, Call, Rows, Value, place};

/// Any input may differ from request to request.
pub(super) fn depends_on_inputs(call: &Call<'_>) -> bool {
    call.inputs
        .iter()
        .flatten()
        .any(|value| !value.is_constant())
}

/// Whatever goes in.
pub(super) fn whenever_run(_: &Call<'_>) -> bool {
    true
}

/// The first input has rows, whatever axis they are on.
pub(super) fn has_rows(call: &Call<'_>) -> bool {
    call.rows(0).is_some()
}

/// The axes that are reduced include that of the rows, and what is reduced are floats. Maxima and
/// sums of whole numbers find the longest text or the number of steps, and say nothing of a value.
pub(super) fn reduces_rows(call: &Call<'_>) -> bool {
    let floats = call.input(0).and_then(|value| value.float) == Some(true);
    floats && axes_have_rows(call, &|| call.axes(1))
}

/// As [`reduces_rows`], with axes from an attribute and integers allowed.
pub(super) fn sums_rows(call: &Call<'_>) -> bool {
    axes_have_rows(call, &|| call.axes(usize::MAX))
}

/// `MeanVarianceNormalization` includes the first axis unless told otherwise.
pub(super) fn normalises_rows(call: &Call<'_>) -> bool {
    axes_have_rows(call, &|| match call.node.attribute("axes") {
        None => Some(Axes::These(vec![0, 2, 3])),
        Some(_) => call.axes(usize::MAX),
    })
}

fn axes_have_rows(call: &Call<'_>, axes: &dyn Fn() -> Option<Axes>) -> bool {
    let covered = || {
        let (rows, rank) = call.rows(0)?;
        Some(axes()?.places(rank)?.contains(&rows))
    };
    covered().unwrap_or(false)
}

/// The axis of this attribute is that of the rows.
fn on_axis(call: &Call<'_>, default: i64) -> bool {
    is_rows(call, call.integer("axis", default))
}

fn is_rows(call: &Call<'_>, axis: Option<i64>) -> bool {
    let same = || {
        let (rows, rank) = call.rows(0)?;
        Some(place(axis?, rank)? == rows)
    };
    same().unwrap_or(false)
}

/// `axis` is the rows'; the first axis if there is none.
pub(super) fn first_axis(call: &Call<'_>) -> bool {
    on_axis(call, 0)
}

/// `axis` is the rows'; the last axis if there is none.
pub(super) fn last_axis(call: &Call<'_>) -> bool {
    on_axis(call, -1)
}

/// `axis` is the rows'; without one the tensor is flattened.
pub(super) fn flattened_or_axis(call: &Call<'_>) -> bool {
    match call.node.attribute("axis") {
        None => has_rows(call),
        Some(_) => on_axis(call, 0),
    }
}

/// The axis is a constant second input.
pub(super) fn second_input_axis(call: &Call<'_>) -> bool {
    is_rows(
        call,
        call.constant(1).and_then(|axis| axis.first().copied()),
    )
}

/// `DFT`: an attribute before opset 20, the third input since.
pub(super) fn transform_axis(call: &Call<'_>) -> bool {
    if call.opset < 20 {
        return on_axis(call, 1);
    }
    match call.input(2) {
        None => is_rows(call, Some(-2)),
        Some(_) => is_rows(
            call,
            call.constant(2).and_then(|axis| axis.first().copied()),
        ),
    }
}

/// Before opset 13 all axes from `axis` on are taken together, since then only that one.
pub(super) fn softmax(call: &Call<'_>) -> bool {
    match call.integer("opset", call.opset) {
        Some(13..) => last_axis(call),
        Some(_) => from_axis(call, 1),
        None => false,
    }
}

/// `BiasSoftmax` keeps the older meaning.
pub(super) fn bias_softmax(call: &Call<'_>) -> bool {
    from_axis(call, 1)
}

/// The rows are at `axis` or after it; normalisation of layers counts from the last.
pub(super) fn layer(call: &Call<'_>) -> bool {
    from_axis(call, -1)
}

fn from_axis(call: &Call<'_>, default: i64) -> bool {
    let covered = || {
        let (rows, rank) = call.rows(0)?;
        Some(rows >= place(call.integer("axis", default)?, rank)?)
    };
    covered().unwrap_or(false)
}

/// A vector is one row to it, so one number for each row is taken for the numbers of one row.
pub(super) fn vector(call: &Call<'_>) -> bool {
    call.rows(0).is_some_and(|(_, rank)| rank == 1)
}

/// Statistics of the batch: the training mode, or outputs that only it has.
pub(super) fn trains(call: &Call<'_>) -> bool {
    let statistics = call.node.outputs.iter().skip(1);
    call.integer("training_mode", 0) == Some(1)
        || statistics.filter(|name| !name.is_empty()).count() > 0
}

/// The training mode is switched on by a constant third input.
pub(super) fn drops(call: &Call<'_>) -> bool {
    call.constant(2).is_some_and(|mode| mode == [1])
}

/// A loss is summed or averaged over the rows unless `reduction` is `none`.
pub(super) fn loss(call: &Call<'_>) -> bool {
    let reduced = match call.node.attribute("reduction") {
        None => true,
        Some(Setting::Text(how)) => how != "none",
        Some(_) => false,
    };
    reduced && has_rows(call)
}

/// Steps of the sequence run along the rows.
pub(super) fn recurrent(call: &Call<'_>) -> bool {
    is_rows(call, call.integer("layout", 0))
}

/// Time is on the axis of the rows.
pub(super) fn reversed(call: &Call<'_>) -> bool {
    is_rows(call, call.integer("time_axis", 0))
}

/// A state is carried along the rows and changed by them. One that is only handed on, as distances
/// to fixed points are computed, is harmless.
pub(super) fn scans(call: &Call<'_>) -> bool {
    let along = || {
        let body = call.node.graphs().next()?;
        let scanned = usize::try_from(call.integer("num_scan_inputs", 0)?).ok()?;
        let states = call.inputs.len().checked_sub(scanned)?;
        let axis_of = |at: usize| match call.node.attribute("scan_input_axes") {
            None => Some(0),
            Some(Setting::Integers(axes)) => axes.get(at).copied(),
            Some(_) => None,
        };
        let on_rows = |at: usize| {
            let (rows, rank) = call.rows(states + at)?;
            Some(place(axis_of(at)?, rank)? == rows)
        };
        let rows: Vec<&str> = (0..scanned)
            .filter(|at| on_rows(*at) == Some(true))
            .filter_map(|at| body.inputs.get(states + at))
            .map(|formal| formal.name.as_str())
            .collect();
        let kept = body.outputs.iter().take(states);
        let names = kept.map(|output| output.name.as_str()).collect();
        let needed = body.needed_by(names).names;
        Some(call.opset >= 9 && rows.iter().any(|row| needed.contains(row)))
    };
    along().unwrap_or(false)
}

/// Sums over the rows, or multiplies each row with each other.
pub(super) fn matrix_product(call: &Call<'_>) -> bool {
    product(call, 1)
}

/// As [`matrix_product`], of operators that have scale and zero point between the factors.
pub(super) fn scaled_matrix_product(call: &Call<'_>) -> bool {
    product(call, 3)
}

fn product(call: &Call<'_>, second: usize) -> bool {
    let plain = ["transA", "transB", "transBatchA", "transBatchB"]
        .iter()
        .all(|name| call.integer(name, 0) == Some(0));
    let (Some(a), Some(b)) = (call.input(0), call.input(second)) else {
        return false;
    };
    plain && multiplies_rows(a, b)
}

fn multiplies_rows(a: &Value, b: &Value) -> bool {
    let summed_a = a.axis().is_some_and(|(rows, rank)| rows + 1 == rank);
    let summed_b = b
        .axis()
        .is_some_and(|(rows, rank)| rank == 1 || rows + 2 == rank);
    if summed_a || summed_b {
        return true;
    }
    // Not summed: rows on one and the same axis of the product, counted from its end, are pairwise
    // multiplied with themselves only.
    match (a.axis(), b.axis()) {
        (Some((a, a_rank)), Some((b, b_rank))) => a_rank - a != b_rank - b,
        _ => false,
    }
}

/// `Gemm` multiplies matrices that may each be transposed.
pub(super) fn gemm(call: &Call<'_>) -> bool {
    let turned = |at: usize, name: &str| {
        let mut value = call.input(at)?.clone();
        if call.integer(name, 0)? != 0
            && let Rows::Axis(axis) = &mut value.rows
        {
            *axis = 1usize.checked_sub(*axis)?;
        }
        Some(value)
    };
    let mixes = || {
        Some(multiplies_rows(
            &turned(0, "transA")?,
            &turned(1, "transB")?,
        ))
    };
    mixes().unwrap_or(false)
}

/// Distances of each row to each other one.
pub(super) fn distances(call: &Call<'_>) -> bool {
    call.rows(0).is_some() && call.rows(1).is_some()
}

/// The letter of the rows' axis is summed, or differs between operands.
pub(super) fn einsum(call: &Call<'_>) -> bool {
    let mixes = || {
        let equation: String = call
            .text("equation")?
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        let (operands, result) = equation.split_once("->")?;
        if equation.contains('.') {
            return None;
        }
        let mut letters = Vec::new();
        for (at, operand) in operands.split(',').enumerate() {
            if let Some((rows, rank)) = call.rows(at)
                && operand.chars().count() == rank
            {
                letters.push(operand.chars().nth(rows)?);
            }
        }
        let summed = letters.iter().any(|letter| !result.contains(*letter));
        letters.sort_unstable();
        letters.dedup();
        Some(summed || letters.len() > 1)
    };
    mixes().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn along(axis: usize, rank: usize) -> Value {
        Value {
            rows: Rows::Axis(axis),
            rank: Some(rank),
            ..Value::default()
        }
    }

    #[test]
    fn a_matrix_product_mixes_rows_only_where_it_sums_or_pairs_them() {
        let weights = Value {
            rows: Rows::Constant,
            rank: Some(2),
            ..Value::default()
        };
        assert!(!multiplies_rows(&along(0, 2), &weights));
        assert!(!multiplies_rows(&weights, &along(1, 2)));
        assert!(!multiplies_rows(&along(0, 4), &along(0, 4)));
        assert!(!multiplies_rows(&along(0, 3), &Value::default()));
        // Sums over the rows.
        assert!(multiplies_rows(&along(1, 2), &weights));
        assert!(multiplies_rows(&along(0, 1), &weights));
        assert!(multiplies_rows(&weights, &along(0, 2)));
        // Each row with each other.
        assert!(multiplies_rows(&along(0, 2), &along(1, 2)));
        assert!(multiplies_rows(&along(0, 2), &along(0, 3)));
    }
}
