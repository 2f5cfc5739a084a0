"""Computes expected.ndjson from input.ndjson with exact fractions, from the definitions in the UDF's README and without its code."""
import json
from fractions import Fraction as F
from math import ceil, floor, isqrt, log1p

ONE = 10**6
TICK, GAMMA, K, HORIZON, LOT = F("0.0001"), F(40), F(2500), F(25), F(1_000_000)
TIERS = {None: F(0), "corporate": F("0.0003"), "retail": F("0.005")}
SIZES = [(F(1_000_000), F("0.0001")), (F(5_000_000), F("0.0004"))]
LIQUIDITY = F(round(log1p(float(GAMMA / K)) / float(GAMMA) * ONE), ONE)


def micro(x):
    """To millionths, a half to even."""
    return F(round(x * ONE), ONE)


class Exact(float):
    def __new__(cls, value, digits=6):
        units = int(value * 10**digits)
        assert F(units, 10**digits) == value
        self = super().__new__(cls, float(value))
        self.text = f"{'-' if units < 0 else ''}{abs(units) // 10**digits}.{abs(units) % 10**digits:0{digits}}"
        return self


def dump(v, top=True):
    if isinstance(v, Exact):
        return v.text
    if isinstance(v, dict):
        return "{" + ",".join(f'"{k}":{dump(x, False)}' for k, x in (sorted(v.items()) if top else v.items())) + "}"
    if isinstance(v, list):
        return "[" + ",".join(dump(x, False) for x in v) + "]"
    return json.dumps(v)


products, lines = {}, []
for line in open("input.ndjson"):
    r = json.loads(line, parse_float=str)
    p = products.setdefault(r["product"], dict(mid=None, ts=None, variance=F("0.0004") ** 2, inventory=F(0)))
    ts = r["ts"]
    if r["type"] == "market":
        if p["ts"] is not None and ts < p["ts"]:
            lines.append(dict(type="late", id=r["id"], product=r["product"], ts=ts))
            continue
        mid = micro((F(str(r["bid"])) + F(str(r["ask"]))) / 2)
        if p["mid"] is not None:
            exact = F("0.94") * p["variance"] + F("0.06") * (mid - p["mid"]) ** 2
            p["variance"] = F(round(exact * ONE**2), ONE**2)
        p["mid"], p["ts"] = mid, ts
        continue
    quantity = F(str(r["quantity"]))
    if r["type"] == "inventory":
        p["inventory"] = quantity
        continue
    if r.get("tier") not in TIERS:
        continue  # a dead letter
    sign = 1 if r["side"] == "buy" else -1
    after = p["inventory"] - sign * quantity
    mid, reason = p["mid"], None
    if mid is None:
        reason = "no_market_data"
    elif ts - p["ts"] > 10_000:
        reason = "market_data_too_old"
    elif abs(after) > abs(p["inventory"]) and abs(after) > 20_000_000:
        reason = "inventory_limit"
    if reason:
        lines.append(dict(type="declined", id=r["id"], product=r["product"], customer=r["customer"], ts=ts, reason=reason))
        continue
    risk = micro(GAMMA * HORIZON * p["variance"])
    size = F(0)
    for least, margin in SIZES:
        if quantity >= least:
            size = margin
    parts = [("inventory", micro(-p["inventory"] * risk / LOT)), ("volatility", sign * micro(risk / 2)), ("liquidity", sign * LIQUIDITY),
             ("tier", sign * micro(mid * TIERS[r.get("tier")])), ("size", sign * micro(mid * size))]
    exact = mid + sum(part for _, part in parts)
    rounded = (ceil if sign > 0 else floor)(exact / TICK) * TICK
    room = micro(mid * F("0.004"))
    price = min(max(rounded, ceil((mid - room) / TICK) * TICK), floor((mid + room) / TICK) * TICK)
    parts += [("rounding", rounded - exact), ("bound", price - rounded)]
    lines.append(dict(
        type="quote", id=r["id"], product=r["product"], customer=r["customer"], ts=ts, valid_until=ts + 5_000, side=r["side"],
        quantity=Exact(quantity), currency="USD", price=Exact(price), amount=Exact(F(round(price * quantity * 100), 100), 2), mid=Exact(mid),
        volatility=Exact(F(isqrt(int(p["variance"] * ONE**2)), ONE)),
        reasons=[dict(code=code, effect=Exact(part)) for code, part in parts if part]))
with open("expected.ndjson", "w") as file:
    for line in sorted(map(dump, lines)):
        print(line, file=file)
