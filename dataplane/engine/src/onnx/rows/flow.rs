//! Where rows go: what is known of an operator's outputs from what is known of its inputs.
//!
//! An operator that is not here gives tensors of which nothing is known.

use super::super::topology::{Setting, element};
use super::rearrange::{
    along, flattened, gathered, joined, remove, reshaped, sliced, spared, squeezed, transposed,
    unsqueezed,
};
use super::value::{Call, Rows, Value, place};

/// What a node without subgraphs gives, one value for each output.
pub(super) fn outputs(call: &Call<'_>) -> Vec<Value> {
    let mut values = by_operator(call);
    values.resize(call.node.outputs.len(), Value::default());
    let known = matches!(
        call.node.domain.as_str(),
        "" | "ai.onnx.ml" | "com.microsoft"
    );
    let fixed = call.inputs.iter().flatten().all(Value::is_constant);
    // What is made of nothing is made of attributes.
    if known && fixed {
        for value in &mut values {
            value.rows = Rows::Constant;
        }
    }
    values
}

fn by_operator(call: &Call<'_>) -> Vec<Value> {
    match call.node.domain.as_str() {
        "" => standard(call),
        "ai.onnx.ml" => classical(call),
        "com.microsoft" => contributed(call),
        _ => Vec::new(),
    }
}

fn standard(call: &Call<'_>) -> Vec<Value> {
    let first = || call.input(0).cloned().unwrap_or_default();
    // As the first input, without the elements of a constant.
    let same = || Value {
        integers: None,
        ..first()
    };
    let float = first().float;
    match call.node.operator.as_str() {
        "Identity" => vec![first()],
        "Abs"
        | "Acos"
        | "Acosh"
        | "Asin"
        | "Asinh"
        | "Atan"
        | "Atanh"
        | "BitwiseNot"
        | "Ceil"
        | "Celu"
        | "Clip"
        | "Cos"
        | "Cosh"
        | "Elu"
        | "Erf"
        | "Exp"
        | "Floor"
        | "Gelu"
        | "HardSigmoid"
        | "HardSwish"
        | "LeakyRelu"
        | "Log"
        | "Mish"
        | "Neg"
        | "Reciprocal"
        | "Relu"
        | "Round"
        | "Selu"
        | "Shrink"
        | "Sigmoid"
        | "Sign"
        | "Sin"
        | "Sinh"
        | "Softplus"
        | "Softsign"
        | "Sqrt"
        | "Swish"
        | "Tan"
        | "Tanh"
        | "ThresholdedRelu"
        | "Softmax"
        | "LogSoftmax"
        | "Hardmax"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "LayerNormalization"
        | "RMSNormalization"
        | "SimplifiedLayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "BatchNormalization"
        | "LRN"
        | "CumSum"
        | "CumProd"
        | "Bernoulli"
        | "Trilu" => vec![same()],
        "Dropout" => vec![same(), same().typed(Some(false))],
        "IsInf" | "IsNaN" | "Not" | "RegexFullMatch" | "QuantizeLinear" => {
            vec![same().typed(Some(false))]
        }
        "DequantizeLinear" => vec![same().typed(Some(true))],
        "DynamicQuantizeLinear" => vec![
            same().typed(Some(false)),
            scalar().typed(Some(true)),
            scalar().typed(Some(false)),
        ],
        "Cast" => vec![cast(call, &first())],
        "CastLike" => vec![same().typed(call.input(1).and_then(|like| like.float))],
        "Add" | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "Div" | "Max" | "Mean"
        | "Min" | "Mod" | "Mul" | "Pow" | "PRelu" | "Sub" | "Sum" => {
            vec![broadcast(call).typed(float)]
        }
        "And" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Or"
        | "StringConcat" | "Xor" => {
            vec![broadcast(call).typed(Some(false))]
        }
        "Where" => vec![broadcast(call).typed(call.input(1).and_then(|value| value.float))],
        "Shape" | "Size" | "NonZero" | "NonMaxSuppression" => {
            vec![Value::default().typed(Some(false))]
        }
        "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" | "LpPool" | "GlobalAveragePool"
        | "GlobalMaxPool" | "GlobalLpPool" | "DepthToSpace" | "SpaceToDepth" | "QLinearConv" => {
            vec![per_sample(call).typed(float)]
        }
        "ConvInteger" => vec![per_sample(call).typed(Some(false))],
        name if name.starts_with("Reduce") => vec![reduced(call).typed(float)],
        "ArgMax" | "ArgMin" => {
            let axis = call.integer("axis", 0).map(|axis| vec![axis]);
            vec![without(call, axis).typed(Some(false))]
        }
        "TopK" => vec![same(), same().typed(Some(false))],
        "Transpose" => vec![transposed(call)],
        "Squeeze" => vec![squeezed(call)],
        "Unsqueeze" => vec![unsqueezed(call)],
        "Flatten" => vec![flattened(call)],
        "Reshape" => vec![reshaped(call)],
        "Gather" => vec![gathered(call)],
        "Slice" => vec![sliced(call)],
        "Concat" => vec![joined(call)],
        "Split" => {
            let whole = spared(call, call.integer("axis", 0)).typed(float);
            vec![whole; call.node.outputs.len()]
        }
        "Gemm" => vec![multiplied(call, 1, &["transA", "transB"]).typed(float)],
        "MatMul" => vec![multiplied(call, 1, &[]).typed(float)],
        "MatMulInteger" => vec![multiplied(call, 1, &[]).typed(Some(false))],
        "QLinearMatMul" => vec![multiplied(call, 3, &[]).typed(Some(false))],
        "Expand" | "Tile" | "Pad" | "Einsum" | "Resize" | "Upsample" | "GatherElements"
        | "GatherND" | "ScatterElements" | "ScatterND" | "LSTM" | "GRU" | "RNN" => {
            vec![Value::default().typed(float)]
        }
        "Constant" => vec![constant(call)],
        _ => Vec::new(),
    }
}

