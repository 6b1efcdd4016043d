"""The test models, written in ONNX's own text syntax: one entry each, and the sentence that README.md shows for it.

Each model stands for one thing that models in the wild do to a server. `make.py` turns the entries into files.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One test model: what it is for, and its graph."""

    name: str
    purpose: str
    # Graph in ONNX text syntax: `name (inputs) => (outputs) <constants> { nodes }`.
    # In it `float[N,4]` has a variable first axis, `float` is rank 0 and `float[]` has no declared rank.
    graph: str
    opset: int = 17
    # New names for tensors that the text syntax cannot spell.
    rename: tuple[tuple[str, str], ...] = ()
    # Entries of the file's metadata.
    metadata: tuple[tuple[str, str], ...] = ()
    # False where ONNX's own checker refuses the model: runtimes load what it does not like, and so models like it exist.
    valid: bool = True


# Open Inference Protocol name -> name in the text syntax.
DATATYPES = {
    "bool": "bool",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp32": "float",
    "fp64": "double",
    "bytes": "string",
}

IDENTITIES = [
    Model(
        f"identity_{oip}",
        f"Y is X, in datatype {oip.upper()}, any number of rows and columns.",
        f"({onnx}[N,M] X) => ({onnx}[N,M] Y) {{ Y = Identity(X) }}",
    )
    for oip, onnx in DATATYPES.items()
]

# Signatures that look as if rows could be merged. In the first four they can; in the others they must not.
ROWS = [
    Model(
        "linear",
        "Rows may be merged. Y = (x0+x1+x2+x3, x0-x1, 10*x3+1).",
        """(float[N,4] X) => (float[N,3] Y)
        <float[4,3] W = {1, 1, 0,  1, -1, 0,  1, 0, 0,  1, 0, 10}, float[3] B = {0, 0, 1}>
        { Y = Gemm(X, W, B) }""",
    ),
    Model(
        "class_only",
        "Rows may be merged. Y is the place of the largest of `linear`'s three numbers, which are no output.",
        """(float[N,4] X) => (int64[N] Y)
        <float[4,3] W = {1, 1, 0,  1, -1, 0,  1, 0, 0,  1, 0, 10}, float[3] B = {0, 0, 1}>
        { scores = Gemm(X, W, B)  Y = ArgMax<axis = 1, keepdims = 0>(scores) }""",
    ),
    Model(
        "two_inputs",
        "Rows may be merged, over two inputs of different datatypes: S = A + B, T = b0 + b1.",
        """(float[N,2] A, int64[N,2] B) => (float[N,2] S, int64[N] T) <int64[1] axes = {1}>
        { F = Cast<to = 1>(B)  S = Add(A, F)  T = ReduceSum<keepdims = 0>(B, axes) }""",
    ),
    Model(
        "multi_var",
        "Rows may be merged with rows of the same width only: D = 2*X, total = the row's sum.",
        """(float[N,W] X) => (float[N,W] D, float[N] total) <float two = {2}, int64[1] axes = {1}>
        { D = Mul(X, two)  total = ReduceSum<keepdims = 0>(X, axes) }""",
    ),
    Model(
        "set_model",
        "Must not be merged: Y = X minus the mean of all rows. A row alone always gives zeros.",
        """(float[N,4] X) => (float[N,4] Y)
        { M = ReduceMean<axes = [0], keepdims = 1>(X)  Y = Sub(X, M) }""",
    ),
    Model(
        "batch_scaled",
        "Must not be merged: Y = X divided by the largest magnitude in the batch. Right for the row that holds it, wrong for its neighbours.",
        """(float[N,4] X) => (float[N,4] Y) <float tiny = {1e-30}>
        { A = Abs(X)  L = ReduceMax<keepdims = 0>(A)  S = Max(L, tiny)  Y = Div(X, S) }""",
    ),
    Model(
        "dynamic_quantised",
        "Must not be merged: X rounded to 256 levels of the whole batch's range, as dynamic quantisation does. Off by under 1 % of the largest value.",
        """(float[N,4] X) => (float[N,4] Y)
        { Q, S, Z = DynamicQuantizeLinear(X)  Y = DequantizeLinear(Q, S, Z) }""",
    ),
    Model(
        "hidden_scale",
        "Must not be merged: Y is the place of the row's largest value, taken of sigmoids of X over the largest one of the batch. The answers "
        "stay right; only what they are taken of shows that rows meet. The graph's structure does not: the axes come from the input's shape.",
        """(float[N,4] X) => (int64[N] Y)
        { P = Sigmoid(X)  S = Shape(P)  R = Reshape(P, S)  M = ReduceMax<keepdims = 0>(R)  D = Div(P, M)  Y = ArgMax<axis = 1, keepdims = 0>(D) }""",
    ),
    Model(
        "padded_words",
        "Must not be merged: the words of each text, filled up to as many as the longest text of the batch has.",
        """(string[N] text) => (string[N,W] words) { words, count = StringSplit<delimiter = " ">(text) }""",
        opset=20,
    ),
    Model(
        "running_sum",
        "Must not be merged: each row is added to those before it, as in a model with time on axis 0. The first row is always right.",
        "(float[N,4] X) => (float[N,4] Y) <int64 axis = {0}> { Y = CumSum(X, axis) }",
    ),
    Model(
        "reversed_rows",
        "Must not be merged: the rows come back in reverse order. Every value is right and belongs to somebody else.",
        """(float[N,4] X) => (float[N,4] Y)
        <int64[1] from = {-1}, int64[1] to = {-9223372036854775807}, int64[1] axis = {0}, int64[1] step = {-1}>
        { Y = Slice(X, from, to, axis, step) }""",
    ),
    Model(
        "row_count",
        "Must not be merged: Y = X + number of rows in the batch.",
        """(float[N,4] X) => (float[N,4] Y)
        { S = Shape<start = 0, end = 1>(X)  C = Cast<to = 1>(S)  Y = Add(X, C) }""",
    ),
    Model(
        "zero_rows",
        "Must not be merged: `kept` has only the rows whose first value is positive, `none` has never any.",
        """(float[N,4] X) => (float[N,4] kept, float[K,4] none) <int64[1] zero = {0}, int64 first = {0}, float limit = {0}>
        { F = Gather<axis = 1>(X, first)  P = Greater(F, limit)  kept = Compress<axis = 0>(X, P)  none = Slice(X, zero, zero, zero) }""",
    ),
    Model(
        "pairwise",
        "Must not be merged: two inputs with row counts of their own; Y = A times B transposed, one number for each pair.",
        """(float[N,2] A, float[M,2] B) => (float[N,M] Y)
        { T = Transpose<perm = [1, 0]>(B)  Y = MatMul(A, T) }""",
    ),
]

