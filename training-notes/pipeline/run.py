"""Trains, exports, calibrates and bundles the intent model.

python training-notes/pipeline/run.py --data DIR --weights e5-small-q4.bin --work DIR --out models/intent/VERSION

DIR holds the public sets (see README.md), WORK receives caches and checkpoints and stays outside the
repository. `--stages` runs a part: vocabulary, train, mean, export, calibrate, bundle (each reads what the one
before left in WORK). `--evaluation` names the folders of evaluation texts, used to drop near-duplicates
from training and for nothing else here; report.py measures on them, once. `--start BUNDLE` goes on from a
bundle instead of from the pretrained weights.
"""
import argparse
import json
import os
import sys
import time

from tokenizers import Tokenizer

import rows as rowing
import sources
import weights as weighing
from clean import clean

HERE = os.path.dirname(os.path.abspath(__file__))
STAGES = ("vocabulary", "train", "mean", "export", "calibrate", "bundle")


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--weights", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--out")
    p.add_argument("--rows", default=os.path.join(HERE, "..", "rows"))
    p.add_argument("--evaluation", nargs="+", default=[os.path.join(HERE, "..", "..", "eval", x) for x in ("understanding", "faq")])
    p.add_argument("--start", help="folder of a bundle")
    p.add_argument("--resume", action="store_true", help="train the checkpoint of WORK further, with a rate that begins at seven tenths")
    p.add_argument("--stages", default=",".join(STAGES))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--minutes", type=float, default=45)
    p.add_argument("--threads", type=int, default=2, help="1 is faster where other work shares the cores")
    p.add_argument("--mean", nargs="+", help="checkpoints whose mean becomes that of WORK, in the stage mean")
    p.add_argument("--told", help="how the bundle was made, for its manifest, when one command does not say it")
    return p.parse_args()


def vocabulary(a, note):
    import vocabulary as vocab

    w = weighing.read(a.weights)
    texts = sorted({clean(r["text"]) for r in sources.everything(a.data)} | {r.text for r in rowing.written(a.rows)})
    keep, full, tokenizer = vocab.prune(w, texts)
    same = vocab.unchanged(full, tokenizer, texts)
    note(f"vocabulary {len(w.pieces)} -> {len(keep)}, {same} of {len(texts)} texts cut alike")
    if same != len(texts):
        raise ValueError("pruning changed the segmentation")
    tokenizer.save(os.path.join(a.work, "tokenizer.json"))
    with open(os.path.join(a.work, "keep.json"), "w", encoding="utf-8") as f:
        json.dump(keep, f)


def train(a, note):
    import retrieve
    import train as training

    w = weighing.read(a.weights)
    with open(os.path.join(a.work, "keep.json"), encoding="utf-8") as f:
        keep = json.load(f)
    tokenizer = Tokenizer.from_file(os.path.join(a.work, "tokenizer.json"))
    rows, held, dropped = rowing.build(a.data, a.rows, a.evaluation)
    note(f"{len(rows)} rows to train, {len(held)} held out, dropped {dict(dropped)}")
    fines = retrieve.fine(a.data, rowing.Held(*a.evaluation))
    note(f"{len({r.topic for r in rows if r.topic})} topics to train; fine labels: {', '.join(str(len(f)) for f in fines)}")
    training.run(rows, held, w, keep, tokenizer, a.work, fines=fines, start=a.start, resume=a.resume, seed=a.seed, epochs=a.epochs, minutes=a.minutes, threads=a.threads, note=note)


def mean(a, note):
    """The mean of the weights of several checkpoints of one training; the last one's counts."""
    import torch

    if not a.mean:
        return
    stored = [torch.load(path, weights_only=False) for path in a.mean]
    last = stored[-1]
    state = {k: torch.stack([s["state"][k] for s in stored]).mean(0) if v.is_floating_point() else v for k, v in last["state"].items()}
    torch.save(last | {"state": state}, os.path.join(a.work, "student.pt"))
    note(f"mean of {len(stored)} checkpoints")


def export(a, note):
    import export as exporting

    exporting.run(a, note)


def calibrate(a, note):
    import calibrate as calibrating

    calibrating.run(a, note)


def bundle(a, note):
    import bundle as bundling

    bundling.run(a, note)


def main():
    a = arguments()
    os.makedirs(a.work, exist_ok=True)
    started = time.time()

    def note(text):
        print(f"[{time.time() - started:6.0f}] {text}", flush=True)

    for stage in a.stages.split(","):
        if stage not in STAGES:
            sys.exit(f"unknown stage {stage}; known: {', '.join(STAGES)}")
        note(stage)
        {"vocabulary": vocabulary, "train": train, "mean": mean, "export": export, "calibrate": calibrate, "bundle": bundle}[stage](a, note)


if __name__ == "__main__":
    main()
