//! Which inputs of a model take what of a text, and which output holds its states or its vector.

use super::grouping::{Padding, ROWS};
use serin_core::types::{Datatype, Dimension, Signature, TensorSpec};

/// How texts go through a model.
#[derive(Debug, PartialEq)]
pub(super) struct Wiring {
    /// Inputs to fill, with what.
    pub(super) inputs: Vec<(Role, Input)>,
    /// The output that is read.
    pub(super) output: String,
    /// That output is declared as one vector for each text.
    pub(super) pools_itself: bool,
    /// What texts of one run may differ in.
    pub(super) padding: Padding,
    /// Most texts of one run.
    pub(super) rows: usize,
}

/// What an input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The ids of the tokens.
    Ids,
    /// 1 for a token, 0 for padding.
    Mask,
    /// Which of two texts a token is of: 0.
    Types,
}

/// An input of whole numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: String,
    /// INT64 or INT32.
    pub(super) datatype: Datatype,
}

/// Outputs by the names that exporters give them, best first.
const OUTPUTS: [&str; 4] = [
    "sentence_embedding",
    "sentence_embeddings",
    "last_hidden_state",
    "token_embeddings",
];

impl Wiring {
    /// Finds the wiring of a model.
    ///
    /// # Errors
    /// What of it takes no texts or gives no vectors.
    pub(super) fn of(signature: &Signature) -> Result<Self, String> {
        let mut inputs = Vec::new();
        let mut rows = ROWS;
        let mut width = None;
        for spec in &signature.inputs {
            let role = match spec.name.as_str() {
                "input_ids" => Role::Ids,
                "attention_mask" => Role::Mask,
                "token_type_ids" => Role::Types,
                _ if spec.optional => continue,
                other => {
                    return Err(format!(
                        "its input '{other}' is none that a text fills (input_ids, attention_mask, token_type_ids)"
                    ));
                }
            };
            let [batch, sequence] = axes(spec)?;
            if let Some(batch) = batch {
                if batch != 1 {
                    return Err(format!(
                        "its input '{}' takes {batch} rows, no more or less",
                        spec.name
                    ));
                }
                rows = 1;
            }
            width = width.or(sequence);
            let input = Input {
                name: spec.name.clone(),
                datatype: spec.datatype,
            };
            inputs.push((role, input));
        }
        let has = |wanted: Role| inputs.iter().any(|(role, _)| *role == wanted);
        if !has(Role::Ids) {
            return Err("it has no input input_ids".to_owned());
        }
        let padding = match width {
            Some(width) if has(Role::Mask) => Padding::Fixed(width),
            Some(_) => {
                return Err("its texts have a fixed length, and without attention_mask it cannot be told what is padding".to_owned());
            }
            None if has(Role::Mask) => Padding::Longest,
            None => Padding::None,
        };
        let output = output(signature)?;
        Ok(Self {
            inputs,
            pools_itself: output.name.starts_with("sentence_embedding")
                || output.shape.as_ref().is_some_and(|shape| shape.len() == 2),
            output: output.name.clone(),
            padding,
            rows,
        })
    }
}

/// The extents of rows and tokens where they are fixed.
fn axes(spec: &TensorSpec) -> Result<[Option<usize>; 2], String> {
    if !matches!(spec.datatype, Datatype::Int64 | Datatype::Int32) {
        return Err(format!(
            "its input '{}' is {}, not INT64 or INT32",
            spec.name, spec.datatype
        ));
    }
    let fixed = |dimension: &Dimension| match dimension {
        Dimension::Fixed(extent) => usize::try_from(*extent).ok(),
        Dimension::Variable(_) => None,
    };
    match spec.shape.as_deref() {
        None => Ok([None, None]),
        Some([batch, sequence]) => Ok([fixed(batch), fixed(sequence)]),
        Some(other) => Err(format!(
            "its input '{}' has {} dimensions, not rows and tokens",
            spec.name,
            other.len()
        )),
    }
}

