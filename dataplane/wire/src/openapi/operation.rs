//! The builder of one operation of a path.

use serde_json::{Map, Value, json};

/// One operation.
pub(super) struct Operation {
    path: String,
    method: &'static str,
    id: String,
    tag: &'static str,
    summary: &'static str,
    description: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
}

impl Operation {
    /// `GET path`, with the error responses that every operation has: 400 and 500.
    pub(super) fn get(path: impl Into<String>, id: impl Into<String>, tag: &'static str) -> Self {
        Self {
            path: path.into(),
            method: "get",
            id: id.into(),
            tag,
            summary: "",
            description: String::new(),
            parameters: Vec::new(),
            body: None,
            answers: Map::new(),
        }
        .faults(&[400, 500])
    }

    /// `POST path`, with a body of these media types and the error responses of bodies.
    pub(super) fn post(
        path: impl Into<String>,
        id: impl Into<String>,
        tag: &'static str,
        required: bool,
        content: &Value,
    ) -> Self {
        Self {
            method: "post",
            body: Some(json!({"required": required, "content": content})),
            ..Self::get(path, id, tag)
        }
        .faults(&[408, 413, 415, 503])
    }

    /// The summary, one line.
    pub(super) fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The description.
    pub(super) fn about(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// A header of the request.
    pub(super) fn request_header(mut self, name: &str, about: &str, schema: &Value) -> Self {
        self.parameters.push(
            json!({"name": name, "in": "header", "required": false, "description": about, "schema": schema}),
        );
        self
    }

    /// A parameter of the path.
    pub(super) fn path_parameter(mut self, name: &str, about: &str) -> Self {
        self.parameters.push(
            json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": "string", "minLength": 1}}),
        );
        self
    }

    /// A response with JSON of this schema.
    pub(super) fn json(self, status: u16, about: &str, schema: &Value) -> Self {
        self.answer(
            status,
            about,
            &json!({"application/json": {"schema": schema}}),
        )
    }

    /// A response with these media types.
    pub(super) fn answer(mut self, status: u16, about: &str, content: &Value) -> Self {
        let mut answer = json!({
            "description": about,
            "headers": {"x-request-id": {"$ref": "#/components/headers/RequestId"}},
        });
        if !content.is_null() {
            answer["content"] = content.clone();
        }
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// A header of a response that was added before.
    pub(super) fn answer_header(mut self, status: u16, name: &str, header: &str) -> Self {
        if let Some(answer) = self.answers.get_mut(&status.to_string()) {
            answer["headers"][name] = json!({"$ref": format!("#/components/headers/{header}")});
        }
        self
    }

    /// Error responses by status.
    pub(super) fn faults(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            let answer = json!({"$ref": format!("#/components/responses/Fault{status}")});
            self.answers.insert(status.to_string(), answer);
        }
        self
    }

    /// Gives the error responses OpenAI's form.
    pub(super) fn openai(mut self) -> Self {
        for answer in self.answers.values_mut() {
            if let Some(Value::String(reference)) = answer.get_mut("$ref") {
                *reference = reference.replace("/Fault", "/OpenAiFault");
            }
        }
        self
    }

    /// Path, method and the operation's object.
    pub(super) fn finish(self) -> (String, &'static str, Value) {
        let mut value = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": self.answers,
        });
        if !self.description.is_empty() {
            value["description"] = self.description.into();
        }
        if !self.parameters.is_empty() {
            value["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            value["requestBody"] = body;
        }
        (self.path, self.method, value)
    }
}

/// A reference to a schema.
pub(super) fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
