"""Trains, checks and bundles the value model.

python training-notes/pipeline/value.py --data DIR --out models/value/VERSION [--report FILE.json]

Rows are customers seen at a calendar cut: features from orders up to the cut, targets from the orders
after it (spend scaled to 365 days, and whether there was an order at all). The numbers come from a
calendar split: the model of the test knows weeks 1-39 only (features to the end of April, May and June
1997, targets to the end of September) and is tested at 30 September 1997 on the 39 weeks that follow.
The shipped model is then fitted in the same way with cuts to the end of 1997 and targets to June 1998.
To retrain on one's own customers: --orders FILE.csv with customer,date (YYYY-MM-DD),amount and --cuts.
"""
import argparse
import csv
import datetime
import gzip
import hashlib
import json
import os
import warnings

import numpy as np

warnings.filterwarnings("ignore")
YEAR = 365.0

FEATURES = [
    # name, unit, monotone direction, description
    ("recency_days", "days", -1, "now minus last_order_at, not below 0"),
    ("tenure_days", "days", 0, "now minus first_order_at, not below 0"),
    ("orders_12m", "orders", 1, "orders_12m as given"),
    ("spend_12m", "currency", 1, "spend_12m as given"),
    ("avg_basket", "currency", 0, "spend_12m / orders_12m; missing when either is missing or orders_12m is 0"),
    ("returns_12m", "returns", -1, "returns_12m as given"),
    ("complaints_12m", "complaints", -1, "complaints_12m as given"),
    ("returns_missing", "0 or 1", 0, "1 when returns_12m is missing, else 0"),
    ("complaints_missing", "0 or 1", 0, "1 when complaints_12m is missing, else 0"),
]
NAMES = [f[0] for f in FEATURES]


def orders(path):
    """customer -> sorted [(day number, amount)]."""
    out = {}
    if path.endswith(".csv"):
        with open(path, encoding="utf-8") as f:
            for r in csv.DictReader(f):
                day = datetime.date.fromisoformat(r["date"]).toordinal()
                out.setdefault(r["customer"], []).append((day, float(r["amount"])))
    else:
        with gzip.open(path, "rt") as f:
            next(f)
            for line in f:
                cells = line.split()
                if len(cells) == 4:
                    day = datetime.datetime.strptime(cells[1], "%Y%m%d").date().toordinal()
                    out.setdefault(cells[0], []).append((day, float(cells[3])))
    for v in out.values():
        v.sort()
    return out


def rows(book, cut, end):
    """Features at the end of day `cut`, targets over (cut, end]; customers without an order by then are left out."""
    x, spend, active, who = [], [], [], []
    for customer, history in book.items():
        before = [(d, m) for d, m in history if d <= cut]
        if not before:
            continue
        year = [(d, m) for d, m in before if d > cut - YEAR]
        # Two orders of one day are one visit.
        count, amount = len({d for d, _ in year}), sum(m for _, m in year)
        x.append([cut - before[-1][0], cut - before[0][0], count, amount, amount / count if count else np.nan,
                  np.nan, np.nan, 1, 1])
        after = [m for d, m in history if cut < d <= end]
        spend.append(sum(after) * YEAR / (end - cut))
        active.append(float(bool(after)))
        who.append(customer)
    return np.array(x, np.float32), np.array(spend, np.float32), np.array(active, np.float32), who


def stack(book, cuts, end):
    parts = [rows(book, c, end) for c in cuts]
    return [np.concatenate([p[i] for p in parts]) for i in range(3)]


def masked(x, seed, share=0.1):
    """A copy in which known features are missing now and then, so that the model learns what to do without them."""
    rng = np.random.default_rng(seed)
    x = x.copy()
    hide = rng.random(x.shape) < share
    hide[:, 5:] = False
    hide[:, 4] |= hide[:, 2] | hide[:, 3]
    x[hide] = np.nan
    return x