fn classical(call: &Call<'_>) -> Vec<Value> {
    let same = || Value {
        integers: None,
        ..call.input(0).cloned().unwrap_or_default()
    };
    // One number or a list of them for each row of a table.
    let per_row = |rank: usize| match call.rows(0) {
        Some((0, 2)) => along(0, rank),
        _ => Value::default(),
    };
    match call.node.operator.as_str() {
        "Normalizer" | "Scaler" => vec![same().typed(Some(true))],
        "Imputer" | "Binarizer" => vec![same()],
        "LabelEncoder" => {
            let whole = ["values_strings", "values_int64s"]
                .iter()
                .any(|name| call.node.attribute(name).is_some());
            let floats = call.node.attribute("values_floats").is_some();
            let kind = (whole || floats).then_some(floats);
            vec![same().typed(kind)]
        }
        "LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" => {
            vec![per_row(1).typed(Some(false)), per_row(2).typed(Some(true))]
        }
        "LinearRegressor" | "SVMRegressor" | "TreeEnsembleRegressor" => {
            vec![per_row(2).typed(Some(true))]
        }
        _ => Vec::new(),
    }
}

fn contributed(call: &Call<'_>) -> Vec<Value> {
    let same = || call.input(0).cloned().unwrap_or_default();
    match call.node.operator.as_str() {
        "Gelu"
        | "FastGelu"
        | "QuickGelu"
        | "BiasGelu"
        | "SkipLayerNormalization"
        | "SkipSimplifiedLayerNormalization" => vec![Value {
            integers: None,
            ..same()
        }],
        "QuantizeLinear" => vec![same().typed(Some(false))],
        "DequantizeLinear" => vec![same().typed(Some(true))],
        "MatMulIntegerToFloat" | "DynamicQuantizeMatMul" => {
            vec![multiplied(call, 1, &[]).typed(Some(true))]
        }
        "FusedMatMul" => {
            let turned = ["transA", "transB", "transBatchA", "transBatchB"];
            vec![multiplied(call, 1, &turned).typed(same().float)]
        }
        _ => Vec::new(),
    }
}

fn scalar() -> Value {
    Value {
        rank: Some(0),
        ..Value::default()
    }
}

