"""What each hostile model is: bytes that try one thing, and what must come of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser


@dataclass(frozen=True)
class Case:
    """One file. `says` is part of the reason of a refusal; `beside` are made next to the file by the test.

    `refused` is None where both are right: what is tried for a limited time may or may not reach the bound within it.
    """

    name: str
    tries: str
    make: Callable[[], bytes]
    refused: bool | None
    says: str = ""
    # (kind, name, target): kinds are file, symlink, hard_link, pipe and folder.
    beside: tuple[tuple[str, str, str], ...] = ()
    # (input, its elements, part of what the refusal says; nothing for an answer, * for any refusal).
    runs: tuple[tuple[str, list[int], str], ...] = field(default=())


SECRET = "../canary"
F = TensorProto.FLOAT


def serial(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString(deterministic=True)


def text(graph: str, opset: int = 17, functions: str = "", domains: str = "") -> bytes:
    """A model in ONNX's text syntax."""
    return serial(parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}{domains}]> g {graph} {functions}'))


def model(nodes, initializers=(), inputs=None, outputs=None, sparse=(), opset: int = 17, **more) -> onnx.ModelProto:
    """A model; by default float `X` [N] to float `Y` [N]."""
    value = lambda name: helper.make_tensor_value_info(name, F, ["N"])
    graph = helper.make_graph(
        nodes,
        "g",
        [value("X")] if inputs is None else inputs,
        [value("Y")] if outputs is None else outputs,
        initializer=list(initializers),
        sparse_initializer=list(sparse),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)
    made.ir_version = 8
    return made


def outside(*entries: tuple[str, str], name: str = "W", dims=(1,)) -> onnx.TensorProto:
    """A tensor whose data lies in another file."""
    tensor = TensorProto(name=name, data_type=F, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in entries:
        tensor.external_data.add(key=key, value=value)
    return tensor


def at(location: str, **more: str) -> onnx.TensorProto:
    return outside(("location", location), *more.items())


ADD = helper.make_node("Add", ["X", "W"], ["Y"])


def initializer(location: str, **more: str) -> Callable[[], bytes]:
    return lambda: serial(model([ADD], [at(location, **more)]))


def sparse() -> bytes:
    values = at(SECRET)
    indices = numpy_helper.from_array(np.array([0], dtype=np.int64), "i")
    return serial(model([ADD], sparse=[helper.make_sparse_tensor(values, indices, [1])]))


def attribute() -> bytes:
    return serial(model([helper.make_node("Constant", [], ["W"], value=at(SECRET)), ADD]))


def branch(tensor: onnx.TensorProto, result: str) -> onnx.GraphProto:
    out = helper.make_tensor_value_info(result, F, ["N"])
    return helper.make_graph([helper.make_node("Add", ["X", "W"], [result])], result, [], [out], [tensor])


def subgraph() -> bytes:
    yes = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True), "c"))
    plain = numpy_helper.from_array(np.zeros(1, np.float32), "W")
    either = helper.make_node("If", ["c"], ["Y"], then_branch=branch(at(SECRET), "a"), else_branch=branch(plain, "b"))
    return serial(model([yes, either]))


def function() -> bytes:
    inner = [helper.make_node("Constant", [], ["w"], value=at(SECRET)), helper.make_node("Add", ["x", "w"], ["y"])]
    opset = [helper.make_opsetid("", 17)]
    made = model([helper.make_node("F", ["X"], ["Y"], domain="d")])
    made.functions.append(helper.make_function("d", "F", ["x"], ["y"], inner, opset))
    made.opset_import.append(helper.make_opsetid("d", 1))
    return serial(made)


def training() -> bytes:
    made = model([helper.make_node("Identity", ["X"], ["Y"])])
    made.training_info.add().algorithm.initializer.append(at(SECRET))
    return serial(made)


def patched(old: bytes, new: bytes, source: Callable[[], bytes] = initializer("PLACE")) -> Callable[[], bytes]:
    """A model with bytes exchanged for as many others."""

    def make() -> bytes:
        made = source()
        assert len(old) == len(new) and made.count(old) == 1, (old, new)
        return made.replace(old, new)

    return make


