"""Tests of the training pipeline and of the shipped bundles: python -m unittest discover training-notes/tests

They need the environment of requirements.txt. USHER_TRAINING_WEIGHTS names e5-small-q4.bin and
USHER_TRAINING_DATA the folder of public sets; without them the tests that need them are skipped.
"""
import base64
import json
import os
import random
import sys
import tempfile
import unittest

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "pipeline"))

import retrieve  # noqa: E402
import rows as rowing  # noqa: E402
from clean import LIMIT, clean  # noqa: E402

WEIGHTS = os.environ.get("USHER_TRAINING_WEIGHTS", "")
DATA = os.environ.get("USHER_TRAINING_DATA", "")


def newest(kind):
    with open(os.path.join(ROOT, "models", kind, "aliases.json"), encoding="utf-8") as f:
        return os.path.join(ROOT, "models", kind, json.load(f)["default"])


class Cleaning(unittest.TestCase):
    def test_golden(self):
        path = os.path.join(ROOT, "inference", "testdata", "normalise.golden.jsonl")
        with open(path, encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        self.assertEqual(len(rows), 2000)
        for r in rows:
            self.assertEqual(clean(base64.b64decode(r["in_b64"])), r["out"])

    def test_shape(self):
        for raw, want in ((b" a\r\n\tb ", "a b"), (b"a \xe2\x80\x8b b", "a b"), (b"\xff\xfeok", "ok"), (b"\n", ""), ("ｶﾞ".encode(), "ガ")):
            self.assertEqual(clean(raw), want)
        self.assertLessEqual(len(clean("货" * LIMIT).encode()), LIMIT)


class Rows(unittest.TestCase):
    def test_written(self):
        rows = list(rowing.written(os.path.join(HERE, "..", "rows")))
        self.assertGreaterEqual(len(rows), 900)
        for r in rows:
            self.assertTrue(r.text)
            self.assertIn(r.lang, ("zh", "en"))
            self.assertAlmostEqual(sum(r.target.values()), 1, places=6)
            self.assertLessEqual(set(r.target), set(rowing.LABELS))
        for lang in ("zh", "en"):
            for label in rowing.LABELS:
                self.assertGreaterEqual(sum(r.label == label and r.lang == lang and len(r.target) == 1 for r in rows), 40, (label, lang))

    def test_topics(self):
        rows = list(rowing.topics(os.path.join(HERE, "..", "rows")))
        topics = {r.topic for r in rows}
        self.assertGreaterEqual(len(topics), 450)
        for r in rows:
            self.assertTrue(r.text)
            self.assertIn(r.label, ["", *rowing.LABELS])
        for t in topics:
            for lang in ("zh", "en"):
                own = [r for r in rows if r.topic == t and r.lang == lang]
                self.assertEqual(sum(r.page for r in own), 2, t)
                texts = [r.text for r in own if not r.page]
                self.assertGreaterEqual(len(texts), 18, t)
                self.assertEqual(len(set(texts)), len(texts), t)

    def test_pairs_of_a_batch(self):
        rows = list(rowing.topics(os.path.join(HERE, "..", "rows")))
        sampler = retrieve.Sampler(rows, [{"a": ["x1", "x2"], "b": ["y1", "y2"]}], random.Random(1))
        own = {r.text: r.topic for r in rows}
        for _ in range(20):
            texts, groups, labels = sampler.batch()
            if labels:
                self.assertEqual(len(texts), 2 * retrieve.GROUPS)
                self.assertEqual(len(set(groups)), retrieve.GROUPS)
                for text, group in zip(texts, groups):
                    self.assertIn(own.get(text, group), (group,))
            else:
                self.assertEqual(groups, ["a", "a", "b", "b"] if groups[0] == "a" else ["b", "b", "a", "a"])

    def test_pairs_are_pulled_together(self):
        import torch

        apart = torch.eye(4)
        together = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
        groups = ["a", "a", "b", "b"]
        self.assertLess(retrieve.loss(together, groups).item(), 1e-6)
        self.assertGreater(retrieve.loss(apart, groups).item(), 1)

    def test_evaluation_texts_are_dropped(self):
        with tempfile.TemporaryDirectory() as d:
            with open(os.path.join(d, "x.jsonl"), "w", encoding="utf-8") as f:
                f.write(json.dumps({"text": "Where did my blue parcel go?", "agents": [{"skills": ["退件小组"]}]}) + "\n")
            held = rowing.Held(d)
            self.assertTrue(held.near("where did my blue parcel go"))
            self.assertTrue(held.near("Where did my blue parcels go?"))
            self.assertTrue(held.near("退件小组"))
            self.assertFalse(held.near("I want to send it back"))

    def test_double_keeps_both(self):
        a = rowing.Row("取消订单", "zh", {"cancel_change": 1.0}, "written")
        b = rowing.Row("开发票", "zh", {"payment_invoice": 1.0}, "written")
        r = rowing.double(a, b, random.Random(1))
        self.assertEqual(r.target, {"cancel_change": 0.5, "payment_invoice": 0.5})
        self.assertIn("取消订单", r.text)
        self.assertIn("开发票", r.text)


@unittest.skipUnless(WEIGHTS, "USHER_TRAINING_WEIGHTS is not set")
class Pretrained(unittest.TestCase):
    def test_translations_are_near(self):
        import torch

        import vocabulary as vocab
        import weights as weighing

        w = weighing.read(WEIGHTS)
        self.assertEqual((w.config["hidden"], w.config["layers"], len(w.pieces)), (384, 12, 250002))
        tokenizer = vocab.unigram(list(zip(w.pieces, w.scores)))
        model = weighing.bert(w)
        out = []
        for text in ("我要退货", "I want to return this item", "今天天气怎么样", "what is the weather like today"):
            ids = torch.tensor([[0, *tokenizer.encode("query: " + text).ids, 2]])
            with torch.inference_mode():
                v = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1)[0]
            out.append((v / v.norm()).numpy())
        cosine = np.stack(out) @ np.stack(out).T
        self.assertGreater(cosine[0, 1], max(cosine[0, 2], cosine[0, 3]) + 0.005)
        self.assertGreater(cosine[2, 3], max(cosine[1, 2], cosine[1, 3]) + 0.005)
        self.assertGreater(cosine[0, 1], 0.8)

    @unittest.skipUnless(DATA, "USHER_TRAINING_DATA is not set")
    def test_pruned_tokenizer_cuts_alike(self):
        from tokenizers import Tokenizer

        import sources
        import vocabulary as vocab
        import weights as weighing

        w = weighing.read(WEIGHTS)
        full = vocab.unigram(list(zip(w.pieces, w.scores)))
        pruned = Tokenizer.from_file(os.path.join(newest("intent"), "tokenizer.json"))
        texts = sorted({clean(r["text"]) for r in sources.everything(DATA)} - {""})
        self.assertEqual(vocab.unchanged(full, pruned, texts), len(texts))


