//! The classification extension: the best scores of an output with their indices and labels. Pure.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::num::NonZeroUsize;

use bytes::Bytes;

use serin_core::fault::{Fault, FaultKind};
use serin_core::types::{Datatype, Tensor, TensorData, TensorSpec};

/// Most scores of a row.
const MOST_SCORES: usize = 1_000_000;

/// Whether an output's elements can be ranked and written as text, by its declared datatype.
///
/// # Errors
/// `BadTensor` for words and short floats, which Triton does not rank either.
pub(super) fn check(spec: &TensorSpec) -> Result<(), Fault> {
    match spec.datatype {
        Datatype::Bytes | Datatype::Fp16 | Datatype::Bf16 => Err(unclassifiable(
            &spec.name,
            &format!("{} has no classes; ask for its values", spec.datatype),
        )),
        _ => Ok(()),
    }
}

/// The `wanted` highest scores of each row, highest first and equal ones in their order, as BYTES
/// `value:index` or `value:index:label`. NaN ranks lowest.
///
/// From the second axis on everything is one row's scores; a tensor with a single axis is one row.
/// Labels are added where a row has as many scores as there are labels: an output of another length
/// tells something else.
///
/// # Errors
/// `BadTensor` for rows of more than a million scores.
pub(super) fn classify(
    tensor: &Tensor,
    wanted: NonZeroUsize,
    labels: &[String],
) -> Result<Tensor, Fault> {
    let (rows, classes) = match tensor.shape.as_slice() {
        [] => (None, Some(1)),
        [_] => (None, Tensor::element_count(&tensor.shape)),
        [rows, rest @ ..] => (Some(*rows), Tensor::element_count(rest)),
    };
    let classes = classes
        .filter(|classes| *classes <= MOST_SCORES)
        .ok_or_else(|| {
            let what = format!("a row has more than {MOST_SCORES} scores");
            unclassifiable(&tensor.name, &what)
        })?;
    let kept = wanted.get().min(classes);
    let labels = Some(labels).filter(|labels| labels.len() == classes);
    let TensorData::Raw(bytes) = &tensor.data else {
        return Err(unclassifiable(&tensor.name, "BYTES has no classes"));
    };
    let ranked = Ranked {
        bytes,
        classes,
        kept,
        labels,
    };
    let elements = match tensor.datatype {
        Datatype::Bool | Datatype::Uint8 => ranked.of(u8::from_le_bytes),
        Datatype::Uint16 => ranked.of(u16::from_le_bytes),
        Datatype::Uint32 => ranked.of(u32::from_le_bytes),
        Datatype::Uint64 => ranked.of(u64::from_le_bytes),
        Datatype::Int8 => ranked.of(i8::from_le_bytes),
        Datatype::Int16 => ranked.of(i16::from_le_bytes),
        Datatype::Int32 => ranked.of(i32::from_le_bytes),
        Datatype::Int64 => ranked.of(i64::from_le_bytes),
        Datatype::Fp32 => ranked.of(f32::from_le_bytes),
        Datatype::Fp64 => ranked.of(f64::from_le_bytes),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Bytes => {
            return Err(unclassifiable(&tensor.name, "its datatype has no classes"));
        }
    };
    let kept = i64::try_from(kept).unwrap_or(i64::MAX);
    Ok(Tensor {
        name: tensor.name.clone(),
        datatype: Datatype::Bytes,
        shape: rows.into_iter().chain([kept]).collect(),
        data: TensorData::Elements(elements),
    })
}

fn unclassifiable(output: &str, what: &str) -> Fault {
    let message = format!("output '{output}' cannot be classified: {what}");
    Fault::new(FaultKind::BadTensor, "unclassifiable_output", message).with_param(output)
}

/// A value that is ranked and written.
trait Score: Copy + PartialOrd {
    fn write(self, text: &mut String);
}

macro_rules! whole {
    ($($integer:ty)*) => {$(
        impl Score for $integer {
            fn write(self, text: &mut String) {
                // Writing to a string does not fail.
                let _ = write!(text, "{self}");
            }
        }
    )*};
}

whole! { u8 u16 u32 u64 i8 i16 i32 i64 }

impl Score for f64 {
    /// As C++'s `std::to_string`, which Triton writes scores by.
    fn write(self, text: &mut String) {
        let _ = if self.is_nan() {
            write!(text, "nan")
        } else {
            write!(text, "{self:.6}")
        };
    }
}

impl Score for f32 {
    fn write(self, text: &mut String) {
        f64::from(self).write(text);
    }
}

/// Highest first, NaN last, then by index.
fn order<T: Score>(one: &(T, usize), other: &(T, usize)) -> Ordering {
    let by_value = other.0.partial_cmp(&one.0).unwrap_or_else(|| {
        let is_nan = |value: T| value.partial_cmp(&value).is_none();
        is_nan(one.0).cmp(&is_nan(other.0))
    });
    by_value.then(one.1.cmp(&other.1))
}

struct Ranked<'a> {
    bytes: &'a [u8],
    classes: usize,
    kept: usize,
    labels: Option<&'a [String]>,
}

impl Ranked<'_> {
    fn of<T: Score, const WIDTH: usize>(&self, read: impl Fn([u8; WIDTH]) -> T) -> Vec<Bytes> {
        let (values, _) = self.bytes.as_chunks::<WIDTH>();
        let mut elements = Vec::new();
        if self.kept == 0 {
            return elements;
        }
        let mut scores: Vec<(T, usize)> = Vec::with_capacity(self.classes);
        for row in values.chunks_exact(self.classes) {
            scores.clear();
            scores.extend(row.iter().enumerate().map(|(at, bytes)| (read(*bytes), at)));
            if self.kept < scores.len() {
                scores.select_nth_unstable_by(self.kept, order);
                scores.truncate(self.kept);
            }
            scores.sort_unstable_by(order);
            elements.extend(scores.iter().map(|(value, at)| self.element(*value, *at)));
        }
        elements
    }

    fn element(&self, value: impl Score, at: usize) -> Bytes {
        let mut text = String::new();
        value.write(&mut text);
        let _ = write!(text, ":{at}");
        if let Some(label) = self.labels.and_then(|labels| labels.get(at)) {
            let _ = write!(text, ":{label}");
        }
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests;
