"""Computes expected.ndjson from trades.ndjson and prices.ndjson: finds for each desk the prices that it gets, by the definition in the README of
`price-fan-out`, and has the example `market-risk` compute the rest, from definitions and without the UDFs' code."""
import json
import os
import runpy
import tempfile
from collections import defaultdict

trades = [json.loads(line) for line in open("trades.ndjson")]
prices = [json.loads(line) for line in open("prices.ndjson")]
since = {}
for trade in sorted(trades, key=lambda trade: trade["ts"]):
    since.setdefault((trade["book"], trade["instrument"]), trade["ts"])
by_instrument = defaultdict(list)
for price in sorted(prices, key=lambda price: price["ts"]):
    by_instrument[price["instrument"]].append(price)
records = [trade for trade in trades if trade["type"] == "trade"]
for (book, instrument), begin in since.items():
    known = [price for price in by_instrument[instrument] if price["ts"] < begin][-1:]
    records += [dict(known[0], type="price", book=book, ts=begin)] if known else []
    records += [dict(price, type="price", book=book) for price in by_instrument[instrument] if price["ts"] >= begin]
records.sort(key=lambda record: record["ts"])

here = os.getcwd()
script = os.path.abspath("../market-risk/expected.py")
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("input.ndjson", "w") as file:
        for record in records:
            print(json.dumps(record), file=file)
    runpy.run_path(script)
    expected = open("expected.ndjson").read()
    os.chdir(here)
with open("expected.ndjson", "w") as file:
    file.write(expected)
