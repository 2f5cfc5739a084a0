"""Computes expected.ndjson from input.ndjson with exact fractions, from the definitions in the UDF's README and without its code."""
import json
from fractions import Fraction as F
from math import floor

DAY = 86_400_000
TARGETS = {"WORLD": 5000, "BONDS": 3000, "GOLD": 1500}
BAND, MIN_TRADE, LONG = 500, 250_00, 365 * DAY


class Exact(float):
    """`units` of 10^-`scale`, written with all digits."""

    def __new__(cls, units, scale):
        self = super().__new__(cls, units / 10**scale)
        self.text = f"{'-' if units < 0 else ''}{abs(units) // 10**scale}.{abs(units) % 10**scale:0{scale}}"
        return self


def money(minor):
    return Exact(minor, 2)


def dump(value):
    """JSON with exact digits; top-level keys sorted, nested ones in their order."""
    def text(v):
        if isinstance(v, Exact):
            return v.text
        if isinstance(v, dict):
            return "{" + ",".join(f"{json.dumps(k)}:{text(x)}" for k, x in v.items()) + "}"
        if isinstance(v, list):
            return "[" + ",".join(map(text, v)) + "]"
        return json.dumps(v)
    return text(dict(sorted(value.items())))


def share_out(total, weights):
    """The method of the largest remainder."""
    exact = [F(total * w, sum(weights)) for w in weights]
    parts = [floor(e) for e in exact]
    order = sorted(range(len(parts)), key=lambda i: -(exact[i] - parts[i]))
    for i in order[:total - sum(parts)]:
        parts[i] += 1
    return parts


def take(lots, quantity, proceeds, ts):
    """Sells the costliest lots first; gives the parts, and changes `lots`."""
    parts = []
    for lot in sorted(lots, key=lambda lot: -lot["cost"] / lot["quantity"]):
        taken = min(quantity, lot["quantity"])
        if not taken:
            break
        cost = round(lot["cost"] * taken / lot["quantity"])
        lot["quantity"] -= taken
        lot["cost"] -= cost
        quantity -= taken
        parts.append(dict(acquired=lot["acquired"], quantity=taken, cost=F(cost)))
    assert quantity == 0
    lots[:] = [lot for lot in lots if lot["quantity"]]
    items = []
    for part, proceed in zip(parts, share_out(proceeds, [part["quantity"] for part in parts])):
        gain = proceed - int(part["cost"])
        items.append(dict(acquired=part["acquired"], quantity=Exact(int(part["quantity"] * 10**6), 6),
                          cost=money(int(part["cost"])), proceeds=money(proceed), gain=money(gain),
                          term="long" if ts - part["acquired"] > LONG else "short"))
    gain = sum(proceeds for proceeds in [proceeds]) - sum(int(part["cost"]) for part in parts)
    return items, gain


def cents(x):
    return round(x * 100)


