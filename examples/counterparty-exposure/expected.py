"""Computes expected.ndjson from trades.ndjson and rates.ndjson with exact fractions, from the definitions in the READMEs of the UDFs
and without their code: each minute is summed up anew from all trades."""
import json
from collections import defaultdict
from fractions import Fraction as F

MINUTE, ROLLING, MAX_AGE, SECOND = 60_000, 300_000, 300_000, 1000
DIGITS = {"JPY": 0}
LIMITS = {"orbis": [("rolling_net", 5_000_000, 0)]}
ALL_LIMITS = [("net", 50_000_000, 30_000_000), ("rolling_gross", 150_000_000, 135_000_000)]
lines = []


def arrivals(name, bound):
    """The records with the watermark that each of them meets."""
    watermark = float("-inf")
    for line in open(f"{name}.ndjson"):
        record = json.loads(line)
        yield record, watermark
        watermark = max(watermark, record["ts"] - bound - 1)


rates = defaultdict(dict)
for record, watermark in arrivals("rates", 2 * SECOND):
    if record["ts"] <= watermark:
        lines.append(dict(type="late_rate", currency=record["currency"], ts=record["ts"]))
    else:
        rates[record["currency"]][record["ts"]] = record.get("rate")

passed, valued = set(), defaultdict(list)
for record, watermark in arrivals("trades", 10 * SECOND):
    trade_id, party, ts = record["trade_id"], record["counterparty"], record["ts"]
    assert ts > watermark - 30 * MINUTE
    if trade_id in passed:
        continue
    passed.add(trade_id)
    told = {key: record[key] for key in ("trade_id", "counterparty", "ts", "amount_minor", "currency")}
    if ts <= watermark:
        lines.append(dict(type="late_trade", **told))
        continue
    value = F(record["amount_minor"])
    if record["currency"] != "EUR":
        since = max((since for since in rates[record["currency"]] if since <= ts), default=None)
        if since is None or ts - since > MAX_AGE:
            lines.append(dict(type="unvalued", reason="no_rate" if since is None else "stale_rate", **told))
            continue
        value *= F(rates[record["currency"]][since]) * 10 ** (2 - DIGITS.get(record["currency"], 2))
    valued[party].append((ts, record.get("netting_set"), round(value)))  # a half goes to even


def position(trades, start, end):
    """Number, claims by netting set, and what is left of them after netting."""
    sides = defaultdict(lambda: [0, 0])
    within = [(netting_set, value) for ts, netting_set, value in trades if start <= ts < end]
    for netting_set, value in within:
        sides[netting_set][value < 0] += abs(value)
    gross = {name: claims for name, (claims, _) in sides.items()}
    net = {name: claims if name is None else max(claims - debts, 0) for name, (claims, debts) in sides.items()}
    return len(within), gross, net


def reasons(parts):
    parts = sorted(((name, value) for name, value in parts.items() if value), key=lambda part: (-part[1], part[0] or ""))
    told = [dict(code="netting_set", netting_set=name, value_minor=value) if name else dict(code="unnetted", value_minor=value)
            for name, value in parts[:3]]
    others = sum(value for _, value in parts[3:])
    return told + ([dict(code="others", value_minor=others)] if others else [])


for party, trades in valued.items():
    breached = {}
    first, last = min(trades)[0] // MINUTE, max(trades)[0] // MINUTE
    for end in range((first + 1) * MINUTE, (last + 1) * MINUTE + ROLLING + 1, MINUTE):
        # Reported as long as trades count, and once more when the last of them has gone.
        if not position(trades, end - ROLLING - MINUTE, end)[0]:
            continue
        count, gross, net = position(trades, end - MINUTE, end)
        rolling_count, rolling_gross, rolling_net = position(trades, end - ROLLING, end)
        parts = dict(gross=gross, net=net, rolling_gross=rolling_gross, rolling_net=rolling_net)
        sums = {f"{name}_minor": sum(sets.values()) for name, sets in parts.items()}
        lines.append(dict(type="exposure", counterparty=party, start=end - MINUTE, end=end, currency="EUR", trades=count,
                          rolling_trades=rolling_count, reason="trades" if count else "silence", **sums))
        for measure, limit, clear in LIMITS.get(party, ALL_LIMITS):
            value = sums[f"{measure}_minor"]
            if measure in breached and value <= clear:
                reason, since = "back_within", breached.pop(measure)
            elif measure not in breached and value > limit:
                reason, since = "above_limit", breached.setdefault(measure, end)
            else:
                continue
            lines.append(dict(type="limit", counterparty=party, ts=end, measure=measure, reason=reason, currency="EUR", since=since,
                              value_minor=value, limit_minor=limit, clear_minor=clear, reasons=reasons(parts[measure])))

with open("expected.ndjson", "w") as file:
    for line in sorted(json.dumps(dict(sorted(line.items())), separators=(",", ":")) for line in lines):
        print(line, file=file)
