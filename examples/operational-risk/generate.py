"""Writes input.ndjson: three units over five days, seeded, so that it can be written again."""
import json
import random

HOUR = 3_600_000
START = 472_200 * HOUR  # 2023-11-14, midnight
rng = random.Random(472200)
records = []


def add(kind, unit, ts, **more):
    records.append(dict(id=f"{unit.split('/')[0][0]}{len(records)}", type=kind, unit=unit, ts=ts, **more))


for hour in range(120):
    for unit, mean, spread in (("payments/frankfurt", 12, 3), ("cards/lisbon", 30, 6), ("settlement/vienna", 6, 2)):
        if unit == "settlement/vienna" and 80 <= hour < 90:
            continue  # an outage: nothing is reported
        if unit == "payments/frankfurt" and 60 <= hour < 75:
            mean += 4  # a small shift that lasts
        if unit == "cards/lisbon" and hour == 100:
            mean += 45  # a burst
        left = max(0, round(rng.gauss(mean, spread)))
        while left:
            count = min(left, rng.randint(1, 8))
            left -= count
            add("event", unit, START + hour * HOUR + rng.randrange(HOUR), **({} if count == 1 else dict(count=count)))
    if hour % 2 == 0:
        backlog = 40 + 12 * max(0, 10 - abs(hour - 50)) + rng.randint(-4, 4)
        add("indicator", "settlement/vienna", START + hour * HOUR + HOUR // 2, indicator="open_reconciliations", value=backlog)
        uptime = "99.2" if hour in (30, 32) else "99.87" if hour == 34 else "99.97"
        add("indicator", "payments/frankfurt", START + hour * HOUR + HOUR // 3, indicator="uptime_percent", value=uptime)
records.sort(key=lambda r: r["ts"] + rng.randrange(240_000))  # at most four minutes late
records.append(dict(id="late", type="event", unit="cards/lisbon", ts=START))
records.append(dict(id="odd", type="indicator", unit="cards/lisbon", ts=START + 120 * HOUR, indicator="mood", value=3))
with open("input.ndjson", "w") as file:
    for record in records:
        print(json.dumps(record, separators=(",", ":")), file=file)
