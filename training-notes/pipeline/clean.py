"""Cleaning of customer text, identical in training and in serving.

clean(data: bytes | str, limit=LIMIT) -> str, in this order:
  1. UTF-8 repair: every invalid byte becomes U+FFFD (dropped in step 4, so how many does not matter);
  2. NFKC;
  3. every character with the Unicode property White_Space becomes a space;
  4. characters of category Cc or Cf, U+FFFD and U+034F are dropped (U+034F, the
     grapheme joiner, because stream-safe normalisers insert it after thirty combining marks);
  5. runs of spaces become one, spaces at both ends go;
  6. the text is cut to `limit` bytes of UTF-8 on a character boundary and trimmed again.
Step 5 follows step 4, so that ' <zero width space> ' is one space and the result never has two in a row.
"""
import unicodedata

LIMIT = 8192

# The property White_Space, spelled out: str.isspace() also accepts U+001C to U+001F.
WHITE_SPACE = frozenset(
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
DROPPED = frozenset("\ufffd\u034f")


def clean(data, limit=LIMIT):
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    text = unicodedata.normalize("NFKC", data.decode("utf-8", "replace"))
    kept = []
    for c in text:
        if c in WHITE_SPACE:
            kept.append(" ")
        elif c not in DROPPED and unicodedata.category(c) not in ("Cc", "Cf"):
            kept.append(c)
    text = " ".join(word for word in "".join(kept).split(" ") if word)
    raw = text.encode("utf-8")
    if len(raw) > limit:
        text = raw[:limit].decode("utf-8", "ignore").rstrip(" ")
    return text
