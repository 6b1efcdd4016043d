//! A request that can be pasted.

use std::path::{Path, PathBuf};

/// Elements of an example input beyond which it is no longer something to paste.
pub const MAX_ELEMENTS: usize = 256;

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

/// The command that sends a request.
pub fn curl(base: &str, request: &Request) -> String {
    let url = format!("{base}{}", request.path);
    match &request.body {
        Body::File(path) => format!("curl -s {url} -d @{}", quoted(&path.display().to_string())),
        Body::Json(text) => format!("curl -s {url} -d {}", quoted(text)),
    }
}

/// A request to show.
pub struct Request {
    /// Where it goes.
    pub path: String,
    /// What is sent.
    pub body: Body,
}

impl Request {
    /// An inference by a model.
    pub fn infer(model: &str, body: Body) -> Self {
        Self {
            path: format!("/v2/models/{model}/infer"),
            body,
        }
    }

    /// Embeddings by a model that makes them; without `body`, of a made-up text.
    pub fn embed(model: &str, body: Option<Body>) -> Self {
        let made = || {
            let text = serde_json::json!({"model": model, "input": "a text"});
            Body::Json(text.to_string())
        };
        Self {
            path: "/v1/embeddings".to_owned(),
            body: body.unwrap_or_else(made),
        }
    }
}

/// What is sent.
pub enum Body {
    /// A file's content.
    File(PathBuf),
    /// This text.
    Json(String),
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

    #[test]
    fn a_request_is_quoted_for_a_shell() {
        let body = Body::Json(r#"{"name":"it's"}"#.to_owned());
        assert_eq!(
            curl("http://127.0.0.1:8080", &Request::infer("m", body)),
            r#"curl -s http://127.0.0.1:8080/v2/models/m/infer -d '{"name":"it'\''s"}'"#
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
