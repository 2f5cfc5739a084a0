"""Computes expected.ndjson from input.ndjson, from the definitions in the UDF's README and without its code. Charts are rounded to millionths
after each step, as the README says; all else is exact."""
import json
from collections import defaultdict
from fractions import Fraction as F
from math import isqrt

HOUR, BOUND, ONE = 3_600_000, 300_000, 1_000_000
LEARN, QUIET = 48, 12
UNITS = {"cards/lisbon": (30 * ONE, 6 * ONE)}
LAMBDA, WIDTH, ALLOWANCE, LIMIT = 200_000, 3, F(1, 2), 5
INDICATORS = {"open_reconciliations": (50, 100, 5), "uptime_percent": (F("99.9"), F("99.5"), 0)}
ESCALATION = [HOUR, 4 * HOUR]


class Micro(float):
    def __new__(cls, units):
        self = super().__new__(cls, units / ONE)
        self.text = f"{'-' if units < 0 else ''}{abs(units) // ONE}.{abs(units) % ONE:06}"
        return self


def dump(value):
    items = sorted(value.items())
    return "{" + ",".join(f'"{k}":{v.text if isinstance(v, Micro) else json.dumps(v)}' for k, v in items) + "}"


lines, watermark = [], None
counts = defaultdict(lambda: defaultdict(int))
readings = defaultdict(list)
for line in open("input.ndjson"):
    r = json.loads(line, parse_float=str)
    unit, ts = r["unit"], r["ts"]
    if r["type"] == "event":
        start = ts // HOUR * HOUR
        if watermark is not None and watermark >= start + HOUR:
            lines.append(dict(type="late", id=r["id"], unit=unit, ts=ts, reason="interval_closed"))
        else:
            counts[unit][start] += r.get("count", 1)
    elif r["indicator"] in INDICATORS:
        kept = readings[unit, r["indicator"]]
        if kept and kept[-1][0] > ts:
            lines.append(dict(type="late", id=r["id"], unit=unit, ts=ts, reason="newer_reading_known"))
        else:
            kept.append((ts, F(str(r["value"])), r["id"]))
    watermark = max(watermark or 0, ts - BOUND - 1)

for unit, by_start in counts.items():
    usual, learned, average, sums, raised = UNITS.get(unit), [], None, [0, 0], {}
    start, quiet = min(by_start), 0
    while True:
        count = by_start.get(start, 0)
        end = start + HOUR
        quiet = quiet + 1 if count == 0 else 0
        if usual is None:
            learned.append(count)
            if len(learned) == LEARN:
                mean = sum(learned) * ONE // LEARN
                usual = (mean, max(ONE, isqrt(mean * ONE)))
        else:
            mean, deviation = usual
            average = mean if average is None else average
            average = round(F(LAMBDA * count * ONE + (ONE - LAMBDA) * average, ONE))
            # sqrt(lambda / (2 - lambda)) is a third.
            width = round(F(WIDTH * deviation, 3))
            allowance, limit = int(ALLOWANCE * deviation), LIMIT * deviation
            sums[0] = min(2 * limit, max(0, sums[0] + count * ONE - mean - allowance))
            sums[1] = min(2 * limit, max(0, sums[1] + mean - allowance - count * ONE))
            for reason, on, value, bound in (
                ("ewma_high", average > mean + width, average, mean + width),
                ("ewma_low", average < mean - width, average, mean - width),
                ("cusum_high", sums[0] > limit, sums[0], limit),
                ("cusum_low", sums[1] > limit, sums[1], limit),
            ):
                if on == (reason in raised):
                    continue
                since = raised.setdefault(reason, end)
                if not on:
                    del raised[reason]
                lines.append(dict(type="anomaly", unit=unit, ts=end, state="raised" if on else "cleared", reason=reason,
                                  count=count, mean=Micro(mean), deviation=Micro(deviation), value=Micro(value),
                                  limit=Micro(bound), since=since))
        start = end
        if quiet >= QUIET:
            later = [s for s in by_start if s >= start]
            if not later:
                break
            start = min(later)

NAMES = ["green", "amber", "red"]
for (unit, indicator), kept in readings.items():
    amber, red, margin = INDICATORS[indicator]
    sign = 1 if red > amber else -1
    level, red_since = 0, None
    for i, (ts, value, id) in enumerate(kept):
        new = 0
        for candidate, threshold in ((1, amber), (2, red)):
            slack = margin if level >= candidate else 0
            if sign * (value - threshold) >= -slack:
                new = candidate
        if new == 2 and level != 2:
            red_since = ts
        if new != level:
            threshold = red if max(new, level) == 2 else amber
            lines.append(dict(type="level", id=id, unit=unit, indicator=indicator, ts=ts, to=NAMES[new],
                              reason="threshold_reached" if new > level else "back_within", value=Micro(int(value * ONE)),
                              threshold=Micro(int(threshold * ONE)), **{"from": NAMES[level]}))
        level = new
        if level == 2:
            until = kept[i + 1][0] if i + 1 < len(kept) else float("inf")
            for step, wait in enumerate(ESCALATION, 1):
                if ts < red_since + wait <= until:
                    lines.append(dict(type="escalation", unit=unit, indicator=indicator, ts=red_since + wait, step=step,
                                      reason="red_for_too_long", value=Micro(int(value * ONE)), since=red_since))

with open("expected.ndjson", "w") as file:
    for line in sorted(map(dump, lines)):
        print(line, file=file)
