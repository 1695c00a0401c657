"""Step 6: training.

run(train, held, weights, keep, tokenizer, work, …) fine-tunes a six-layer student (every second layer of
the twelve) and leaves work/student.pt. Losses per row:
  soft cross-entropy with label smoothing on the logits;
  1 - cosine between `embedding` and the teacher's embedding of the clean text (twelve pretrained layers,
  'query: ' prefix, run once and cached), where the mean of each language is taken out, translations share
  one target and rows of a service label are pulled a little to their label's mean;
  squared error between the cosines inside a batch on `match` and a mix of same-label and teacher cosines.
Between batches of rows go batches of pairs, for retrieval (retrieve.py): InfoNCE on `embedding`, and soft
cross-entropy for those of written topics, which have a label.
The learning rate falls linearly with the larger of the shares of steps and of minutes used, so a busy
machine trains less but still finishes in time; the steps done are reported.
"""
import os
import random
import time
from collections import defaultdict

import numpy as np
import torch
from torch.nn import functional as F

import retrieve
import rows as rowing
import weights as weighing
from model import Intent, batches, cut, pad

LAYERS = (1, 3, 5, 7, 9, 11)
LENGTH = 64
PULL = 0.25  # share of the label's mean in the embedding target
TURN = 3
AGAIN = 1200  # steps after which neighbours are looked for again
DISTIL = 0.5  # weight of the embedding target beside the retrieval loss


def teach(texts, w, keep, tokenizer, cache, note):
    """Teacher embeddings, float32 [texts, 384], length 1; those of texts met before come from the cache."""
    known = {}
    if os.path.exists(cache):
        stored = np.load(cache)
        known = dict(zip(stored["texts"].tolist(), stored["vectors"]))
    missing = [t for t in dict.fromkeys(texts) if t not in known]
    teacher = weighing.bert(w, keep) if missing else None
    ids = [cut(e.ids, LENGTH) for e in tokenizer.encode_batch(["query: " + t for t in missing])]
    started, done = time.time(), 0
    with torch.inference_mode():
        for batch in batches(ids, 64, LENGTH):
            x, mask = pad([ids[i] for i in batch])
            hidden = teacher(input_ids=x, attention_mask=mask).last_hidden_state
            m = mask.unsqueeze(-1).float()
            for i, v in zip(batch, F.normalize((hidden * m).sum(1) / m.sum(1), dim=-1).numpy()):
                known[missing[i]] = v
            done += len(batch)
            if done % 3200 < 64:
                note(f"teacher {done}/{len(missing)} {time.time() - started:.0f} s")
    if missing:
        np.savez(cache, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[t] for t in texts])


def unit(v):
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def targets(rows, vectors):
    """text -> embedding target, and the means taken out per language."""
    v = np.array(vectors, dtype=np.float32)
    lang = np.array([r.lang for r in rows])
    means = {}
    for code in ("zh", "en"):
        means[code] = v[lang == code].mean(0)
        v[lang == code] -= means[code]
    v = unit(v)
    pairs = defaultdict(list)
    for i, r in enumerate(rows):
        if r.pair:
            pairs[r.pair].append(i)
    for members in pairs.values():
        v[members] = unit(v[members].mean(0))
    middle = {}
    for label in rowing.SINGLE + ["human_agent"]:
        sides = [v[[i for i, r in enumerate(rows) if r.label == label and r.lang == code]].mean(0) for code in ("zh", "en")]
        middle[label] = unit(sum(unit(s) for s in sides))
    base = v.copy()
    for i, r in enumerate(rows):
        pull = sum((p * middle[k] for k, p in r.target.items() if k in middle), np.zeros(v.shape[1], np.float32))
        v[i] = unit((1 - PULL) * v[i] + PULL * pull)
    return {r.text: (v[i], base[i]) for i, r in enumerate(rows)}, means


