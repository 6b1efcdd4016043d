use super::*;
use crate::text::tokens::tests::SMALL;
use crate::text::wiring::tests::signature;

const IDS: (&str, Datatype, &[i64]) = ("input_ids", Datatype::Int64, &[-1, -1]);
const MASK: (&str, Datatype, &[i64]) = ("attention_mask", Datatype::Int32, &[-1, -1]);
const STATES: (&str, Datatype, &[i64]) = ("last_hidden_state", Datatype::Fp32, &[-1, -1, 2]);
const VECTOR: (&str, Datatype, &[i64]) = ("sentence_embedding", Datatype::Fp16, &[-1, 2]);
const MEAN: &str = r#"{"pooling_mode_mean_tokens": true}"#;

fn embedder(
    outputs: &[(&str, Datatype, &[i64])],
    files: &[(&str, &str)],
) -> Result<Embedder, NoEmbedder> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(root.path().join(name), text).unwrap();
    }
    Embedder::load(root.path(), &signature(&[IDS, MASK], outputs))
}

fn pooling() -> Embedder {
    let files = [("tokenizer.json", SMALL), ("1_Pooling_config.json", MEAN)];
    embedder(&[STATES], &files).unwrap()
}

fn tensor(datatype: Datatype, shape: &[i64], data: Vec<u8>) -> Tensor {
    Tensor {
        name: "out".into(),
        datatype,
        shape: shape.to_vec(),
        data: TensorData::Raw(data.into()),
    }
}

fn fp32(shape: &[i64], values: &[f32]) -> Tensor {
    let data = values.iter().flat_map(|value| value.to_le_bytes());
    tensor(Datatype::Fp32, shape, data.collect())
}

#[test]
fn texts_are_padded_to_the_longest_of_their_run() {
    let embedder = pooling();
    let [short, long] = ["a", "b c d"].map(|text| embedder.tokenize(text, "input").unwrap());
    let inputs = embedder.inputs(&[&short, &long]);
    assert_eq!(inputs[0].shape, [2, 5]);
    let ids: Vec<u8> = [2i64, 4, 3, 0, 0, 2, 5, 6, 7, 3]
        .iter()
        .flat_map(|id| id.to_le_bytes())
        .collect();
    assert_eq!(inputs[0].data, TensorData::Raw(ids.into()));
    let mask: Vec<u8> = [1i32, 1, 1, 0, 0, 1, 1, 1, 1, 1]
        .iter()
        .flat_map(|id| id.to_le_bytes())
        .collect();
    assert_eq!(inputs[1].data, TensorData::Raw(mask.into()));
    assert_eq!(
        embedder.inputs(&[&[]])[0].shape,
        [1, 1],
        "no run of no tokens"
    );
}

#[test]
fn states_are_pooled_without_the_padding_and_normalised() {
    let states = fp32(&[2, 2, 2], &[3.0, 4.0, 900.0, 900.0, 0.0, 2.0, 0.0, 4.0]);
    let vectors = pooling().vectors(&states, &[1, 2]).unwrap();
    assert_eq!(vectors, [[0.6, 0.8], [0.0, 1.0]]);
}

#[test]
fn a_vector_that_the_model_made_is_served_as_it_is() {
    let embedder = embedder(&[STATES, VECTOR], &[("tokenizer.json", SMALL)]).unwrap();
    assert_eq!(embedder.output(), "sentence_embedding");
    assert_eq!(embedder.describe().pooling, "model");
    let data = [f16::from_f32(3.0), f16::from_f32(-4.5)].map(f16::to_le_bytes);
    let output = tensor(Datatype::Fp16, &[1, 2], data.concat());
    assert_eq!(embedder.vectors(&output, &[7]).unwrap(), [[3.0, -4.5]]);
}