def fit(x, spend, active, seed=1):
    import lightgbm as lgb

    xx = np.concatenate([x, masked(x, seed, 0.25)])
    common = dict(n_estimators=150, learning_rate=0.04, num_leaves=15, min_child_samples=200, subsample=0.8, subsample_freq=1,
                  monotone_constraints=[f[2] for f in FEATURES], monotone_constraints_method="basic", seed=seed,
                  deterministic=True, force_row_wise=True, n_jobs=2, verbosity=-1)
    value = lgb.LGBMRegressor(objective="tweedie", tweedie_variance_power=1.5, **common)
    value.fit(xx, np.concatenate([spend, spend]))
    alive = lgb.LGBMClassifier(objective="binary", **common)
    alive.fit(xx, np.concatenate([active, active]))
    return value, alive


def auc(truth, score):
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, score))


def bgnbd(book, cut, end, who):
    """BG/NBD and gamma-gamma of the package lifetimes, fitted on orders to the cut; None when it is not installed."""
    try:
        from lifetimes import BetaGeoFitter, GammaGammaFitter
    except ImportError:
        return None
    f, r, t, m = [], [], [], []
    for c in who:
        days = {}
        for d, amount in book[c]:
            if d <= cut:
                days[d] = days.get(d, 0) + amount
        d = sorted(days)
        f.append(len(d) - 1)
        r.append((d[-1] - d[0]) / 7)
        t.append((cut - d[0]) / 7)
        m.append(float(np.mean([days[k] for k in d[1:]])) if len(d) > 1 else 0.0)
    f, r, t, m = map(np.array, (f, r, t, m))
    model = BetaGeoFitter()
    model.fit(f, r, t)
    count = model.conditional_expected_number_of_purchases_up_to_time((end - cut) / 7, f, r, t)
    paid = (f > 0) & (m > 0)
    money = GammaGammaFitter()
    money.fit(f[paid], m[paid])
    worth = money.conditional_expected_average_profit(f, np.where(paid, m, 0))
    return {"params": {k: round(float(v), 4) for k, v in model.params_.items()},
            "expected": np.asarray(count * worth) * YEAR / (end - cut), "count": np.asarray(count)}


