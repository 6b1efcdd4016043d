"""Trains a tiny text embedder by latent semantic analysis and writes this example around it.

    python examples/embedder/train.py            # writes the model, the manifests, the request and its answer
    python examples/embedder/train.py --check    # trains again and compares; exit code 1 on drift

Words that stand in the same sentences (sentences.py), or at least paragraphs, get similar vectors; a text's vector is the mean of its words'. The same
packages (../requirements.txt) give the same bytes.
"""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
import bundle  # noqa: E402
from sentences import paragraphs  # noqa: E402

NAME = "embedder"
VERSION = "1"
CONFIG_MAP = "embedder-model"
WIDTH = 16
MAX_TOKENS = 64
PAD, UNKNOWN = "[PAD]", "[UNK]"
# How strongly frequent words are held back (Arora and others, 2017: a / (a + p)).
SMOOTHING = 0.005
# What standing in one paragraph counts, where standing in one sentence counts 1.
PARAGRAPH = 0.3
# Texts that were not trained on, in pairs of one subject: each must be nearest to its partner.
PAIRS = [
    ("The kitten sleeps in its basket.", "My dog is a sleepy pet."),
    ("Bake the chicken with garlic.", "Add butter and salt to the dough."),
    ("Will it rain tomorrow?", "A storm with snow and wind."),
    ("I want my money back.", "The payment by credit card was declined."),
    ("Our team lost the match.", "The goalkeeper saves the ball in the final."),
    ("I forgot the password of my computer.", "The server crashes after the update."),
    ("The train to the airport is late.", "We book a hotel on the island."),
    ("The doctor treats a fever.", "Which medicine is good against a cough?"),
]
REQUEST = [PAIRS[3][0], "Please send me a refund.", PAIRS[2][0]]


def words(text: str) -> list[str]:
    """As the tokenizer splits: lower case, words and signs apart."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def vocabulary(texts: list[list[str]]) -> list[str]:
    """Every word, in the order of the alphabet, after the two that are none."""
    return [PAD, UNKNOWN, *sorted({word for text in texts for word in text if word.isalpha()})]


def occurrence(texts: list[list[str]], known: list[str]) -> np.ndarray:
    """Whether each text has each word."""
    return np.array([[word in text for word in known] for text in map(set, texts)], np.float64)


def vectors(subjects: list[list[list[str]]], known: list[str]) -> np.ndarray:
    """A vector for each word: the positive pointwise mutual information of words in sentences and, less so, in paragraphs, reduced to its
    main axes."""
    inside = occurrence([sentence for subject in subjects for sentence in subject], known)
    around = occurrence([sum(subject, []) for subject in subjects], known)
    together = inside.T @ inside + PARAGRAPH * around.T @ around
    np.fill_diagonal(together, 0)
    count = together.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(together * together.sum() / np.outer(count, count))
    information = np.where(np.isfinite(information), np.maximum(information, 0), 0)
    axes, sizes, _ = np.linalg.svd(information)
    made = axes[:, :WIDTH] * np.sqrt(sizes[:WIDTH])
    # An axis has no direction of its own: its largest value is made positive.
    made *= np.sign(made[np.abs(made).argmax(axis=0), np.arange(WIDTH)])
    made /= np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)
    share = inside.sum(axis=0) / max(inside.sum(), 1)
    made *= (SMOOTHING / (SMOOTHING + share))[:, None]
    made[:2] = 0
    # The last digits depend on the machine's linear algebra; three decimals hardly do.
    return made.round(3).astype(np.float16)


def export(table: np.ndarray) -> bytes:
    """Ids to the vector of each word, zeros where the mask is 0."""
    ids, mask = (helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask"))
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", WIDTH])
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["short"]),
        helper.make_node("Cast", ["short"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "last"], ["column"]),
        helper.make_node("Mul", ["single", "column"], ["last_hidden_state"]),
    ]
    constants = [numpy_helper.from_array(table, "words"), numpy_helper.from_array(np.array([2], np.int64), "last")]
    graph = helper.make_graph(nodes, NAME, [ids, mask], [states], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10, producer_name="serin-example")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def tokenizer(known: list[str]) -> bytes:
    """A `tokenizer.json` that knows these words."""
    special = [
        {"id": at, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for at, word in enumerate(known[:2])
    ]
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(known)}, "unk_token": UNKNOWN},
    }
    return (json.dumps(document) + "\n").encode()


# What else the folder of an embedder holds, in the layout of sentence-transformers; a ConfigMap's keys hold no slash.
SETTINGS = {
    "1_Pooling_config.json": {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": MAX_TOKENS},
}


def embed(model: bytes, known: list[str], texts: list[str]) -> tuple[np.ndarray, int]:
    """What the server answers: the mean over a text's tokens at length 1, and how many tokens there were."""
    place = {word: at for at, word in enumerate(known)}
    opened, made, tokens = bundle.session(model), [], 0
    for text in texts:
        ids = np.array([[place.get(word, 1) for word in words(text)]], np.int64)
        (states,) = opened.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        mean = states[0].mean(axis=0)
        made.append(mean / max(np.linalg.norm(mean), 1e-9))
        tokens += ids.size
    return np.array(made, np.float32), tokens