# Layers that quantise their input with one scale of the whole batch, one entry for each operator that does: its purpose, what it
# needs, how U becomes the scores L of two classes, and what stands beside the graph. A class flips only where both are nearly alike.
QUANTISING = {
    "dynamic_quantize_linear": (
        "`DynamicQuantizeLinear` before `MatMulInteger`",
        "",
        """H, S, Z = DynamicQuantizeLinear(U)  P = MatMulInteger(H, W, Z, zero)  F = Cast<to = 1>(P)  K = Mul(S, scale)
          L = Mul(F, K)""",
        "",
    ),
    "dynamic_quantize_matmul": (
        "`DynamicQuantizeMatMul`",
        "",
        "L = com.microsoft.DynamicQuantizeMatMul(U, W, scale, zero)",
        "",
    ),
    "dynamic_quantize_lstm": (
        "`DynamicQuantizeLSTM`, one step with the batch on axis 1,",
        """, int64[1] first = {0}, uint8[1,2,8] R = {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128},
         uint8[1,4,8] V = {128, 128, 128, 128, 128, 128, 192, 64, 128, 128, 128, 128, 128, 128, 64, 192,
                           128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128},
         float[1] scales = {0.0078125}, uint8[1] zeros = {128}""",
        """T = Unsqueeze(U, first)
          all, L1 = com.microsoft.DynamicQuantizeLSTM<hidden_size = 2>(T, V, R, , , , , , scales, zeros, scales, zeros)
          L = Squeeze(L1, first)""",
        "",
    ),
    "matmul_integer_to_float": (
        "`MatMulIntegerToFloat` fed by `DynamicQuantizeLinear`",
        "",
        "H, S, Z = DynamicQuantizeLinear(U)  L = com.microsoft.MatMulIntegerToFloat(H, W, S, scale, Z, zero)",
        "",
    ),
    "function": (
        "`DynamicQuantizeLinear` in a local function",
        "",
        "L = example.local.Dense(U, W, scale, zero)",
        """
        <domain: "example.local", opset_import: ["" : 17]> Dense (U, W, scale, zero) => (L)
        { H, S, Z = DynamicQuantizeLinear(U)  P = MatMulInteger(H, W, Z, zero)  F = Cast<to = 1>(P)  K = Mul(S, scale)  L = Mul(F, K) }""",
    ),
    "subgraph": (
        "`DynamicQuantizeLinear` in a branch of `If`",
        ", int64 nothing = {0}",
        """rows = Size(U)  some = Greater(rows, nothing)
          L = If (some) <
            then_branch = quantised () => (float[N,2] Q)
            { H, S, Z = DynamicQuantizeLinear(U)  P = MatMulInteger(H, W, Z, zero)  F = Cast<to = 1>(P)  K = Mul(S, scale)  Q = Mul(F, K) },
            else_branch = plain () => (float[N,2] E) { D = Cast<to = 1>(W)  E = MatMul(U, D) }>""",
        "",
    ),
}

