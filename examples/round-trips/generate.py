"""Writes transfers.ndjson: a month of transfers between 60 accounts, with planted circles. Always the same."""
import json
import random

DAY, MINUTE = 86_400_000, 60_000
START = 1_772_323_200_000  # 1 March 2026
random.seed(8)
transfers = []


def pay(name, day, debtor, creditor, amount_minor):
    transfers.append(dict(txn_id=name, ts=START + round(day * DAY), debtor=debtor, creditor=creditor,
                          amount_minor=amount_minor, currency="EUR"))


def way(name, accounts, days, amounts):
    for i, (debtor, creditor) in enumerate(zip(accounts, accounts[1:])):
        pay(f"{name}-{i + 1}", days[i], debtor, creditor, amounts[i])


# Ordinary payments, most of them small. Amounts of large ones seldom meet.
for i in range(600):
    debtor, creditor = random.sample(range(60), 2)
    amount = random.randrange(1_000, 400_000) if random.random() < 0.8 else round(500_000 * 1.5 ** random.uniform(0, 15))
    pay(f"p{i:03}", random.uniform(0, 31), f"DE-{debtor:02}", f"DE-{creditor:02}", amount)

way("back", ["anvil", "bolt", "anvil"], [2, 6], [2_000_000, 1_950_000])
way("three", ["cedar", "dune", "elm", "cedar"], [3, 5.5, 8], [7_500_000, 7_450_000, 7_400_000])
way("four", ["fjord", "glade", "heath", "isle", "fjord"], [10, 11, 14, 19.9], [4_000_000, 4_000_000, 3_900_000, 3_850_000])
# Parts that meet again, and two ways through the same account.
way("twice", ["jade", "kelp", "lark", "jade"], [12, 13, 15], [6_000_000, 6_000_000, 6_000_000])
pay("twice-4", 14, "kelp", "lark", 6_100_000)
# No circles: over five accounts, in more than ten days, too little of it, in the wrong order, too small.
way("five", ["moor", "nook", "opal", "pine", "quay", "moor"], [1, 2, 3, 4, 5], [3_000_000] * 5)
way("slow", ["reef", "sage", "reef"], [4, 14.01], [2_500_000, 2_500_000])
way("less", ["tarn", "vale", "tarn"], [6, 7], [5_000_000, 4_700_000])
way("order", ["wold", "yew", "zinc", "wold"], [20, 19, 21], [5_500_000, 5_500_000, 5_500_000])
way("small", ["ash", "birch", "ash"], [22, 23], [499_999, 499_999])

# What is told within half a minute comes in any order.
transfers.sort(key=lambda transfer: (transfer["ts"] + random.randrange(MINUTE // 2), transfer["txn_id"]))
with open("transfers.ndjson", "w") as file:
    for transfer in transfers:
        file.write(json.dumps(transfer, separators=(",", ":")) + "\n")
