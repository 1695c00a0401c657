"""Step 2: the vocabulary, pruned to Chinese and English, and the tokenizer.

prune(weights, texts) -> (keep, tokenizer): ids of the pieces kept, in the old order, and a
`tokenizers` Unigram tokenizer over them with Metaspace pre-tokenisation and the template <s> … </s>.
Kept: specials; pieces of Han characters, alone or mixed with anything; pieces used by the corpus
`texts` (cleaned); Latin pieces of up to three letters or used by an English word list (the file
/usr/share/dict/american-english where present); ASCII pieces of up to four characters; single
punctuation, symbols and digits. The tokenizer has no normaliser: text is cleaned before (clean.py).
"""
import os
import unicodedata
from collections import Counter

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

SPACE = "▁"
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
WORDS = "/usr/share/dict/american-english"


def kind(piece):
    q = piece.replace(SPACE, "")
    if not q:
        return "space"
    if any("㐀" <= c <= "鿿" or "\U00020000" <= c <= "\U0003ffff" for c in q):
        return "han"
    if q.isascii():
        return "latin" if q.isalpha() else "ascii"
    if all(unicodedata.category(c)[0] in "PSN" for c in q):
        return "sign"
    return "other"


def unigram(vocabulary, unknown=3):
    t = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    t.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return t


def prune(weights, texts):
    full = unigram(list(zip(weights.pieces, weights.scores)))
    seen = Counter()
    for e in full.encode_batch(texts, add_special_tokens=False):
        seen.update(e.ids)
    words = Counter()
    if os.path.exists(WORDS):
        with open(WORDS, encoding="utf-8") as f:
            listed = [w.strip() for w in f if w.strip() and "'" not in w]
        for form in (listed, [w.capitalize() for w in listed]):
            for e in full.encode_batch(form, add_special_tokens=False):
                words.update(e.ids)
    keep = []
    for i, piece in enumerate(weights.pieces):
        k, q = kind(piece), piece.replace(SPACE, "")
        if (i < len(SPECIALS) or k in ("space", "han") or i in seen
                or (k == "latin" and (words[i] >= 2 or len(q) <= 3))
                or (k == "ascii" and len(q) <= 4) or (k == "sign" and len(q) == 1)):
            keep.append(i)
    t = unigram([(weights.pieces[i], weights.scores[i]) for i in keep])
    t.add_special_tokens(SPECIALS)
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    if [t.token_to_id(s) for s in SPECIALS] != [0, 1, 2, 3]:
        raise ValueError("special tokens moved")
    return keep, full, t


def unchanged(full, pruned, texts):
    """How many texts the two tokenizers cut alike."""
    a = full.encode_batch(texts, add_special_tokens=False)
    b = pruned.encode_batch(texts, add_special_tokens=False)
    return sum(x.tokens == y.tokens for x, y in zip(a, b))
