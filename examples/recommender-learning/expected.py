"""Computes expected.ndjson from input.ndjson: counts for every action all impressions and clicks of its page before it, anew, and takes UCB1's order in
real numbers, from the definitions in the README of the UDF and without its code."""
import json
import math

PRODUCTS = dict(tent="camping", stove="camping", novel="books", atlas="books", piano="music", flute="music")
PLACES = 2
records = [json.loads(line) for line in open("input.ndjson")]
owned, lines = set(), []
for place, record in enumerate(records):
    kind, customer, page = record["type"], record["customer_id"], record["context"]
    if kind not in ("view", "cart", "purchase", "click"):
        continue
    shown, clicked, open_shown = dict.fromkeys(PRODUCTS, 0), dict.fromkeys(PRODUCTS, 0), set()
    for before in records[:place + 1]:
        product, entry = before["product_id"], (before["product_id"], before["customer_id"])
        if before["context"] != page or product not in PRODUCTS:
            continue
        if before["type"] == "impression":
            shown[product] += 1
            open_shown.add(entry)
        elif before["type"] == "click" and entry in open_shown:
            open_shown.remove(entry)
            clicked[product] += 1
    total = max(1, sum(shown.values()))

    def index(product):
        if shown[product] == 0:
            return math.inf
        # In thousandths, each part rounded down.
        return clicked[product] * 1000 // shown[product] + math.floor(1000 * math.sqrt(2 * math.log(total) / shown[product]))

    if kind == "purchase":
        owned.add((customer, record["product_id"]))
    items = []
    for product in sorted(PRODUCTS, key=lambda product: -index(product)):
        categories = [PRODUCTS[item["product_id"]] for item in items]
        if (customer, product) in owned or product == record["product_id"] or PRODUCTS[product] in categories or len(items) == PLACES:
            continue
        items.append(dict(product_id=product, reason=dict(code="explored", category=page, shown=shown[product], clicked=clicked[product]), score=0.0))
    if items:
        lines.append(dict(customer_id=customer, items=items, product_id=record["product_id"], ts=record["ts"], type="recommendation"))

with open("expected.ndjson", "w") as file:
    for line in sorted(json.dumps(line, separators=(",", ":")) for line in lines):
        print(line, file=file)
