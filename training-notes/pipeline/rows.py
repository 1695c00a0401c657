"""Steps 3 to 5: the rows.

build(data, written, evaluation) -> (train, held): lists of Row. Public sets are cleaned and mapped to
the taxonomy by mapping.json; rows written for this project come from `written` (a folder of JSONL files
{text, lang, target}), and, below it, topics (`topics/*.jsonl`): what one answer answers, in many wordings.
Held-out rows (12 % of the written ones and of the topics, 8 % of the mapped ones, by a hash of the text or
the topic) calibrate and choose; the sets' own test parts are never returned. Rows equal or almost equal to a
text of the evaluation folders (messages, skill names and FAQ entries alike) are dropped, and only counted.
epoch(train, rng) -> rows of one epoch, balanced over label and language, with written rows repeated under
light noise and some two-intent messages made of two written ones.
"""
import hashlib
import json
import os
import random
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import sources
from clean import clean

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "taxonomy.json"), encoding="utf-8") as _f:
    TAXONOMY = json.load(_f)
LABELS = [t["label"] for t in TAXONOMY]
SINGLE = [label for label in LABELS if label not in ("human_agent", "chitchat", "out_of_scope")]

# Most rows taken of one label from one set: the sets are uneven and none may drown the others.
CAPS = {"jddc": 700, "banking77": 320, "clinc150": 260, "telemarketing": 220, "multidogo": 220, "massive": 2400, "nlupp": 220}


@dataclass
class Row:
    text: str
    lang: str
    target: dict
    source: str
    pair: str = ""
    parts: tuple = field(default=())  # texts whose teacher embeddings this row learns; itself when empty
    topic: str = ""  # file and topic of rows that one answer answers
    page: bool = False  # a topic's title or answer, not a message

    @property
    def label(self):
        return max(self.target, key=self.target.get, default="")


def mapped(data):
    """The public sets, mapped. The reader's split is kept on the row: (split, Row)."""
    with open(os.path.join(HERE, "mapping.json"), encoding="utf-8") as f:
        maps = json.load(f)
    for r in sources.everything(data):
        if r["source"] == "nlupp":
            label = _atomic(r["label"])
        else:
            m = maps[r["source"]]
            label = m.get(r["label"], m.get("*", "-"))
        if label != "-":
            yield r["split"], Row(clean(r["text"]), r["lang"], {label: 1.0}, r["source"], r.get("pair", ""))


def _atomic(intents):
    """NLU++ rows name several atomic intents; only three clear combinations are used."""
    s = set(intents)
    if "handoff" in s:
        return "human_agent"
    if "refund" in s:
        return "return_refund"
    if s & {"cancel_close_leave_freeze"} and s & {"booking", "standing_order", "direct_debit", "restaurant", "spa", "gym"}:
        return "cancel_change"
    return "-"


def written(folder):
    for name in sorted(os.listdir(folder)):
        if name.endswith(".jsonl"):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                for line in f:
                    r = json.loads(line)
                    source = "ambiguous" if len(r["target"]) > 1 else "written"
                    yield Row(clean(r["text"]), r["lang"], r["target"], source)


def topics(folder):
    """Rows of the topics: titles and answers (page) and messages. A message counts as written; a topic that no one
    label fits has an empty target, and serves retrieval alone."""
    folder = os.path.join(folder, "topics")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            for line in f:
                t = json.loads(line)
                key = f"{name.removesuffix('.jsonl')}/{t['topic']}"
                target = {t["label"]: 1.0} if "label" in t else {}
                for lang in ("zh", "en"):
                    for page, texts in ((True, (t["title"][lang], t["answer"][lang])), (False, t[lang])):
                        for text in texts:
                            yield Row(clean(text), lang, target, "written", topic=key, page=page)


def messages(rows):
    """Those that customers write, and whose label is known."""
    return [r for r in rows if r.target and not r.page]


def bare(text):
    return "".join(c for c in text.casefold() if unicodedata.category(c)[0] in "LN")


def grams(text, n=3):
    b = bare(text)
    return {b[i : i + n] for i in range(max(1, len(b) - n + 1))}


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from strings(v)
    elif isinstance(value, list):
        for v in value:
            yield from strings(v)


