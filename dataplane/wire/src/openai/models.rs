//! The list of models.

use serde::Serialize;

/// `GET /v1/models`.
#[derive(Debug, Serialize)]
pub struct ModelList {
    object: &'static str,
    data: Vec<ModelObject>,
}

impl ModelList {
    /// The list of these models.
    pub fn new(data: Vec<ModelObject>) -> Self {
        Self {
            object: "list",
            data,
        }
    }
}

/// `GET /v1/models/{id}`: OpenAI's members, those that vLLM adds, and KServe's `ready`.
#[derive(Debug, Serialize)]
pub struct ModelObject {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    root: String,
    /// The model that this one was derived from: unknown.
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_model_len: Option<usize>,
    ready: bool,
}

impl ModelObject {
    /// `created` in Unix seconds; `max_model_len` in tokens, where the model takes texts.
    pub fn new(id: String, created: u64, ready: bool, max_model_len: Option<usize>) -> Self {
        Self {
            root: id.clone(),
            id,
            object: "model",
            created,
            owned_by: "serin",
            parent: None,
            max_model_len,
            ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_openais_members_and_kserves_ready() {
        let list = ModelList::new(vec![
            ModelObject::new("a/b".into(), 7, true, Some(512)),
            ModelObject::new("c".into(), 7, false, None),
        ]);
        assert_eq!(
            serde_json::to_string(&list).unwrap(),
            r#"{"object":"list","data":[{"id":"a/b","object":"model","created":7,"owned_by":"serin","root":"a/b","parent":null,"max_model_len":512,"ready":true},{"id":"c","object":"model","created":7,"owned_by":"serin","root":"c","parent":null,"ready":false}]}"#
        );
    }
}
