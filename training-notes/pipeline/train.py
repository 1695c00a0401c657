"""Step 6: training.

run(train, held, weights, keep, tokenizer, work, …) fine-tunes a six-layer student (every second layer of
the twelve) and leaves work/student.pt. Losses per row:
  soft cross-entropy with label smoothing on the logits;
  1 - cosine between `embedding` and the teacher's embedding of the clean text (twelve pretrained layers,
  'query: ' prefix, run once and cached), where the mean of each language is taken out, translations share
  one target and rows of a service label are pulled a little to their label's mean;
  squared error between the cosines inside a batch on `match` and a mix of same-label and teacher cosines.
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

import rows as rowing
import weights as weighing
from model import Intent, batches, cut, pad

LAYERS = (1, 3, 5, 7, 9, 11)
LENGTH = 64
PULL = 0.25  # share of the label's mean in the embedding target


def teach(texts, w, keep, tokenizer, cache, note):
    """Teacher embeddings, float32 [texts, 384], length 1; cached by the texts' order."""
    key = hash_of(texts)
    if os.path.exists(cache):
        stored = np.load(cache)
        if str(stored["key"]) == key:
            return stored["vectors"]
    teacher = weighing.bert(w, keep)
    ids = [cut(e.ids, LENGTH) for e in tokenizer.encode_batch(["query: " + t for t in texts])]
    out = np.zeros((len(texts), teacher.config.hidden_size), np.float32)
    started, done = time.time(), 0
    with torch.inference_mode():
        for batch in batches(ids, 64, LENGTH):
            x, mask = pad([ids[i] for i in batch])
            hidden = teacher(input_ids=x, attention_mask=mask).last_hidden_state
            m = mask.unsqueeze(-1).float()
            out[batch] = F.normalize((hidden * m).sum(1) / m.sum(1), dim=-1).numpy()
            done += len(batch)
            if done % 3200 < 64:
                note(f"teacher {done}/{len(texts)} {time.time() - started:.0f} s")
    np.savez(cache, key=key, vectors=out)
    return out


def hash_of(texts):
    import hashlib

    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


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


def run(train, held, w, keep, tokenizer, work, seed=1, epochs=4, minutes=45.0, batch=32, rate=2e-4, head_rate=2e-3,
        smoothing=0.05, note=print):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(2)
    vectors = teach([r.text for r in train], w, keep, tokenizer, os.path.join(work, "teacher.npz"), note)
    target, _ = targets(train, vectors)
    rng = random.Random(seed)
    model = Intent(weighing.bert(w, keep, LAYERS), len(rowing.LABELS))
    slow, fast = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (slow if name.startswith("bert.") else fast).append(p)
    optimiser = torch.optim.AdamW([{"params": slow, "lr": rate}, {"params": fast, "lr": head_rate}], weight_decay=0.01)
    rates = [rate, head_rate]
    single = torch.tensor([1.0 if label in rowing.SINGLE + ["human_agent"] else 0.0 for label in rowing.LABELS])
    plan = [rowing.epoch(train, rng) for _ in range(epochs)]
    total = sum((len(rows) + batch - 1) // batch for rows in plan)
    note(f"{total} steps of {batch}, at most {minutes:.0f} minutes")
    started, step, seen, best = time.time(), 0, 0, None
    for number, rows in enumerate(plan):
        ids = [cut(e.ids, LENGTH) for e in tokenizer.encode_batch([r.text for r in rows])]
        order = list(range(len(rows)))
        rng.shuffle(order)
        groups = batches(ids, batch, LENGTH, order)
        rng.shuffle(groups)
        model.train()
        sums = np.zeros(3)
        for group in groups:
            progress = max(step / total, (time.time() - started) / (60 * minutes))
            if progress >= 1:
                break
            warm = min(1.0, (step + 1) / (0.05 * total))
            for part, top in zip(optimiser.param_groups, rates):
                part["lr"] = top * warm * (1 - progress)
            x, mask = pad([ids[i] for i in group])
            y = torch.zeros(len(group), len(rowing.LABELS))
            goal = np.zeros((len(group), model.bert.config.hidden_size), np.float32)
            plain = np.zeros_like(goal)
            for k, i in enumerate(group):
                for label, p in rows[i].target.items():
                    y[k, rowing.LABELS.index(label)] = p
                both = [target[t] for t in (rows[i].parts or (rows[i].text,))]
                goal[k] = unit(sum(t[0] for t in both))
                plain[k] = unit(sum(t[1] for t in both))
            goal, plain = torch.from_numpy(goal), torch.from_numpy(plain)
            logits, embedding, match = model(x, mask)
            smooth = y * (1 - smoothing) + smoothing / y.shape[1]
            classify = -(smooth * F.log_softmax(logits, -1)).sum(-1).mean()
            distil = (1 - (embedding * goal).sum(-1)).mean()
            like = 0.5 * (plain @ plain.T) + 0.5 * ((y * single) @ (y * single).T).clamp(max=1)
            off = 1 - torch.eye(len(group))
            relate = (((match @ match.T) - like) ** 2 * off).sum() / off.sum().clamp(min=1)
            loss = classify + 2.0 * distil + 2.0 * relate
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
            optimiser.step()
            sums += [classify.item(), distil.item(), relate.item()]
            step, seen = step + 1, seen + len(group)
            if step % 50 == 0:
                note(f"step {step}/{total} {time.time() - started:.0f} s  " + " ".join(f"{v / 50:.3f}" for v in sums))
                sums[:] = 0
        scores = check(model, held, tokenizer)
        note(f"epoch {number + 1}: " + " ".join(f"{k} {v:.3f}" for k, v in scores.items()))
        torch.save({"state": model.state_dict(), "steps": step, "seen": seen, "seconds": time.time() - started,
                    "scores": scores}, os.path.join(work, "student.pt"))
    return model


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
    rows = [r for r in held if len(r.target) == 1]
    logits, _, _ = predict(model, [r.text for r in rows], tokenizer)
    guess = [rowing.LABELS[i] for i in logits.argmax(1)]
    out = {}
    for name, own in (("written", True), ("mapped", False)):
        for code in ("zh", "en"):
            at = [i for i, r in enumerate(rows) if r.lang == code and (r.source == "written") == own]
            truth = [rows[i].label for i in at]
            out[f"{name} {code} f1"] = macro_f1(truth, [guess[i] for i in at])
    return out
