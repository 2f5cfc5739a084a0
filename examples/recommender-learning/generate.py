"""Writes input.ndjson: a week of a shop in which what is recommended is shown and perhaps clicked on, seeded, so that it can be written again. On the
page `outdoor` customers like stoves, on `home` flutes and atlases."""
import json
import math
import random

PRODUCTS = dict(tent="camping", stove="camping", novel="books", atlas="books", piano="music", flute="music")
LIKED = dict(outdoor=dict(stove=0.5, tent=0.15), home=dict(flute=0.4, atlas=0.35))
START = 1_772_409_600_000  # 2 March 2026
rng = random.Random(7)
counts = {page: {product: [0, 0] for product in PRODUCTS} for page in LIKED}
owned, records, now = set(), [], START


def tell(kind, customer, product, page, category):
    records.append(dict(type=kind, customer_id=customer, product_id=product, category=category, context=page, ts=now))


for _ in range(500):
    now += rng.randrange(60_000, 1_500_000)
    page, customer = rng.choice(sorted(LIKED)), f"c{rng.randrange(80):02}"
    tell("view", customer, "lamp", page, "lighting")
    total = sum(shown for shown, _ in counts[page].values())

    def index(product):
        shown, clicked = counts[page][product]
        return -math.inf if shown == 0 else -(clicked / shown + math.sqrt(2 * math.log(max(total, 1)) / shown))

    places = []
    for product in sorted(PRODUCTS, key=lambda product: (index(product), list(PRODUCTS).index(product))):
        if (customer, product) not in owned and all(PRODUCTS[product] != PRODUCTS[other] for other in places) and len(places) < 2:
            places.append(product)
    for product in places:
        now += 1_000
        tell("impression", customer, product, page, PRODUCTS[product])
        counts[page][product][0] += 1
        if rng.random() < LIKED[page].get(product, 0.04):
            now += 5_000
            tell("click", customer, product, page, PRODUCTS[product])
            counts[page][product][1] += 1
            if rng.random() < 0.3:
                now += 60_000
                tell("purchase", customer, product, page, PRODUCTS[product])
                owned.add((customer, product))
tell("stare", "c00", "lamp", "home", "lighting")
with open("input.ndjson", "w") as file:
    for record in records:
        print(json.dumps(record, separators=(",", ":")), file=file)