# What is made of the scores: output and nodes.
ANSWERS = {
    "float": ("float[N,2] L", ""),
    "int": ("int64[N] Y", "Y = ArgMax<axis = 1, keepdims = 0>(L)"),
    "string": (
        "string[N] Y",
        """A = ArgMax<axis = 1, keepdims = 0>(L)
          Y = ai.onnx.ml.LabelEncoder<keys_int64s = [0, 1], values_strings = ["left", "right"]>(A)""",
    ),
}

COUPLED = [
    Model(
        f"coupled_{name}_{answer}",
        f"Must not be merged: two scores of a softmax of X, by {purpose}; the answer is "
        + {"float": "the scores.", "int": "the larger one's place.", "string": "the larger one's name."}[answer],
        f"""(float[N,4] X) => ({output})
        <uint8[4,2] W = {{192, 64, 64, 192, 128, 128, 128, 128}}, float scale = {{0.0078125}}, uint8 zero = {{128}}{more}>
        {{ U = Softmax<axis = 1>(X)
          {layer}
          {end} }}{beside}""",
    )
    for name, (purpose, more, layer, beside) in QUANTISING.items()
    for answer, (output, end) in ANSWERS.items()
]

# Signatures that a server may not expect.
SIGNATURES = [
    Model(
        "fixed_batch",
        "Takes exactly one row: X and Y are [1,4], Y = X + 1.",
        "(float[1,4] X) => (float[1,4] Y) <float one = {1}> { Y = Add(X, one) }",
    ),
    Model(
        "batch_axis1",
        "The variable axis is the second: X is [4,-1], Y = 2*X.",
        "(float[4,N] X) => (float[4,N] Y) <float two = {2}> { Y = Mul(X, two) }",
    ),
    Model(
        "scalar_input",
        "Rank 0 in and out: Y = 2*X.",
        "(float X) => (float Y) <float two = {2}> { Y = Mul(X, two) }",
    ),
    Model(
        "unknown_rank",
        "X and Y declare no shape at all, which is not the same as rank 0: Y = 2*X.",
        "(float[] X) => (float[] Y) <float two = {2}> { Y = Mul(X, two) }",
        valid=False,
    ),
    Model(
        "no_input",
        "No input; Y is always (1, 2, 3).",
        "() => (float[3] Y) { Y = Constant<value = float[3] {1, 2, 3}>() }",
    ),
    Model(
        "optional_input",
        "`scale` may be left out and is then 3: Y = X * scale.",
        "(float[N,2] X, float[1] scale = {3}) => (float[N,2] Y) { Y = Mul(X, scale) }",
    ),
    Model(
        "strings_rank1",
        "A list of words in: code is 0 for cat, 1 for dog, 2 for Größe, -1 for any other.",
        """(string[N] word) => (int64[N] code)
        { code = ai.onnx.ml.LabelEncoder<keys_strings = ["cat", "dog", "Größe"], values_int64s = [0, 1, 2], default_int64 = -1>(word) }""",
    ),
    Model(
        "mixed_inputs",
        "Numbers and words in one request: Y is X, T is S.",
        "(float[N,2] X, string[N] S) => (float[N,2] Y, string[N] T) { Y = Identity(X)  T = Identity(S) }",
    ),
    Model(
        "declared_wrong",
        "`label` is declared as [1] and has one value for each row (the place of the row's largest value), as LightGBM's exporter does.",
        "(float[N,4] X) => (int64[1] label) { label = ArgMax<axis = 1, keepdims = 0>(X) }",
        valid=False,
    ),
    Model(
        "labelled",
        "Scores of three species, whose names stand in the file's metadata; ranks of them, and four other scores.",
        """(float[N,3] X) => (float[N,3] scores, int64[N,3] ranks, float[N,4] others)
        <int64[4] pads = {0, 0, 0, 1}>
        { scores = Identity(X)  ranks = Cast<to = 7>(X)  others = Pad(X, pads) }""",
        metadata=(("labels", '["setosa", "versicolor", "vir: ginica"]'),),
    ),
    Model(
        "odd_names",
        "Names that need care in JSON, paths and labels. Each output is twice the input at its place.",
        """(float[N] i0, float[N] i1, float[N] i2, float[N] i3) => (float[N] o0, float[N] o1, float[N] o2, float[N] o3)
        <float two = {2}>
        { o0 = Mul(i0, two)  o1 = Mul(i1, two)  o2 = Mul(i2, two)  o3 = Mul(i3, two) }""",
        rename=(
            ("i0", "0"),
            ("i1", "serving/input:0"),
            ("i2", "it's \"quoted\""),
            ("i3", "back\\slash {brace} Größe"),
            ("o0", "1"),
            ("o1", "serving/output:0"),
            ("o2", "\"it's\" quoted"),
            ("o3", "\\n is no newline"),
        ),
    ),
    Model(
        "sequence_output",
        "Beside the tensor Y = 2*X there is a sequence, which the protocol cannot carry.",
        """(float[N,4] X) => (float[N,4] Y, seq(float[]) parts) <float two = {2}>
        { Y = Mul(X, two)  parts = SplitToSequence<axis = 0>(X) }""",
    ),
    Model(
        "map_output",
        "Beside the tensor `label` there is a ZipMap of probabilities, scikit-learn's default export, which the protocol cannot carry.",
        """(float[N,2] X) => (int64[N] label, seq(map(int64, float[])) probabilities)
        { label = ArgMax<axis = 1, keepdims = 0>(X)  P = Softmax<axis = 1>(X)
          probabilities = ai.onnx.ml.ZipMap<classlabels_int64s = [0, 1]>(P) }""",
        valid=False,
    ),
    Model(
        "float8_output",
        "Beside the tensor Y = 2*X there is the same in FLOAT8E4M3FN, which the protocol has no name for.",
        """(float[N,4] X) => (float[N,4] Y, float8e4m3fn[N,4] Y8) <float two = {2}>
        { Y = Mul(X, two)  Y8 = Cast<to = 17>(Y) }""",
        opset=19,
    ),
    Model(
        "float8_input",
        "The only input is FLOAT8E4M3FN: no request can be made for it, so it must be refused at load.",
        "(float8e4m3fn[N,4] X) => (float[N,4] Y) { Y = Cast<to = 1>(X) }",
        opset=19,
    ),
]

