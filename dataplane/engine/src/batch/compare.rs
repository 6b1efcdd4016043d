//! Whether rows were answered alike alone and together.

use half::{bf16, f16};

use super::merge::cut;
use serin_core::types::{Datatype, Tensor, TensorData};

/// Why rows may not be merged.
pub(super) type Refusal = String;

/// A merged answer may differ by this much of the row's largest value: other kernels run at other
/// sizes. Honest quantised networks were seen at 7e-4, plain ones at 1e-5, dependent rows at 1e-2
/// and more.
fn tolerance(datatype: Datatype) -> f64 {
    match datatype {
        Datatype::Fp16 => 5e-3,
        Datatype::Bf16 => 3e-2,
        _ => 1e-3,
    }
}

/// Compares the answers to single rows with those to the same rows together.
pub(super) fn check_rows(alone: &[Vec<Tensor>], merged: &[Tensor]) -> Result<f64, Refusal> {
    let total = alone.len();
    let mut worst = 0f64;
    for (row, own) in alone.iter().enumerate() {
        for (single, together) in own.iter().zip(merged) {
            let name = &single.name;
            if single.rows() != Some(1) {
                return Err(format!("output '{name}' does not have one row for one row"));
            }
            let Some(cut) = cut(together, total, row, 1) else {
                return Err(format!(
                    "output '{name}' does not have {total} rows for {total} rows"
                ));
            };
            let deviation = deviation(single, &cut).ok_or_else(|| {
                format!("rows influence each other: output '{name}' differs when rows run together")
            })?;
            if deviation > tolerance(single.datatype) {
                return Err(format!(
                    "rows influence each other: output '{name}' differs by {:.2} % when rows run together",
                    deviation * 100.0
                ));
            }
            worst = worst.max(deviation);
        }
    }
    Ok(worst)
}

/// The largest difference as a share of the largest value; `None` where no number says how
/// different they are.
fn deviation(a: &Tensor, b: &Tensor) -> Option<f64> {
    if a.shape != b.shape || a.datatype != b.datatype {
        return None;
    }
    let (TensorData::Raw(left), TensorData::Raw(right)) = (&a.data, &b.data) else {
        return (a.data == b.data).then_some(0.0);
    };
    let read: fn(&[u8]) -> f64 = match a.datatype {
        Datatype::Fp64 => |bytes| bytemuck::pod_read_unaligned(bytes),
        Datatype::Fp32 => |bytes| f64::from(bytemuck::pod_read_unaligned::<f32>(bytes)),
        Datatype::Fp16 => |bytes| bytemuck::pod_read_unaligned::<f16>(bytes).to_f64(),
        Datatype::Bf16 => |bytes| bytemuck::pod_read_unaligned::<bf16>(bytes).to_f64(),
        _ => return (left == right).then_some(0.0),
    };
    let width = a.datatype.width()?;
    let (mut largest, mut difference) = (0f64, 0f64);
    for (x, y) in left.chunks_exact(width).zip(right.chunks_exact(width)) {
        let (x, y) = (read(x), read(y));
        if x.is_finite() && y.is_finite() {
            largest = largest.max(x.abs()).max(y.abs());
            difference = difference.max((x - y).abs());
        } else if !(x == y || (x.is_nan() && y.is_nan())) {
            return None;
        }
    }
    Some(if difference == 0.0 {
        0.0
    } else {
        difference / largest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_equals_nan_and_nothing_else() {
        let tensor = |values: [f32; 2]| Tensor {
            name: "y".to_owned(),
            datatype: Datatype::Fp32,
            shape: vec![1, 2],
            data: TensorData::Raw(
                values
                    .iter()
                    .flat_map(|v| v.to_le_bytes())
                    .collect::<Vec<_>>()
                    .into(),
            ),
        };
        assert_eq!(
            deviation(&tensor([f32::NAN, 1.0]), &tensor([f32::NAN, 1.0])),
            Some(0.0)
        );
        assert_eq!(
            deviation(&tensor([f32::NAN, 1.0]), &tensor([0.0, 1.0])),
            None
        );
        assert_eq!(
            deviation(&tensor([0.0, 0.0]), &tensor([0.0, 0.5])),
            Some(1.0)
        );
    }
}
