//! From the hidden states of a text's tokens to one vector.

/// How the states of the tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Their mean.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    LastToken,
    /// The largest of each column.
    Max,
}

impl Pooling {
    /// Its name in descriptions.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::LastToken => "last-token",
            Self::Max => "max",
        }
    }

    /// The vector of a text of `tokens` tokens whose states are the first rows of `states`, each of
    /// `width` values; what follows them is padding. No token at all gives zeros.
    pub(super) fn pool(self, states: &[f32], width: usize, tokens: usize) -> Vec<f32> {
        let mut rows = states.chunks_exact(width.max(1)).take(tokens);
        match self {
            Self::Cls => rows.next().map(<[f32]>::to_vec),
            Self::LastToken => rows.next_back().map(<[f32]>::to_vec),
            Self::Max => rows.next().map(|first| {
                rows.fold(first.to_vec(), |mut largest, row| {
                    for (largest, value) in largest.iter_mut().zip(row) {
                        *largest = largest.max(*value);
                    }
                    largest
                })
            }),
            Self::Mean => rows.next().map(|first| {
                let mut sum = rows.fold(first.to_vec(), |mut sum, row| {
                    for (sum, value) in sum.iter_mut().zip(row) {
                        *sum += value;
                    }
                    sum
                });
                for sum in &mut sum {
                    *sum /= tokens as f32;
                }
                sum
            }),
        }
        .unwrap_or_else(|| vec![0.0; width])
    }
}

/// The Euclidean length of a vector.
pub(super) fn length(vector: &[f32]) -> f64 {
    let squares: f64 = vector.iter().map(|value| f64::from(*value).powi(2)).sum();
    squares.sqrt()
}

/// Scales a vector to length 1; zeros stay zeros.
pub(super) fn normalise(vector: &mut [f32]) {
    let length = length(vector);
    if length > 0.0 {
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

/// The first `dimensions` values; of length 1 again if the whole had that, as OpenAI's are.
pub(super) fn shorten(vector: &mut Vec<f32>, dimensions: usize) {
    /// What FP16 arithmetic leaves of a length of 1.
    const SLACK: f64 = 1e-2;
    if dimensions < vector.len() {
        let was_unit = (length(vector) - 1.0).abs() < SLACK;
        vector.truncate(dimensions);
        if was_unit {
            normalise(vector);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Three tokens of two values, then one of padding.
    const STATES: [f32; 8] = [1.0, -2.0, 3.0, -4.0, 5.0, -9.0, 100.0, 100.0];

    #[test]
    fn padding_counts_in_no_way_of_pooling() {
        let pooled = |pooling: Pooling| pooling.pool(&STATES, 2, 3);
        assert_eq!(pooled(Pooling::Mean), [3.0, -5.0]);
        assert_eq!(pooled(Pooling::Cls), [1.0, -2.0]);
        assert_eq!(pooled(Pooling::LastToken), [5.0, -9.0]);
        assert_eq!(pooled(Pooling::Max), [5.0, -2.0]);
    }

    #[test]
    fn a_text_without_tokens_is_zeros_and_stays_so() {
        for pooling in [
            Pooling::Mean,
            Pooling::Cls,
            Pooling::LastToken,
            Pooling::Max,
        ] {
            let mut vector = pooling.pool(&STATES, 2, 0);
            normalise(&mut vector);
            assert_eq!(vector, [0.0, 0.0], "{}", pooling.as_str());
        }
    }

    #[test]
    fn a_shortened_unit_vector_is_a_unit_vector() {
        let mut vector = vec![0.48, 0.64, 0.6];
        shorten(&mut vector, 2);
        assert!((length(&vector) - 1.0).abs() < 1e-6, "{vector:?}");
        let mut raw = vec![3.0, 4.0, 5.0];
        shorten(&mut raw, 2);
        assert_eq!(raw, [3.0, 4.0], "not normalised before, not normalised now");
        shorten(&mut raw, 7);
        assert_eq!(raw, [3.0, 4.0]);
    }
}