def block(number: int, content: bytes, tag: bytes = b"") -> bytes:
    """A protobuf field of bytes."""
    return (tag or varint(number << 3 | 2)) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def hidden_tag() -> bytes:
    """The field `external_data` under a tag that only a 32-bit reader takes for it."""
    entry = block(1, b"location") + block(2, SECRET.encode())
    tensor = b"\x08\x01\x10\x01" + block(8, b"W") + block(13, entry, varint(1 << 32 | 13 << 3 | 2)) + b"\x70\x01"
    plain = model([ADD])
    graph = plain.graph.SerializeToString(deterministic=True) + block(5, tensor)
    plain.ClearField("graph")
    return serial(plain) + block(7, graph)


def declared(dims, raw: bytes) -> Callable[[], bytes]:
    """An initializer that declares these dimensions and holds these bytes."""
    tensor = TensorProto(name="W", data_type=F, dims=dims, raw_data=raw)
    return lambda: serial(model([ADD], [tensor]))


def deep_if() -> bytes:
    graph = b""
    for _ in range(60):
        graph = block(1, block(4, b"If") + block(5, block(1, b"then_branch") + block(6, graph)))
    return b"\x08\x08" + block(7, graph)


def laughs() -> bytes:
    """Functions that each call the next one twice: inlined, 2^28 nodes."""
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    made = model([helper.make_node("F0", ["X"], ["Y"], domain="d")])
    made.opset_import.append(helper.make_opsetid("d", 1))
    for level in range(28):
        call = lambda a, b: helper.make_node(f"F{level + 1}", [a], [b], domain="d")
        made.functions.append(helper.make_function("d", f"F{level}", ["x"], ["y"], [call("x", "t"), call("t", "y")], opset))
    last = [helper.make_node("Neg", ["x"], ["y"])]
    made.functions.append(helper.make_function("d", "F28", ["x"], ["y"], last, opset))
    return serial(made)


def recursive() -> bytes:
    made = model([helper.make_node("F", ["X"], ["Y"], domain="d")])
    made.opset_import.append(helper.make_opsetid("d", 1))
    opset = [helper.make_opsetid("d", 1)]
    made.functions.append(
        helper.make_function("d", "F", ["x"], ["y"], [helper.make_node("F", ["x"], ["y"], domain="d")], opset)
    )
    return serial(made)


def many_nodes() -> bytes:
    names = ["X", *(f"t{i}" for i in range(2500)), "Y"]
    return serial(model([helper.make_node("Neg", [a], [b]) for a, b in zip(names, names[1:])]))


def metadata() -> bytes:
    made = model([helper.make_node("Identity", ["X"], ["Y"])])
    helper.set_model_props(made, {f"key {i}": "x" * 10 for i in range(3000)})
    return serial(made)


def duplicate_inputs() -> bytes:
    value = helper.make_tensor_value_info("X", F, ["N"])
    return serial(model([helper.make_node("Identity", ["X"], ["Y"])], inputs=[value, value]))


def control_names() -> bytes:
    name = "X\n\x1b[2J{\"message\":\"forged\"}"
    value = helper.make_tensor_value_info(name, F, ["N"])
    return serial(model([helper.make_node("Identity", [name], ["Y"])], inputs=[value]))


def garbage() -> bytes:
    return b"\x08\x08" + random.Random(4).randbytes(4000)


def number(value: int) -> str:
    return f"Constant<value = int64 {{{value}}}>()"


def numbers(*values: int) -> str:
    return f"Constant<value = int64[{len(values)}] {{{', '.join(map(str, values))}}}>()"


ONE = "Constant<value = float {1.0}>()"
# From a float [N] to a float [M], so that all have one signature.
FX = "(float[N] X) => (float[M] Y)"
# From counts in the request.
SX = "(int64[K] S) => (float[M] Y)"
YES = "Constant<value = bool {1}>()"


def loop(body: str, before: str, after: str, head: str = FX) -> bytes:
    """A Loop that never ends by itself."""
    return text(
        f"{head} {{ most = {number(2**62)} yes = {YES} {before} = Loop<body = step {body}>(most, yes, {after}) }}"
    )


