"""Writes input.ndjson: two hours of an app's customers, seeded, so that it can be written again."""
import json
import random

START, MINUTE, SECOND = 1_767_603_600_000, 60_000, 1_000  # 2026-01-05 09:00 UTC
rng = random.Random(20260106)
events = []


def event(customer, at, kind, page=None, device="phone", delay=None):
    ts = START + int(at)
    record = dict(customer_id=customer, event_id="", type=kind, device=f"{customer}-{device}", ts=ts)
    if page:
        record["page"] = page
    events.append((ts + (rng.randrange(90) * SECOND if delay is None else delay), record))


def walk(customer, minute, *steps, device="phone", pause=20):
    """Steps one after the other; a step is a kind, or a kind with the page it is on."""
    at = minute * MINUTE
    for step in steps:
        kind, _, page = step.partition(":")
        event(customer, at, kind, page or None, device)
        at += rng.randrange(1, pause) * SECOND
    return at


FUNNEL = ["login:start", "view:accounts", "add_payee:payees", "confirm:payees"]
# Every day: customers who come as far as they like.
for number in range(20):
    for _ in range(rng.randrange(1, 4)):
        steps = FUNNEL[:rng.randrange(1, 5)]
        for _ in range(rng.randrange(3)):
            steps.insert(rng.randrange(len(steps) + 1), rng.choice(["help:help", "rates:rates", "view:accounts"]))
        walk(f"c{number:02}", rng.randrange(110), *steps)

walk("anna", 5, *FUNNEL)  # converts, with reports in disorder
event("ben", 10 * MINUTE, "open", "start", delay=0)  # bounces: one page, a moment
event("ben", 10 * MINUTE + 9_999, "open", "start", delay=0)
event("bert", 10 * MINUTE, "open", "start", delay=0)  # a millisecond longer: no bounce
event("bert", 10 * MINUTE + 10_000, "open", "start", delay=0)
walk("clara", 20, *FUNNEL[:3])  # stops at the payee
at = walk("dora", 30, *FUNNEL[:3])  # looks for help instead
event("dora", at + 5 * SECOND, "help", "help")
at = walk("emil", 40, *FUNNEL[:3])  # another device comes in
event("emil", at + MINUTE, "login", "start", device="laptop")
event("emil", at + 2 * MINUTE, "view", "accounts")
walk("frida", 50, "confirm:payees", "add_payee:payees", "view:accounts", "login:start")  # the wrong order
for minute, step in ((60, "login:start"), (61, "view:accounts"), (71, "add_payee:payees"), (81, "confirm:payees")):
    event("georg", minute * MINUTE, *step.split(":"))  # pauses of exactly the gap: one session
# Two sessions, until a report from between them makes them one.
event("hanna", 20 * MINUTE, "login", "start", delay=0)
event("hanna", 30.5 * MINUTE, "view", "accounts", delay=0)
event("hanna", 25 * MINUTE, "help", "help", delay=6.5 * MINUTE)
event("ida", 15 * MINUTE, "login", "start", delay=25 * MINUTE)  # reported when the session was over
events.append((START + 30 * MINUTE, dict(customer_id="jan", event_id="", type="", device="jan-phone", ts=START + 30 * MINUTE)))

with open("input.ndjson", "w") as file:
    for number, (_, record) in enumerate(sorted(events, key=lambda item: item[0])):
        record["event_id"] = f"e{number + 1:03}"
        print(json.dumps(record, separators=(",", ":")), file=file)
