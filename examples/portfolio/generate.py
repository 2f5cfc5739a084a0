"""Writes input.ndjson: two portfolios over two years, seeded, so that it can be written again."""
import json
import random

DAY = 86_400_000
START = 19_359 * DAY  # 2023-01-02
rng = random.Random(19359)
prices = {"WORLD": 80.0, "BONDS": 52.0, "GOLD": 170.0, "MEME": 4.2}
records = []


def add(kind, portfolio, day, **more):
    ts = START + day * DAY + len(records)
    records.append(dict(id=f"e{len(records)}", type=kind, portfolio=portfolio, ts=ts, **more))


def trade(portfolio, day, instrument, quantity):
    at = round(prices[instrument], 4)
    add("trade", portfolio, day, instrument=instrument, quantity=quantity, price=at)


for day in range(0, 720, 10):
    for name in prices:
        prices[name] *= 1 + rng.gauss(0.012 if name == "WORLD" else 0.001, 0.03)
    if day == 0:
        add("cash", "anna", day, amount="20000.00")
        add("cash", "ben", day, amount=5000)
        for name, share in (("WORLD", 0.5), ("BONDS", 0.3), ("GOLD", 0.15)):
            trade("anna", day, name, int(20000 * share / prices[name]))
        trade("ben", day, "WORLD", 30)
        trade("ben", day, "MEME", 100.5)
    for portfolio in ("anna", "ben"):
        for name in prices:
            if name != "MEME" or portfolio == "ben":
                add("price", portfolio, day, instrument=name, price=round(prices[name], 4))
    if day == 200:
        add("cash", "anna", day, amount="3000.00")
        trade("anna", day, "WORLD", 20)
    if day == 400:
        trade("anna", day, "WORLD", -25)
        trade("anna", day, "BONDS", -1000)  # more than there is: refused
    if day % 180 == 0:
        add("review", "anna", day)
        add("review", "ben", day)
with open("input.ndjson", "w") as file:
    for record in records:
        print(json.dumps(record, separators=(",", ":")), file=file)
