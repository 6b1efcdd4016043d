//! The operators that were looked at for mixing rows, and what was found.
//!
//! `docs/models.md` shows this table; a test compares the two.

use super::super::topology::Node;
use super::rules;
use super::value::Call;

/// Operators that are alike in what they do to rows.
pub(super) struct Operator {
    /// Their names.
    pub(super) names: &'static [&'static str],
    /// The domain; empty for the standard's own.
    pub(super) domain: &'static str,
    /// When they keep rows from being merged.
    pub(super) refused: Refused,
    /// What they do, to follow "the operator X".
    pub(super) why: &'static str,
}

/// When an operator keeps rows from being merged.
pub(super) enum Refused {
    /// In this case, and where the rule proves it.
    When(&'static str, fn(&Call<'_>) -> bool),
    /// Never by itself: the trial of the model decides.
    Never,
}

impl Operator {
    /// The case in which this use of it is shown to mix rows.
    pub(super) fn couples(&self, call: &Call<'_>) -> Option<&'static str> {
        match self.refused {
            Refused::When(case, rule) => rule(call).then_some(case),
            Refused::Never => None,
        }
    }
}

/// The table's entry for a node's operator.
pub(super) fn find(node: &Node) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| {
        operator.domain == node.domain && operator.names.contains(&node.operator.as_str())
    })
}

/// Whether it computes with quantised numbers, or makes or reads them.
pub(super) fn is_quantised(node: &Node) -> bool {
    let known = matches!(node.domain.as_str(), "" | CONTRIB);
    let name = node.operator.as_str();
    let mark = ["Quantize", "QLinear", "Integer"]
        .iter()
        .any(|part| name.contains(part));
    known && (mark || matches!(name, "QGemm" | "QAttention" | "QMoE"))
}

const CONTRIB: &str = "com.microsoft";
const ML: &str = "ai.onnx.ml";

const ANY_INPUT: &str = "its input depends on the request";
const ROWS_AXIS: &str = "its axis is that of the rows";

