"""Measures the finished int8 graph on test parts and, once, on the evaluation messages.

python report.py --data DIR --work DIR --evaluation eval/understanding --out FILE.json
Nothing is tuned here. Test parts: JDDC intents zh-A (20 % by hash), BANKING77 test mapped, MASSIVE test
zh and en as out of scope against the test parts above (AUROC of p(out_of_scope)); then accuracy and
macro-F1 per language on service.jsonl and on the intents of groups.jsonl. Prints numbers, never texts.
"""
import argparse
import json
import os
import random
from collections import Counter

import numpy as np
from tokenizers import Tokenizer

import calibrate as calibrating
import export as exporting
import rows as rowing
import train as training
from clean import clean

LABELS = rowing.LABELS


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--evaluation", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--most", type=int, default=1500, help="most rows of one test part")
    a = p.parse_args()
    tokenizer = Tokenizer.from_file(os.path.join(a.work, "tokenizer.json"))
    with open(os.path.join(a.work, "calibration.json"), encoding="utf-8") as f:
        c = json.load(f)
    thresholds = np.array([c["thresholds"].get(x, 2.0) for x in LABELS])
    rule = {"thresholds": thresholds, "margin": c["margin"], "mass": c["clarify"]["mass"], "min": c["clarify"]["min"],
            "limit": c["out_of_scope"]["limit"]}
    sessions = {k: exporting.session(os.path.join(a.work, k + ".onnx")) for k in ("int8", "fp32")}

    def probabilities(texts, name="int8"):
        return calibrating.softmax(exporting.outputs(sessions[name], texts, tokenizer)[0], c["temperature"])

    def score(texts, truth, name="int8", p=None):
        p = probabilities(texts, name) if p is None else p
        guess = [LABELS[k] for k in p.argmax(1)]
        return {"rows": len(texts), "accuracy": round(float(np.mean([t == g for t, g in zip(truth, guess)])), 4),
                "macro_f1": round(training.macro_f1(truth, guess), 4)}

    tests = {}
    for split, r in rowing.mapped(a.data):
        if split == "test" and r.text:
            tests.setdefault((r.source, r.lang), []).append(r)
    rng = random.Random(2)
    for rows in tests.values():
        rng.shuffle(rows)
    out = {}
    scope = {}
    for name, key in (("jddc_zh_a", ("jddc", "zh")), ("banking77_mapped", ("banking77", "en"))):
        rows = tests[key][: 2 * a.most]
        texts, truth = [r.text for r in rows], [r.label for r in rows]
        p8 = probabilities(texts)
        out[name] = score(texts, truth, p=p8)
        at = list(range(min(a.most, len(rows))))
        out[name + "_fp32"] = score([texts[i] for i in at], [truth[i] for i in at], "fp32")
        out[name + "_int8_same_rows"] = score([texts[i] for i in at], [truth[i] for i in at], p=p8[at])
        scope[key[1]] = p8[[i for i, t in enumerate(truth) if t != "out_of_scope"]][:, calibrating.OOS]
        print(name, out[name], flush=True)
    from sklearn.metrics import roc_auc_score

    for lang in ("zh", "en"):
        texts = [r.text for r in tests[("massive", lang)] if r.label == "out_of_scope"][: a.most]
        far = probabilities(texts)[:, calibrating.OOS]
        truth = np.r_[np.ones(len(far)), np.zeros(len(scope[lang]))]
        out[f"massive_{lang}_oos_auroc"] = round(float(roc_auc_score(truth, np.r_[far, scope[lang]])), 4)
        print(f"massive_{lang}_oos_auroc", out[f"massive_{lang}_oos_auroc"], flush=True)
    for name in ("service", "groups"):
        with open(os.path.join(a.evaluation, name + ".jsonl"), encoding="utf-8") as f:
            rows = [json.loads(line) for line in f if line.strip()]
        for lang in ("zh", "en"):
            at = [r for r in rows if r["lang"] == lang]
            texts, truth = [clean(r["text"]) for r in at], [r["intent"] for r in at]
            p8 = probabilities(texts)
            got = score(texts, truth, p=p8)
            outcomes = Counter(calibrating.decide(q, rule)[0] for q in p8)
            kept = [i for i, q in enumerate(p8) if calibrating.decide(q, rule)[0] == "accept"]
            got["outcomes"] = dict(outcomes)
            got["right_when_accepted"] = round(float(np.mean([LABELS[p8[i].argmax()] == truth[i] for i in kept])), 4)
            got["confusions"] = [[f"{t} -> {g}", n] for (t, g), n in Counter(
                (t, LABELS[q.argmax()]) for t, q in zip(truth, p8) if LABELS[q.argmax()] != t).most_common(8)]
            out[f"{name}_{lang}"] = got
            print(name, lang, got, flush=True)
    with open(a.out, "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main()
