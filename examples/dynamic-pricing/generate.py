"""Writes input.ndjson: two products over ten minutes, seeded, so that it can be written again."""
import json
import random

START = 1_700_000_000_000
rng = random.Random(11)
mids = {"EURUSD": 1.0850, "GBPUSD": 1.2400}
inventory = {"EURUSD": 0, "GBPUSD": 0}
records = []
for second in range(0, 600, 2):
    for product in mids:
        quiet = product == "GBPUSD" and 300 <= second < 330  # the feed stops
        wild = product == "EURUSD" and 400 <= second < 460
        ts = START + second * 1000 + rng.randrange(1000)
        if not quiet:
            mids[product] += rng.gauss(0, 0.0012 if wild else 0.0002)
            half = 0.00005
            records.append(dict(id=f"m{len(records)}", type="market", product=product, bid=round(mids[product] - half, 5),
                                ask=round(mids[product] + half, 5), ts=ts))
        if rng.random() < 0.25:
            side = "buy" if rng.random() < 0.45 else "sell"
            quantity = rng.choice([2_500, 10_000, 750_000.5, 1_000_000, 5_000_000, 12_000_000])
            tier = rng.choice(["corporate", "retail", None])
            record = dict(id=f"r{len(records)}", type="request", product=product, side=side, quantity=quantity,
                          customer=f"c{rng.randrange(9)}", ts=ts + 500)
            if tier:
                record["tier"] = tier
            records.append(record)
            if rng.random() < 0.6:
                inventory[product] += quantity if side == "sell" else -quantity
                records.append(dict(id=f"i{len(records)}", type="inventory", product=product, quantity=inventory[product], ts=ts + 600))
records.append(dict(id="late", type="market", product="EURUSD", bid=1, ask=1.1, ts=START))
records.append(dict(id="vip", type="request", product="EURUSD", side="buy", quantity=1, tier="vip", customer="c1", ts=START + 600_000))
with open("input.ndjson", "w") as file:
    for record in records:
        print(json.dumps(record, separators=(",", ":")), file=file)
