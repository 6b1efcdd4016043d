//! The model, the version and the id of a `ModelInferRequest`, found without decoding it.

use super::fields::Fields;
use crate::bounds;
use serin_core::Limits;
use serin_core::fault::{Fault, FaultKind};
use serin_core::types::ModelRef;

/// Most fields of a message, each entry of a list or map counted. The scan runs on network threads, where
/// its time may not grow with the message.
const MOST_FIELDS: usize = 4096;

/// What is known of a request before it is decoded.
#[derive(Debug)]
pub struct Prescan {
    /// The model; its name is empty if the request names none, which
    /// [`model_ref`](super::request::model_ref) refuses.
    pub model: ModelRef,
    /// The request's own id; empty if it has none.
    pub id: String,
}

impl Default for Prescan {
    fn default() -> Self {
        Self {
            model: ModelRef {
                name: String::new(),
                version: None,
            },
            id: String::new(),
        }
    }
}

/// Reads the heads of the message's fields and skips their content. Of a field that is given twice
/// the last one counts, as in [`decode`](super::request::decode), so that no field can be left out.
///
/// # Errors
/// `Malformed` for what is no message, and for more tensors or fields than a request may have.
pub fn prescan(message: &[u8], limits: &Limits) -> Result<Prescan, Fault> {
    let mut prescan = Prescan::default();
    let mut tensors = [("inputs", 0), ("outputs", 0), ("raw_input_contents", 0)];
    let mut fields = Fields::new(message);
    let mut seen = 0;
    while let Some((tag, value)) = fields.next()? {
        seen += 1;
        if seen > MOST_FIELDS {
            return Err(too_many_fields());
        }
        match tag {
            1 => value
                .text("model_name")?
                .clone_into(&mut prescan.model.name),
            2 => {
                let version = value.text("model_version")?;
                prescan.model.version = (!version.is_empty()).then(|| version.to_owned());
            }
            3 => value.text("id")?.clone_into(&mut prescan.id),
            5..=7 => {
                let (member, count) = &mut tensors[tag as usize - 5];
                *count += 1;
                if *count > limits.tensors {
                    return Err(bounds::too_many_tensors(member, limits));
                }
            }
            _ => {}
        }
    }
    Ok(prescan)
}

fn too_many_fields() -> Fault {
    let message = format!("the message has more than {MOST_FIELDS} fields; send fewer parameters");
    Fault::new(FaultKind::Malformed, "malformed_body", message)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;

    use super::super::proto::ModelInferRequest;
    use super::*;

    #[test]
    fn the_model_and_the_id_are_found_without_reading_the_rest() {
        let message = ModelInferRequest {
            model_name: "iris".into(),
            model_version: "2".into(),
            id: "a".into(),
            raw_input_contents: vec![Bytes::from_static(b"12345")],
            ..Default::default()
        };
        let found = prescan(&message.encode_to_vec(), &Limits::default()).unwrap();
        assert_eq!(found.model.name, "iris");
        assert_eq!(found.model.version.as_deref(), Some("2"));
        assert_eq!(found.id, "a");
    }

    #[test]
    fn of_a_name_that_is_given_twice_the_last_one_counts() {
        let name = |name: &str| ModelInferRequest {
            model_name: name.into(),
            ..Default::default()
        };
        let twice = [name("a").encode_to_vec(), name("b").encode_to_vec()].concat();
        let found = prescan(&twice, &Limits::default()).unwrap();
        assert_eq!(found.model.name, "b");
    }

    #[test]
    fn more_tensors_than_a_request_may_have_are_refused_before_they_are_made() {
        for (tag, member) in [(5_u8, "inputs"), (6, "outputs"), (7, "raw_input_contents")] {
            let message = [tag << 3 | 2, 0].repeat(1_000_000);
            let fault = prescan(&message, &Limits::default()).unwrap_err();
            assert_eq!(fault.code, "too_many_tensors");
            assert_eq!(fault.param.as_deref(), Some(member));
        }
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        for bytes in [&[0x2A, 5, 1][..], &[0xFF; 20], &[0x0C], &[0], &[8, 1]] {
            let fault = prescan(bytes, &Limits::default()).unwrap_err();
            assert_eq!(fault.code, "malformed_body", "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_prost_reads_can_be_prescanned(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
        ) {
            if let Ok(message) = ModelInferRequest::decode(&bytes[..]) {
                let found = prescan(&bytes, &Limits::default()).unwrap();
                proptest::prop_assert_eq!(found.model.name, message.model_name);
                proptest::prop_assert_eq!(found.id, message.id);
            }
        }
    }

    #[test]
    fn a_message_of_very_many_fields_is_refused_before_its_end_is_reached() {
        // Field 100, a varint: unknown, and two bytes more than the tag alone.
        let unknown = [0xa0, 0x06, 0];
        assert!(prescan(&unknown.repeat(MOST_FIELDS), &Limits::default()).is_ok());
        let fault = prescan(&unknown.repeat(MOST_FIELDS + 1), &Limits::default()).unwrap_err();
        assert!(fault.message.contains("4096 fields"), "{fault}");
    }
}
