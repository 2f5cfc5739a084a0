"""Computes expected.ndjson from input.ndjson and the manifest's trees: sums as XGBoost makes them, in 32-bit floats, and shares of features by the definition of
the Shapley value over all subsets, in exact fractions. It knows the README's definitions and not the UDF's code."""
import json
import math
import struct
from fractions import Fraction as F
from itertools import combinations

CODES = dict(utilisation="R01", delinquencies="R02", enquiries="R03", income="R04", age_months="R05")


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


trees = [json.loads(line.strip()[2:]) for line in open("pipeline.yaml") if line.strip().startswith('- {"nodeid"')]
features = []  # in the order in which the trees name them, as far as equal remainders matter


def collect(node):
    if "split" in node:
        if node["split"] not in features:
            features.append(node["split"])
        for child in (node["yes"], node["no"]):
            collect(next(c for c in node["children"] if c["nodeid"] == child))


for tree in trees:
    collect(tree)


def children(node):
    by_id = {child["nodeid"]: child for child in node["children"]}
    return by_id[node["yes"]], by_id[node["no"]], by_id[node["missing"]]


def value(node, record, known):
    if "leaf" in node:
        return F(f32(node["leaf"]))
    yes, no, missing = children(node)
    if node["split"] in known:
        x = record.get(node["split"])
        return value(missing if x is None else yes if f32(x) < f32(node["split_condition"]) else no, record, known)
    a, b = F(yes["cover"]), F(no["cover"])
    return (a * value(yes, record, known) + b * value(no, record, known)) / (a + b)


def leaf(node, record):
    while "leaf" not in node:
        yes, no, missing = children(node)
        x = record.get(node["split"])
        node = missing if x is None else yes if f32(x) < f32(node["split_condition"]) else no
    return f32(node["leaf"])


class Exact(float):
    def __new__(cls, units):
        self = super().__new__(cls, units / 10**6)
        self.text = f"{'-' if units < 0 else ''}{abs(units) // 10**6}.{abs(units) % 10**6:06}"
        return self


def dump(v, top=True):
    if isinstance(v, Exact):
        return v.text
    if isinstance(v, dict):
        items = sorted(v.items()) if top else v.items()
        return "{" + ",".join(f'"{k}":{dump(x, False)}' for k, x in items) + "}"
    if isinstance(v, list):
        return "[" + ",".join(dump(x, False) for x in v) + "]"
    return json.dumps(v)


base = F(math.log(0.2 / 0.8))
lines = []
for line in open("input.ndjson"):
    r = json.loads(line)
    record = r["features"]
    if any(isinstance(x, str) for x in record.values()):
        continue  # a dead letter
    expected = base + sum(value(tree, record, ()) for tree in trees)
    total = 0.0
    for tree in trees:
        total = f32(total + leaf(tree, record))
    total = f32(total + f32(math.log(0.2 / 0.8)))
    shares = {}
    for name in features:
        others = [n for n in features if n != name]
        share = F(0)
        for size in range(len(others) + 1):
            weight = F(math.factorial(size) * math.factorial(len(others) - size), math.factorial(len(features)))
            for subset in combinations(others, size):
                share += weight * sum(value(t, record, subset + (name,)) - value(t, record, subset) for t in trees)
        shares[name] = share
    total_units, expected_units = round(total * 10**6), round(expected * 10**6)
    units = {n: math.floor(s * 10**6) for n, s in shares.items()}
    left = total_units - expected_units - sum(units.values())
    order = sorted(features, key=lambda n: -(shares[n] * 10**6 - units[n]))
    i = 0
    while left:
        step = 1 if left > 0 else -1
        units[order[i % len(order)]] += step
        left, i = left - step, i + 1
    ranked = sorted((n for n in features if units[n]), key=lambda n: (-abs(units[n]), n))
    reasons = []
    for name in ranked[:3]:
        reason = dict(code=CODES[name], feature=name)
        if record.get(name) is not None:
            reason["value"] = float(record[name])
        reasons.append(dict(reason, effect=Exact(units[name])))
    if ranked[3:]:
        reasons.append(dict(code="others", effect=Exact(sum(units[n] for n in ranked[3:]))))
    result = 1 / (1 + math.exp(-total))
    points = round(600 - 20 / math.log(2) * (total + math.log(50)))
    lines.append(dict(type="score", id=r["id"], result=Exact(round(result * 10**6)), points=max(300, min(850, points)),
                      decision="accept" if result < 0.15 else "refer" if result < 0.35 else "decline", sum=Exact(total_units),
                      expected=Exact(expected_units), reasons=reasons))
with open("expected.ndjson", "w") as file:
    for line in sorted(map(dump, lines)):
        print(line, file=file)
