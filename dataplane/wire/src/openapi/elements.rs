//! Schemas of the elements of each datatype in JSON.

use serde_json::{Map, Value, json};

use super::operation::schema;
use serin_core::types::Datatype;

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
        Datatype::Fp16 => number(
            &json!({"type": "number", "exclusiveMinimum": -65_520, "exclusiveMaximum": 65_520}),
        ),
        Datatype::Bf16 => float(7),
        Datatype::Fp32 => float(23),
        Datatype::Fp64 => number(&json!({"type": "number"})),
        Datatype::Bytes => json!({
            "description": "Text, as its UTF-8 bytes; base64 where the tensor's `parameters.content_type` is `base64`.",
            "type": "string",
        }),
    }
}

fn whole(minimum: i64, maximum: u64) -> Value {
    json!({"type": "integer", "minimum": minimum, "maximum": maximum})
}

/// Numbers below the value that rounds to infinity in the datatype, half a step above its largest
/// value (FP32's exponents). The bound is inclusive: its decimal digits denote a slightly smaller
/// value. A bound at the largest value would exclude responses that write it with fewer digits.
fn float(fraction_bits: i32) -> Value {
    let bound = (2.0 - 2f64.powi(-fraction_bits - 1)) * 2f64.powi(127);
    number(&json!({"type": "number", "minimum": -bound, "maximum": bound}))
}

/// NaN and infinities, which JSON has no numbers for, are strings.
fn number(finite: &Value) -> Value {
    json!({"anyOf": [finite, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_floats_are_the_last_digits_that_do_not_round_to_infinity() {
        let bound = |datatype| {
            let schema = element(datatype);
            schema["anyOf"][0]["maximum"].as_f64().unwrap()
        };
        let read = |value: f64| {
            serde_json::to_string(&value)
                .unwrap()
                .parse::<f32>()
                .unwrap()
        };
        let largest = bound(Datatype::Fp32);
        assert!(read(largest).is_finite());
        assert!(read(largest.next_up()).is_infinite());
        let largest = bound(Datatype::Bf16);
        assert!(half::bf16::from_f64(largest.next_down()).is_finite());
        assert!(half::bf16::from_f64(largest.next_up()).is_infinite());
        assert!(half::f16::from_f64(65_520.0).is_infinite());
    }
}
