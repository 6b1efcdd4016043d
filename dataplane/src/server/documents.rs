//! Descriptions of the served models, cached until another set of models is loaded.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderValue;
use serin_core::types::{ModelDescription, Signature};
use serin_wire::openapi;
use sha2::{Digest as _, Sha256};

/// The document of the whole server, made once for each set of loaded models.
#[derive(Default)]
pub(super) struct Documents(Mutex<Option<(Vec<Key>, Document)>>);

/// The cache key of a model's part of the document. Holding the signature prevents its address from
/// being used for another one.
struct Key {
    name: String,
    version: String,
    signature: Arc<Signature>,
}

/// A description and its `ETag`.
#[derive(Clone)]
pub(super) struct Document {
    pub(super) body: Bytes,
    pub(super) etag: HeaderValue,
}

impl Document {
    pub(super) fn new(document: &serde_json::Value) -> Self {
        let body = document.to_string();
        let digest = Sha256::digest(&body);
        let etag = format!("\"{}\"", hex::encode(&digest[..16]));
        Self {
            body: Bytes::from(body),
            // Hexadecimal digits in quotes are always a header value.
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }
}

impl Documents {
    /// The document of these models.
    pub(super) fn of(&self, models: &[ModelDescription]) -> Document {
        let same = |keys: &[Key]| {
            keys.len() == models.len()
                && keys.iter().zip(models).all(|(key, model)| {
                    key.name == model.name
                        && key.version == model.version
                        && Arc::ptr_eq(&key.signature, &model.signature)
                })
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((keys, document)) if same(keys) => document.clone(),
            _ => {
                let document = Document::new(&openapi::of_server(models));
                let keys = models.iter().map(|model| Key {
                    name: model.name.clone(),
                    version: model.version.clone(),
                    signature: Arc::clone(&model.signature),
                });
                *kept = Some((keys.collect(), document.clone()));
                document
            }
        }
    }
}
