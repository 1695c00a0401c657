"""The FAQ's calibration: what `usher eval faq BOOK --features FILE` wrote of the split dev, of one book or several -> parameters.

    python training-notes/pipeline/faq.py FILE... [--wording] [--penalty 1.0] [--most 0.03]

Fits a conditional logit: a candidate has the logit w . x, "no entry answers" the logit b0 + b1 ln(1 + characters); the
probabilities are their softmax. Maximum likelihood with an L2 penalty on features of unit scale, by Newton's method
from zero: deterministic. --wording fits the two lexical features alone, for want of a model. Prints the
entry for faq/calibration.json, and how the fit does under 10-fold cross-validation on the same rows, and book by
book when it is fitted on the other books.
"""
import argparse
import json
import math

import numpy as np

COUNT = 4


def read(path, wording):
    """Rows (candidate ids, features, features of "none", the right entry, the row as written with its book)."""
    rows = []
    for line in open(path, encoding="utf-8"):
        row = json.loads(line) | {"book": path}
        xs = [[0.0 if wording and i < 2 else v for i, v in enumerate(c["x"])] for c in row["candidates"]]
        ids = [c["id"] for c in row["candidates"]]
        none = np.array([1.0, math.log1p(row["length"])])
        rows.append((ids, np.array(xs).reshape(-1, COUNT), none, row["entry"], row))
    return rows


def logits(w, b, xs, none, scale):
    return np.append((xs / scale) @ w, b @ none)


def softmax(w, b, xs, none, scale):
    e = logits(w, b, xs, none, scale)
    e = np.exp(e - e.max())
    return e / e.sum()


def fit(rows, scale, penalty):
    """Newton's method on the penalised log-likelihood, from zero; the constant of "none" is not penalised."""
    theta = np.zeros(COUNT + 2)
    free = np.diag([1.0] * COUNT + [0.0, 1.0]) * penalty + 1e-6 * np.eye(COUNT + 2)
    for _ in range(50):
        gradient, hessian = -free @ theta, free.copy()
        for ids, xs, none, entry, _ in rows:
            design = np.zeros((len(ids) + 1, COUNT + 2))
            design[:-1, :COUNT] = xs / scale
            design[-1, COUNT:] = none
            p = softmax(theta[:COUNT], theta[COUNT:], xs, none, scale)
            # A right entry that is no candidate: "none of these" is right.
            right = ids.index(entry) if entry in ids else len(ids)
            mean = p @ design
            gradient += design[right] - mean
            hessian += (design * p[:, None]).T @ design - np.outer(mean, mean)
        step = np.linalg.solve(hessian, gradient)
        theta = theta + step * min(1.0, 5.0 / np.abs(step).max())
        if np.abs(step).max() < 1e-9:
            break
    return theta[:COUNT], theta[COUNT:]


def predict(rows, w, b, scale):
    out = []
    for ids, xs, none, entry, row in rows:
        p = softmax(w, b, xs, none, scale)
        order = sorted(range(len(ids)), key=lambda i: (-p[i], ids[i]))
        out.append((row, [(ids[i], p[i]) for i in order[:3]]))
    return out


def threshold(predicted, most):
    """The lowest bar from which on at most `most` of what is given is wrong, at every higher bar too."""
    tops = sorted(((c[0][1], c[0][0] == row["entry"]) for row, c in predicted if c), reverse=True)
    best, wrong = 1.0, 0
    for i, (p, right) in enumerate(tops, 1):
        wrong += not right
        if wrong / i <= most:
            best = p
    return best


def summary(predicted, bar):
    answerable = [(row, c) for row, c in predicted if row["entry"]]
    first = sum(1 for row, c in answerable if c and c[0][0] == row["entry"])
    given = [(row, c) for row, c in predicted if c and c[0][1] >= bar]
    wrong = sum(1 for row, c in given if c[0][0] != row["entry"])
    return {"recall_at_1": first / len(answerable), "given": len(given), "wrong": wrong}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("features", nargs="+")
    ap.add_argument("--wording", action="store_true")
    ap.add_argument("--penalty", type=float, default=1.0)
    ap.add_argument("--most", type=float, default=0.03, help="share of answers that may be wrong; below the promise of .05, since rows are few")
    args = ap.parse_args()
    rows = [r for path in args.features for r in read(path, args.wording)]
    scale = np.concatenate([r[1] for r in rows]).std(axis=0)
    scale[scale == 0] = 1.0
    held = []
    for k in range(10):
        w, b = fit([r for i, r in enumerate(rows) if i % 10 != k], scale, args.penalty)
        held += predict([r for i, r in enumerate(rows) if i % 10 == k], w, b, scale)
    bar = threshold(held, args.most)
    w, b = fit(rows, scale, args.penalty)
    print("cross-validated:", summary(held, bar), "bar", round(float(bar), 3))
    for lang in ("zh", "en"):
        print(" ", lang, summary([h for h in held if h[0]["lang"] == lang], bar))
    for book in args.features if len(args.features) > 1 else []:
        other = fit([r for r in rows if r[4]["book"] != book], scale, args.penalty)
        print(" ", book, "fitted on the others:", summary(predict([r for r in rows if r[4]["book"] == book], *other, scale), bar))
    print("fitted rows:    ", summary(predict(rows, w, b, scale), bar))
    squares = [(float(c[0][1]) - (c[0][0] == row["entry"])) ** 2 for row, c in held if c]
    print("Brier of the likeliest, cross-validated:", round(sum(squares) / len(squares), 3))
    print(json.dumps({
        "embedding": "" if args.wording else rows[0][4]["embedding"],
        "weights": [round(float(v), 3) for v in w / scale], "none": [round(float(v), 3) for v in b],
        "answer_at": 0 if args.wording else math.ceil(bar * 100) / 100,
    }))


if __name__ == "__main__":
    main()
