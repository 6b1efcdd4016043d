//! Models and tokenizers that behave at first: they are refused where they are loaded, and the process
//! goes on with what it had.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "failing is what a test does"
)]

mod harness;
#[path = "support/server.rs"]
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Answer, Client};
use serde_json::{Value, json};
use server::{Server, settled};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn hostile(name: &str) -> PathBuf {
    root().join(format!("tests/models/hostile/{name}.onnx"))
}

/// Puts a file in the place of another, as a rename.
fn put(from: &Path, to: &Path) {
    let beside = to.with_extension("new");
    fs::copy(from, &beside).expect("a copy");
    fs::rename(beside, to).expect("a rename");
}

async fn ask(client: &mut Client, model: &str, shape: [usize; 2]) -> Answer {
    let data = vec![1.0; shape[0] * shape[1]];
    let input = json!({"name": "X", "shape": shape, "datatype": "FP32", "data": data});
    let path = format!("/v2/models/{model}/infer");
    client
        .post(&path, json!({"inputs": [input]}).to_string())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_two_faced_model_that_is_loaded_again_leaves_the_old_one_and_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let live = folder.path().join("live.onnx");
    let linear = root().join("tests/models/linear.onnx");
    fs::copy(&linear, &live).expect("a copy");
    let policy = folder.path().join("policy.json");
    fs::write(&policy, r#"{"api":{"repositoryControl":true}}"#).expect("a file");
    let models = [
        ("good".to_owned(), linear),
        ("live".to_owned(), live.clone()),
    ];
    let policy = format!("--policy={}", policy.display());
    let flags = [&policy, "--model-memory-mib=512", "--model-load-timeout=6s"];
    let mut server = Server::start(&models, &flags);
    let (http, admin) = server.addresses().await;
    let states = settled(admin, 2).await;
    assert!(states.values().all(Option::is_none), "{states:?}");
    let mut client = Client::connect(http).await;
    for (name, says) in [
        ("two_faced_crash", "several rows at once crash"),
        ("two_faced_swell", "running several rows at once, tried"),
        ("two_faced_spin", "running several rows at once did not end"),
    ] {
        put(&hostile(name), &live);
        let path = "/v2/repository/models/live/load";
        let refused = client.post(path, "{}").await;
        assert_eq!(refused.status, 503, "{name}: {refused:?}");
        assert!(refused.text().contains(says), "{name}: {refused:?}");
        for model in ["live", "good"] {
            let answer = ask(&mut client, model, [3, 4]).await;
            assert_eq!(answer.status, 200, "{name}, {model}: {answer:?}");
        }
    }
    server.signal("TERM");
    assert_eq!(server.ended().await, Some(0));
}

/// A tokenizer of few words, with these parts of its own.
fn tokenizer(parts: &Value) -> String {
    let mut whole = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"}
    });
    for (name, part) in parts.as_object().expect("parts") {
        whole[name] = part.clone();
    }
    whole.to_string()
}

fn replacing(times: usize, count: usize) -> Value {
    let one = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(times)});
    json!({"normalizer": {"type": "Sequence", "normalizers": vec![one; count]}})
}

/// Hostile tokenizers: a name, the file, and what the refusal says; nothing where it loads, and its texts
/// are bounded.
fn tokenizers() -> Vec<(&'static str, String, &'static str)> {
    let split = |pattern: &str| json!({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}});
    let word_piece = json!({"pre_tokenizer": null, "model": {
        "type": "WordPiece", "vocab": {"[UNK]": 0, "b": 1, "##b": 2}, "unk_token": "[UNK]",
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 1_000_000_000}});
    let pieces: Vec<Value> = (1..3000).map(|n| json!(["a".repeat(n), -1.0])).collect();
    let mut unigram = vec![json!(["<unk>", 0.0])];
    unigram.extend(pieces);
    let unigram = json!({"pre_tokenizer": null,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": unigram, "byte_fallback": false}});
    let repeated = vec![json!({"Sequence": {"id": "A", "type_id": 0}}); 2000];
    let template = json!({"post_processor": {"type": "TemplateProcessing", "single": repeated,
        "pair": [], "special_tokens": {}}});
    let large = " ".repeat(65 << 20);
    vec![
        ("grows", tokenizer(&replacing(32, 4)), "may make a text"),
        ("grows_less", tokenizer(&replacing(100, 1)), ""),
        (
            "prepends",
            tokenizer(&json!({"normalizer": {"type": "Prepend", "prepend": "b".repeat(4 << 20)}})),
            "may make a text",
        ),
        (
            "charsmap",
            tokenizer(
                &json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "////fwAA"}}),
            ),
            "*",
        ),
        (
            "looks_ahead",
            tokenizer(&split(r"(a|aa)+(?=b)|(?<=a)a")),
            "*",
        ),
        ("nested", tokenizer(&split(r"((a*)*)*c")), "*"),
        ("long_words", tokenizer(&word_piece), "*"),
        ("long_pieces", tokenizer(&unigram), "*"),
        ("repeats", tokenizer(&template), "*"),
        ("large", large, "is larger than"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_tokenizer_is_refused_or_bounded() {
    const MODELS_MIB: u64 = 512;
    let folder = tempfile::tempdir().expect("a folder");
    let example = root().join("../examples/embedder/model");
    let mut models = Vec::new();
    for (name, file, _) in tokenizers() {
        let place = folder.path().join(name);
        fs::create_dir(&place).expect("a folder");
        for entry in fs::read_dir(&example).expect("the example") {
            let entry = entry.expect("an entry");
            fs::copy(entry.path(), place.join(entry.file_name())).expect("a copy");
        }
        fs::write(place.join("tokenizer.json"), file).expect("a file");
        models.push((name.to_owned(), place));
    }
    let memory = format!("--model-memory-mib={MODELS_MIB}");
    let mut server = Server::start(&models, &[&memory, "--model-load-timeout=20s"]);
    let (http, admin) = server.addresses().await;
    let states = settled(admin, models.len()).await;
    let mut client = Client::connect(http).await;
    for (name, _, says) in tokenizers() {
        let state = &states[name];
        println!("{name}: {state:?}");
        match (state, says) {
            (Some(_), "*") | (None, "" | "*") => {}
            (Some(reason), says) => assert!(
                !says.is_empty() && reason.contains(says),
                "{name}: {reason}"
            ),
            (None, says) => panic!("{name} loads, and should say {says}"),
        }
        if state.is_some() {
            continue;
        }
        for text in ["a".repeat(16 << 10), "b ".repeat(8 << 10), "a".repeat(100)] {
            let body = json!({"model": name, "input": text}).to_string();
            let asked = client.post("/openai/v1/embeddings", body);
            let answer = tokio::time::timeout(Duration::from_secs(60), asked).await;
            let answer = answer.unwrap_or_else(|_| panic!("{name}: no answer"));
            assert_ne!(answer.status, 404, "{name}: {answer:?}");
        }
    }
    let peak = server.peak_mib();
    assert!(peak < MODELS_MIB, "{peak} MiB");
    server.signal("TERM");
    assert_eq!(server.ended().await, Some(0));
}
