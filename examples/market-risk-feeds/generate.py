"""Writes trades.ndjson and prices.ndjson: two desks that hold some of the same instruments, over 50 days, seeded, so that it can be written
again."""
import json
import random

DAY = 86_400_000
START = 20_454 * DAY  # 2026-01-01
rng = random.Random(2026)
last = {"ALPHA": 120.0, "BETA": 45.0, "GAMMA": 8.5, "BUND": 131.0, "OAT": 125.0, "GOLD": 3900.0}
positions = {
    0: [("equities", "ALPHA", "1000"), ("equities", "BETA", "2500.5"), ("rates", "BUND", "1500"), ("rates", "OAT", "-1200"),
        ("rates", "GAMMA", None)],
    # A hedge in an instrument of the other desk: its price is known before the next one comes.
    10: [("equities", "BUND", "-300")],
    25: [("rates", "ALPHA", "-400"), ("rates", "GAMMA", "2000")],
    40: [("equities", "BUND", "300")],
}
trades, prices = [], []
for day in range(50):
    start = START + day * DAY
    for i, (book, instrument, quantity) in enumerate(positions.get(day, [])):
        ts = start + 30_000_000 + i
        record = dict(id=f"t{day}-{i}", type="follow" if quantity is None else "trade", book=book, instrument=instrument, ts=ts)
        if quantity is not None:
            record |= dict(quantity=quantity, price=round(last[instrument] * 1.001, 4))
        trades.append(record)
    for instrument in last:
        for hour in (7, 17):
            shock = -0.09 if (day, instrument, hour) == (45, "BUND", 17) else 0
            last[instrument] *= 1 + rng.gauss(0, 0.004 if instrument in ("BUND", "OAT") else 0.011) + shock
            ts = start + hour * 3_600_000 + rng.randrange(1000)
            prices.append(dict(id=f"p{day}-{hour}-{instrument}", instrument=instrument, price=round(last[instrument], 4), ts=ts))
# What is told within half a minute comes in any order.
prices.sort(key=lambda price: price["ts"] + rng.randrange(30_000))
for name, records in (("trades", trades), ("prices", prices)):
    with open(f"{name}.ndjson", "w") as file:
        for record in records:
            print(json.dumps(record, separators=(",", ":")), file=file)
