"""Writes the bundle that the tests of package inference run: a graph of a few kB with random weights.

python small.py      (in this folder; needs onnx, onnxruntime, tokenizers, numpy)
The graph takes at most 32 positions, so that an over-long input fails in it. `none` is the same
graph with logits that are no numbers.
"""
import hashlib
import json
import os
import shutil

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

HIDDEN, MATCH, POSITIONS, LABELS = 16, 64, 32, ["returns", "delivery", "other"]
VOCABULARY = len(json.load(open("tokenizer.json"))["model"]["vocab"])


def graph(scale=None):
    rng = np.random.default_rng(1)

    def weight(name, *shape):
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)

    ints = lambda name, values: numpy_helper.from_array(np.array(values, np.int64), name)
    weights = [weight("words", VOCABULARY, HIDDEN), weight("positions", POSITIONS, HIDDEN), weight("classify", HIDDEN, len(LABELS)),
               weight("project", HIDDEN, MATCH), ints("zero", 0), ints("one", [1]), ints("step", 1), ints("last", [2]), ints("axis1", 1)]
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "axis1"], ["width"]),
        helper.make_node("Range", ["zero", "width", "step"], ["places"]),
        helper.make_node("Gather", ["positions", "places"], ["place"]),
        helper.make_node("Add", ["word", "place"], ["hidden"]),
        helper.make_node("Cast", ["attention_mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "last"], ["weight"]),
        helper.make_node("Mul", ["hidden", "weight"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=1, p=2),
        helper.make_node("MatMul", ["embedding", "classify"], ["plain"]),
        helper.make_node("MatMul", ["embedding", "project"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], ["match"], axis=1, p=2),
    ]
    if scale is None:
        nodes.append(helper.make_node("Identity", ["plain"], ["logits"]))
    else:
        weights.append(numpy_helper.from_array(np.array(scale, np.float32), "scale"))
        nodes.append(helper.make_node("Mul", ["plain", "scale"], ["logits"]))
    ids = lambda name: helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
    rows = lambda name, n: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n])
    g = helper.make_graph(nodes, "small", [ids("input_ids"), ids("attention_mask")],
                          [rows("logits", len(LABELS)), rows("embedding", HIDDEN), rows("match", MATCH)], weights)
    model = helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], producer_name="usher tests")
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def bundle(name, scale=None):
    folder = f"models/{name}/1.0.0"
    os.makedirs(folder, exist_ok=True)
    open(f"{folder}/model.onnx", "wb").write(graph(scale))
    shutil.copy("tokenizer.json", folder)
    labels = [{"label": x, "title": {"zh": x, "en": x}, "actionable": x != "other",
               "examples": {"zh": ["我要退货" if x == "returns" else "快递"], "en": ["退款" if x == "returns" else "where is my parcel"]}}
              for x in LABELS]
    json.dump(labels, open(f"{folder}/labels.json", "w"), ensure_ascii=False)
    session, tokenizer = onnxruntime.InferenceSession(f"{folder}/model.onnx"), Tokenizer.from_file("tokenizer.json")
    with open(f"{folder}/golden.jsonl", "w") as f:
        for text in ["我要退货", "where is my parcel?", "abcd", "退款", "快递 order 12", "☃", "a b c d e f g h", "café 123", "is my order", "我要 退款 where is my parcel?"]:
            ids = tokenizer.encode(text).ids
            logits, embedding, _ = session.run(None, {"input_ids": [ids], "attention_mask": [[1] * len(ids)]})
            p = np.exp(logits[0].astype(np.float64) - logits[0].max())
            p /= p.sum()
            if scale is not None:  # nothing to compare: the row only says that it was run
                p = np.array([1.0, 0, 0])
            f.write(json.dumps({"text": text, "ids": ids, "label": LABELS[int(p.argmax())], "probability": float(p.max()),
                                "embedding": [float(x) for x in embedding[0][:8]]}, ensure_ascii=False) + "\n")
    names = hashlib.sha256("".join(x + "\n" for x in LABELS).encode()).hexdigest()
    files = {x: digest(f"{folder}/{x}") for x in ["model.onnx", "tokenizer.json", "labels.json", "golden.jsonl"]}
    manifest = {
        "name": name, "version": "1.0.0", "kind": "text", "files": files,
        "inputs": [{"name": x, "type": "int64", "shape": ["batch", "sequence"]} for x in ("input_ids", "attention_mask")],
        "outputs": [{"name": x, "type": "float32", "shape": ["batch", n]} for x, n in (("logits", len(LABELS)), ("embedding", HIDDEN), ("match", MATCH))],
        "max_length": 24, "prefix": "", "pooling": "sum", "specials": {"bos": 0, "pad": 1, "eos": 2, "unk": 3},
        "labels_sha256": names, "temperature": 1.0, "thresholds": {x: 0.5 for x in LABELS}, "margin": 0.1,
        "clarify": {"mass": 0.8, "min": 0.2, "max_choices": 3}, "out_of_scope": {"label": "other", "limit": 0.6},
        "embedding": {"id": name + "-1", "dimension": HIDDEN, "match_dimension": MATCH},
        "skill_link": {"mean": 0.0, "scale": 1.0, "threshold": 0.3}, "profile_match": {"mean": 0.0, "scale": 0.2},
        "onnxruntime_api": 24, "training": {"command": "python small.py"}, "metrics": {},
    }
    json.dump(manifest, open(f"{folder}/manifest.json", "w"), indent=1)
    json.dump({"default": "1.0.0"}, open(f"models/{name}/aliases.json", "w"))


bundle("small")
bundle("none", float("nan"))
