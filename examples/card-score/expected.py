"""Computes expected.ndjson from input.ndjson, from the definitions in the UDF's README and without its code. Counters fade as the crate `decay` defines it: 24 bits of a half-life, 62 bits of the factor."""
import json
import math

MINUTE, HOUR = 60_000, 3_600_000
SIGNALS = dict(amount=(300, 3000, 250), card_count=(3, 9, 450), card_amount=(1500, 8000, 200), merchant_count=(12, 30, 400),
               merchant_cards=(15, 16, 50), device_cards=(1, 4, 450), travel_speed=(300, 900, 500))
ROOTS, below = [], 1 << 61
for _ in range(24):
    below = math.isqrt(below << 62)
    ROOTS.append(below)


def decay(value, elapsed, half_life):
    if elapsed <= 0:
        return value
    halves, fraction = elapsed // half_life, ((elapsed % half_life) << 24) // half_life
    factor = 1 << 62
    for i, root in enumerate(ROOTS):
        if fraction >> (23 - i) & 1:
            factor = factor * root >> 62
    return value * factor >> 62 >> halves


class Velocity:
    def __init__(self, half_life):
        self.half_life, self.keys = half_life, {}

    def add(self, key, card, cents, at):
        as_of, count, amount, cards = self.keys.get(key, (at, 0, 0, {}))
        newest = max(as_of, at) if count else at
        fade = lambda old, new: decay(old, newest - as_of, self.half_life) + decay(new, newest - at, self.half_life)
        count, amount = fade(count, 1000), fade(amount, cents)
        cards[card] = max(cards.pop(card, at), at)  # put last, as equal times keep the order of arrival
        kept = sorted(cards.items(), key=lambda item: item[1])
        cards = dict([item for item in kept if item[1] >= newest - 4 * self.half_life][-16:])
        self.keys[key] = newest, count, amount, cards
        return dict(count_milli=count, amount_minor=amount, cards=len(cards))


def metres(a, b):
    (lat1, lon1), (lat2, lon2) = [(math.radians(x), math.radians(y)) for x, y in (a, b)]
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return round(2 * 6371 * math.asin(math.sqrt(h)) * 1000)


class Raw(str):
    pass


def dump(v, top=True):
    if isinstance(v, Raw):
        return str(v)
    if isinstance(v, dict):
        return "{" + ",".join(f'"{k}":{dump(x, False)}' for k, x in (sorted(v.items()) if top else v.items())) + "}"
    if isinstance(v, list):
        return "[" + ",".join(dump(x, False) for x in v) + "]"
    return json.dumps(v)


def milli(value):
    return Raw(f"{value // 1000}.{value % 1000:03}")


merchants, devices, cards, places = Velocity(10 * MINUTE), Velocity(HOUR), Velocity(HOUR), {}
lines = []
for line in open("input.ndjson"):
    r = json.loads(line)
    if r["id"] == "refund":
        continue
    cents, ts, card = round(float(r["amount"]) * 100), r["ts"], r["card_id"]
    velocities = dict(device=devices.add(r["device_id"], card, cents, ts), merchant=merchants.add(r["merchant_id"], card, cents, ts))
    values = dict(amount=cents * 10)
    for name, reading in dict(velocities, card=cards.add(card, card, cents, ts)).items():
        values |= {f"{name}_count": reading["count_milli"], f"{name}_amount": reading["amount_minor"] * 10, f"{name}_cards": reading["cards"] * 1000}
    if "latitude" in r:
        here = (r["latitude"], r["longitude"])
        before = places.get(card)
        if before is None or ts >= before[1]:
            places[card] = here, ts
        if before and metres(before[0], here):
            values["travel_speed"] = metres(before[0], here) * HOUR // max(MINUTE, abs(ts - before[1]))
    reasons = []
    for code, (low, high, points) in SIGNALS.items():
        if code in values:
            above = min(max(values[code] - low * 1000, 0), (high - low) * 1000)
            reasons.append(dict(code=code, points=above * points // ((high - low) * 1000), value=milli(values[code])))
    if r["merchant_id"] == "m-pawn":
        reasons.append(dict(code="merchant", points=250))
    if r["category"] in ("7995", "6051"):
        reasons.append(dict(code="category", points=dict([("7995", 150), ("6051", 200)])[r["category"]]))
    reasons = sorted((reason for reason in reasons if reason["points"]), key=lambda reason: (-reason["points"], reason["code"]))
    total = sum(reason["points"] for reason in reasons)
    score = min(total, 1000)
    if score < total:
        reasons.append(dict(code="at_maximum", points=score - total))
    lines.append(dump(dict(type="card_score", id=r["id"], ts=ts, card_id=card, merchant_id=r["merchant_id"], amount=Raw(r["amount"]), currency="EUR", score=score,
                           decision="decline" if score >= 600 else "review" if score >= 350 else "approve", reasons=reasons)))
open("expected.ndjson", "w").write("\n".join(sorted(lines)) + "\n")
