//! KServe's first protocol, `POST /v1/models/{name}:predict`: rows without names, datatypes or
//! shapes, which come from the model's signature.

mod request;
mod response;

pub use request::parse;
pub use response::{largest, render};
