//! Every error code, with its kind: a closed list, so that callers can rely on it.

use super::FaultKind;
use super::FaultKind::{
    BadTensor, Cancelled, Forbidden, Inference, Internal, Malformed, MethodNotAllowed, NotFound,
    NotImplemented, NotReady, Overloaded, SlowBody, Timeout, TooLarge, Unsupported,
    UnsupportedEncoding,
};

/// Codes and their kinds, in the order of `docs/errors.md`, which a test compares with this.
pub const CODES: &[(&str, FaultKind)] = &[
    ("malformed_json", Malformed),
    ("too_deep", Malformed),
    ("invalid_type", Malformed),
    ("missing_field", Malformed),
    ("duplicate_field", Malformed),
    ("conflicting_data", Malformed),
    ("invalid_parameter", Malformed),
    ("too_many_tensors", Malformed),
    ("invalid_header", Malformed),
    ("invalid_path", Malformed),
    ("uri_too_long", Malformed),
    ("malformed_body", Malformed),
    ("missing_input", BadTensor),
    ("unknown_input", BadTensor),
    ("duplicate_input", BadTensor),
    ("unknown_output", BadTensor),
    ("duplicate_output", BadTensor),
    ("unserved_output", BadTensor),
    ("unknown_datatype", BadTensor),
    ("datatype_mismatch", BadTensor),
    ("invalid_shape", BadTensor),
    ("too_many_dimensions", BadTensor),
    ("shape_mismatch", BadTensor),
    ("batch_mismatch", BadTensor),
    ("ragged_data", BadTensor),
    ("invalid_value", BadTensor),
    ("element_too_large", BadTensor),
    ("size_mismatch", BadTensor),
    ("unclassifiable_output", BadTensor),
    ("raw_contents_mismatch", BadTensor),
    ("unsupported_contents", BadTensor),
    ("raw_request_unfit", BadTensor),
    ("unsupported_parameter", Unsupported),
    ("unsupported_value", Unsupported),
    ("context_length_exceeded", Unsupported),
    ("not_an_embedder", Unsupported),
    ("permission_denied", Forbidden),
    ("not_found", NotFound),
    ("model_not_found", NotFound),
    ("version_not_found", NotFound),
    ("method_not_allowed", MethodNotAllowed),
    ("slow_body", SlowBody),
    ("payload_too_large", TooLarge),
    ("answer_too_large", TooLarge),
    ("unsupported_encoding", UnsupportedEncoding),
    ("overloaded", Overloaded),
    ("model_not_ready", NotReady),
    ("model_unloaded", NotReady),
    ("model_busy", NotReady),
    ("load_failed", NotReady),
    ("timeout", Timeout),
    ("inference_error", Inference),
    ("internal", Internal),
    ("not_implemented", NotImplemented),
    ("cancelled", Cancelled),
];

/// Whether a fault of this kind may have this code.
pub(super) fn is_listed(code: &str, kind: FaultKind) -> bool {
    CODES.contains(&(code, kind))
}