def endless() -> bytes:
    return text(
        f"{FX} {{ most = {number(2**62)} yes = {YES} Y = Loop<body = step (int64 i, bool c, float[N] x) => "
        f"(bool d, float[N] y) {{ d = Identity(c) y = Neg(x) }}>(most, yes, X) }}"
    )


def growing() -> bytes:
    return text(
        f"{FX} {{ most = {number(2**62)} yes = {YES} big = {numbers(1 << 16)} one = {ONE} "
        "last, all = Loop<body = step (int64 i, bool c, float[N] x) => (bool d, float[N] y, float[P] z) "
        "{ d = Identity(c) y = Neg(x) z = Expand(one, big) }>(most, yes, X) flat = Constant<value = int64[1] {-1}>() "
        "Y = Reshape(all, flat) }"
    )


def strings() -> bytes:
    """Three million strings of 200 characters: their characters are in no tensor."""
    word = "0123456789" * 20
    return text(
        f"{FX} {{ s = Constant<value = string[1] {{\"{word}\"}}>() n = {numbers(3_000_000)} t = Expand(s, n) "
        "c = Size(t) f = Cast<to = 1>(c) Y = Add(X, f) }"
    )


def two_faced(size: int, then: str) -> Callable[[], bytes]:
    """Answers one row; from two rows on, `many` is true, and `n` is `size` instead of 1. `z` is 0."""
    return lambda: text(
        f"{FX} {{ rows = Shape(X) one = {numbers(1)} many = Greater(rows, one) large = {numbers(size)} "
        f"n = Where(many, large, one) {then} f = Cast<to = 1>(z) Y = Add(X, f) }}"
    )


CRASH = f"least = {numbers(-(2**63))} q = Div(least, n) z = Sub(q, q)"
SWELL = f"s = Constant<value = string[1] {{\"{'0123456789' * 20}\"}}>() t = Expand(s, n) c = Size(t) z = Sub(c, c)"
SPIN = (
    "side = Concat<axis = 0>(n, n) a = ConstantOfShape<value = int64[1] {3}>(side) b = MatMul(a, a) "
    "m = ReduceMax<keepdims = 0>(b) z = Sub(m, m)"
)


def context() -> bytes:
    node = helper.make_node("EPContext", ["X"], ["Y"], domain="com.microsoft", embed_mode=0, ep_cache_context=SECRET)
    made = model([node])
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return serial(made)


ANY = "*"
BIG, SMALL = [2**40], [3]
SHORT = "MiB that models may take"
OUTSIDE = "is not a path inside the model's folder"
NOT_ONNX = "do not read as an ONNX model"

