"""Step 8: calibration of the int8 graph, on held-out rows alone.

run(a, note) writes work/calibration.json: temperature, thresholds, margin, clarify, out_of_scope,
skill_link, profile_match, the chosen graph and the coverage it reaches. Every text goes alone through
the graph, as in serving. Costs of an outcome for a row with label distribution y:
  accept k: 1 - y[k];  clarify: 0.2 plus the mass of y outside the choices;  abstain: 0.4.
Held-out ambiguous rows and two-intent messages made of held-out rows stand for what a question is for.
The rule is the one serving applies (decide below).
"""
import json
import os
import random

import numpy as np
from tokenizers import Tokenizer

import export as exporting
import rows as rowing
from clean import clean

MISROUTE, QUESTION, GENERALIST = 1.0, 0.2, 0.4
CHOICES = 3
LABELS = rowing.LABELS
OOS = LABELS.index("out_of_scope")
ACTIONABLE = np.array([t["actionable"] for t in rowing.TAXONOMY])


def softmax(logits, temperature):
    z = logits / temperature
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def decide(p, rule):
    """('accept', [k]) | ('clarify', choices) | ('abstain', [])."""
    order = np.argsort(-p, kind="stable")
    first = order[0]
    if p[OOS] >= rule["limit"]:
        return "abstain", []
    if first != OOS and p[first] >= rule["thresholds"][first] and p[first] - p[order[1]] >= rule["margin"]:
        return "accept", [int(first)]
    chosen, mass = [], 0.0
    for k in order:
        if not ACTIONABLE[k]:
            continue
        if len(chosen) == CHOICES or p[k] < rule["min"]:
            break
        chosen.append(int(k))
        mass += p[k]
        if len(chosen) >= 2 and mass >= rule["mass"]:
            return "clarify", chosen
    return "abstain", []


def cost(p, y, weight, rule):
    total = 0.0
    for q, t, w in zip(p, y, weight):
        what, chosen = decide(q, rule)
        if what == "accept":
            total += w * MISROUTE * (1 - t[chosen[0]])
        elif what == "clarify":
            total += w * (QUESTION + MISROUTE * (1 - t[chosen].sum()))
        else:
            # A generalist is the right answer to what is out of scope.
            total += w * GENERALIST * (1 - t[OOS])
    return total / weight.sum()


def chosen_rule(p, y, weight):
    base = {"thresholds": np.full(len(LABELS), 0.6), "margin": 0.1, "mass": 0.6, "min": 0.15, "limit": 0.5}
    base["thresholds"][OOS] = 2.0
    grids = {"margin": (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3), "mass": (0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8),
             "min": (0.08, 0.1, 0.12, 0.15, 0.18, 0.2, 0.25), "limit": (0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)}
    steps = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
    for _ in range(3):
        best = min((cost(p, y, weight, {**base, "thresholds": np.where(np.arange(len(LABELS)) == OOS, 2.0, t)}), t) for t in steps)
        base["thresholds"] = np.where(np.arange(len(LABELS)) == OOS, 2.0, best[1])
        for key, grid in grids.items():
            base[key] = min((cost(p, y, weight, {**base, key: g}), abs(g - base[key]), g) for g in grid)[2]
    common = base["thresholds"].copy()
    top = p.argmax(1)
    for k in range(len(LABELS)):
        at = top == k
        if k == OOS or at.sum() < 25:
            continue
        found = []
        for t in steps:
            moved = base["thresholds"].copy()
            moved[k] = t
            # A label leaves the common threshold only where its own rows pay for it.
            found.append((cost(p[at], y[at], weight[at], {**base, "thresholds": moved}) + 0.02 * abs(t - common[k]), t))
        base["thresholds"][k] = min(found)[1]
    return base


def tally(p, y, rule):
    got = {"accept": 0, "clarify": 0, "abstain": 0, "right": 0.0}
    for q, t in zip(p, y):
        what, chosen = decide(q, rule)
        got[what] += 1
        if what == "accept":
            got["right"] += t[chosen[0]]
    n = max(1, len(p))
    return {"rows": len(p), "accept": round(got["accept"] / n, 3), "clarify": round(got["clarify"] / n, 3),
            "abstain": round(got["abstain"] / n, 3), "right_when_accepted": round(got["right"] / max(1, got["accept"]), 3)}


