//! Schemas of a model's requests and responses, from its signature.

use serde_json::{Map, Value, json};

use super::operation::schema;
use serin_core::types::MOST_CLASSES;
use serin_core::types::{Datatype, Dimension, ModelDescription, Signature, TensorSpec};

/// The schemas of a model, each named `{key}.…`.
pub(super) fn schemas(model: &ModelDescription, key: &str) -> Map<String, Value> {
    let signature = &model.signature;
    let mut schemas = Map::new();
    for (place, input) in signature.inputs.iter().enumerate() {
        schemas.insert(format!("{key}.Input{place}"), input_schema(input));
    }
    for (place, output) in signature.outputs.iter().enumerate() {
        schemas.insert(format!("{key}.Output{place}"), output_schema(output));
    }
    schemas.insert(format!("{key}.InferRequest"), request(signature, key));
    schemas.insert(format!("{key}.InferResponse"), response(model, key));
    schemas
}

fn request(signature: &Signature, key: &str) -> Value {
    let required: Vec<&TensorSpec> = signature.inputs.iter().filter(|x| !x.optional).collect();
    let mut inputs = json!({
        "description": "In any order, each once.",
        "type": "array",
        "minItems": required.len(),
        "maxItems": signature.inputs.len(),
    });
    if let Some(items) = one_of(key, "Input", signature.inputs.len()) {
        inputs["items"] = items;
    }
    // One input needs no more than its count.
    if signature.inputs.len() > 1 {
        let given = |input: &&TensorSpec| json!({"contains": {"properties": {"name": {"const": input.name}}, "required": ["name"]}});
        inputs["allOf"] = required.iter().map(given).collect();
    }
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"], "description": "Echoed in the answer."},
            "parameters": schema("RequestParameters"),
            "inputs": inputs,
            "outputs": outputs_wanted(signature),
        },
    })
}

/// The members of `parameters` that every request may have.
pub(super) fn parameters() -> Value {
    json!({
        "description": "Other parameters are the model's own business; names that start with `triton_` are refused.",
        "type": ["object", "null"],
        "properties": {
            "timeout": {"type": ["integer", "null"], "minimum": 0, "maximum": u64::MAX, "description": "Microseconds for queue and execution together; 0 for the server's own limit."},
            "priority": {"type": ["integer", "null"], "minimum": 0, "maximum": u64::MAX, "description": "1 is highest, 0 the default."},
            "binary_data_output": {"type": ["boolean", "null"], "description": "Outputs that say nothing themselves come as binary data after the JSON."},
        },
    })
}

fn outputs_wanted(signature: &Signature) -> Value {
    let names: Vec<&str> = signature.outputs.iter().map(|x| x.name.as_str()).collect();
    let mut wanted = json!({
        "description": "The outputs to return, in this order; all when absent or empty.",
        "type": ["array", "null"],
        "maxItems": names.len(),
    });
    if !names.is_empty() {
        wanted["items"] = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "enum": names},
                "parameters": schema("OutputParameters"),
            },
        });
    }
    wanted
}

/// Schemas of the requested outputs.
pub(super) fn output_parameters() -> Value {
    json!({
        "type": ["object", "null"],
        "properties": {
            "binary_data": {"type": ["boolean", "null"], "description": "The data comes after the JSON, little-endian."},
            "classification": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_CLASSES, "description": "So many of the best classes of each row instead of its values, each as `value:index`."},
        },
    })
}

fn input_schema(input: &TensorSpec) -> Value {
    json!({
        "title": input.name,
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": input.name},
            "shape": shape(input.shape.as_deref()),
            "datatype": {"const": input.datatype.as_str()},
            "parameters": {
                "type": ["object", "null"],
                "properties": {"content_type": {"description": "`base64`: the elements of BYTES are base64. Anything else is ignored."}},
            },
            "data": data(input.datatype, input.shape.as_deref()),
        },
    })
}

