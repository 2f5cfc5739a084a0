"""Computes expected.ndjson from input.ndjson with exact fractions, from the definitions in the UDF's README and without its code."""
import json
from fractions import Fraction as F
from collections import defaultdict

DAY, BOUND = 86_400_000, 60_000
WINDOW, MIN, LEVELS = 40, 20, ["0.9500", "0.9750"]
LIMITS = {
    "equities": [("value_at_risk", 490_000, 350_000), ("gross_exposure", 33_000_000, 29_700_000)],
    "rates": [("loss", 400_000, 0)],
}


def cents(x):
    return round(x * 100)  # Fraction rounds a half to even


class Amount(float):
    """A number that is written with two digits."""

    def __new__(cls, minor):
        self = super().__new__(cls, minor / 100)
        self.text = f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02}"
        return self

    def __repr__(self):
        return self.text


def dump(value):
    """JSON with the exact digits; top-level keys sorted, nested ones in their order."""
    def text(v):
        if isinstance(v, Amount):
            return v.text
        if isinstance(v, dict):
            return "{" + ",".join(f"{json.dumps(k)}:{text(x)}" for k, x in v.items()) + "}"
        if isinstance(v, list):
            return "[" + ",".join(map(text, v)) + "]"
        if isinstance(v, F):
            return f"{float(v):.4f}"
        return json.dumps(v)
    return text(dict(sorted(value.items())))


def number(value):
    return F(str(value))


lines, watermark = [], None
days = defaultdict(lambda: defaultdict(list))
for line in open("input.ndjson"):
    record = json.loads(line, parse_float=str)
    ts = record["ts"]
    end = (ts // DAY + 1) * DAY
    if record["type"] in ("price", "trade"):
        if watermark is not None and watermark >= end - 1:
            lines.append(dict(type="late", id=record["id"], book=record["book"], ts=ts))
        else:
            days[record["book"]][end].append(record)
    watermark = max(watermark or 0, ts - BOUND - 1)

for book, periods in days.items():
    held, price, quoted = defaultdict(F), {}, set()
    scenarios, forecast, exceptions, breaches = [], None, 0, {}
    for end in sorted(periods):
        before = {i: cents(held[i] * price[i]) for i in price}
        opening = dict(held)
        quotes = {}
        for record in sorted((r for r in periods[end] if r["type"] == "price"), key=lambda r: r["ts"]):
            quotes[record["instrument"]] = number(record["price"])
        cost = defaultdict(F)
        for record in sorted((r for r in periods[end] if r["type"] == "trade"), key=lambda r: r["ts"]):
            name, quantity, at = record["instrument"], number(record["quantity"]), number(record["price"])
            held[name] += quantity
            cost[name] += quantity * at
            if name not in quoted and name not in quotes:
                price[name] = at
        moves = {i: (price[i], q) for i, q in quotes.items() if i in quoted}
        price.update(quotes)
        quoted |= set(quotes)
        values = {i: cents(held[i] * price[i]) for i in price}
        profit = sum(values.values()) - sum(before.values()) - sum(cents(c) for c in cost.values())
        touched = set(quotes) | set(cost)
        hypothetical = sum(cents(opening.get(i, 0) * price[i]) - before.get(i, 0) for i in touched)
        if forecast is not None and -hypothetical > forecast:
            exceptions += 1
        if moves:
            scenarios.append((end, moves))
        scenarios = scenarios[-WINDOW:]
        losses = []
        for at, moved in scenarios:
            part = {i: -round(F(values[i]) * (b - a) / a) for i, (a, b) in moved.items()}
            losses.append((sum(part.values()), at, part))
        tails = []
        if len(losses) >= MIN:
            ranked = sorted(losses, key=lambda loss: -loss[0])
            for level in LEVELS:
                k = max(1, int(len(losses) * (1 - F(level))))
                loss, at, part = ranked[k - 1]
                beyond = [one[0] for one in ranked[:k - 1]] or [loss]
                reasons = sorted(((i, x) for i, x in part.items() if x), key=lambda item: (-abs(item[1]), item[0]))
                tails.append(dict(
                    confidence=F(level), value_at_risk=Amount(loss), minor=loss,
                    expected_shortfall=Amount(round(F(sum(beyond), len(beyond)))), scenario_ts=at,
                    reasons=[dict(code="instrument", instrument=i, loss=Amount(x)) for i, x in reasons]))
        gross = sum(abs(v) for v in values.values())
        measured = dict(gross_exposure=gross, loss=-profit)
        forecast = None
        if tails:
            forecast = measured["value_at_risk"] = tails[-1]["minor"]
        for tail in tails:
            del tail["minor"]
        lines.append(dict(type="risk", book=book, ts=end, currency="EUR", gross_exposure=Amount(gross),
                          net_exposure=Amount(sum(values.values())), profit=Amount(profit), scenarios=len(losses),
                          tails=tails, exceptions=exceptions))
        for measure, limit, clear in LIMITS[book]:
            if measure not in measured:
                continue
            value, since = measured[measure], breaches.get(measure)
            if since is None and value > limit:
                breaches[measure] = since = end
                reason = "above_limit"
            elif since is not None and value <= clear:
                del breaches[measure]
                reason = "back_within"
            else:
                continue
            lines.append(dict(type="limit", book=book, ts=end, measure=measure, reason=reason, currency="EUR",
                              value=Amount(value), limit=Amount(limit), clear=Amount(clear), since=since))

with open("expected.ndjson", "w") as file:
    for line in sorted(map(dump, lines)):
        print(line, file=file)