def partners(model: bytes, known: list[str]) -> int:
    """How many of the unseen texts are nearest to the other one of their subject."""
    vectors, _ = embed(model, known, [text for pair in PAIRS for text in pair])
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    return int(sum(likeness[at].argmax() == at ^ 1 for at in range(len(vectors))))


def known_to(files: bundle.Files) -> list[str]:
    return list(json.loads(files["model/tokenizer.json"])["model"]["vocab"])


def train() -> bundle.Files:
    subjects = [[words(text) for text in subject] for subject in paragraphs()]
    texts = [text for subject in subjects for text in subject]
    known = vocabulary(texts)
    model = export(vectors(subjects, known))
    right = partners(model, known)
    print(f"{len(texts)} sentences, {len(known) - 2} words; {right} of {2 * len(PAIRS)} unseen texts are nearest to the other one of their subject")
    if right < 2 * len(PAIRS):
        sys.exit("the embedder does not tell its subjects apart")
    return {"model/model.onnx": model, "model/tokenizer.json": tokenizer(known)}


def derive(models: bundle.Files) -> bundle.Files:
    settings = {f"model/{name}": (json.dumps(document) + "\n").encode() for name, document in SETTINGS.items()}
    model, known = models["model/model.onnx"], known_to(models)
    made, tokens = embed(model, known, REQUEST)
    data = [{"object": "embedding", "index": at, "embedding": bundle.numbers(vector)} for at, vector in enumerate(made)]
    answer = {"object": "list", "data": data, "model": NAME, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return settings | {
        "inferenceservice.yaml": service(model).encode(),
        "model-configmap.yaml": config_map(models | settings).encode(),
        "requests/three-texts.json": lines({"model": NAME, "input": REQUEST}),
        "requests/three-texts.expected.json": lines(answer),
    }


def lines(document: dict) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


def service(model: bytes) -> str:
    return f"""# Made by examples/embedder/train.py, which writes the digest.
apiVersion: serin.dev/v1alpha1
kind: InferenceService
metadata:
  name: {NAME}
spec:
  model:
    version: "{VERSION}"
    source:
      # Without a key: all keys of the ConfigMap are the files of one folder.
      uri: configmap://{CONFIG_MAP}
      digest: sha256:{hashlib.sha256(model).hexdigest()}
  replicas: 1
  resources:
    requests:
      cpu: 100m
      memory: 96Mi
    limits:
      cpu: "1"
      memory: 256Mi
"""


def config_map(files: bundle.Files) -> str:
    named = {name.removeprefix("model/"): data for name, data in files.items()}
    binary = named.pop("model.onnx")
    texts = "".join(f"  {name}: |\n    {data.decode()}" for name, data in sorted(named.items()))
    return f"""# Made by examples/embedder/train.py: the files of model/, so that no other storage is needed.
apiVersion: v1
kind: ConfigMap
metadata:
  name: {CONFIG_MAP}
data:
{texts}binaryData:
  model.onnx: {base64.b64encode(binary).decode()}
"""


def differs(committed: bytes, trained: bytes) -> str | None:
    if committed[:1] == b"{":
        return None if json.loads(committed) == json.loads(trained) else "another vocabulary"
    tables = [numpy_helper.to_array(onnx.load_model_from_string(model).graph.initializer[0]) for model in (committed, trained)]
    if tables[0].shape != tables[1].shape:
        return "another vocabulary"
    largest = float(np.abs(tables[0].astype(np.float32) - tables[1].astype(np.float32)).max())
    return f"a word's vector differs by {largest:.4f}" if largest > 0.01 else None


if __name__ == "__main__":
    bundle.main(__doc__, HERE, train, derive, differs)
