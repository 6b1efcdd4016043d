//! Made-up inputs of a model's signature: for warm-up, and to find out whether rows influence each
//! other.

use bytes::{Bytes, BytesMut};
use half::{bf16, f16};

use serin_core::types::{Datatype, Dimension, Signature, Tensor, TensorData, TensorSpec};

/// What the signature leaves open: the extent of variable axes other than the first, and the
/// largest whole number (token ids, categories and indices have a range that nobody declares).
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub(super) extent: i64,
    pub(super) largest: u64,
}

/// Guesses in the order tried. Equal extents everywhere satisfy any equality between axes.
pub(super) const GUESSES: [Guess; 6] = [
    Guess {
        extent: 4,
        largest: 9,
    },
    Guess {
        extent: 16,
        largest: 1,
    },
    Guess {
        extent: 1,
        largest: 9,
    },
    Guess {
        extent: 64,
        largest: 1,
    },
    Guess {
        extent: 1,
        largest: 0,
    },
    Guess {
        extent: 224,
        largest: 1,
    },
];

/// Rows differ in size by these factors, so that a quantity taken over all rows (a maximum, a
/// scale) shows in the small ones.
const SCALES: [f64; 5] = [1.0, 0.1, 10.0, 3.0, 0.03];

/// Required inputs of `rows` rows each. Row `i` of a seed is the same whatever `rows` is. `None`
/// where an input declares no shape at all.
pub(super) fn sample(
    signature: &Signature,
    rows: usize,
    guess: Guess,
    seed: u64,
) -> Option<Vec<Tensor>> {
    signature
        .inputs
        .iter()
        .filter(|input| !input.optional)
        .enumerate()
        .map(|(at, input)| tensor(input, rows, guess, seed.wrapping_add(at as u64 * 1000)))
        .collect()
}

fn tensor(input: &TensorSpec, rows: usize, guess: Guess, seed: u64) -> Option<Tensor> {
    let mut shape: Vec<i64> = Vec::new();
    for (axis, dimension) in input.shape.as_ref()?.iter().enumerate() {
        shape.push(match dimension {
            Dimension::Fixed(extent) => *extent,
            Dimension::Variable(_) if axis == 0 => i64::try_from(rows).ok()?,
            Dimension::Variable(_) => guess.extent,
        });
    }
    filled(input, shape, guess, seed)
}

/// An input of this shape with made-up elements; `None` where it would be too large.
pub(super) fn filled(
    input: &TensorSpec,
    shape: Vec<i64>,
    guess: Guess,
    seed: u64,
) -> Option<Tensor> {
    let count = Tensor::element_count(&shape).filter(|count| *count <= 1 << 26)?;
    let per_row = shape.first().map_or(count, |rows| {
        count / usize::try_from(*rows).unwrap_or(1).max(1)
    });
    let mut values = (0..count).map(|at| {
        let (row, column) = (at / per_row.max(1), at % per_row.max(1));
        let bits = mix(seed ^ mix(row as u64 + 1) ^ (column as u64).rotate_left(32));
        (bits, SCALES[row % SCALES.len()])
    });
    Some(Tensor {
        name: input.name.clone(),
        datatype: input.datatype,
        shape,
        data: data(input.datatype, &mut values, guess.largest),
    })
}

fn data(
    datatype: Datatype,
    values: &mut dyn Iterator<Item = (u64, f64)>,
    largest: u64,
) -> TensorData {
    // Of several lengths and numbers of words: some models fill up to the longest.
    const WORDS: [&str; 5] = ["cat", "dog", "1", "", "a little mouse"];
    if datatype == Datatype::Bytes {
        let words =
            values.map(|(bits, _)| Bytes::from_static(WORDS[(bits % 5) as usize].as_bytes()));
        return TensorData::Elements(words.collect());
    }
    let mut bytes = BytesMut::new();
    for (bits, scale) in values {
        // Uniform in -2..2 times the row's scale.
        let real = ((bits >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 2.0) * scale;
        let whole = bits % (largest + 1);
        match datatype {
            Datatype::Fp64 => bytes.extend_from_slice(&real.to_le_bytes()),
            Datatype::Fp32 => bytes.extend_from_slice(&(real as f32).to_le_bytes()),
            Datatype::Fp16 => bytes.extend_from_slice(&f16::from_f64(real).to_le_bytes()),
            Datatype::Bf16 => bytes.extend_from_slice(&bf16::from_f64(real).to_le_bytes()),
            Datatype::Bool => bytes.extend_from_slice(&[(bits & 1) as u8]),
            _ => bytes.extend_from_slice(&whole.to_le_bytes()[..datatype.width().unwrap_or(8)]),
        }
    }
    TensorData::Raw(bytes.freeze())
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit depends on every bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;
    use crate::batch::merge::cut;
    use crate::fake::{Behaviour, FakeEngine};

    #[test]
    fn a_row_is_the_same_alone_and_among_others_and_rows_differ() {
        let engine = FakeEngine::new(Behaviour::Echo);
        let guess = Guess {
            extent: 8,
            largest: 200,
        };
        let five = sample(engine.signature(), 5, guess, 7).unwrap();
        let two = sample(engine.signature(), 2, guess, 7).unwrap();
        assert_eq!(cut(&five[0], 5, 0, 2), Some(two[0].clone()));
        assert_ne!(cut(&five[0], 5, 0, 1), cut(&five[0], 5, 1, 1));
    }
}