def label_vectors(s, tokenizer):
    """Per label: midway between the centre of its examples and the centre of its titles, zh and en together, of
    length 1. A skill is named in the manner of a title. inference/links.go does the same."""

    def centre(texts):
        v = exporting.outputs(s, [clean(x) for x in texts], tokenizer)[1].mean(0)
        return v / np.linalg.norm(v)

    out = []
    for t in rowing.TAXONOMY:
        v = centre([x for code in ("zh", "en") for x in t["examples"][code]]) + centre([t["title"][c] for c in ("zh", "en")])
        out.append(v / np.linalg.norm(v))
    return np.stack(out)


def links(s, tokenizer, held, evaluation, note):
    with open(os.path.join(rowing.HERE, "skills.json"), encoding="utf-8") as f:
        listed = json.load(f)
    known = rowing.Held(*evaluation)
    skills = [k for k in listed["skills"] if not known.near(clean(k["text"]))]
    note(f"skill phrases: {len(skills)} used, {len(listed['skills']) - len(skills)} too near to an evaluation text")
    labels = label_vectors(s, tokenizer)[ACTIONABLE]
    names = [x for x, a in zip(LABELS, ACTIONABLE) if a]
    business = exporting.outputs(s, [clean(x) for x in listed["business"]], tokenizer)
    spread = business[1] @ labels.T
    mean, scale = float(spread.mean()), float(spread.std())
    own = exporting.outputs(s, [clean(k["text"]) for k in skills], tokenizer)
    z = (own[1] @ labels.T - mean) / scale
    found = []
    for threshold in np.arange(0.5, 6.0, 0.1):
        right = wrong = 0
        for k, row in zip(skills, z):
            linked = names[row.argmax()] if row.max() >= threshold else None
            right += linked == k["label"]
            wrong += linked is not None and linked != k["label"]
        found.append((right - 0.5 * wrong, threshold))
    top = max(f[0] for f in found)
    good = [t for v, t in found if v == top]
    threshold = float(good[len(good) // 2])
    for k, row in zip(skills, z):
        linked = names[row.argmax()] if row.max() >= threshold else None
        if linked != k["label"]:
            note(f"  skill {k['text']!r}: {linked} instead of {k['label']}, z {row.max():.2f}")
    right = sum((names[r.argmax()] if r.max() >= threshold else None) == k["label"] for k, r in zip(skills, z))
    profile = np.concatenate([own[2], business[2]])
    talk = exporting.outputs(s, [r.text for r in held if r.source in ("written", "ambiguous")], tokenizer)[2]
    cosines = talk @ profile.T
    return ({"mean": round(mean, 5), "scale": round(scale, 5), "threshold": round(threshold, 3)},
            {"mean": round(float(cosines.mean()), 5), "scale": round(float(cosines.std()), 5)},
            {"right": right, "of": len(skills)})


def fitted(y, logits, weight):
    def loss(t):
        return float(-(weight[:, None] * y * np.log(np.clip(softmax(logits, t), 1e-9, 1))).sum() / weight.sum())

    grid = np.arange(0.4, 2.51, 0.02)
    return float(min(grid, key=loss))


def ece(p, truth, bins=10):
    top, hit = p.max(1), p.argmax(1) == truth
    total = 0.0
    for b in range(bins):
        at = (top > b / bins) & (top <= (b + 1) / bins)
        if at.any():
            total += at.mean() * abs(hit[at].mean() - top[at].mean())
    return float(total)


def run(a, note):
    import train as training

    tokenizer = Tokenizer.from_file(os.path.join(a.work, "tokenizer.json"))
    # Topics are labelled whole, not message by message: they are measured here, and nothing is fitted on them.
    messages = rowing.messages(rowing.build(a.data, a.rows, a.evaluation)[1])
    held, topics = [r for r in messages if not r.topic], [r for r in messages if r.topic]
    rng = random.Random(11)
    doubles = []
    for lang in ("zh", "en"):
        own = [r for r in held if r.source == "written" and r.lang == lang and r.label in rowing.SINGLE]
        while sum(r.lang == lang for r in doubles) < 90:
            x, y = rng.sample(own, 2)
            if x.label != y.label:
                doubles.append(rowing.double(x, y, rng))
    groups = {"written zh": [], "written en": [], "mapped zh": [], "mapped en": [], "two intents": doubles, "ambiguous": [], "out of scope": []}
    for r in held:
        if r.source == "ambiguous":
            groups["ambiguous"].append(r)
        elif r.label == "out_of_scope":
            groups["out of scope"].append(r)
        else:
            groups[("written " if r.source == "written" else "mapped ") + r.lang].append(r)
    # What a day is supposed to look like: most messages have one intent, as written ones do.
    shares = {"written zh": 0.3, "written en": 0.3, "mapped zh": 0.08, "mapped en": 0.04, "two intents": 0.1, "ambiguous": 0.08, "out of scope": 0.1}
    rows = [r for g in groups.values() for r in g]
    where = np.concatenate([[i] * len(g) for i, g in enumerate(groups.values())])
    weight = np.concatenate([np.full(len(g), shares[k] / len(g)) for k, g in groups.items()])
    y = np.zeros((len(rows), len(LABELS)))
    for i, r in enumerate(rows):
        for label, v in r.target.items():
            y[i, LABELS.index(label)] = v
    report = {}
    single = [i for i, r in enumerate(rows) if len(r.target) == 1]
    logits = {}
    for name in ("fp32", "int8"):
        s = exporting.session(os.path.join(a.work, name + ".onnx"))
        logits[name] = exporting.outputs(s, [r.text for r in rows], tokenizer)[0]
        report[name] = {}
        for part, own in (("written", True), ("mapped", False)):
            for code in ("zh", "en"):
                at = [i for i in single if rows[i].lang == code and (rows[i].source == "written") == own]
                truth = [rows[i].label for i in at]
                guess = [LABELS[k] for k in logits[name][at].argmax(1)]
                report[name][f"{part}_{code}"] = {
                    "rows": len(at), "accuracy": round(float(np.mean([t == g for t, g in zip(truth, guess)])), 4),
                    "macro_f1": round(training.macro_f1(truth, guess), 4)}
        note(name + " " + json.dumps(report[name]))
    if topics:
        guess = [LABELS[k] for k in exporting.outputs(s, [r.text for r in topics], tokenizer)[0].argmax(1)]
        for code in ("zh", "en"):
            at = [i for i, r in enumerate(topics) if r.lang == code]
            truth, said = [topics[i].label for i in at], [guess[i] for i in at]
            report["int8"][f"topics_{code}"] = {"rows": len(at), "accuracy": round(float(np.mean([t == g for t, g in zip(truth, said)])), 4),
                                                "macro_f1": round(training.macro_f1(truth, said), 4)}
    temperature = fitted(y, logits["int8"], weight)
    p = softmax(logits["int8"], temperature)
    rule = chosen_rule(p, y, weight)
    report["cost"] = round(float(cost(p, y, weight, rule)), 4)
    report["ece"] = round(ece(p[single], y[single].argmax(1)), 4)
    report["ece_uncalibrated"] = round(ece(softmax(logits["int8"], 1.0)[single], y[single].argmax(1)), 4)
    report["outcomes"] = {}
    for i, name in enumerate(groups):
        at = where == i
        report["outcomes"][name] = tally(p[at], y[at], rule)
        note(f"{name}: {report['outcomes'][name]}")
    int8 = exporting.session(os.path.join(a.work, "int8.onnx"))
    skill, profile, right = links(int8, tokenizer, held, a.evaluation, note)
    report["skill_links"] = right
    out = {"temperature": round(temperature, 4),
           "thresholds": {x: round(float(t), 3) for x, t in zip(LABELS, rule["thresholds"]) if x != "out_of_scope"},
           "margin": rule["margin"], "clarify": {"mass": rule["mass"], "min": rule["min"], "max_choices": CHOICES},
           "out_of_scope": {"label": "out_of_scope", "limit": rule["limit"]}, "skill_link": skill, "profile_match": profile,
           "report": report}
    note(json.dumps({k: v for k, v in out.items() if k != "report"}))
    note(json.dumps({k: report[k] for k in ("cost", "ece", "ece_uncalibrated", "skill_links")}))
    with open(os.path.join(a.work, "calibration.json"), "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=False, indent=1)
