"""Small models of one kernel each, for the test that sends them the edges of their signatures."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Kernel:
    """One model in ONNX's text syntax; `weights` are constants too long for it."""

    name: str
    graph: str
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    opset: int = 17


def steps(*shape: int) -> np.ndarray:
    """Small numbers of either sign."""
    count = int(np.prod(shape))
    return (((np.arange(count) * 7) % 11 - 5) / 10).astype(np.float32).reshape(shape)


def gates(count: int) -> dict[str, np.ndarray]:
    """Weights of a recurrent operator with 3 hidden numbers and 4 inputs."""
    return {"W": steps(1, 3 * count, 4), "R": steps(1, 3 * count, 3)}


LEAST = -(2**63)
SEQUENCE = "(float[batch,seq,4] x) => (float[seq,batch,3] y)"
RECURRENT = "xt = Transpose<perm = [1, 0, 2]>(x) h = {}<hidden_size = 3>(xt, W, R) one = Constant<value = int64[1] {{1}}>() y = Squeeze(h, one)"
TWO = "(int64[n] a, int64[n] b) => (int64[n] y)"
TREE = (
    "nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2], nodes_featureids = [0, 0, 0], "
    "nodes_values = [0.5, 0.0, 0.0], nodes_modes = [\"BRANCH_LEQ\", \"LEAF\", \"LEAF\"], "
    "nodes_truenodeids = [1, 0, 0], nodes_falsenodeids = [2, 0, 0]"
)

