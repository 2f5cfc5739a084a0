"""Writes input.ndjson: two desks over 60 days, seeded, so that it can be written again."""
import json
import random

DAY = 86_400_000
START = 19_675 * DAY  # 2023-11-14
rng = random.Random(20231114)
names = {"equities": {"ALPHA": 120.0, "BETA": 45.0, "GAMMA": 8.5}, "rates": {"BUND": 131.0, "OAT": 125.0}}
trades = {
    (0, "equities"): [("ALPHA", "1000"), ("BETA", "2500.5"), ("GAMMA", "-4000")],
    (0, "rates"): [("BUND", "1500"), ("OAT", "-1200")],
    (30, "equities"): [("ALPHA", "700")],
    (45, "equities"): [("ALPHA", "-900.25"), ("GAMMA", "4000")],
    (50, "rates"): [("OAT", "1200")],
}
records = []
for day in range(60):
    if day % 7 in (4, 5):
        continue  # a weekend
    start = START + day * DAY
    for book, prices in names.items():
        for name, quantity in trades.get((day, book), []):
            records.append(dict(id=f"t{day}-{name}", type="trade", book=book, instrument=name, quantity=quantity,
                                price=round(prices[name] * 1.001, 4), ts=start + 30_000_000))
        for name in prices:
            if (day, name) == (20, "BETA"):
                continue  # no price that day
            for hour in (9, 17):
                shock = -0.09 if (day, name) in ((33, "ALPHA"), (51, "BUND")) and hour == 17 else 0
                prices[name] *= 1 + rng.gauss(0, 0.011 if book == "equities" else 0.004) + shock
                records.append(dict(id=f"p{day}-{hour}-{name}", type="price", book=book, instrument=name,
                                    price=round(prices[name], 4), ts=start + hour * 3_600_000 + rng.randrange(1000)))
    if day == 9:
        records.append(dict(id="late", type="price", book="rates", instrument="BUND", price=1.0, ts=start - DAY))
        records.append(dict(id="gift", type="gift", book="rates", instrument="BUND", price=1.0, ts=start + DAY // 2))
with open("input.ndjson", "w") as file:
    for record in records:
        print(json.dumps(record, separators=(",", ":")), file=file)
