"""The retrieval part of training: what one answer answers lies together, what needs another answer apart.

Sampler draws batches of pairs. Three kinds: topics written for this project, half of them neighbours (of one
file, by the centres of the embeddings of the moment; the author of a file kept its topics apart, so that a
neighbour is a true negative), and the fine labels of two public sets. loss(embedding, groups) is InfoNCE over
a batch, every text of another group being a negative. recall(…) measures on topics that are not trained on.
"""
from collections import defaultdict

import numpy as np
import torch
from torch.nn import functional as F

import rows as rowing
import sources
from clean import clean

TEMPERATURE = 0.05
GROUPS = 24  # groups of two texts in a batch
TWINS = 0.85  # cosine of centres from which two topics of different files are not put against each other
FINE = 0.2  # share of batches made of public fine labels


def fine(data, held):
    """Texts by fine label, of the train parts of JDDC intents and BANKING77."""
    out = {"jddc": defaultdict(list), "banking77": defaultdict(list)}
    for reader in (sources.jddc, sources.banking77):
        for r in reader(data):
            text = clean(r["text"])
            if r["split"] == "train" and 4 <= len(text) <= 120 and not held.near(text):
                out[r["source"]][r["label"]].append(text)
    return [{k: v for k, v in by.items() if len(v) >= 8} for by in out.values()]


class Sampler:
    def __init__(self, train, fines, rng):
        self.rng, self.fines = rng, fines
        self.pages, self.messages = defaultdict(list), defaultdict(list)
        for r in train:
            if r.topic:
                (self.pages if r.page else self.messages)[r.topic].append(r)
        self.topics = sorted(t for t in self.messages if len(self.messages[t]) >= 4)
        self.near = {t: [] for t in self.topics}
        self.twins = {t: set() for t in self.topics}

    def neighbours(self, encode, count=8):
        """Finds each topic's nearest topics of its own file, and its twins: topics of other files that are so near
        that they may well be the same. By encode(texts) -> unit vectors."""
        rows = [(t, r.text) for t in self.topics for r in self.rng.sample(self.messages[t], min(8, len(self.messages[t]))) + self.pages[t]]
        vectors = encode([text for _, text in rows])
        sums = defaultdict(lambda: np.zeros(vectors.shape[1], np.float32))
        for (t, _), v in zip(rows, vectors):
            sums[t] += v
        centres = np.stack([sums[t] / np.linalg.norm(sums[t]) for t in self.topics])
        cosines = centres @ centres.T
        files = np.array([t.split("/")[0] for t in self.topics])
        for i, t in enumerate(self.topics):
            own = files == files[i]
            order = [j for j in np.argsort(-cosines[i]) if own[j] and j != i]
            self.near[t] = [self.topics[j] for j in order[:count]]
            self.twins[t] = {self.topics[j] for j in np.flatnonzero(~own & (cosines[i] > TWINS))}

    def batch(self):
        """(texts, groups, labels): two texts of each of GROUPS groups; labels of service, '' for topics without one."""
        rng = self.rng
        if rng.random() < FINE:
            by = rng.choice(self.fines)
            labels = rng.sample(sorted(by), min(GROUPS, len(by)))
            return [x for k in labels for x in rng.sample(by[k], 2)], [k for k in labels for _ in range(2)], []
        chosen = []
        while len(chosen) < GROUPS:
            t = rng.choice(self.topics)
            for x in [t, *rng.sample(self.near[t], min(2, len(self.near[t])))]:
                if x not in chosen and len(chosen) < GROUPS and not self.twins[x].intersection(chosen):
                    chosen.append(x)
        texts = []
        for t in chosen:
            one, two = rng.sample(self.messages[t], 2)
            if self.pages[t] and rng.random() < 0.5:
                two = rng.choice(self.pages[t])
            for r in (one, two):
                texts.append(r.text if r.page or rng.random() < 0.5 else rowing.noisy(r, rng).text)
        return texts, [t for t in chosen for _ in range(2)], [self.messages[t][0].label for t in chosen for _ in range(2)]


def loss(embedding, groups):
    ids = {g: i for i, g in enumerate(dict.fromkeys(groups))}
    y = torch.tensor([ids[g] for g in groups])
    itself = torch.eye(len(groups), dtype=torch.bool)
    same = (y[:, None] == y[None, :]) & ~itself
    logits = (embedding @ embedding.T / TEMPERATURE).masked_fill(itself, -1e9)
    chance = F.log_softmax(logits, -1)
    return -(chance * same).sum(-1).div(same.sum(-1).clamp(min=1)).mean()


def recall(held, encode):
    """Share of messages of held-out topics whose own topic's titles or answers are nearest, by language; and
    the number of topics. All held-out topics are the book."""
    rows = [r for r in held if r.topic]
    if not rows:
        return {}
    vectors = dict(zip([r.text for r in rows], encode([r.text for r in rows])))
    names = sorted({r.topic for r in rows if r.page})
    pages = [np.stack([vectors[r.text] for r in rows if r.topic == t and r.page]) for t in names]
    out = {"topics": float(len(names))}
    for lang in ("zh", "en"):
        hits = []
        for r in rows:
            if r.lang == lang and not r.page and r.topic in names:
                best = [float((p @ vectors[r.text]).max()) for p in pages]
                hits.append(names[int(np.argmax(best))] == r.topic)
        out[f"recall {lang}"] = float(np.mean(hits))
    return out