class Held:
    """The evaluation texts, for dropping training rows that are (almost) one of them. Nothing is printed."""

    def __init__(self, *folders):
        self.exact, self.index, self.grams = set(), defaultdict(set), []
        for path in [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))]:
            if not path.endswith((".jsonl", ".json")):
                continue
            with open(path, encoding="utf-8") as f:
                content = f.read()
            rows = [json.loads(line) for line in content.splitlines() if line.strip()] if path.endswith("l") else [json.loads(content)]
            for text in strings(rows):
                if text in LABELS or text in ("zh", "en"):
                    continue
                self.exact.add(bare(clean(text)))
                g = grams(clean(text))
                for x in g:
                    self.index[x].add(len(self.grams))
                self.grams.append(g)

    def near(self, text, limit=0.7):
        if bare(text) in self.exact:
            return True
        g = grams(text)
        shared = Counter(i for x in g for i in self.index.get(x, ()))
        return any(n / len(g | self.grams[i]) >= limit for i, n in shared.items())


def share(text):
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def build(data, folder, evaluation):
    held_texts = Held(*evaluation)
    train, held, dropped, seen = [], [], Counter(), {}
    counts = Counter()
    pool = [(s, r) for s, r in mapped(data)]
    random.Random(3).shuffle(pool)
    # Translations are capped together: a pair is in or out by its id, not by chance.
    pool.sort(key=lambda x: share(x[1].pair) if x[1].pair else 2.0)
    tests = {bare(r.text) for s, r in pool if s == "test"}
    for row in (*written(folder), *topics(folder)):
        key = bare(row.text) or row.text
        if held_texts.near(row.text):
            dropped["topic" if row.topic else "written"] += 1
        elif row.topic and key in seen:
            dropped["repeated"] += 1
        else:
            seen[key] = row.label
            (held if share(row.topic or row.text) < 0.12 else train).append(row)
    for split, row in pool:
        key = bare(row.text)
        if split == "test" or not key or len(row.text) > 400:
            continue
        cell = (row.source, row.label, row.lang)
        if counts[cell] >= CAPS[row.source]:
            continue
        if key in seen or key in tests:
            dropped["repeated or in a test part"] += 1
            continue
        if held_texts.near(row.text):
            dropped["mapped"] += 1
            continue
        seen[key] = row.label
        counts[cell] += 1
        (held if share("held " + (row.pair or row.text)) < 0.08 else train).append(row)
    return train, held, dropped


# Light noise for written rows.
BEFORE = {"zh": ["你好，", "请问", "亲，", "您好 ", "客服你好，", "麻烦问下，", "那个，", "hi ", "在吗，", "你好 我想问下 ", "订单号20{n}，", "我是老顾客了，", "急！"],
          "en": ["hi, ", "hello ", "hey ", "Hi there, ", "excuse me, ", "Good morning. ", "quick question: ", "order {n}: ", "Hi team, ", "so ", "um ", "Hello, I am a customer of yours. "]}
AFTER = {"zh": ["谢谢", "，谢谢", "啊", "？", "！！", "，急", "，在线等", "...", "呢", "，麻烦了", " 订单{n}", "😡", "🙏"],
         "en": [" thanks", " please", "!!", " asap", "???", ", thank you", " (order {n})", " please help", "...", " 😡", " 🙏"]}
# Sentences that say nothing about the wish: what comes with them keeps its label.
CONTEXT = {"zh": ["我上周在你们这买了个电饭煲。", "我是第一次用你们平台，", "昨天我也来问过，", "我帮我妈妈问一下，", "我在外地出差，", "我现在很着急，", "之前在你们家买过好几次，",
                  "打扰一下，有个事，", "我用的是安卓手机，", "上个月的事了，", "刚刚看了一下，", "前几天朋友推荐我来的，"],
           "en": ["I bought a rice cooker from you last week. ", "First time using your site. ", "I already asked yesterday. ", "I'm asking for my mother. ",
                  "I'm travelling for work at the moment. ", "I'm in a bit of a hurry. ", "Been a customer for years. ", "Sorry to bother you, ", "I use an Android phone. ",
                  "It was about a month ago. ", "I just had a look. ", "A friend told me about you. "]}


