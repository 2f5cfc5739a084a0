"""The reference model of the session windows: straight from the rules, without a data structure that an engine would use.

    session.py < INPUT.ndjson > OUTPUT.ndjson

Made session.ndjson.xz from input_disorder and session_inorder.ndjson.xz from input_inorder. Standard library only.
"""

import json
import sys

GAP_MS = 30_000
BOUND_MS = 5_000


def fire(windows, watermark, out):
    """Emits and drops the windows that end at or before the watermark."""
    left = []
    for window in windows:
        if window["end"] - 1 <= watermark:
            out.append(window)
        else:
            left.append(window)
    return left


def run(lines):
    windows, out = [], []
    watermark = max_ts = None
    for line in lines:
        record = json.loads(line)
        ts, account = record["ts"], record["account_id"]
        merged = {
            "type": "session",
            "account_id": account,
            "start": ts,
            "end": ts + GAP_MS,
            "count": 1,
            "sum_cents": round(record["amount"] * 100),
        }
        apart = []
        for window in windows:
            touches = window["start"] <= ts + GAP_MS and ts <= window["end"]
            if window["account_id"] == account and touches:
                merged["start"] = min(merged["start"], window["start"])
                merged["end"] = max(merged["end"], window["end"])
                merged["count"] += window["count"]
                merged["sum_cents"] += window["sum_cents"]
            else:
                apart.append(window)
        if watermark is not None and merged["end"] - 1 <= watermark:
            out.append({"type": "late", "txn_id": record["txn_id"], "account_id": account, "ts": ts})
        else:
            windows = apart + [merged]
        if max_ts is None or ts > max_ts:
            max_ts, watermark = ts, ts - BOUND_MS - 1
            windows = fire(windows, watermark, out)
    return out + windows


for item in run(sys.stdin):
    if item["type"] == "session":
        item["sum"] = item["sum_cents"] / 100
    print(json.dumps(item, sort_keys=True, separators=(",", ":")))