def run(train, held, w, keep, tokenizer, work, fines=(), start=None, resume=False, seed=1, epochs=4, minutes=45.0, batch=32, rate=2e-4,
        head_rate=2e-3, smoothing=0.05, threads=2, note=print):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    known = rowing.messages(train)
    vectors = teach([r.text for r in known], w, keep, tokenizer, os.path.join(work, "teacher.npz"), note)
    target, _ = targets(known, vectors)
    rng = random.Random(seed)
    model = Intent(weighing.bert(w, keep, LAYERS), len(rowing.LABELS))
    if start:
        import export

        result = model.load_state_dict(export.stored(start), strict=False)
        if result.unexpected_keys or any("position_ids" not in k for k in result.missing_keys):
            raise ValueError(f"bundle and module differ: {result}")
        rate, head_rate = rate / 2, head_rate / 4
    before = {"steps": 0, "seen": 0, "seconds": 0.0}
    if resume:
        before = torch.load(os.path.join(work, "student.pt"), weights_only=False)
        model.load_state_dict(before["state"])
        rate, head_rate = 0.7 * rate, 0.7 * head_rate
    pairs = retrieve.Sampler(train, fines, rng)

    def encode(texts):
        return predict(model, texts, tokenizer, LENGTH)[1]

    slow, fast = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (slow if name.startswith("bert.") else fast).append(p)
    optimiser = torch.optim.AdamW([{"params": slow, "lr": rate}, {"params": fast, "lr": head_rate}], weight_decay=0.01)
    rates = [rate, head_rate]
    single = torch.tensor([1.0 if label in rowing.SINGLE + ["human_agent"] else 0.0 for label in rowing.LABELS])
    plan = [rowing.epoch(train, rng) for _ in range(epochs)]
    # Of TURN steps one is of rows, the others of pairs.
    turn = TURN if pairs.topics else 1
    total = turn * sum((len(rows) + batch - 1) // batch for rows in plan)
    note(f"{total} steps, at most {minutes:.0f} minutes")
    started, step, seen = time.time(), 0, 0
    for number, rows in enumerate(plan):
        ids = [cut(e.ids, LENGTH) for e in tokenizer.encode_batch([r.text for r in rows])]
        order = list(range(len(rows)))
        rng.shuffle(order)
        groups = batches(ids, batch, LENGTH, order)
        rng.shuffle(groups)
        model.train()
        sums, counts = defaultdict(float), defaultdict(int)
        for kind, group in ((k, g) for g in groups for k in ["rows"] + ["pairs"] * (turn - 1)):
            progress = max(step / total, (time.time() - started) / (60 * minutes))
            if progress >= 1:
                break
            warm = min(1.0, (step + 1) / (0.02 * total))
            for part, top in zip(optimiser.param_groups, rates):
                part["lr"] = top * warm * (1 - progress)
            if kind == "rows":
                losses = service(model, [rows[i] for i in group], [ids[i] for i in group], target, single, smoothing)
                seen += len(group)
            else:
                if step % AGAIN == AGAIN // 4:
                    pairs.neighbours(encode)
                    model.train()
                losses = pairing(model, pairs, tokenizer, smoothing)
                seen += 2 * retrieve.GROUPS
            optimiser.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
            optimiser.step()
            step += 1
            for k, v in losses.items():
                sums[k] += v.item()
                counts[k] += 1
            if step % 60 == 0:
                note(f"step {step}/{total} {time.time() - started:.0f} s  " + " ".join(f"{k} {v / counts[k]:.3f}" for k, v in sums.items()))
                sums.clear(), counts.clear()
        scores = check(model, held, tokenizer) | retrieve.recall(held, encode)
        note(f"epoch {number + 1}: " + " ".join(f"{k} {v:.3f}" for k, v in scores.items()))
        torch.save({"state": model.state_dict(), "steps": before["steps"] + step, "seen": before["seen"] + seen,
                    "seconds": before["seconds"] + time.time() - started, "scores": scores}, os.path.join(work, "student.pt"))
        if progress >= 1:
            break
    return model


def service(model, rows, ids, target, single, smoothing):
    """The losses of rows: what they want, where they lie, whom they suit."""
    y = torch.zeros(len(rows), len(rowing.LABELS))
    goal = np.zeros((len(rows), model.bert.config.hidden_size), np.float32)
    plain = np.zeros_like(goal)
    for k, row in enumerate(rows):
        for label, p in row.target.items():
            y[k, rowing.LABELS.index(label)] = p
        both = [target[t] for t in (row.parts or (row.text,))]
        goal[k] = unit(sum(t[0] for t in both))
        plain[k] = unit(sum(t[1] for t in both))
    goal, plain = torch.from_numpy(goal), torch.from_numpy(plain)
    logits, embedding, match = forward(model, ids)
    like = 0.5 * (plain @ plain.T) + 0.5 * ((y * single) @ (y * single).T).clamp(max=1)
    off = 1 - torch.eye(len(rows))
    return {"classify": cross(logits, y, smoothing), "distil": DISTIL * (1 - (embedding * goal).sum(-1)).mean(),
            "relate": 2.0 * (((match @ match.T) - like) ** 2 * off).sum() / off.sum().clamp(min=1)}


def pairing(model, pairs, tokenizer, smoothing):
    """The losses of pairs. Texts of like length go together: answers are long, messages short."""
    texts, groups, labels = pairs.batch()
    ids = [cut(e.ids, LENGTH) for e in tokenizer.encode_batch(texts)]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    logits, embedding = [], []
    for at in range(0, len(order), 16):
        one, two, _ = forward(model, [ids[i] for i in order[at : at + 16]])
        logits.append(one)
        embedding.append(two)
    out = {"search": retrieve.loss(torch.cat(embedding), [groups[i] for i in order])}
    known = [k for k, i in enumerate(order) if labels and labels[i]]
    if known:
        y = F.one_hot(torch.tensor([rowing.LABELS.index(labels[order[k]]) for k in known]), len(rowing.LABELS)).float()
        out["topic"] = 0.5 * cross(torch.cat(logits)[known], y, smoothing)
    return out


def forward(model, ids):
    """The outputs for token ids, computed in bfloat16: more than twice as fast where the processor knows it."""
    with torch.autocast("cpu", torch.bfloat16):
        return [v.float() for v in model(*pad(ids))]


def cross(logits, y, smoothing):
    smooth = y * (1 - smoothing) + smoothing / y.shape[1]
    return -(smooth * F.log_softmax(logits, -1)).sum(-1).mean()


def predict(model, texts, tokenizer, length=128):
    """(logits, embedding, match) as arrays, in the texts' order."""
    ids = [cut(e.ids, length) for e in tokenizer.encode_batch(texts)]
    out = [None] * 3
    model.eval()
    with torch.inference_mode():
        for group in batches(ids, 64, length):
            for k, value in enumerate(model(*pad([ids[i] for i in group]))):
                if out[k] is None:
                    out[k] = np.zeros((len(texts), value.shape[1]), np.float32)
                out[k][group] = value.numpy()
    return out


def macro_f1(truth, guess):
    scores = []
    for label in sorted(set(truth)):
        hit = sum(t == g == label for t, g in zip(truth, guess))
        said = sum(g == label for g in guess)
        were = sum(t == label for t in truth)
        scores.append(2 * hit / (said + were))
    return sum(scores) / len(scores)


def check(model, held, tokenizer):
    rows = [r for r in rowing.messages(held) if len(r.target) == 1]
    logits, _, _ = predict(model, [r.text for r in rows], tokenizer)
    guess = [rowing.LABELS[i] for i in logits.argmax(1)]
    out = {}
    for name, own in (("written", True), ("mapped", False)):
        for code in ("zh", "en"):
            at = [i for i, r in enumerate(rows) if r.lang == code and (r.source == "written") == own]
            truth = [rows[i].label for i in at]
            out[f"{name} {code} f1"] = macro_f1(truth, [guess[i] for i in at])
    return out
