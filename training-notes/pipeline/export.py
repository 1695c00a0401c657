"""Step 7: the ONNX graphs.

run(a, note) reads work/student.pt and leaves work/fp32.onnx and work/int8.onnx: inputs input_ids and
attention_mask, int64 [batch, sequence]; outputs logits [batch, 12], embedding [batch, 384], match
[batch, 64]. int8 quantises the weights of MatMul per channel and the embedding table (Gather),
activations on the fly, weights to seven bits so that processors without VNNI do not saturate and give
the same numbers. The module exported is written out plainly below, with the token type folded into the
positions; it is checked against the trained one, and a text alone against the same text in a padded batch.
"""
import json
import math
import os

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

import rows as rowing
import train as training
import weights as weighing
from model import Intent, cut, pad

OUTPUTS = ("logits", "embedding", "match")


class Layer(nn.Module):
    def __init__(self, source, heads):
        super().__init__()
        a = source.attention
        self.q, self.k, self.v = a.self.query, a.self.key, a.self.value
        self.o, self.n1 = a.output.dense, a.output.LayerNorm
        self.up, self.down, self.n2 = source.intermediate.dense, source.output.dense, source.output.LayerNorm
        self.heads = heads

    def forward(self, x, bias):
        batch, length, hidden = x.shape

        def split(t):
            return t.view(batch, length, self.heads, hidden // self.heads).transpose(1, 2)

        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        weight = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(hidden // self.heads) + bias, dim=-1)
        x = self.n1(x + self.o((weight @ v).transpose(1, 2).reshape(batch, length, hidden)))
        return self.n2(x + self.down(nn.functional.gelu(self.up(x))))


class Plain(nn.Module):
    def __init__(self, trained):
        super().__init__()
        b = trained.bert
        e = b.embeddings
        self.words = e.word_embeddings
        places = e.position_embeddings.weight.detach() + e.token_type_embeddings.weight.detach()[0]
        self.places = nn.Parameter(places, requires_grad=False)
        self.norm = e.LayerNorm
        self.layers = nn.ModuleList(Layer(layer, b.config.num_attention_heads) for layer in b.encoder.layer)
        self.classify, self.project = trained.classify, trained.project

    def forward(self, input_ids, attention_mask):
        mask = attention_mask.to(torch.float32)
        bias = (1.0 - mask)[:, None, None, :] * -10000.0
        x = self.norm(self.words(input_ids) + self.places[: input_ids.shape[1]])
        for layer in self.layers:
            x = layer(x, bias)
        m = mask.unsqueeze(-1)
        pooled = (x * m).sum(1) / m.sum(1).clamp(min=1.0)
        embedding = pooled / (pooled * pooled).sum(-1, keepdim=True).sqrt()
        match = self.project(embedding)
        match = match / (match * match).sum(-1, keepdim=True).sqrt()
        return self.classify(pooled), embedding, match


def trained(a):
    w = weighing.read(a.weights)
    with open(os.path.join(a.work, "keep.json"), encoding="utf-8") as f:
        keep = json.load(f)
    model = Intent(weighing.bert(w, keep, training.LAYERS), len(rowing.LABELS))
    stored = torch.load(os.path.join(a.work, "student.pt"), weights_only=False)
    model.load_state_dict(stored["state"])
    return model.eval(), stored


def stored(folder):
    """The weights of a bundle's graph as a state of Intent: run backwards, so that training can go on from a bundle.
    Weights in seven bits are exact; nothing else of the training that made them is left."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(os.path.join(folder, "model.onnx")).graph
    have = {t.name: numpy_helper.to_array(t) for t in graph.initializer}

    def dense(name):
        values = have[name + "_quantized"].astype(np.float32) - have[name + "_zero_point"].astype(np.float32)
        return values * have[name + "_scale"]

    plain = {k: v for k, v in have.items() if k.endswith((".weight", ".bias"))}
    plain["words.weight"], plain["places"] = dense("words.weight"), have["places"]
    for n in graph.node:
        if n.op_type == "MatMulInteger":
            name = n.input[1].removesuffix("_quantized")
            where = n.output[0].split("/MatMul")[0].strip("/").replace("/", ".") if "MatMul_" in name else name.split(".")[0]
            plain[where + ".weight"] = dense(name).T
    parts = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "o": "attention.output.dense",
             "n1": "attention.output.LayerNorm", "up": "intermediate.dense", "down": "output.dense", "n2": "output.LayerNorm"}
    fixed = {"words.weight": "word_embeddings.weight", "places": "position_embeddings.weight",
             "norm.weight": "LayerNorm.weight", "norm.bias": "LayerNorm.bias"}
    out = {}
    for name, value in plain.items():
        if name.startswith("layers."):
            _, layer, part, kind = name.split(".")
            name = f"bert.encoder.layer.{layer}.{parts[part]}.{kind}"
        elif name in fixed:
            name = "bert.embeddings." + fixed[name]
        out[name] = torch.tensor(value.copy())
    # The positions hold the token type that is used.
    out["bert.embeddings.token_type_embeddings.weight"] = torch.zeros(2, out["bert.embeddings.position_embeddings.weight"].shape[1])
    return out


def session(path):
    import onnxruntime as ort

    o = ort.SessionOptions()
    o.intra_op_num_threads = 1
    o.inter_op_num_threads = 1
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def alone(s, ids):
    """One text through the graph, without padding."""
    x = np.array([ids], np.int64)
    return [v[0] for v in s.run(list(OUTPUTS), {"input_ids": x, "attention_mask": np.ones_like(x)})]


def outputs(s, texts, tokenizer, length=128):
    ids = [cut(e.ids, length) for e in tokenizer.encode_batch(texts)]
    got = [alone(s, i) for i in ids]
    return [np.stack([g[k] for g in got]) for k in range(3)]


def run(a, note):
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model, stored = trained(a)
    note(f"student: {stored['steps']} steps, {stored['seen']} rows seen in {stored['seconds']:.0f} s")
    plain = Plain(model).eval()
    tokenizer = Tokenizer.from_file(os.path.join(a.work, "tokenizer.json"))
    texts = ["我要退货", "where is my parcel, it should have come on Monday", "你好", "发票抬头写错了，能不能重新开一张"]
    ids = [cut(e.ids, 128) for e in tokenizer.encode_batch(texts)]
    x, mask = pad(ids)
    with torch.inference_mode():
        for one, two in zip(model(x, mask), plain(x, mask)):
            if (one - two).abs().max() > 1e-4:
                raise ValueError("the plain module differs from the trained one")
    full, small = os.path.join(a.work, "fp32.onnx"), os.path.join(a.work, "int8.onnx")
    axes = {"input_ids": {0: "batch", 1: "sequence"}, "attention_mask": {0: "batch", 1: "sequence"}}
    axes.update({k: {0: "batch"} for k in OUTPUTS})
    torch.onnx.export(plain, (x, mask), full, input_names=["input_ids", "attention_mask"], output_names=list(OUTPUTS),
                      dynamic_axes=axes, opset_version=17, dynamo=False)
    onnx.checker.check_model(full)
    quantize_dynamic(full, small, op_types_to_quantize=["MatMul", "Gather"], per_channel=True, reduce_range=True,
                     weight_type=QuantType.QInt8)
    note(f"fp32 {os.path.getsize(full) / 1e6:.1f} MB, int8 {os.path.getsize(small) / 1e6:.1f} MB")
    for name, path in (("fp32", full), ("int8", small)):
        s = session(path)
        batch = s.run(list(OUTPUTS), {"input_ids": x.numpy(), "attention_mask": mask.numpy()})
        worst = [0.0] * 3
        for i, row in enumerate(ids):
            for k, v in enumerate(alone(s, row)):
                worst[k] = max(worst[k], float(np.abs(v - batch[k][i]).max()))
        note(f"{name}: alone against padded batch, largest difference " + " ".join(f"{k} {v:.4f}" for k, v in zip(OUTPUTS, worst)))
        # A dynamic scale is taken over the whole batch, so int8 differs a little; embeddings must stay together.
        if worst[1] > (1e-5 if name == "fp32" else 0.06):
            raise ValueError(f"{name}: padding changes the result")