fn output(signature: &Signature) -> Result<&TensorSpec, String> {
    let is_float = |spec: &&TensorSpec| {
        matches!(
            spec.datatype,
            Datatype::Fp32 | Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp64
        )
    };
    OUTPUTS
        .iter()
        .find_map(|name| signature.output(name).filter(is_float))
        .or_else(|| signature.outputs.iter().find(is_float))
        .ok_or_else(|| "it has no output of floats".to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A signature of these tensors; -1 is a variable extent.
    pub(crate) fn signature(
        inputs: &[(&str, Datatype, &[i64])],
        outputs: &[(&str, Datatype, &[i64])],
    ) -> Signature {
        let specs = |tensors: &[(&str, Datatype, &[i64])]| {
            tensors
                .iter()
                .map(|(name, datatype, shape)| TensorSpec {
                    name: (*name).to_owned(),
                    datatype: *datatype,
                    shape: Some(
                        shape
                            .iter()
                            .map(|extent| match extent {
                                -1 => Dimension::Variable(String::new()),
                                fixed => Dimension::Fixed(*fixed),
                            })
                            .collect(),
                    ),
                    optional: false,
                })
                .collect()
        };
        Signature {
            inputs: specs(inputs),
            outputs: specs(outputs),
            unserved_outputs: Vec::new(),
            producer: None,
        }
    }

    const IDS: (&str, Datatype, &[i64]) = ("input_ids", Datatype::Int64, &[-1, -1]);
    const MASK: (&str, Datatype, &[i64]) = ("attention_mask", Datatype::Int64, &[-1, -1]);
    const STATES: (&str, Datatype, &[i64]) = ("last_hidden_state", Datatype::Fp32, &[-1, -1, 8]);
    const VECTOR: (&str, Datatype, &[i64]) = ("sentence_embedding", Datatype::Fp32, &[-1, 8]);

    #[test]
    fn the_inputs_of_encoders_are_known_and_the_whole_vector_preferred() {
        let types = ("token_type_ids", Datatype::Int32, [-1, -1].as_slice());
        let wiring = Wiring::of(&signature(&[IDS, MASK, types], &[STATES, VECTOR])).unwrap();
        let roles: Vec<Role> = wiring.inputs.iter().map(|(role, _)| *role).collect();
        assert_eq!(roles, [Role::Ids, Role::Mask, Role::Types]);
        assert_eq!(wiring.output, "sentence_embedding");
        assert!(wiring.pools_itself && wiring.padding == Padding::Longest);
        assert!(
            !Wiring::of(&signature(&[IDS, MASK], &[STATES]))
                .unwrap()
                .pools_itself
        );
    }

    #[test]
    fn fixed_extents_and_a_missing_mask_decide_how_texts_run_together() {
        let fixed: (&str, Datatype, &[i64]) = ("attention_mask", Datatype::Int64, &[1, 128]);
        let wiring = Wiring::of(&signature(&[IDS, fixed], &[STATES])).unwrap();
        assert_eq!((wiring.padding, wiring.rows), (Padding::Fixed(128), 1));
        let alone = Wiring::of(&signature(&[IDS], &[STATES])).unwrap();
        assert_eq!(alone.padding, Padding::None);
    }

    #[test]
    fn a_model_of_something_else_is_told_why() {
        let image: (&str, Datatype, &[i64]) = ("image", Datatype::Fp32, &[-1, 8, 8]);
        let float_ids: (&str, Datatype, &[i64]) = ("input_ids", Datatype::Fp32, &[-1, -1]);
        let flat_ids: (&str, Datatype, &[i64]) = ("input_ids", Datatype::Int64, &[-1]);
        let eight: (&str, Datatype, &[i64]) = ("input_ids", Datatype::Int64, &[8, -1]);
        let label: (&str, Datatype, &[i64]) = ("label", Datatype::Int64, &[-1]);
        for (inputs, outputs, says) in [
            (vec![image], STATES, "'image'"),
            (vec![MASK], STATES, "no input input_ids"),
            (vec![float_ids], STATES, "FP32"),
            (vec![flat_ids], STATES, "1 dimensions"),
            (vec![eight], STATES, "8 rows"),
            (vec![IDS, MASK], label, "no output of floats"),
        ] {
            let why = Wiring::of(&signature(&inputs, &[outputs])).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
}