KERNELS = [
    Kernel("lstm", f"{SEQUENCE} {{ {RECURRENT.format('LSTM')} }}", gates(4)),
    Kernel("gru", f"{SEQUENCE} {{ {RECURRENT.format('GRU')} }}", gates(3)),
    Kernel("rnn", f"{SEQUENCE} {{ {RECURRENT.format('RNN')} }}", gates(1)),
    Kernel(
        "attention",
        "(float[batch,seq,4] x) => (float[batch,seq,4] y) { xt = Transpose<perm = [0, 2, 1]>(x) "
        "s = MatMul(x, xt) w = Softmax<axis = -1>(s) y = MatMul(w, x) }",
    ),
    Kernel("layer_norm", "(float[n,m,4] x) => (float[n,m,4] y) { y = LayerNormalization(x, W) }", {"W": steps(4)}),
    Kernel("instance_norm", "(float[n,2,w] x) => (float[n,2,w] y) { y = InstanceNormalization(x, W, W) }", {"W": steps(2)}),
    Kernel("div", f"{TWO} {{ y = Div(a, b) }}"),
    Kernel("div_columns", "(int64[n,2] x) => (int64[n] y) { zero = Constant<value = int64 {0}>() one = Constant<value = int64 {1}>() a = Gather<axis = 1>(x, zero) b = Gather<axis = 1>(x, one) y = Div(a, b) }"),
    Kernel("div_constant", "(int64[n] x) => (int64[n] y) { y = Div(L, x) }", {"L": np.array(LEAST, np.int64)}),
    Kernel("div_cast", "(float[n] x) => (int64[n] y) { w = Cast<to = 7>(x) y = Div(w, M) }", {"M": np.array(-1, np.int64)}),
    Kernel("div_32", "(int32[n] a, int32[n] b) => (int32[n] y) { y = Div(a, b) }"),
    Kernel("div_32_of_64", "(int64[n] x) => (int32[n] y) { w = Cast<to = 6>(x) y = Div(w, M) }", {"M": np.array(-1, np.int32)}),
    Kernel("mod", f"{TWO} {{ y = Mod(a, b) }}"),
    Kernel("fmod", "(float[n] a, float[n] b) => (float[n] y) { y = Mod<fmod = 1>(a, b) }"),
    Kernel("pow", f"{TWO} {{ y = Pow(a, b) }}"),
    Kernel("gather", "(int64[n,m] i) => (float[n,m,3] y) { y = Gather(T, i) }", {"T": steps(16, 3)}),
    Kernel("gather_elements", "(int64[n,3] i) => (float[n,3] y) { y = GatherElements(T, i) }", {"T": steps(16, 3)}),
    Kernel("gather_nd", "(int64[n,2] i) => (float[n] y) { y = GatherND(T, i) }", {"T": steps(16, 16)}),
    Kernel("scatter_elements", "(float[n,4] x, int64[n,4] i) => (float[n,4] y) { y = ScatterElements<axis = 1>(x, i, x) }"),
    Kernel("slice", "(float[n,m] x, int64[1] start, int64[1] stop) => (float[a,b] y) { axes = Constant<value = int64[1] {0}>() y = Slice(x, start, stop, axes) }"),
    Kernel("slice_step", "(float[n,m] x, int64[1] step) => (float[a,b] y) { first = Constant<value = int64[1] {0}>() last = Constant<value = int64[1] {100}>() axes = Constant<value = int64[1] {1}>() y = Slice(x, first, last, axes, step) }"),
    Kernel("topk", "(float[n,m] x, int64[1] k) => (float[n,a] y, int64[n,a] i) { y, i = TopK(x, k) }"),
    Kernel("stft", "(float[n,m,1] x) => (float[n,a,b,2] y) { step = Constant<value = int64 {2}>() size = Constant<value = int64 {4}>() none = Constant<value = float[4] {1.0, 1.0, 1.0, 1.0}>() y = STFT(x, step, none, size) }"),
    Kernel("dft", "(float[n,m,1] x, int64 size) => (float[n,a,2] y) { y = DFT<axis = 1>(x, size) }"),
    Kernel("tree_regressor", f"(float[n,2] x) => (float[n,1] y) {{ y = ai.onnx.ml.TreeEnsembleRegressor<{TREE}, n_targets = 1, target_treeids = [0, 0], target_nodeids = [1, 2], target_ids = [0, 0], target_weights = [1.0, 2.0]>(x) }}"),
    Kernel("tree_classifier", f"(float[n,2] x) => (int64[n] y, float[n,2] p) {{ y, p = ai.onnx.ml.TreeEnsembleClassifier<{TREE}, classlabels_int64s = [0, 1], class_treeids = [0, 0], class_nodeids = [1, 2], class_ids = [0, 1], class_weights = [1.0, 1.0]>(x) }}"),
    Kernel("svm", "(float[n,2] x) => (float[n,1] y) { y = ai.onnx.ml.SVMRegressor<coefficients = [1.0, -1.0], n_supports = 2, support_vectors = [0.0, 1.0, 1.0, 0.0], rho = [0.5], kernel_type = \"RBF\", kernel_params = [0.5, 0.0, 0.0]>(x) }"),
    Kernel("label_encoder", "(string[n] x) => (int64[n] y) { y = ai.onnx.ml.LabelEncoder<keys_strings = [\"cat\", \"dog\"], values_int64s = [1, 2]>(x) }"),
    Kernel("string_normalizer", "(string[n] x) => (string[m] y) { y = StringNormalizer<case_change_action = \"UPPER\", locale = \"C\">(x) }"),
    Kernel("conv", "(float[n,1,h,w] x) => (float[n,1,a,b] y) { y = Conv<pads = [1, 1, 1, 1]>(x, W) }", {"W": steps(1, 1, 3, 3)}),
    Kernel("max_pool", "(float[n,1,h,w] x) => (float[n,1,a,b] y) { y = MaxPool<kernel_shape = [2, 2]>(x) }"),
    Kernel("global_pool", "(float[n,1,h,w] x) => (float[n,1,1,1] y) { y = GlobalAveragePool(x) }"),
    Kernel("resize", "(float[n,1,h,w] x, float[4] scales) => (float[a,b,c,d] y) { none = Constant<value = float[1] {0.0}>() y = Resize<mode = \"linear\">(x, none, scales) }"),
    Kernel("roi_align", "(float[n,1,h,w] x, float[r,4] rois, int64[r] i) => (float[r,1,2,2] y) { y = RoiAlign<output_height = 2, output_width = 2>(x, rois, i) }"),
    Kernel("nms", "(float[1,n,4] boxes, float[1,1,n] scores, int64 most) => (int64[a,3] y) { y = NonMaxSuppression(boxes, scores, most) }"),
    Kernel("non_zero", "(float[n,m] x) => (int64[2,a] y) { y = NonZero(x) }"),
    Kernel("compress", "(float[n,m] x, bool[n] keep) => (float[a,m] y) { y = Compress<axis = 0>(x, keep) }"),
    Kernel("unique", "(int64[n] x) => (int64[a] y) { y = Unique(x) }"),
    Kernel("cum_sum", "(float[n,m] x, int64 axis) => (float[n,m] y) { y = CumSum(x, axis) }"),
    Kernel("reduce_max", "(float[n,m] x) => (float[n] y) { y = ReduceMax<axes = [1], keepdims = 0>(x) }"),
    Kernel("arg_max", "(float[n,m] x) => (int64[n] y) { y = ArgMax<axis = 1, keepdims = 0>(x) }"),
    Kernel("softmax", "(float[n,m] x) => (float[n,m] y) { y = Softmax<axis = 1>(x) }"),
    Kernel("one_hot", "(int64[n] x, int64 depth) => (float[n,a] y) { values = Constant<value = float[2] {0.0, 1.0}>() y = OneHot(x, depth, values) }"),
    Kernel("range", "(int64 first, int64 last, int64 step) => (int64[a] y) { y = Range(first, last, step) }"),
    Kernel("reshape", "(float[n,m] x, int64[r] shape) => (float[] y) { y = Reshape(x, shape) }"),
    Kernel("pad", "(float[n,m] x, int64[4] pads) => (float[a,b] y) { y = Pad(x, pads) }"),
    Kernel("tile", "(float[n,m] x, int64[2] times) => (float[a,b] y) { y = Tile(x, times) }"),
    Kernel("bit_shift", "(uint64[n] x, uint64[n] by) => (uint64[n] y) { y = BitShift<direction = \"LEFT\">(x, by) }"),
    Kernel("quantize", "(float[n,m] x) => (float[n,m] y) { q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z) }"),
    Kernel("einsum", "(float[n,k] a, float[k,m] b) => (float[n,m] y) { y = Einsum<equation = \"ik,kj->ij\">(a, b) }"),
    Kernel("reverse_sequence", "(float[s,n,2] x, int64[n] lengths) => (float[s,n,2] y) { y = ReverseSequence(x, lengths) }"),
]
