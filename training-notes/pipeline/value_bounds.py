"""Says where the value model's advice on tiers begins: low_value where the probability of any order and the
expected spend are both in their lowest tenth, vip proposed in the top fiftieth of expected spend.

python training-notes/pipeline/value_bounds.py --data DIR --bundle models/value/VERSION
python training-notes/pipeline/value_bounds.py --orders FILE.csv --day YYYY-MM-DD --bundle models/value/VERSION

The bounds are quantiles of what the bundle predicts for all customers of the validation day (CDNOW: 30 September
1997, the day of the calendar test), printed with what these customers did in the following 39 weeks.
"""
import argparse
import datetime
import json
import os

import numpy as np
import onnxruntime

from value import orders, rows


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data")
    p.add_argument("--orders")
    p.add_argument("--day", default="1997-09-30")
    p.add_argument("--weeks", type=int, default=39)
    p.add_argument("--bundle", required=True)
    a = p.parse_args()
    book = orders(a.orders or os.path.join(a.data, "CDNOW_master.txt.gz"))
    day = datetime.date.fromisoformat(a.day).toordinal()
    x, spend, active = rows(book, day, day + 7 * a.weeks)[:3]
    run = onnxruntime.InferenceSession(os.path.join(a.bundle, "model.onnx"), providers=["CPUExecutionProvider"])
    expected, alive = (v.reshape(-1) for v in run.run(["expected_12m", "p_active"], {"features": x.astype(np.float32)}))
    bounds = {
        "low_active": float(np.quantile(alive, 0.10)),
        "low_spend": float(np.quantile(expected, 0.10)),
        "vip_spend": float(np.quantile(expected, 0.98)),
    }
    low = (alive <= bounds["low_active"]) & (expected <= bounds["low_spend"])
    vip = expected >= bounds["vip_spend"]

    def group(mask):
        return {
            "customers": int(mask.sum()), "share": round(float(mask.mean()), 4),
            "bought_later": round(float(active[mask].mean()), 4), "spend_12m_later": round(float(spend[mask].mean()), 2),
        }

    print(json.dumps({
        "customers": len(x), "bounds": {k: round(v, 4) for k, v in bounds.items()},
        "all": group(np.ones(len(x), bool)), "low_value": group(low), "vip_proposed": group(vip),
    }, indent=1))


if __name__ == "__main__":
    main()
