"""Readers of the public data sets. Every reader takes the data directory, an argument of the pipeline.

Rows are dicts {text, label (the set's own), split, source, lang, pair?}; texts are raw.
Nothing read here is written into the repository.
"""
import csv
import gzip
import hashlib
import io
import json
import os


def lines(path):
    opened = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")
    with opened as f:
        return f.read().decode("utf-8", "replace").split("\n")


def table(path, **kw):
    return csv.DictReader(io.StringIO("\n".join(lines(path))), **kw)


def jddc(data):
    """JDDC intents; split is `test` for the 20 % with sha256(text) mod 5 = 0 (zh-A)."""
    seen = set()
    for part in ("dev", "test"):
        for line in lines(os.path.join(data, "jddc-intents-dialoguecse", f"{part}_select.txt.gz")):
            cells = line.split("\t")
            if len(cells) < 3 or cells[1] in seen:
                continue
            seen.add(cells[1])
            held = int(hashlib.sha256(cells[1].encode()).hexdigest(), 16) % 5 == 0
            yield {"text": cells[1], "label": cells[2], "split": "test" if held else "train", "source": "jddc", "lang": "zh"}


def telemarketing(data):
    for line in lines(os.path.join(data, "telemarketing-intent", "telemarketing_intent_cn.jsonl.gz")):
        if line.strip():
            r = json.loads(line)
            yield {"text": r["text"], "label": r["label"], "split": r["split"], "source": "telemarketing", "lang": "zh"}


def massive(data):
    """zh-CN and en-US train rows carry `pair`, the same id for a sentence and its translation."""
    for r in table(os.path.join(data, "massive", "amazon_massive_intent_zh_en.csv.gz")):
        if r["language"] in ("zh-CN", "en-US"):
            yield {"text": r["text"], "label": r["label"], "split": "train", "source": "massive",
                   "lang": r["language"][:2], "pair": "massive-" + r["id"]}
    for r in table(os.path.join(data, "massive", "amazon_massive_intent_zh-CN_test.csv.gz")):
        yield {"text": r["text"], "label": r["label_text"], "split": "test", "source": "massive", "lang": "zh"}
    for line in lines(os.path.join(data, "massive", "amazon_massive_intent_en_us.jsonl.gz")):
        if line.strip():
            r = json.loads(line)
            if r["split"] == "test":
                yield {"text": r["text"], "label": r["label"], "split": "test", "source": "massive", "lang": "en"}


def banking77(data):
    for split in ("train", "test"):
        for r in table(os.path.join(data, "banking77", f"{split}.csv.gz")):
            yield {"text": r["text"], "label": r["category"], "split": split, "source": "banking77", "lang": "en"}


def clinc150(data):
    with gzip.open(os.path.join(data, "clinc150", "data_full.json.gz"), "rt", encoding="utf-8") as f:
        parts = json.load(f)
    for part, split in (("train", "train"), ("oos_train", "train"), ("test", "test"), ("oos_test", "test")):
        for text, label in parts[part]:
            yield {"text": text, "label": label, "split": split, "source": "clinc150", "lang": "en"}


def multidogo(data):
    """Turn level; turns with more than one intent are left out."""
    for domain in ("airline", "fastfood", "finance", "insurance", "media", "software"):
        for split in ("train", "test"):
            path = os.path.join(data, "multidogo", "turn_level", domain, f"{split}.tsv.gz")
            for r in table(path, delimiter="\t", quoting=csv.QUOTE_NONE):
                label = (r.get("intent") or "").strip()
                if label and "<div>" not in label and r.get("utterance"):
                    yield {"text": r["utterance"], "label": label, "split": split, "source": "multidogo",
                           "lang": "en", "domain": domain}


def nlupp(data):
    """Folds 0-17 are train, 18-19 test; label is the list of atomic intents."""
    for domain in ("banking", "hotels"):
        folder = os.path.join(data, "nlupp", "data", domain)
        for name in sorted(os.listdir(folder)):
            fold = int(name[4:].split(".")[0])
            for r in json.loads("\n".join(lines(os.path.join(folder, name)))):
                yield {"text": r["text"], "label": r.get("intents") or [], "split": "train" if fold < 18 else "test",
                       "source": "nlupp", "lang": "en", "domain": domain}


ALL = (jddc, telemarketing, massive, banking77, clinc150, multidogo, nlupp)


def everything(data):
    for reader in ALL:
        yield from reader(data)


def hashes(data):
    """sha256 of each file the readers open, by path inside the data directory."""
    out = {}
    for folder in ("jddc-intents-dialoguecse", "telemarketing-intent", "massive", "banking77", "clinc150",
                   "multidogo/turn_level", "nlupp/data"):
        for root, _, names in os.walk(os.path.join(data, folder)):
            for name in sorted(names):
                path = os.path.join(root, name)
                if name.split(".")[-1] in ("gz", "json"):
                    with open(path, "rb") as f:
                        out[os.path.relpath(path, data)] = hashlib.sha256(f.read()).hexdigest()
    return dict(sorted(out.items()))