/// A declared output shape is not reliable: it is documented, not required.
fn output_schema(output: &TensorSpec) -> Value {
    let declared = match &output.shape {
        Some(_) => format!("The model declares {:?}.", output.shape_for_metadata()),
        None => "The model declares no shape.".to_owned(),
    };
    let element = match output.datatype {
        Datatype::Bool => json!({"type": "boolean"}),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => json!({
            "description": "`null` only for what JSON has no number for, where `spec.api.nonFinite` is `JSONNull`.",
            "anyOf": [schema(output.datatype.as_str()), {"type": "null"}],
        }),
        other => schema(other.as_str()),
    };
    let unclassified = matches!(
        output.datatype,
        Datatype::Bytes | Datatype::Fp16 | Datatype::Bf16
    );
    let (datatype, element) = if unclassified {
        (json!({"const": output.datatype.as_str()}), element)
    } else {
        (
            json!({"enum": [output.datatype.as_str(), "BYTES"], "description": "BYTES where classes were asked for."}),
            json!({"anyOf": [element, {"type": "string"}]}),
        )
    };
    json!({
        "title": output.name,
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"const": output.name},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "description": declared},
            "datatype": datatype,
            "parameters": {"type": "object"},
            "data": {"type": "array", "items": element, "description": "Flat, row by row; absent where `parameters.binary_data_size` is there."},
        },
    })
}

fn response(model: &ModelDescription, key: &str) -> Value {
    let count = model.signature.outputs.len();
    let mut outputs = json!({"type": "array", "maxItems": count});
    if let Some(items) = one_of(key, "Output", count) {
        outputs["items"] = items;
    }
    json!({
        "type": "object",
        "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"const": model.name},
            "model_version": {"type": "string", "description": "The version that ran."},
            "id": {"type": "string", "description": "The request's, or its `x-request-id`."},
            "outputs": outputs,
        },
    })
}

fn one_of(key: &str, kind: &str, count: usize) -> Option<Value> {
    let named = |place: usize| schema(&format!("{key}.{kind}{place}"));
    match count {
        0 => None,
        1 => Some(named(0)),
        more => Some(json!({"oneOf": (0..more).map(named).collect::<Vec<_>>()})),
    }
}

fn shape(declared: Option<&[Dimension]>) -> Value {
    let extent = json!({"type": "integer", "minimum": 0});
    let Some(dimensions) = declared else {
        return json!({"type": "array", "items": extent, "maxItems": 16, "description": "Any."});
    };
    let each = dimensions.iter().map(|dimension| match dimension {
        Dimension::Fixed(fixed) => json!({"const": fixed}),
        Dimension::Variable(name) if plain(name) => {
            json!({"type": "integer", "minimum": 0, "description": format!("{name}: any.")})
        }
        Dimension::Variable(_) => json!({"type": "integer", "minimum": 0, "description": "Any."}),
    });
    let mut shape =
        json!({"type": "array", "minItems": dimensions.len(), "maxItems": dimensions.len()});
    if !dimensions.is_empty() {
        shape["prefixItems"] = each.collect();
    }
    shape
}

/// Whether a dimension's name is worth showing.
fn plain(name: &str) -> bool {
    !name.is_empty() && name != "?"
}

/// Flat, or nested by the shape. Any other rectangular nesting of as many elements is accepted as
/// well; that is in the description, as a schema for it would allow any nesting.
fn data(datatype: Datatype, declared: Option<&[Dimension]>) -> Value {
    let Some(dimensions) = declared else {
        return schema(&format!("{datatype}.Nested"));
    };
    let element = schema(datatype.as_str());
    let fixed: Option<usize> = dimensions.iter().try_fold(1, |count: usize, dimension| {
        count.checked_mul(extent(dimension)?)
    });
    let mut flat = json!({"type": "array", "items": element, "description": "Row by row; as many as the shape says."});
    if let Some(count) = fixed {
        flat["minItems"] = count.into();
        flat["maxItems"] = count.into();
    }
    if dimensions.is_empty() {
        return json!({"anyOf": [element, flat]});
    }
    if dimensions.len() == 1 {
        return flat;
    }
    let nested = dimensions.iter().rev().fold(element, |items, dimension| {
        let mut list = json!({"type": "array", "items": items});
        // Where another dimension may be zero, there may be nothing to nest by this one.
        if let Some(extent) = extent(dimension).filter(|_| fixed.is_some()) {
            list["minItems"] = extent.into();
            list["maxItems"] = extent.into();
        }
        list
    });
    json!({"anyOf": [flat, nested], "description": "Flat, or nested in any rectangular way."})
}

fn extent(dimension: &Dimension) -> Option<usize> {
    match dimension {
        Dimension::Fixed(extent) => usize::try_from(*extent).ok(),
        Dimension::Variable(_) => None,
    }
}
