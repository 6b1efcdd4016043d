//! Datatypes as JSON: what an element may be and how far it reaches.

use serde_json::{Map, Value, json};

use super::operation::schema;
use crate::types::Datatype;

/// A schema for each datatype, by its name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    for datatype in Datatype::ALL {
        schemas.insert(datatype.to_string(), element(datatype));
        schemas.insert(
            format!("{datatype}.Nested"),
            json!({
                "description": format!("One {datatype}, or rectangular lists of them to any depth."),
                "anyOf": [
                    schema(datatype.as_str()),
                    {"type": "array", "items": schema(&format!("{datatype}.Nested"))},
                ],
            }),
        );
    }
    schemas
}

fn element(datatype: Datatype) -> Value {
    match datatype {
        Datatype::Bool => {
            json!({"description": "A boolean; 0 and 1 are taken too.", "enum": [true, false, 0, 1]})
        }
        Datatype::Uint8 => whole(0, u8::MAX.into()),
        Datatype::Uint16 => whole(0, u16::MAX.into()),
        Datatype::Uint32 => whole(0, u32::MAX.into()),
        Datatype::Uint64 => whole(0, u64::MAX),
        Datatype::Int8 => whole(i8::MIN.into(), 127),
        Datatype::Int16 => whole(i16::MIN.into(), 32_767),
        Datatype::Int32 => whole(i32::MIN.into(), 2_147_483_647),
        Datatype::Int64 => whole(i64::MIN, i64::MAX.unsigned_abs()),
        Datatype::Fp16 => float(65_504.0),
        Datatype::Bf16 => float(half::bf16::MAX.into()),
        Datatype::Fp32 => float(f32::MAX.into()),
        Datatype::Fp64 => float(f64::MAX),
        Datatype::Bytes => json!({
            "description": "Text, as its UTF-8 bytes; base64 where the tensor's `parameters.content_type` is `base64`.",
            "type": "string",
        }),
    }
}

fn whole(minimum: i64, maximum: u64) -> Value {
    json!({"type": "integer", "minimum": minimum, "maximum": maximum})
}

/// JSON has no numbers that are not finite: they are strings.
fn float(largest: f64) -> Value {
    json!({
        "anyOf": [
            {"type": "number", "minimum": -largest, "maximum": largest},
            {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
        ],
    })
}
