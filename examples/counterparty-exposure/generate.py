"""Writes trades.ndjson and rates.ndjson: 20 minutes of trades with five counterparties, seeded, so that they can be written again."""
import json
import random

START, MINUTE = 1_767_603_600_000, 60_000  # 2026-01-05 09:00 UTC
rng = random.Random(20260105)
trades, rates = [], []


def trade(minute, party, amount, currency="EUR", netting_set=None, second=None, trade_id=None, delay=None):
    ts = START + int(minute * MINUTE) + (rng.randrange(MINUTE) if second is None else int(second * 1000))
    record = dict(trade_id=trade_id or f"t{len(trades) + 1}", counterparty=party, ts=ts, currency=currency, amount_minor=amount)
    if netting_set:
        record["netting_set"] = netting_set
    trades.append((ts + (rng.randrange(9_000) if delay is None else delay), record))


def rate(second, currency, value, delay=None):
    ts = START + int(second * 1000)
    record = dict(currency=currency, ts=ts)
    if value:
        record["rate"] = value
    rates.append((ts + (rng.randrange(1_500) if delay is None else delay), record))


# Every day: small trades in both directions, in netting sets by product.
for minute in range(20):
    for party, sets in (("nordbank", ["isda", "repo"]), ("helvetia", ["isda"]), ("lumen", [None]), ("orbis", ["isda", None])):
        if party == "orbis" and 6 <= minute < 13:
            continue  # silence
        for _ in range(rng.randrange(1, 4)):
            currency = rng.choice(["EUR", "USD", "CHF", "JPY" if minute < 12 else "USD"])
            amount = rng.randrange(-2_000_000, 2_000_000) * (150 if currency == "JPY" else 100) // 100
            trade(minute, party, amount // 100 * 100 + rng.randrange(1, 100), currency, rng.choice(sets))

# nordbank: above the net limit from the sixth minute on, wavers about it, and is back within it in the tenth.
for minute, amount in ((5, 52_000_000), (6, 49_000_000), (7, 55_000_000), (8, 40_000_000), (9, 20_000_000)):
    trade(minute, "nordbank", amount, "EUR", "repo")
# helvetia: as large, but a netting set holds both sides.
trade(4, "helvetia", 90_000_000, "USD", "isda")
trade(4, "helvetia", -91_000_000, "USD", "isda")
# lumen: no netting set, so that claims add up over five minutes.
for minute in range(8, 12):
    trade(minute, "lumen", 45_000_000, "CHF")
    trade(minute, "lumen", -45_000_000, "CHF")
# orbis: above a limit of its own, and then silent.
trade(5, "orbis", 9_000_000, "USD", "isda", trade_id="orbis-large")
# polar trades once, in the first millisecond of a minute; sent three times.
for delay in (100, 700, 65_000):
    trade(3, "polar", 1_234_567, "EUR", second=0, trade_id="polar-once", delay=delay)
# A trade of the last millisecond of a minute, reported 9 seconds later; one that is reported a minute too late.
trade(2, "polar", 700_001, "EUR", second=59.999, trade_id="polar-disorder", delay=9_000)
trade(7, "polar", 100_000, "EUR", second=30, trade_id="polar-late", delay=80_000)
# In the half second of a rate of its own.
trade(5, "polar", 1_000_000, "USD", second=5.7, trade_id="polar-half-second")
# Without a rate, and with one that is too old.
trade(9, "lumen", 5_000_000, "SEK", trade_id="no-rate")
trade(16, "lumen", 99_000_000, "JPY", trade_id="stale")

for second in range(0, 20 * 60, 20):
    for currency, base, moves in (("USD", 0.92, 0.0004), ("CHF", 1.05, 0.0003), ("JPY", 0.0061, 0.000003)):
        if currency == "JPY" and second > 600:
            continue  # the feed has stopped
        rate(second, currency, f"{base + rng.gauss(0, moves) * (second / 200):.6f}")
# A jump that is reported after a later rate, and a correction that is too late.
rate(305.5, "USD", "0.800000", delay=1_900)
rate(306.0, "USD", "0.920000", delay=0)
rate(610, "CHF", "9.000000", delay=60_000)

for name, records in (("trades", trades), ("rates", rates)):
    with open(f"{name}.ndjson", "w") as file:
        for _, record in sorted(records, key=lambda item: item[0]):
            print(json.dumps(record, separators=(",", ":")), file=file)