def measure(book, day):
    cut, end = day("1997-09-30"), day("1998-06-30")
    x, spend, active = stack(book, [day("1997-04-30"), day("1997-05-31"), day("1997-06-30")], cut)
    value, alive = fit(x, spend, active)
    tx, tspend, tactive, who = rows(book, cut, end)
    guess, p = value.predict(tx), alive.predict_proba(tx)[:, 1]
    rate = tx[:, 3] * YEAR / np.maximum(tx[:, 1], 30)
    out = {"customers": len(who), "true_total": float(tspend.sum()), "active_share": float(tactive.mean())}

    def line(name, g, score):
        out[name] = {"mae": round(float(np.abs(g - tspend).mean()), 2), "total_error": round(float(g.sum() / tspend.sum() - 1), 4),
                     "auc": round(auc(tactive, score), 4)}

    line("model", guess, p)
    line("past_rate", rate, -tx[:, 0])
    line("mean_of_training", np.full(len(tspend), spend.mean()), tx[:, 2])
    classic = bgnbd(book, cut, end, who)
    if classic is None:
        out["bg_nbd"] = "not installed"
    else:
        line("bg_nbd_gamma_gamma", classic["expected"], classic["count"])
        out["bg_nbd_gamma_gamma"]["params"] = classic["params"]
    top = np.argsort(-guess)[: len(guess) // 10]
    out["top_tenth_share_of_spend"] = round(float(tspend[top].sum() / tspend.sum()), 4)
    return out


def graph(value, alive):
    """One ONNX graph: features -> expected_12m, p_active."""
    import onnx
    from onnx import TensorProto, compose, helper
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    n = len(NAMES)
    kind = [("features", FloatTensorType([None, n]))]
    a = convert_lightgbm(value, initial_types=kind, target_opset=15)
    b = convert_lightgbm(alive, initial_types=kind, target_opset=15, zipmap=False)
    a, b = compose.add_prefix(a, "value_"), compose.add_prefix(b, "active_")
    nodes = [helper.make_node("Identity", ["features"], ["value_features"]),
             helper.make_node("Identity", ["features"], ["active_features"])]
    nodes += list(a.graph.node) + list(b.graph.node)
    nodes += [helper.make_node("Max", [a.graph.output[0].name, "zero"], ["expected_12m"]),
              helper.make_node("Slice", [b.graph.output[1].name, "one", "two", "axis"], ["p_active"])]
    extra = [helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])]
    extra += [helper.make_tensor(k, TensorProto.INT64, [1], [v]) for k, v in (("one", 1), ("two", 2), ("axis", 1))]
    g = helper.make_graph(
        nodes, "value", [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", n])],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["batch", 1]) for k in ("expected_12m", "p_active")],
        list(a.graph.initializer) + list(b.graph.initializer) + extra)
    model = helper.make_model(g, opset_imports=[helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def write(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write("\n")


def bundle(out, value, alive, x, metrics, source, cuts, test):
    import onnx
    import onnxruntime as ort

    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "model.onnx")
    onnx.save(graph(value, alive), path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    probe = np.concatenate([x[:4000], masked(x[:4000], 9, 0.4)])
    got = session.run(None, {"features": probe})
    want = value.predict(probe)
    worst = float(np.max(np.abs(got[0][:, 0] - want) / np.maximum(1, want)))
    worst_p = float(np.max(np.abs(got[1][:, 0] - alive.predict_proba(probe)[:, 1])))
    if worst > 1e-3 or worst_p > 1e-4:
        raise ValueError(f"ONNX and LightGBM differ: {worst} {worst_p}")
    known = x[:, :5]
    low, mid, high = (np.nanpercentile(known, q, axis=0) for q in (1, 50, 99))
    features = []
    for i, (name, unit, direction, text) in enumerate(FEATURES):
        seen = i < 5
        indicator = name.endswith("_missing")
        features.append({
            "name": name, "unit": unit, "missing": 0.0 if indicator else "NaN",
            "baseline": round(float(mid[i]), 4) if seen else (1.0 if indicator else 0.0),
            "low": round(float(low[i]), 4) if seen else 0.0, "high": round(float(high[i]), 4) if seen else (1.0 if indicator else 0.0),
            "monotone": direction, "description": text})
    write(os.path.join(out, "features.json"), {
        "input": "features", "order": NAMES, "features": features,
        "attributes": ["first_order_at", "last_order_at", "orders_12m", "spend_12m", "returns_12m", "complaints_12m"],
        "formulas": {
            "day": "24 hours; differences of instants divided by 86400 s, as a fraction, not below 0",
            "now": "the instant of the prediction",
            "missing": "an absent attribute gives NaN (float32 quiet NaN) in its feature; the two indicators are never NaN",
            "required": "first_order_at, last_order_at, orders_12m and spend_12m; without one of them there is no prediction",
            **{f[0]: f[3] for f in FEATURES}}})
    rng = np.random.default_rng(4)
    pick = x[rng.choice(len(x), 170, replace=False)]
    odd = np.array([[0, 0, 1, 0, 0, 0, 0, 0, 0], [0, 400, 60, 9000, 150, 3, 1, 0, 0], [2000, 2000, 0, 0, np.nan, np.nan, np.nan, 1, 1],
                    [np.nan] * 7 + [1, 1], [5, np.nan, 3, np.nan, np.nan, 0, np.nan, 0, 1], [10, 300, 1e6, 1e9, 1e3, 0, 0, 0, 0]], np.float32)
    gold = np.concatenate([odd, pick, masked(pick, 5, 0.3)])[:240].astype(np.float32)
    worth, p = session.run(None, {"features": gold})
    with open(os.path.join(out, "golden.jsonl"), "w", encoding="utf-8") as f:
        for row, v, q in zip(gold, worth[:, 0], p[:, 0]):
            cells = [None if np.isnan(c) else float(c) for c in row]
            f.write(json.dumps({"features": cells, "expected_12m": float(v), "p_active": float(q)}) + "\n")
    m, classic = metrics["model"], metrics.get("bg_nbd_gamma_gamma", {})
    card = f"""# value 1.0.0

**What for.** Expected spend of the next 12 months and the probability of at least one more order, from six
attributes of a customer. It is advice for the order of waiting: lists and CRM tiers win over it.

**Data.** CDNOW (music shop, 23,570 customers who first bought in the first quarter of 1997, orders to June 1998),
given freely for research by Fader and Hardie; taken from the package lifetimes (MIT). The model is a starting point
and is meant to be retrained on one's own customers by one command (`training-notes/pipeline/value.py --orders`).
Amounts are dollars of 1997: before retraining only the order of customers is meaningful, not the sum.

**Numbers** (calendar split: fitted on weeks 1-39 only, tested on weeks 40-78, {metrics['customers']:,} customers, spend scaled to a year)

| | mean absolute error | total error | AUC of any order |
|---|---|---|---|
| this model | {m['mae']} | {m['total_error']:+.1%} | {m['auc']:.3f} |
| past spend per day | {metrics['past_rate']['mae']} | {metrics['past_rate']['total_error']:+.1%} | {metrics['past_rate']['auc']:.3f} (recency) |
| the mean for everybody | {metrics['mean_of_training']['mae']} | {metrics['mean_of_training']['total_error']:+.1%} | {metrics['mean_of_training']['auc']:.3f} (order count) |
""" + (f"| BG/NBD + gamma-gamma | {classic['mae']} | {classic['total_error']:+.1%} | {classic['auc']:.3f} |\n" if classic else "") + f"""
The tenth of customers with the highest prediction made {metrics['top_tenth_share_of_spend']:.1%} of the later spend.

**Constraints.** More recent orders, more orders and more spend never lower the value; returns and complaints never raise it.

**Known failures.** CDNOW has no returns and no complaints, so today they change nothing. All customers of the set are new
(tenure at most a year): older ones are treated as the oldest seen. `p_active` was learnt on windows of 26 to 52 weeks.
One shop, one decade, no seasons: absolute amounts do not carry over.
"""
    with open(os.path.join(out, "card.md"), "w", encoding="utf-8") as f:
        f.write(card)
    names = ["model.onnx", "features.json", "golden.jsonl", "card.md"]
    write(os.path.join(out, "manifest.json"), {
        "name": "value", "version": os.path.basename(os.path.normpath(out)), "kind": "tabular",
        "files": {n: sha(os.path.join(out, n)) for n in names},
        "inputs": [{"name": "features", "type": "float32", "shape": ["batch", len(NAMES)]}],
        "outputs": [{"name": k, "type": "float32", "shape": ["batch", 1]} for k in ("expected_12m", "p_active")],
        "features": NAMES, "onnxruntime_api": 24,
        "training": {"command": "python training-notes/pipeline/value.py --data DIR --out models/value/1.0.0", "seed": 1,
                     "data": {os.path.basename(source): sha(source)}, "rows": int(len(x)), "cuts": cuts},
        "metrics": {**metrics, "onnx_relative_error": worst, "onnx_probability_error": worst_p}})


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data")
    p.add_argument("--orders")
    p.add_argument("--cuts", help="own orders: comma-separated YYYY-MM-DD")
    p.add_argument("--end", help="own orders: last day of the targets")
    p.add_argument("--out", required=True)
    p.add_argument("--report")
    a = p.parse_args()

    def day(text):
        return datetime.date.fromisoformat(text).toordinal()

    book = orders(os.path.join(a.data, "cdnow", "CDNOW_master.txt.gz"))
    metrics = measure(book, day)
    print(json.dumps(metrics, indent=1))
    source = a.orders or os.path.join(a.data, "cdnow", "CDNOW_master.txt.gz")
    cuts = a.cuts.split(",") if a.cuts else ["1997-06-30", "1997-09-30", "1997-12-31"]
    if a.orders:
        book = orders(a.orders)
    x, spend, active = stack(book, [day(c) for c in cuts], day(a.end or "1998-06-30"))
    value, alive = fit(x, spend, active)
    bundle(a.out, value, alive, x, metrics, source, cuts, None)
    if a.report:
        write(a.report, metrics)


if __name__ == "__main__":
    main()