def noisy(row, rng):
    t = row.text
    plain = row.label in ("chitchat", "out_of_scope")
    if not plain and rng.random() < 0.12:
        t = rng.choice(CONTEXT[row.lang]) + t
    if not plain and rng.random() < 0.3:
        t = rng.choice(BEFORE[row.lang]).replace("{n}", str(rng.randrange(10**4, 10**7))) + t
    if not plain and rng.random() < 0.3:
        t = t + rng.choice(AFTER[row.lang]).replace("{n}", str(rng.randrange(10**4, 10**7)))
    if rng.random() < 0.2:
        t = re.sub(r"[,.?!，。？！、;；:]", " " if rng.random() < 0.5 else "", t)
    words = t.split(" ")
    if row.lang == "en" and len(words) > 4 and rng.random() < 0.15:
        del words[rng.randrange(len(words))]
        t = " ".join(words)
    if row.lang == "en":
        if rng.random() < 0.25:
            t = t.lower()
        elif rng.random() < 0.06:
            t = t.upper()
    if rng.random() < 0.15 and len(t) > 8:
        i = rng.randrange(1, len(t) - 2)
        how = rng.random()
        if how < 0.35:
            t = t[:i] + t[i + 1 :]
        elif how < 0.65:
            t = t[:i] + t[i] + t[i:]
        else:
            t = t[:i] + t[i + 1] + t[i] + t[i + 2 :]
    return Row(clean(t) or row.text, row.lang, row.target, row.source, row.pair, (row.text,))


JOIN = {"zh": ["，", "，还有", "，另外", "。", "，而且", " ", "，顺便"], "en": [", and ", ". Also ", " and also ", "; ", ". ", ", plus "]}


def double(a, b, rng):
    """One message with two intents."""
    target = defaultdict(float)
    shares = (0.7, 0.3) if a.label == "human_agent" else (0.5, 0.5)
    for row, s in ((a, shares[0]), (b, shares[1])):
        for k, v in row.target.items():
            target[k] += s * v
    first, second = (a, b) if rng.random() < 0.5 else (b, a)
    text = first.text.rstrip("。.!！?？ ") + rng.choice(JOIN[a.lang]) + second.text
    return Row(clean(text), a.lang, dict(target), "double", "", (a.text, b.text))


def epoch(train, rng, cell=560, scope=1100):
    """cell: draws per label and language; scope: those of out_of_scope."""
    train = messages(train)
    by = defaultdict(lambda: {"written": [], "mapped": []})
    ambiguous = [r for r in train if r.source == "ambiguous"]
    for r in train:
        if r.source != "ambiguous":
            by[(r.label, r.lang)]["written" if r.source == "written" else "mapped"].append(r)
    out = []
    for (label, _), rows in sorted(by.items()):
        wanted = scope if label == "out_of_scope" else cell
        own = min(len(rows["written"]) * 5, wanted * 3 // 5)
        rest = min(len(rows["mapped"]) * 3, wanted - own)
        own = min(len(rows["written"]) * 8, wanted - rest)
        out += [noisy(r, rng) for r in draw(rows["written"], own, rng)]
        out += draw(rows["mapped"], rest, rng)
    for r in draw(ambiguous, 6 * len(ambiguous), rng):
        out.append(noisy(r, rng))
    for lang in ("zh", "en"):
        own = [r for r in train if r.source == "written" and r.lang == lang]
        single = [r for r in own if r.label in SINGLE]
        human = [r for r in own if r.label == "human_agent"]
        for _ in range(450):
            a, b = rng.sample(single, 2)
            if a.label != b.label:
                out.append(double(a, b, rng))
        for _ in range(60):
            out.append(double(rng.choice(human), rng.choice(single), rng))
    rng.shuffle(out)
    return out


def draw(rows, count, rng):
    """count rows, each row equally often, give or take one."""
    out = []
    while rows and len(out) < count:
        out += rng.sample(rows, min(len(rows), count - len(out)))
    return out