class Bundles(unittest.TestCase):
    def test_intent(self):
        import bundle

        self.assertGreaterEqual(bundle.verify(newest("intent")), 200)

    def test_training_goes_on_from_a_bundle(self):
        """The weights that are read back give what the graph gives."""
        import export as exporting
        from model import pad
        from tokenizers import Tokenizer

        folder = newest("intent")
        plain = exporting.Plain(self.model(folder)).eval()
        tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        s = exporting.session(os.path.join(folder, "model.onnx"))
        for text in ("我要退货", "where is my parcel"):
            ids = tokenizer.encode(text).ids
            want, got = exporting.alone(s, ids), plain(*pad([ids]))
            for a, b, most in zip(want, got, (0.3, 0.03, 0.04)):
                self.assertLess(np.abs(a - b[0].detach().numpy()).max(), most)

    @staticmethod
    def model(folder):
        import export as exporting
        from model import Intent
        from transformers import BertConfig, BertModel

        state = exporting.stored(folder)
        words, places = (state[f"bert.embeddings.{k}_embeddings.weight"].shape for k in ("word", "position"))
        layers = 1 + max(int(k.split(".")[3]) for k in state if k.startswith("bert.encoder.layer."))
        bert = BertModel(BertConfig(vocab_size=words[0], hidden_size=words[1], num_hidden_layers=layers, num_attention_heads=12,
                                    intermediate_size=4 * words[1], max_position_embeddings=places[0]), add_pooling_layer=False)
        model = Intent(bert, len(rowing.LABELS))
        model.load_state_dict(state, strict=False)
        return model.eval()

    def test_value(self):
        import onnxruntime as ort

        import value

        folder = newest("value")
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as f:
            m = json.load(f)
        for name, want in m["files"].items():
            self.assertEqual(value.sha(os.path.join(folder, name)), want)
        s = ort.InferenceSession(os.path.join(folder, "model.onnx"), providers=["CPUExecutionProvider"])
        with open(os.path.join(folder, "golden.jsonl"), encoding="utf-8") as f:
            rows = [json.loads(line) for line in f]
        x = np.array([[np.nan if c is None else c for c in r["features"]] for r in rows], np.float32)
        worth, p = s.run(None, {"features": x})
        np.testing.assert_allclose(worth[:, 0], [r["expected_12m"] for r in rows], rtol=1e-5)
        np.testing.assert_allclose(p[:, 0], [r["p_active"] for r in rows], rtol=1e-5)
        self.assertTrue(np.isfinite(worth).all() and (worth >= 0).all() and ((p >= 0) & (p <= 1)).all())

    def test_value_is_monotone(self):
        import onnxruntime as ort

        import value

        s = ort.InferenceSession(os.path.join(newest("value"), "model.onnx"), providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(3)
        base = np.zeros((400, len(value.NAMES)), np.float32)
        base[:, 0] = rng.uniform(0, 400, 400)
        base[:, 1] = base[:, 0] + rng.uniform(0, 400, 400)
        base[:, 2] = rng.integers(0, 20, 400)
        base[:, 3] = rng.uniform(0, 2000, 400)
        base[:, 4] = rng.uniform(5, 200, 400)
        for column, sign, step in ((0, -1, 45), (2, 1, 2), (3, 1, 150), (5, -1, 1), (6, -1, 1)):
            moved = base.copy()
            moved[:, column] += step
            for one, two in zip(s.run(None, {"features": base}), s.run(None, {"features": moved})):
                self.assertTrue((sign * (two - one) >= -1e-5).all(), value.NAMES[column])


if __name__ == "__main__":
    unittest.main()
