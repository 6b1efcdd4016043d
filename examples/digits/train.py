"""Trains a small convolutional network on scikit-learn's digit images and writes this example around it.

    python examples/digits/train.py            # writes the model, the manifests, the requests and their answers
    python examples/digits/train.py --check    # trains again and compares; exit code 1 on drift

The network is written out in numpy (network.py), so that no deep-learning package is needed. The same packages
(../requirements.txt) give the same bytes.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from network import Network

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import bundle  # noqa: E402

SEED = 7
EPOCHS = 40
RELEASE = bundle.Release(service="digits", version="1", folder=".", config_map="digits-model")
# A pixel is 0 (paper) to 16 (ink).
INK = 16
# Weights are whole multiples of this. Training's last digits depend on the machine's linear algebra; these do not.
GRID = 2.0**-10
# Share of the test images that a network trained elsewhere must name as the committed one does.
AGREEMENT = 0.98


def data() -> tuple[np.ndarray, ...]:
    """Images [n,1,8,8] and their digits, split: 1347 to train on, 450 to test with."""
    digits = load_digits()
    images = digits.images[:, None].astype(np.float32)
    return train_test_split(images, digits.target, test_size=0.25, random_state=SEED, stratify=digits.target)


def export(network: Network) -> bytes:
    """The network as ONNX, from raw pixels to probabilities and the most probable digit."""
    weights = {name: (np.round(value / GRID) * GRID).astype(np.float32) for name, value in network.parameters.items()}
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    constants.append(numpy_helper.from_array(np.float32(INK), "ink"))
    convolution = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Div", ["image", "ink"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "w1", "b1"], ["c1"], **convolution),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], **pool),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["c2"], **convolution),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("MaxPool", ["r2"], ["p2"], **pool),
        helper.make_node("Flatten", ["p2"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "w3", "b3"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["digit"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "digits-1",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["batch"]),
        ],
        constants,
    )
    proto = helper.make_model(graph, producer_name="serin-examples", ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


def predict(model: bytes, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, digit = bundle.session(model).run(["probabilities", "digit"], {"image": images})
    return probabilities, digit


def train() -> bundle.Files:
    images, test_images, digits, test_digits = data()
    network = Network(np.random.default_rng(SEED))
    network.train(images / INK, digits, EPOCHS)
    model = export(network)
    accuracy = np.mean(predict(model, test_images)[1] == test_digits)
    print(f"{accuracy:.1%} of {len(test_digits)} images that it was not trained on are read right")
    return {RELEASE.key: model}


def requests() -> dict[str, np.ndarray]:
    """One image by itself, and one of each digit, all from the test set."""
    _, images, _, digits = data()
    # The first 2 of the test set is one of the images that the network gets wrong; an example shows what it gets right.
    chosen = [int(np.flatnonzero(digits == digit)[1]) for digit in range(10)]
    return {"seven": images[chosen[7]][None], "ten-digits": images[chosen]}


def derive(models: bundle.Files) -> bundle.Files:
    model = models[RELEASE.key]
    files = bundle.manifests(RELEASE, model, "examples/digits/train.py")
    for name, rows in requests().items():
        files[f"requests/{name}.json"] = bundle.request(name, "image", rows)
        files[f"requests/{name}.expected.json"] = bundle.answer(RELEASE, name, model, rows)
    return files


def differs(committed: bytes, trained: bytes) -> str | None:
    _, images, _, _ = data()
    agreement = np.mean(predict(committed, images)[1] == predict(trained, images)[1])
    return f"they agree on {agreement:.1%} of the test images, less than {AGREEMENT:.0%}" if agreement < AGREEMENT else None


if __name__ == "__main__":
    bundle.main(__doc__, HERE, train, derive, differs)