#[test]
fn an_output_of_another_form_is_the_models_failure() {
    let embedder = pooling();
    for output in [
        fp32(&[2], &[1.0, 2.0]),
        fp32(&[2, 1], &[1.0, 2.0]),
        fp32(&[1, 0], &[]),
        fp32(&[1, 1, 2], &[1.0, 2.0]),
        fp32(&[1, 2], &[f32::NAN, 1.0]),
        tensor(Datatype::Int64, &[1, 1], vec![0; 8]),
    ] {
        let fault = embedder.vectors(&output, &[2]).unwrap_err();
        assert_eq!(fault.code, "inference_error", "{output:?}");
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_and_never_cut() {
    let embedder = pooling();
    assert_eq!(embedder.describe().max_tokens, 6, "as tokenizer.json cuts");
    assert_eq!(embedder.tokenize("a b c d", "input").unwrap().len(), 6);
    for text in ["a b c d a", &"x".repeat(6 * BYTES_PER_TOKEN + 1)] {
        let fault = embedder.tokenize(text, "input[3]").unwrap_err();
        assert_eq!(fault.code, "context_length_exceeded");
        assert_eq!(fault.param.as_deref(), Some("input[3]"));
        assert!(fault.message.contains("6 tokens at most"), "{fault}");
    }
}

#[test]
fn ids_of_a_caller_are_taken_as_they_are_if_they_exist() {
    let embedder = pooling();
    assert_eq!(embedder.check(vec![7, 0], "input").unwrap(), [7, 0]);
    let unknown = embedder.check(vec![8], "input").unwrap_err();
    assert_eq!(unknown.code, "unsupported_value");
    let long = embedder.check(vec![1; 7], "input").unwrap_err();
    assert_eq!(long.code, "context_length_exceeded");
}

#[test]
fn a_default_prompt_stands_before_every_text() {
    let files = [
        ("tokenizer.json", SMALL),
        ("1_Pooling_config.json", MEAN),
        (
            "config_sentence_transformers.json",
            r#"{"prompts": {"q": "a "}, "default_prompt_name": "q"}"#,
        ),
    ];
    let embedder = embedder(&[STATES], &files).unwrap();
    assert_eq!(embedder.tokenize("b", "input").unwrap(), [2, 4, 5, 3]);
}

#[test]
fn a_folder_that_is_none_of_an_embedder_says_what_it_lacks() {
    let lacks = |files: &[(&str, &str)]| embedder(&[STATES], files).err().unwrap().to_string();
    assert!(lacks(&[]).contains("tokenizer.json"));
    assert!(lacks(&[("tokenizer.json", SMALL)]).contains("1_Pooling/config.json"));
    let broken = [("tokenizer.json", "{"), ("1_Pooling_config.json", MEAN)];
    assert!(lacks(&broken).contains("tokenizer.json cannot be read"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let why = Embedder::load(file.path(), &signature(&[IDS], &[STATES]))
        .err()
        .unwrap()
        .to_string();
    assert!(why.contains("its source is a file"), "{why}");
}

/// The small tokenizer with another normalizer, or other words.
fn with(old: &str, new: &str) -> Result<Embedder, NoEmbedder> {
    assert!(SMALL.contains(old), "{old}");
    let json = SMALL.replace(old, new);
    let files = [
        ("tokenizer.json", json.as_str()),
        ("1_Pooling_config.json", MEAN),
    ];
    embedder(&[STATES], &files)
}

const NORMALIZER: &str = r#"{"type": "Lowercase"}"#;

fn growing(times: usize, replacements: usize) -> String {
    let one = format!(
        r#"{{"type": "Replace", "pattern": {{"String": "a"}}, "content": "{}"}}"#,
        "a".repeat(times)
    );
    let all = vec![one; replacements].join(",");
    format!(r#"{{"type": "Sequence", "normalizers": [{all}]}}"#)
}

#[test]
fn a_tokenizer_whose_texts_may_grow_without_bound_is_unfit() {
    let refused = with(NORMALIZER, &growing(32, 4)).err().unwrap();
    assert!(
        matches!(&refused, NoEmbedder::Unfit(why) if why.contains("50331648 bytes long")),
        "{refused:?}"
    );
}

#[test]
fn the_longest_text_is_shorter_where_texts_grow() {
    let embedder = with(NORMALIZER, &growing(32, 1)).unwrap();
    // Six tokens, 2048 bytes for each after it grew.
    let longest = 6 * 2048 / 32;
    let refused = embedder
        .tokenize(&"b".repeat(longest + 1), "input")
        .unwrap_err();
    assert_eq!(refused.code, "context_length_exceeded");
    assert!(refused.message.contains("385 bytes"), "{refused}");
    embedder.tokenize(&"b".repeat(longest), "input").unwrap();
    let short = embedder.taking(10);
    assert!(short.tokenize("aaaaaaaaaaa", "input").is_err());
}

#[test]
fn a_plain_tokenizer_takes_all_that_it_may() {
    let embedder = pooling();
    assert_eq!(embedder.measure(), Ok(6 * 256));
}
