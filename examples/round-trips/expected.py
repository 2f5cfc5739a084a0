"""Computes expected.ndjson from transfers.ndjson by searching through every sequence of transfers, from the definitions in the README of the
UDF and without its code."""
import json
from collections import defaultdict

WINDOW, LEAST, LEGS = 10 * 86_400_000, 500_000, 4
transfers = [json.loads(line) for line in open("transfers.ndjson")]
leaving = defaultdict(list)
for transfer in transfers:
    if transfer["amount_minor"] >= LEAST:
        leaving[transfer["debtor"]].append(transfer)
lines = []


def search(way):
    first, last = way[0], way[-1]
    touched = {leg["creditor"] for leg in way}
    for leg in leaving[last["creditor"]]:
        in_time = last["ts"] < leg["ts"] <= first["ts"] + WINDOW
        near = abs(leg["amount_minor"] - first["amount_minor"]) * 20 <= first["amount_minor"]
        if not in_time or not near or leg["creditor"] in touched:
            continue
        longer = way + [leg]
        if leg["creditor"] == first["debtor"]:
            lines.append(dict(type="circle", account=first["debtor"], began_ts=first["ts"], ts=leg["ts"], currency="EUR",
                              sent_minor=first["amount_minor"], returned_minor=leg["amount_minor"],
                              accounts=[first["debtor"]] + [leg["creditor"] for leg in longer],
                              txn_ids=[leg["txn_id"] for leg in longer],
                              reason="there_and_back" if len(longer) == 2 else "circle"))
        elif len(longer) < LEGS:
            search(longer)


for legs in list(leaving.values()):
    for transfer in legs:
        search([transfer])
text = [json.dumps(line, sort_keys=True, separators=(",", ":")) for line in lines]
with open("expected.ndjson", "w") as file:
    file.write("".join(line + "\n" for line in sorted(text)))