fn cast(call: &Call<'_>, value: &Value) -> Value {
    let to = call
        .integer("to", 0)
        .and_then(|to| u64::try_from(to).ok())
        .filter(|to| *to != 0);
    let whole = matches!(to, Some(element::INT32 | element::INT64));
    let integers = value.integers.clone().filter(|_| whole);
    Value {
        integers,
        ..value.clone()
    }
    .typed(to.map(element::is_float))
}

/// Axes are aligned at their ends.
fn broadcast(call: &Call<'_>) -> Value {
    let all: Vec<&Value> = call.inputs.iter().flatten().collect();
    let Some(rank) = all
        .iter()
        .map(|value| value.rank)
        .collect::<Option<Vec<_>>>()
        .and_then(|ranks| ranks.into_iter().max())
    else {
        return Value::default();
    };
    let mut place = None;
    for value in all {
        match value.rows {
            Rows::Constant => {}
            Rows::Unknown => return Value::default(),
            Rows::Axis(axis) => {
                let shifted = axis + rank - value.rank.unwrap_or(rank);
                if place.is_some_and(|place| place != shifted) {
                    return Value::default();
                }
                place = Some(shifted);
            }
        }
    }
    Value {
        rows: place.map_or(Rows::Constant, Rows::Axis),
        rank: Some(rank),
        ..Value::default()
    }
}

/// Samples are on the first axis.
fn per_sample(call: &Call<'_>) -> Value {
    match call.rows(0) {
        Some((0, rank)) => along(0, rank),
        _ => Value::default(),
    }
}

fn reduced(call: &Call<'_>) -> Value {
    let places = call
        .axes(1)
        .zip(call.rows(0))
        .and_then(|(axes, (_, rank))| axes.places(rank));
    let axes = places.map(|places| places.into_iter().filter_map(|at| i64::try_from(at).ok()));
    without(call, axes.map(Iterator::collect))
}

/// Axes shrink to one, or go where `keepdims` is 0.
fn without(call: &Call<'_>, axes: Option<Vec<i64>>) -> Value {
    let rest = || {
        let (rows, rank) = call.rows(0)?;
        let gone: Vec<usize> = axes?
            .iter()
            .map(|axis| place(*axis, rank))
            .collect::<Option<_>>()?;
        if gone.contains(&rows) {
            return None;
        }
        if call.integer("keepdims", 1)? != 0 {
            return Some(along(rows, rank));
        }
        remove(rows, rank, &gone)
    };
    rest().unwrap_or_default()
}

/// A product of matrices none of which is transposed by these attributes.
fn multiplied(call: &Call<'_>, second: usize, turned: &[&str]) -> Value {
    let product = || {
        if turned.iter().any(|name| call.integer(name, 0) != Some(0)) {
            // Rows of the first factor stay where they are if only the second is transposed.
            let first = call.integer("transA", 0) == Some(0);
            let (0, 2) = call.rows(0)? else { return None };
            let weights = call.input(second)?.is_constant();
            return (first && weights).then(|| along(0, 2));
        }
        let (a, b) = (call.input(0)?, call.input(second)?);
        let rank = a.rank?.max(b.rank?);
        if a.rank? < 2 || b.rank? < 2 {
            return None;
        }
        match (a.axis(), b.axis()) {
            (Some((rows, own)), None) if b.is_constant() => Some(along(rows + rank - own, rank)),
            (None, Some((rows, own))) if a.is_constant() => Some(along(rows + rank - own, rank)),
            (Some((one, one_rank)), Some((two, two_rank))) => {
                (one_rank - one == two_rank - two).then(|| along(one + rank - one_rank, rank))
            }
            _ => None,
        }
    };
    product().unwrap_or_default()
}

fn constant(call: &Call<'_>) -> Value {
    let integers = |rank, list: Vec<i64>| Value {
        rank: Some(rank),
        float: Some(false),
        integers: Some(list),
        ..Value::default()
    };
    match call.node.attributes.first().map(|one| &one.value) {
        Some(Setting::Tensor(tensor)) => Value::of_tensor(tensor),
        Some(Setting::Integer(value)) => integers(0, vec![*value]),
        Some(Setting::Integers(list)) => integers(1, list.clone()),
        _ => Value::default(),
    }
}
