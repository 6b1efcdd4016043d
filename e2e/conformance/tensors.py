"""Sample tensors of every datatype, with the values at which encodings break."""

import ml_dtypes
import numpy as np

DTYPES = {
    "BOOL": np.dtype(bool),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
DATATYPES = list(DTYPES)
INTEGERS = [name for name, dtype in DTYPES.items() if dtype.kind in "iu"]
FLOATS = ["FP16", "BF16", "FP32", "FP64"]
TEXTS = ["", "a", "hi", "Größe", "日本語", "🐤", 'a "quoted" back\\slash', "line\nbreak\ttab", "nul\0inside", " "]
# Rows and columns of a sample: more than 1 KiB in any encoding, so that answers may be compressed.
SHAPE = (2, 700)


def edges(datatype: str) -> np.ndarray:
    """Smallest, largest, zero, one, and for floats signed zero, subnormals and values that round."""
    dtype = DTYPES[datatype]
    if datatype == "BYTES":
        return np.array([text.encode() for text in TEXTS], object)
    if datatype == "BOOL":
        return np.array([True, False])
    if datatype in INTEGERS:
        limits = np.iinfo(dtype)
        return np.array([limits.min, limits.min + 1, 0, 1, limits.max - 1, limits.max], dtype)
    limits = ml_dtypes.finfo(dtype)
    values = [0.0, -0.0, 1.0, -1.5, 1 / 3, 0.1, limits.max, limits.min, limits.tiny, limits.smallest_subnormal]
    return np.array([dtype.type(value) for value in values], dtype)


def sample(datatype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """The edge values, repeated over the shape."""
    return np.resize(edges(datatype), shape)


def same(got: np.ndarray, sent: np.ndarray) -> None:
    """Equal in shape and bytes; text compares as UTF-8."""
    assert got.shape == sent.shape, f"shape {got.shape} instead of {sent.shape}"
    if sent.dtype == object:
        got_list, sent_list = [[_bytes(one) for one in array.flatten()] for array in (got, sent)]
    else:
        assert got.dtype == sent.dtype, f"{got.dtype} instead of {sent.dtype}"
        if got.tobytes() == sent.tobytes():
            return
        got_list, sent_list = got.flatten().tolist(), sent.flatten().tolist()
        flat_got, flat_sent = got.flatten(), sent.flatten()
        for place in range(sent.size):
            assert flat_got[place].tobytes() == flat_sent[place].tobytes(), f"element {place}: {got_list[place]!r} for {sent_list[place]!r}"
    for place, (one, other) in enumerate(zip(got_list, sent_list, strict=True)):
        assert one == other, f"element {place}: {one!r} for {other!r}"


def _bytes(element) -> bytes:
    return element if isinstance(element, bytes) else str(element).encode()
