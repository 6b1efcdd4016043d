"""Trains two versions of an iris classifier with scikit-learn and writes this example around them.

    python examples/iris/train.py            # writes the models, the manifests, the requests and their answers
    python examples/iris/train.py --check    # trains again and compares; exit code 1 on drift

Version 1 is a logistic regression on standardised measurements, version 2 a random forest. The same packages
(../requirements.txt) give the same bytes.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import bundle  # noqa: E402

SEED = 7
V1 = bundle.Release(service="iris", version="1", folder=".", config_map="iris-model")
V2 = bundle.Release(service="iris", version="2", folder="v2", config_map="iris-model-v2")
INPUT = "measurements"
# Sepal length, sepal width, petal length, petal width, in cm: one known flower of each species.
FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [7.0, 3.2, 4.7, 1.4], [6.3, 3.3, 6.0, 2.5]], np.float32)
REQUESTS = {"setosa": FLOWERS[:1], "three-flowers": FLOWERS}


def data() -> tuple[np.ndarray, ...]:
    """Measurements and species, split: 112 flowers to train on, 38 to test with."""
    iris = load_iris()
    species = iris.target_names[iris.target]
    return train_test_split(iris.data.astype(np.float32), species, test_size=0.25, random_state=SEED, stratify=iris.target)


def logistic_regression(x: np.ndarray, y: np.ndarray):
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-10, max_iter=1000))
    model.fit(x.astype(np.float64), y)
    # The solver's last digits depend on the machine's linear algebra; three decimals do not.
    regression = model[-1]
    regression.coef_ = regression.coef_.round(3)
    regression.intercept_ = regression.intercept_.round(3)
    return model


def random_forest(x: np.ndarray, y: np.ndarray):
    # 16 trees: each one's share of the vote is exact in binary, and the sum of all is 1.
    return RandomForestClassifier(n_estimators=16, max_depth=3, random_state=SEED).fit(x, y)


def export(model, name: str) -> bytes:
    """The model as ONNX with plain tensors as outputs and a named batch axis."""
    proto = convert_sklearn(
        model,
        name=name,
        initial_types=[(INPUT, FloatTensorType([None, 4]))],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    for value in [*proto.graph.input, *proto.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # The exporter names the default domain twice.
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items()))
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)


def predict(model: bytes, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    label, probabilities = bundle.session(model).run(["label", "probabilities"], {INPUT: x})
    return label, probabilities


def train() -> bundle.Files:
    x, x_test, y, y_test = data()
    models = {}
    for release, fit in [(V1, logistic_regression), (V2, random_forest)]:
        model = export(fit(x, y), f"iris-{release.version}")
        accuracy = np.mean(predict(model, x_test)[0] == y_test)
        print(f"version {release.version}: {accuracy:.1%} of {len(y_test)} flowers that it was not trained on are named right")
        models[release.path(release.key)] = model
    return models


def derive(models: bundle.Files) -> bundle.Files:
    files = {f"requests/{name}.json": bundle.request(name, INPUT, rows) for name, rows in REQUESTS.items()}
    for release in [V1, V2]:
        model = models[release.path(release.key)]
        files |= bundle.manifests(release, model, "examples/iris/train.py")
        for name, rows in REQUESTS.items():
            files[release.path(f"requests/{name}.expected.json")] = bundle.answer(release, name, model, rows)
    return files


def differs(committed: bytes, trained: bytes) -> str | None:
    x = load_iris().data.astype(np.float32)
    (label, probabilities), (new_label, new_probabilities) = predict(committed, x), predict(trained, x)
    if not np.array_equal(label, new_label):
        return f"{np.sum(label != new_label)} of {len(x)} flowers get another name"
    largest = np.max(np.abs(probabilities - new_probabilities))
    return f"a probability differs by {largest:.4f}" if largest > 0.005 else None


if __name__ == "__main__":
    bundle.main(__doc__, HERE, train, derive, differs)
