"""Writes the golden file that holds the cleaning of training and of serving equal.

python golden_clean.py --out inference/testdata/normalise.golden.jsonl
2,000 rows {"in_b64": raw bytes, "out": cleaned text}: written cases first, then bytes and characters
drawn from nasty pools with a fixed seed. Characters are assigned in Unicode 14.0 (the tables of
Python 3.11), so that libraries with newer tables agree.
"""
import argparse
import base64
import json
import random
import unicodedata

from clean import LIMIT, clean

WRITTEN = [
    b"", b" ", b"\n", b"\t\t\r\n", b"\x00", b"\x00\x01\x02", b"a\x00b", b"a\x1fb", b"a\x1c b", b"a\x7fb",
    "plain", "我要退货", "  lead and trail  ", "a\r\nb", "a\r\n\r\nb", "a\nb\tc\vd\fe", "a\u0085b", "a\u00a0b",
    "a\u1680b", "a\u2000\u2001\u2002b", "a\u2028b\u2029c", "a\u202fb\u205fc\u3000d", "\u3000\u3000全角空格\u3000",
    "a\u200bb", "a \u200b b", "\u200b\u200bzero width", "\ufeffbom", "a\u2060b", "a\u00adb", "soft\u00adhyphen",
    "\u202eright to left\u202c", "\u2066isolate\u2069", "\ufffd bad", "bad \ufffd\ufffd", "\ufffd", " \ufffd ",
    "cafe\u0301", "café", "n\u0303", "e\u0301\u0300", "a\u0300\u0323", "a\u0323\u0300", "\u0301alone", " \u0301",
    "q" + "\u0301" * 29, "q" + "\u0301" * 31, "e" + "\u0301" * 64, "z\u0316" + "\u0301" * 40, "a\u034fb", "a\u034f\u0301",
    "İstanbul", "i\u0307", "ẞ", "Straße", "ſ", "ﬁne ofﬁce", "ﬃ", "Ⅳ", "①②③", "㈱", "㍿", "㎏", "½", "²", "™", "…", "‥",
    "ｶﾞ", "ﾊﾟｿｺﾝ", "ｱｲｳｴｵ", "ｶ゙", "が", "か\u3099", "ヴ", "ＡＢＣ１２３", "！？，。", "￥１００", "～", "〜", "－", "―",
    "１００％", "：；（）", "“引号”", "‘a’", "「括号」", "«a»", "ﷺ", "ﷲ", "ﻼ", "שּׁ", "가", "\u1100\u1161", "\u1100\u1161\u11a8", "각",
    "ᄀᄀ", "Å", "\u212b", "Ω", "\u2126", "µ", "\u00b5", "K", "℡", "ĳ", "ŉ", "ǆ", "ΐ", "\u0390", "\u03b9\u0308\u0301", "ﾞ", "ﾟ",
    "👩\u200d💻", "👨\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "👍🏽", "🇨🇳", "1\ufe0f\u20e3", "❤\ufe0f", "☺", "😂😂😂", "🤷\u200d♀\ufe0f",
    "𠮷野家", "\U0002f800", "豈", "\uf900", "樂", "\u2f00", "⼀", "〇", "々", "㐀", "𪚥", "\U000e0001\U000e0041", "\u180e", "a\u180eb",
    "\u061c", "\u0600\u0601", "\u070f", "\u110bd", "\U000110bd", "\ufff9a\ufffab\ufffb", "\U0001d173", "\ue000", "\U000f0000", "\u0378",
    "订单\u200b号\u200d123\u200c456", "  多   个    空   格 ", "a\u3000 \u00a0\t\nb", "No\u00a0break $1\u00a0charge", "naïve café", "crème brûlée",
    b"\xff", b"\xfe\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe4\xbd", b"\xe4\xbd\xa0\xe5", b"\xe4\xbdA", b"\xed\xa0\x80",
    b"\xed\xb0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x82", b"\xf0\x9f\x98A", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\x80", b"a\xffb\xfec", b"\xe6\x88\x91\xff\xe8\xa6\x81",
    b"e\xff\xcc\x81", b"\xe1\x84\x80\xff\xe1\x85\xa1", b"caf\xe9", b"\xc4\xe3\xba\xc3", b"\xef\xbf\xbd", b"\xef\xbb\xbfhello", b"\xe2\x80", b" \xe2\x80 ",
    "x" * LIMIT, "x" * (LIMIT + 1), "x" * (3 * LIMIT), "货" * (LIMIT // 3), "货" * (LIMIT // 3 + 1), "货" * LIMIT, "a货" * LIMIT,
    "😂" * (LIMIT // 4 + 1), "a" * (LIMIT - 1) + " b", "a" * (LIMIT - 1) + "é", " " * (2 * LIMIT) + "end", "a " * LIMIT, "\u200b" * LIMIT + "a",
    "e\u0301" * LIMIT, "ﷺ" * LIMIT, "ab " * 4000, b"\xff" * 9000 + b"ok", b"\xe4\xbd" * 5000,
]

POOLS = [
    "abcXYZ019 .,?!-#@", "我要退货订单发票怎么还没到客服", "ＡｂＣ１２！？（）", "ｱｶﾞﾊﾟﾝｯｰ", "\t\n\v\f\r \u0085\u00a0\u1680\u2003\u2009\u2028\u202f\u3000",
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202e\u2066\u2069\u061c", "\x00\x01\x08\x0e\x1b\x1f\x7f\u0080\u009f", "\ufffd\u034f",
    "\u0300\u0301\u0302\u0308\u030a\u0316\u0323\u0327\u0345\u3099\u309a", "éèñüåçßẞİıſ", "ﬁﬂﬃĳ①㈱㎏½²™…Ⅳ℡", "각가\u1100\u1161\u11a8\u1112\u1175",
    "😂👍❤🏽\ufe0f🇨🇳👩💻🤷♀", "豈樂\u2f00𠮷〇々㐀𪚥", "ΑάώϓΩµ", "ЖёйЇ", "אבּשׁ", "ﷺﻼ\u0600ابت\u064b\u0651", "กำ\u0e33\u0eb3", "ཱི\u0f73\u0f71",
]
INVALID = [b"\xff", b"\xfe", b"\x80", b"\xbf", b"\xc0\xaf", b"\xe4\xbd", b"\xed\xa0\xbd", b"\xf0\x9f", b"\xf4\x90\x80\x80", b"\xc3", b"\xe0\x80"]


def drawn(rng):
    out = b""
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 30, 90])):
        if rng.random() < 0.08:
            out += rng.choice(INVALID)
        else:
            pool = rng.choice(POOLS)
            out += "".join(rng.choice(pool) for _ in range(rng.randint(1, 4))).encode()
    return out


def assigned(rng):
    """Characters from all over Unicode 14.0, unassigned ones and surrogates left out."""
    out = []
    while len(out) < rng.randint(3, 24):
        c = chr(rng.choice([rng.randrange(0x20, 0x3000), rng.randrange(0x3000, 0xD800), rng.randrange(0xF900, 0x10000),
                            rng.randrange(0x10000, 0x20000)]))
        if unicodedata.category(c) not in ("Cn", "Cs"):
            out.append(c)
    return "".join(out).encode()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", required=True)
    a = p.parse_args()
    rng = random.Random(20)
    rows = [w.encode() if isinstance(w, str) else w for w in WRITTEN]
    while len(rows) < 1500:
        rows.append(drawn(rng))
    while len(rows) < 2000:
        rows.append(assigned(rng))
    with open(a.out, "w", encoding="utf-8") as f:
        for raw in rows:
            f.write(json.dumps({"in_b64": base64.b64encode(raw).decode(), "out": clean(raw)}) + "\n")
    print(len(rows), "rows, Unicode", unicodedata.unidata_version)


if __name__ == "__main__":
    main()