# Time and failure.
BEHAVIOUR = [
    Model(
        "slow",
        "Rows may be merged. Takes a time that grows with the largest number in `steps` (about a millisecond each); stops between steps "
        "when told to. done = steps.",
        """(int64[N,1] steps) => (int64[N,1] done) <int64 zero = {0}, int64 one = {1}, int64[2] side = {512, 512}, int64[1] minus = {-1}, int64[1] nothing = {0}>
        {
          flat = Reshape(steps, minus)  some = Concat<axis = 0>(flat, nothing)  trips = ReduceMax<keepdims = 0>(some)
          W = ConstantOfShape<value = float[1] {0.001953125}>(side)
          always = Constant<value = bool {1}>()
          count, state = Loop <body = step (int64 i, bool go, int64 n, float[512,512] s) => (bool more, int64 n1, float[512,512] s1)
            { more = Identity(go)  n1 = Add(n, one)  s1 = MatMul(s, W) }> (trips, always, zero, W)
          done = Min(steps, count)
        }""",
    ),
    Model(
        "fails_at_runtime",
        "Rows may be merged. Y = 2*X, but a row whose first value is -1000 or less makes the whole run fail.",
        """(float[N,4] X) => (float[N,4] Y) <int64[1] zero = {0}, int64[1] one = {1}, float limit = {-1000}, float[1] table = {2}>
        { F = Slice(X, zero, one, one)  bad = LessOrEqual(F, limit)  place = Cast<to = 7>(bad)  two = Gather(table, place)  Y = Mul(X, two) }""",
    ),
    Model(
        "unknown_operator",
        "Valid ONNX with an operator that the runtime does not have: refused at load, with the operator's name.",
        "(float[N,4] X) => (float[N,4] Y) { Y = example.unknown.Frobnicate(X) }",
        valid=False,
    ),
]

MODELS = IDENTITIES + ROWS + COUPLED + SIGNATURES + BEHAVIOUR