CASES = [
    Case("parent_initializer", "reads ../canary as an initializer", initializer(SECRET), True, OUTSIDE),
    Case("parent_sparse", "reads ../canary as a sparse initializer", sparse, True, OUTSIDE),
    Case("parent_attribute", "reads ../canary as a node's attribute", attribute, True, OUTSIDE),
    Case("parent_subgraph", "reads ../canary within a branch of If", subgraph, True, OUTSIDE),
    Case("parent_function", "reads ../canary within a function", function, True, OUTSIDE),
    Case("parent_training", "names ../canary in what only training uses", training, True, OUTSIDE),
    Case("parent_through_folder", "reads sub/../../canary", initializer("sub/../../canary"), True, OUTSIDE, (("folder", "sub", ""),)),
    Case("absolute", "reads /etc/hostname", initializer("/etc/hostname"), True, OUTSIDE),
    Case("link", "reads a link to the canary", initializer("w.bin"), True, "is a link to outside", (("symlink", "w.bin", SECRET),)),
    Case("link_folder", "reads through a link to the folder above", initializer("up/canary"), True, "is a link to outside", (("symlink", "up", ".."),)),
    Case("link_environment", "reads a link to the process's environment", initializer("w.bin"), True, "is a link to outside", (("symlink", "w.bin", "/proc/self/environ"),)),
    Case("link_device", "reads a link to a device without end", initializer("w.bin"), True, "is a link to outside", (("symlink", "w.bin", "/dev/zero"),)),
    Case("hard_link", "reads a second name of the canary", initializer("w.bin"), True, "is a hard link", (("hard_link", "w.bin", SECRET),)),
    Case("pipe", "waits for a pipe", initializer("w.bin"), True, "is not a regular file", (("pipe", "w.bin", ""),)),
    Case("folder", "reads a folder", initializer("w.bin"), True, "is not a regular file", (("folder", "w.bin", ""),)),
    Case("absent", "reads what is not there", initializer("w.bin"), True, "is not there"),
    Case("no_name", "names no file", initializer(""), True, OUTSIDE),
    Case("nul_in_name", "hides a path behind a NUL", patched(b"PLACE", b"a\0/..",), True, OUTSIDE),
    Case("name_no_text", "names a file by bytes that are no text", patched(b"PLACE", b"\xff\xfe\xfd\xfc\xfb"), True, NOT_ONNX),
    Case("two_names", "names a good file and then a bad one", lambda: serial(model([ADD], [outside(("location", "w.bin"), ("location", SECRET))])), True, OUTSIDE, (("file", "w.bin", "abcd"),)),
    Case("long_name", "names a file by 60,000 characters", initializer("x" * 60_000), True, "is too long"),
    Case("memory_address", "takes the offset for an address of memory", initializer("*/_ORT_MEM_ADDR_/*", offset="4096", length="4"), True, "keeps for itself", (("folder", "*", ""), ("folder", "*/_ORT_MEM_ADDR_", ""), ("file", "*/_ORT_MEM_ADDR_/*", "abcd"))),
    Case("hidden_tag", "hides a file's name under a tag that only ONNX Runtime understands", hidden_tag, True, NOT_ONNX),
    Case("offset_beyond", "reads beyond its weights' end", initializer("w.bin", offset="1000000", length="4"), True, "ONNX Runtime refuses it", (("file", "w.bin", "abcd"),)),
    Case("negative_offset", "reads before its weights' start", initializer("w.bin", offset="-4096", length="4"), True, "ONNX Runtime refuses it", (("file", "w.bin", "abcd"),)),
    Case("length_without_bound", "reads 2^62 bytes of weights", lambda: serial(model([ADD], [outside(("location", "w.bin"), ("length", str(2**62)), dims=(2**60,))])), True, "", (("file", "w.bin", "abcd"),)),
    Case("context_binary", "lets an execution provider load ../canary", context, True, "ONNX Runtime refuses it"),
    Case("huge_length", "declares a field of 2^62 bytes", lambda: b"\x08\x08\x3a" + varint(2**62) + b"abc", True, "cut off"),
    Case("endless_number", "has a number without end", lambda: b"\x08" + b"\x80" * 4000, True, NOT_ONNX),
    Case("groups", "nests protobuf groups 10,000 deep", lambda: b"\x08\x08" + b"\x0b" * 10_000, True, NOT_ONNX),
    Case("deep_if", "nests If 60 deep", deep_if, True, NOT_ONNX),
    Case("declared_terabytes", "declares a tensor of 4 TiB and holds 4 bytes", declared([2**40], b"abcd"), True, "ONNX Runtime refuses it"),
    Case("dimensions_overflow", "declares 2^66 elements", declared([2**33, 2**33], b"abcd"), True, "ONNX Runtime refuses it"),
    Case("negative_dimension", "declares -1 elements", declared([-1], b"abcd"), True, ""),
    Case("data_too_short", "declares a thousand elements and holds one", declared([1000], b"abcd"), True, "ONNX Runtime refuses it"),
    Case("name_without_end", "has a dimension with a name of 70,000 characters", lambda: serial(model([helper.make_node("Identity", ["X"], ["Y"])], inputs=[helper.make_tensor_value_info("X", F, ["n" * 70_000])])), True, NOT_ONNX),
    Case("duplicate_inputs", "has two inputs of one name", duplicate_inputs, True, ""),
    Case("cycle", "has nodes in a circle", lambda: serial(model([helper.make_node("Add", ["X", "b"], ["a"]), helper.make_node("Neg", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["Y"])])), True, "ONNX Runtime refuses it"),
    Case("two_makers", "computes one value twice", lambda: serial(model([helper.make_node("Neg", ["X"], ["Y"]), helper.make_node("Abs", ["X"], ["Y"])])), True, "ONNX Runtime refuses it"),
    Case("custom_domain", "asks for an operator of a library of its own", lambda: serial(model([helper.make_node("Shell", ["X"], ["Y"], domain="evil")])), True, "ONNX Runtime refuses it"),
    Case("future_opset", "asks for opset 9999", lambda: serial(model([helper.make_node("Neg", ["X"], ["Y"])], opset=9999)), True, "ONNX Runtime refuses it"),
    Case("no_opset", "names no operator set", lambda: b"\x08\x08" + block(7, model([helper.make_node("Neg", ["X"], ["Y"])]).graph.SerializeToString(deterministic=True)), True, ""),
    Case("recursive_function", "has a function that calls itself", recursive, True, ""),
    Case("functions_that_double", "becomes 2^28 nodes when functions are inlined", laughs, True, ""),
    Case("ort_format", "is in ONNX Runtime's own format", lambda: b"\x18\0\0\0ORTM" + b"\0" * 200, True, NOT_ONNX),
    Case("garbage", "is random bytes behind a good start", garbage, True, ""),
    Case("fixed_size", "fills 2 GiB in each run, of 150 bytes", lambda: text(f"{FX} {{ n = {numbers(2**29)} w = ConstantOfShape(n) s = ReduceSum<keepdims = 0>(w) Y = Add(X, s) }}"), False, runs=(("X", [1], SHORT),)),
    Case("multiplied_at_load", "multiplies for minutes in one operator while it is loaded", lambda: text(f"{FX} {{ n = {numbers(3000, 3000)} a = ConstantOfShape<value = int64[1] {{3}}>(n) b = MatMul(a, a) m = ReduceMax<keepdims = 0>(b) f = Cast<to = 1>(m) Y = Add(X, f) }}"), True, "--model-load-timeout"),
    Case("strings_beside_tensors", "keeps 600 MiB in the characters of strings", strings, True, "takes more than"),
    Case("many_nodes", "has 2,501 nodes in a row", many_nodes, False),
    Case("metadata", "has 3,000 entries of metadata", metadata, False),
    Case("control_names", "has control characters and a forged log line in a name", control_names, False),
    Case("endless_loop", "never ends", endless, False, runs=(("X", [1], "timeout"),)),
    Case("growing_loop", "collects 256 KiB in each round without end", growing, None, "takes more than", runs=(("X", [1], ANY),)),
    Case("expand", "makes as many elements as the request says, with Expand", lambda: text(f"{SX} {{ one = {ONE} Y = Expand(one, S) }}"), False, runs=(("S", BIG, SHORT), ("S", [200_000_000], SHORT), ("S", [30_000_000], "its outputs take more than"), ("S", SMALL, ""))),
    Case("constant_of_shape", "makes as many elements as the request says, with ConstantOfShape", lambda: text(f"{SX} {{ Y = ConstantOfShape(S) }}"), False, runs=(("S", BIG, SHORT), ("S", SMALL, ""))),
    Case("range", "counts as far as the request says", lambda: text(f"{SX} {{ zero = {number(0)} one = {number(1)} most = ReduceMax<keepdims = 0>(S) r = Range(zero, most, one) Y = Cast<to = 1>(r) }}"), False, runs=(("S", BIG, SHORT), ("S", SMALL, ""))),
    Case("tile", "repeats as often as the request says", lambda: text(f"{SX} {{ x = Constant<value = float[1] {{1.0}}>() Y = Tile(x, S) }}"), False, runs=(("S", BIG, "exceeds the supported maximum"), ("S", [200_000_000], SHORT), ("S", SMALL, ""))),
    Case("two_faced_crash", "divides the least number by -1 from two rows on", two_faced(-1, CRASH), True, "several rows at once crash"),
    Case("two_faced_swell", "keeps 600 MiB in the characters of strings from two rows on", two_faced(3_000_000, SWELL), True, "running several rows at once, tried"),
    Case("two_faced_spin", "multiplies for minutes in one operator from two rows on", two_faced(3_000, SPIN), True, "running several rows at once did not end"),
]