portfolios, lines = {}, []
for line in open("input.ndjson"):
    r = json.loads(line, parse_float=str)
    p = portfolios.setdefault(r["portfolio"], dict(cash=0, price={}, lots={}, realized=0, drifted=False))
    name, ts, kind = r.get("instrument"), r["ts"], r["type"]
    if kind == "cash":
        p["cash"] += cents(F(str(r["amount"])))
    elif kind == "price":
        p["price"][name] = F(str(r["price"]))
    elif kind == "trade":
        quantity, at = F(str(r["quantity"])), F(str(r["price"]))
        lots = p["lots"].setdefault(name, [])
        if quantity > 0:
            cost = cents(quantity * at)
            p["cash"] -= cost
            lots.append(dict(acquired=ts, quantity=quantity, cost=F(cost)))
        elif -quantity > sum(lot["quantity"] for lot in lots):
            continue  # a dead letter
        else:
            proceeds = cents(-quantity * at)
            items, gain = take(lots, -quantity, proceeds, ts)
            p["cash"] += proceeds
            p["realized"] += gain
            lines.append(dict(type="sale", id=r["id"], portfolio=r["portfolio"], ts=ts, instrument=name, currency="EUR",
                              proceeds=money(proceeds), gain=money(gain), lots=items))
        p["price"][name] = at
    names = sorted(n for n in set(p["price"]) | set(TARGETS) if p["lots"].get(n) or n in TARGETS)
    held = {n: sum((lot["quantity"] for lot in p["lots"].get(n, [])), F(0)) for n in names}
    value = {n: cents(held[n] * p["price"].get(n, 0)) for n in names}
    cost = {n: int(sum(lot["cost"] for lot in p["lots"].get(n, []))) for n in names}
    total = sum(value.values()) + p["cash"]
    weights = [TARGETS.get(n, 0) for n in names]
    target = dict(zip(names, share_out(total, weights + [10_000 - sum(weights)])))
    weight = {n: round(F(value[n] * 10_000, total)) for n in names}
    drift = {n: weight[n] - TARGETS.get(n, 0) for n in names}
    furthest = None
    for n in names:
        if furthest is None or abs(drift[n]) >= abs(drift[furthest]):
            furthest = n
    drifted = abs(drift[furthest]) > BAND
    turned, p["drifted"] = drifted != p["drifted"], drifted
    if kind != "review" and not turned:
        continue
    reason = "review" if kind == "review" else "drift_out_of_band" if drifted else "drift_back_in_band"
    lines.append(dict(
        type="valuation", id=r["id"], portfolio=r["portfolio"], ts=ts, reason=reason, currency="EUR", value=money(total),
        cash=money(p["cash"]), unrealized=money(sum(value.values()) - sum(cost.values())), realized=money(p["realized"]),
        furthest=furthest, drift=Exact(drift[furthest], 4),
        positions=[dict(instrument=n, quantity=Exact(int(held[n] * 10**6), 6), price=Exact(int(p["price"].get(n, 0) * 10**6), 6),
                        value=money(value[n]), cost=money(cost[n]), weight=Exact(weight[n], 4),
                        target=Exact(TARGETS.get(n, 0), 4), drift=Exact(drift[n], 4)) for n in names]))
    if kind != "review" and not drifted:
        continue
    trades, left, buys, cash, gains, turnover = [], {}, [], p["cash"], 0, 0
    for n in names:
        gap = target[n] - value[n]
        if not gap:
            continue
        if n not in p["price"]:
            left[n] = "no_price"
            continue
        quantity = F(floor(F(abs(gap), 100) / p["price"][n])) if n in TARGETS else held[n]
        worth = cents(quantity * p["price"][n])
        if not quantity or worth < MIN_TRADE:
            left[n] = "below_min_trade"
        elif gap > 0:
            buys.append((worth, n, quantity))
        else:
            items, gain = take([dict(lot) for lot in p["lots"][n]], quantity, worth, ts)
            gains, cash, turnover = gains + gain, cash + worth, turnover + worth
            trades.append(dict(instrument=n, side="sell", quantity=Exact(int(quantity * 10**6), 6), value=money(worth),
                               reason="overweight" if n in TARGETS else "no_target", lots=items))
    for worth, n, quantity in sorted(buys, key=lambda buy: -buy[0]):
        reason = "underweight"
        if worth > cash:
            quantity = F(floor(F(max(cash, 0), 100) / p["price"][n]))
            worth, reason = cents(quantity * p["price"][n]), "cut_to_cash"
        if not quantity or worth < MIN_TRADE:
            left[n] = "not_enough_cash"
            continue
        cash, turnover = cash - worth, turnover + worth
        trades.append(dict(instrument=n, side="buy", quantity=Exact(int(quantity * 10**6), 6), value=money(worth), reason=reason))
    distance = sum(abs(value[n] - target[n]) for n in names)
    lines.append(dict(
        type="proposal", id=r["id"], portfolio=r["portfolio"], ts=ts, currency="EUR", off_target=money(distance),
        off_target_after=money(distance - turnover), cash_after=money(cash), gain=money(gains), trades=trades,
        not_traded=[dict(instrument=n, reason=left[n]) for n in sorted(left)]))

with open("expected.ndjson", "w") as file:
    for line in sorted(map(dump, lines)):
        print(line, file=file)
