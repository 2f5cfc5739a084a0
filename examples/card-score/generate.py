"""Writes input.ndjson: a day of card transactions, seeded, so that it can be written again. Frauds are planted; `fraud` in the id says which."""
import json
import random

MINUTE = 60_000
START = 1_700_000_000_000
rng = random.Random(4)
CITIES = {"frankfurt": (50.1109, 8.6821), "vienna": (48.2082, 16.3738), "lisbon": (38.7223, -9.1393), "oslo": (59.9139, 10.7522)}
records = []


def add(minute, card, merchant, amount, city=None, device=None, category="5411", tag=""):
    record = dict(id=f"{tag}{len(records)}", ts=START + int(minute * MINUTE), card_id=card, merchant_id=merchant,
                  device_id=device or (f"chip-{card}" if city else f"phone-{card}"), category=category, amount=f"{amount:.2f}")
    if city:
        record["latitude"], record["longitude"] = CITIES[city]
    records.append(record)


for card in range(40):
    home = rng.choice(list(CITIES))
    for _ in range(rng.randint(4, 14)):
        minute = rng.uniform(0, 1440)
        if rng.random() < 0.6:
            add(minute, f"card{card}", f"m-{home}-{rng.randrange(4)}", rng.lognormvariate(3.2, 0.8), city=home)
        else:
            add(minute, f"card{card}", f"m-shop-{rng.randrange(6)}", rng.lognormvariate(3.6, 0.9), category=rng.choice(["5411", "5732", "5732", "7995"]))
for i in range(12):  # a card is tried out, then emptied
    add(300 + i * 0.7, "card3", "m-shop-1", 2 + i if i < 8 else 900 + i, tag="fraud-velocity-")
for i in range(14):  # one device, many cards
    add(600 + i * 2, f"card{10 + i}", "m-shop-2", 180 + i, device="phone-x", tag="fraud-device-")
add(800, "card7", "m-frankfurt-1", 60, city="frankfurt")
add(830, "card7", "m-lisbon-1", 640, city="lisbon", tag="fraud-travel-")
add(900, "card8", "m-pawn", 2600, category="6051", tag="fraud-merchant-")
for i in range(60):  # a merchant through whom stolen cards are run
    add(1000 + i * 0.25, f"card{i % 40}", "m-vienna-9", 35 + i % 7, device=f"web-{i}", tag="fraud-run-")
records.sort(key=lambda r: r["ts"] + rng.randrange(30_000))
records.append(dict(records[0], id="refund", amount="-5.00"))  # refused
with open("input.ndjson", "w") as file:
    for record in records:
        print(json.dumps(record, separators=(",", ":")), file=file)
