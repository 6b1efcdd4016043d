//! KServe's first protocol, `POST /v1/models/{name}:predict`: rows without names, types or shapes,
//! which the model's signature gives them.

mod request;
mod response;

pub use request::parse;
pub use response::render;