/// All operators of `ai.onnx` (up to opset 28), `ai.onnx.ml` and ONNX Runtime's own domain were gone
/// through. Those that are not listed work on each element or each sample.
pub(super) static OPERATORS: &[Operator] = &[
    Operator {
        names: &["DynamicQuantizeLinear"],
        domain: "",
        refused: Refused::When(ANY_INPUT, rules::depends_on_inputs),
        why: "takes one scale from all values of a run, so each row is rounded as its neighbours are",
    },
    Operator {
        names: &["DynamicQuantizeMatMul", "DynamicQuantizeLSTM"],
        domain: CONTRIB,
        refused: Refused::When(ANY_INPUT, rules::depends_on_inputs),
        why: "quantises its input with one scale of all values of a run",
    },
    Operator {
        names: &[
            "RandomNormal",
            "RandomUniform",
            "RandomNormalLike",
            "RandomUniformLike",
            "Bernoulli",
            "Multinomial",
        ],
        domain: "",
        refused: Refused::When("whatever its input is", rules::whenever_run),
        why: "draws numbers one after the other, so what a row gets depends on its place in the run",
    },
    Operator {
        names: &["Sampling"],
        domain: CONTRIB,
        refused: Refused::When("whatever its input is", rules::whenever_run),
        why: "draws numbers one after the other, so what a row gets depends on its place in the run",
    },
    Operator {
        names: &["Dropout"],
        domain: "",
        refused: Refused::When("its training mode is on", rules::drops),
        why: "drops values at random in the training mode",
    },
    Operator {
        names: &["BatchNormalization"],
        domain: "",
        refused: Refused::When("its training mode is on", rules::trains),
        why: "takes mean and variance from the batch in the training mode",
    },
    Operator {
        names: &["Unique"],
        domain: "",
        refused: Refused::When("its input has rows", rules::has_rows),
        why: "compares all values or rows with each other and leaves out those that occur again",
    },
    Operator {
        names: &["Unique"],
        domain: CONTRIB,
        refused: Refused::When("its input has rows", rules::has_rows),
        why: "compares all values with each other and leaves out those that occur again",
    },
    Operator {
        names: &["Compress"],
        domain: "",
        refused: Refused::When(
            "its axis is that of the rows, or it has none",
            rules::flattened_or_axis,
        ),
        why: "leaves rows out, so that those after them move up",
    },
    Operator {
        names: &[
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "ReduceSumSquare",
        ],
        domain: "",
        refused: Refused::When(
            "its axes include that of the rows, and it reduces floats",
            rules::reduces_rows,
        ),
        why: "makes one number of all rows, as a scale taken from the data is",
    },
    Operator {
        names: &["ReduceSumInteger", "QLinearReduceMean"],
        domain: CONTRIB,
        refused: Refused::When("its axes include that of the rows", rules::sums_rows),
        why: "makes one number of all rows",
    },
    Operator {
        names: &["ArgMax", "ArgMin"],
        domain: "",
        refused: Refused::When(ROWS_AXIS, rules::first_axis),
        why: "finds one row among all",
    },
    Operator {
        names: &["TopK", "LpNormalization"],
        domain: "",
        refused: Refused::When(ROWS_AXIS, rules::last_axis),
        why: "ranks or scales the rows by each other",
    },
    Operator {
        names: &["Softmax", "LogSoftmax", "Hardmax"],
        domain: "",
        refused: Refused::When(
            "the axes it normalises include that of the rows (before opset 13 all from its axis on)",
            rules::softmax,
        ),
        why: "weighs the rows against each other",
    },
    Operator {
        names: &["QLinearSoftmax"],
        domain: CONTRIB,
        refused: Refused::When(
            "the axes it normalises include that of the rows",
            rules::softmax,
        ),
        why: "weighs the rows against each other",
    },
    Operator {
        names: &["BiasSoftmax"],
        domain: CONTRIB,
        refused: Refused::When(
            "the axes it normalises include that of the rows",
            rules::bias_softmax,
        ),
        why: "weighs the rows against each other",
    },
    Operator {
        names: &[
            "LayerNormalization",
            "RMSNormalization",
            "SimplifiedLayerNormalization",
        ],
        domain: "",
        refused: Refused::When("the rows are on its axis or on one after it", rules::layer),
        why: "takes mean and variance over all rows",
    },
    Operator {
        names: &["MeanVarianceNormalization"],
        domain: "",
        refused: Refused::When(
            "its axes include that of the rows, as they do unless it is told otherwise",
            rules::normalises_rows,
        ),
        why: "takes mean and variance over all rows",
    },
    Operator {
        names: &["CumSum", "CumProd"],
        domain: "",
        refused: Refused::When(ROWS_AXIS, rules::second_input_axis),
        why: "adds or multiplies each row to those before it",
    },
    Operator {
        names: &["DFT"],
        domain: "",
        refused: Refused::When(ROWS_AXIS, rules::transform_axis),
        why: "transforms along the rows",
    },
    Operator {
        names: &["LSTM", "GRU", "RNN"],
        domain: "",
        refused: Refused::When("its steps run along the rows", rules::recurrent),
        why: "carries a state from row to row",
    },
    Operator {
        names: &["Scan"],
        domain: "",
        refused: Refused::When(
            "it runs along the rows, and its state depends on them",
            rules::scans,
        ),
        why: "carries a state from row to row",
    },
    Operator {
        names: &["ReverseSequence"],
        domain: "",
        refused: Refused::When("its time is on the axis of the rows", rules::reversed),
        why: "gives rows back in another order",
    },
    Operator {
        names: &["MatMul", "MatMulInteger"],
        domain: "",
        refused: Refused::When(
            "it sums over the rows, or both factors have them on different axes",
            rules::matrix_product,
        ),
        why: "sums over the rows, or multiplies each row with each other",
    },
    Operator {
        names: &["QLinearMatMul"],
        domain: "",
        refused: Refused::When(
            "it sums over the rows, or both factors have them on different axes",
            rules::scaled_matrix_product,
        ),
        why: "sums over the rows, or multiplies each row with each other",
    },
    Operator {
        names: &[
            "MatMulIntegerToFloat",
            "MatMulInteger16",
            "FusedMatMul",
            "TransposeMatMul",
        ],
        domain: CONTRIB,
        refused: Refused::When(
            "it sums over the rows, or both factors have them on different axes",
            rules::matrix_product,
        ),
        why: "sums over the rows, or multiplies each row with each other",
    },
    Operator {
        names: &["Gemm"],
        domain: "",
        refused: Refused::When(
            "it sums over the rows, or both factors have them",
            rules::gemm,
        ),
        why: "sums over the rows, or multiplies each row with each other",
    },
    Operator {
        names: &["Einsum"],
        domain: "",
        refused: Refused::When(
            "the letter of the rows is summed, or differs between its operands",
            rules::einsum,
        ),
        why: "sums over the rows, or multiplies each row with each other",
    },
    Operator {
        names: &["CDist"],
        domain: CONTRIB,
        refused: Refused::When("both inputs have rows", rules::distances),
        why: "takes the distance of each row to each other",
    },
    Operator {
        names: &["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"],
        domain: "",
        refused: Refused::When("its reduction is not `none`", rules::loss),
        why: "makes one loss of all rows",
    },
    Operator {
        names: &["Normalizer"],
        domain: ML,
        refused: Refused::When(
            "its input is a vector of one number for each row",
            rules::vector,
        ),
        why: "takes the numbers of all rows for one row",
    },
    Operator {
        names: &[
            "QuantizeLinear",
            "DequantizeLinear",
            "ConvInteger",
            "QLinearConv",
        ],
        domain: "",
        refused: Refused::Never,
        why: "works with a scale that it is given; where that scale is taken from the data, the operator that takes it is in this table",
    },
    Operator {
        names: &[
            "QAttention",
            "QGemm",
            "QLinearAdd",
            "QLinearMul",
            "QLinearConv",
            "MatMulNBits",
            "MatMulBnb4",
            "QMoE",
            "QuantizeLinear",
            "DequantizeLinear",
        ],
        domain: CONTRIB,
        refused: Refused::Never,
        why: "works with scales that it is given, or quantises each row by itself",
    },
    Operator {
        names: &["Attention"],
        domain: "",
        refused: Refused::Never,
        why: "attends within each sample, whatever the mask",
    },
    Operator {
        names: &[
            "Attention",
            "MultiHeadAttention",
            "GroupQueryAttention",
            "SparseAttention",
            "MoE",
        ],
        domain: CONTRIB,
        refused: Refused::Never,
        why: "attends or routes within each sample",
    },
    Operator {
        names: &[
            "InstanceNormalization",
            "GroupNormalization",
            "LRN",
            "Conv",
            "ConvTranspose",
            "MaxPool",
            "AveragePool",
            "LpPool",
        ],
        domain: "",
        refused: Refused::Never,
        why: "works on each sample, with the samples on the first axis",
    },
    Operator {
        names: &["NonZero", "NonMaxSuppression"],
        domain: "",
        refused: Refused::Never,
        why: "lists places, as many as there are; most graphs use the list to read or write at those places, row by row",
    },
    Operator {
        names: &["StringSplit"],
        domain: "",
        refused: Refused::Never,
        why: "fills each text up to as many parts as the longest of the run has, which is harmless where the filling is left out again",
    },
    Operator {
        names: &["Tokenizer"],
        domain: CONTRIB,
        refused: Refused::Never,
        why: "fills each text up to as many tokens as the longest of the run has, which is harmless where the filling is left out again",
    },
    Operator {
        names: &["If", "Loop", "SequenceMap"],
        domain: "",
        refused: Refused::Never,
        why: "is as its subgraphs are, which are looked through; a number of steps that is taken from the data may be harmless",
    },
    Operator {
        names: &[
            "Gather",
            "GatherElements",
            "GatherND",
            "Scatter",
            "ScatterElements",
            "ScatterND",
            "Slice",
            "Concat",
            "Split",
            "Reshape",
            "Flatten",
            "Transpose",
            "Expand",
            "Tile",
            "Pad",
        ],
        domain: "",
        refused: Refused::Never,
        why: "moves values; rows are followed through it where that can be shown, and left to the trial elsewhere",
    },
    Operator {
        names: &["BeamSearch", "GreedySearch", "WhisperBeamSearch"],
        domain: CONTRIB,
        refused: Refused::Never,
        why: "generates for each sample with its subgraphs, which are looked through",
    },
    Operator {
        names: &[
            "ArrayFeatureExtractor",
            "LinearClassifier",
            "LinearRegressor",
            "SVMClassifier",
            "SVMRegressor",
            "TreeEnsemble",
            "TreeEnsembleClassifier",
            "TreeEnsembleRegressor",
            "Scaler",
            "Imputer",
            "LabelEncoder",
            "OneHotEncoder",
        ],
        domain: ML,
        refused: Refused::Never,
        why: "works on each row",
    },
];
