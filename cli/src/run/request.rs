//! A request that can be pasted.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use serin_dataplane::types::{Datatype, Dimension, Signature};

/// Elements of an example input beyond which it is no longer something to paste.
const MAX_ELEMENTS: i64 = 256;

/// The request that stands beside a manifest, as `requests/NAME.json`; the first by name, without
/// the expected answers (`NAME.expected.json`).
pub fn beside(manifest: &Path) -> Option<PathBuf> {
    let folder = manifest.parent()?.join("requests");
    let mut requests: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.ends_with(".json") && !name.ends_with(".expected.json"))
        })
        .collect();
    requests.sort();
    requests.into_iter().next()
}

/// A request that a model of this signature takes; `None` where it would be too long to paste.
pub fn for_signature(signature: &Signature) -> Option<Value> {
    let inputs: Option<Vec<Value>> = signature
        .inputs
        .iter()
        .filter(|input| !input.optional)
        .map(|input| {
            let shape: Vec<i64> = input
                .shape
                .as_deref()
                .unwrap_or(&[Dimension::Fixed(1)])
                .iter()
                .map(|dimension| match dimension {
                    Dimension::Fixed(extent) => *extent,
                    Dimension::Variable(_) => 1,
                })
                .collect();
            let elements = shape
                .iter()
                .try_fold(1_i64, |all, extent| all.checked_mul(*extent))?;
            let count = usize::try_from(elements)
                .ok()
                .filter(|_| elements <= MAX_ELEMENTS)?;
            let element = match input.datatype {
                Datatype::Bool => json!(false),
                Datatype::Bytes => json!("text"),
                Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => json!(0.5),
                _ => json!(1),
            };
            Some(json!({
                "name": input.name,
                "shape": shape,
                "datatype": input.datatype.as_str(),
                "data": vec![element; count],
            }))
        })
        .collect();
    Some(json!({ "inputs": inputs? }))
}

/// The command that sends a request to a model.
pub fn curl(base: &str, model: &str, body: &Body) -> String {
    let url = format!("{base}/v2/models/{model}/infer");
    match body {
        Body::File(path) => format!("curl -s {url} -d @{}", quoted(&path.display().to_string())),
        Body::Json(value) => format!("curl -s {url} -d {}", quoted(&value.to_string())),
    }
}

/// What is sent.
pub enum Body {
    /// A file's content.
    File(PathBuf),
    /// This.
    Json(Value),
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_dataplane::types::TensorSpec;

    fn input(
        name: &str,
        datatype: Datatype,
        shape: Option<Vec<Dimension>>,
        optional: bool,
    ) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            datatype,
            shape,
            optional,
        }
    }

    fn signature(inputs: Vec<TensorSpec>) -> Signature {
        Signature {
            inputs,
            outputs: Vec::new(),
            unserved_outputs: Vec::new(),
            producer: None,
        }
    }

    #[test]
    fn every_required_input_gets_one_row() {
        let rows = Dimension::Variable("N".into());
        let request = for_signature(&signature(vec![
            input(
                "it's",
                Datatype::Fp32,
                Some(vec![rows, Dimension::Fixed(2)]),
                false,
            ),
            input("word", Datatype::Bytes, None, false),
            input("extra", Datatype::Int64, None, true),
        ]));
        let body = Body::Json(request.unwrap());
        assert_eq!(
            curl("http://127.0.0.1:8080", "m", &body),
            r#"curl -s http://127.0.0.1:8080/v2/models/m/infer -d '{"inputs":[{"data":[0.5,0.5],"datatype":"FP32","name":"it'\''s","shape":[1,2]},{"data":["text"],"datatype":"BYTES","name":"word","shape":[1]}]}'"#
        );
    }

    #[test]
    fn an_image_is_too_long_to_paste() {
        let shape = vec![
            Dimension::Fixed(3),
            Dimension::Fixed(224),
            Dimension::Fixed(224),
        ];
        assert_eq!(
            for_signature(&signature(vec![input(
                "x",
                Datatype::Fp32,
                Some(shape),
                false
            )])),
            None
        );
        let huge = vec![Dimension::Fixed(i64::MAX), Dimension::Fixed(4)];
        assert_eq!(
            for_signature(&signature(vec![input(
                "x",
                Datatype::Fp32,
                Some(huge),
                false
            )])),
            None
        );
    }

    #[test]
    fn the_request_of_an_example_is_found_and_its_answer_is_not_taken_for_one() {
        let manifest =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/iris/inferenceservice.yaml");
        assert!(beside(&manifest).unwrap().ends_with("requests/setosa.json"));
        assert_eq!(beside(Path::new("/no/such/file.yaml")), None);
    }
}
