"""Writes cleaned real lines with the reference tokenizer's ids, for the Go tokenizer to compare against.

python parity.py --data DIR --tokenizer tokenizer.json --out FILE.jsonl [--count 60000]
Rows: {"text": cleaned text, "ids": ids with <s> and </s>, untruncated}. The output holds rows of the
data sets, so it must stay outside the repository.
"""
import argparse
import json
import os
import random

from tokenizers import Tokenizer

import sources
from clean import clean


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--count", type=int, default=60000)
    a = p.parse_args()
    texts = sorted({clean(r["text"]) for r in sources.everything(a.data)} - {""})
    for line in sources.lines(os.path.join(a.data, "jddc-sample", "chat_0.1per.txt.gz")):
        texts.append(clean(line.split("\t")[-1]))
    texts = sorted(set(texts) - {""})
    random.Random(7).shuffle(texts)
    texts = texts[: a.count]
    tokenizer = Tokenizer.from_file(a.tokenizer)
    with open(a.out, "w", encoding="utf-8") as f:
        for text, e in zip(texts, tokenizer.encode_batch(texts)):
            f.write(json.dumps({"text": text, "ids": e.ids}, ensure_ascii=False) + "\n")
    print(len(texts), "lines to", a.out)


if __name__ == "__main__":
    main()
