"""Writes input.ndjson: an afternoon at a bank, seeded, so that it can be written again."""
import json
import random

START, MINUTE, HOUR = 1_767_610_800_000, 60_000, 3_600_000  # 2026-01-05 11:00 UTC
rng = random.Random(20260107)
events = []


def event(account, at, kind, delay=None, **fields):
    ts = START + at
    events.append((ts + (rng.randrange(55_000) if delay is None else delay), dict(event_id="", account_id=account, type=kind, **fields, ts=ts)))


def story(account, at, *steps, gap=4 * MINUTE):
    """Steps like `device_added tablet`, `payee_added mule`, `transfer tablet 4900.00 mule`, some minutes apart."""
    for step in steps:
        kind, *words = step.split()
        fields = {}
        if kind in ("login", "device_added"):
            fields = dict(device=f"{account}-{words[0]}")
        elif kind.startswith("payee"):
            fields = dict(payee=words[0])
        elif kind == "transfer":
            fields = dict(device=f"{account}-{words[0]}", amount=float(words[1]), payee=words[2])
        event(account, at, kind, **fields)
        at += gap


TAKEN = ["password_reset", "device_added tablet", "payee_added mule", "transfer tablet 4900.00 mule"]
story("alba", 5 * MINUTE, *TAKEN, "transfer tablet 4900.00 mule")  # one takeover, although it goes on
story("bela", 9 * MINUTE, "token_replaced", *TAKEN[1:])  # another credential
story("cora", 12 * MINUTE, TAKEN[0], TAKEN[1], "payee_added aunt", "payee_changed mule", TAKEN[3])  # a harmless payee first
story("dino", 15 * MINUTE, TAKEN[0], TAKEN[1], "transfer tablet 4900.00 gas")  # no changed payee
story("edda", 18 * MINUTE, *TAKEN[:3], "transfer tablet 4900.00 gas", "transfer phone 4900.00 mule", "transfer tablet 999.99 mule")
story("finn", 21 * MINUTE, TAKEN[0], TAKEN[1], TAKEN[3], TAKEN[2])  # the transfer comes before the change
story("gale", 24 * MINUTE, *TAKEN[:3], "identity_verified", TAKEN[3])  # shows an identity card
story("hugo", 27 * MINUTE, *TAKEN[:3])
event("hugo", 27 * MINUTE + 2 * HOUR, "transfer", device="hugo-tablet", amount=4900.0, payee="mule")  # two hours after the reset
story("inga", 27 * MINUTE, *TAKEN[:3])
event("inga", 27 * MINUTE + 2 * HOUR - 1, "transfer", device="inga-tablet", amount=4900.0, payee="mule")  # a millisecond less
event("jost", 30 * MINUTE, "password_reset", delay=5 * MINUTE)  # comes too late
story("jost", 31 * MINUTE, *TAKEN[1:])
event("kira", 40 * MINUTE, "transfer", device="kira-phone", amount="much", payee="gas")  # no amount
story("lena", 45 * MINUTE, "password_reset")  # nothing more
for number in range(12):  # what customers do every day
    account = f"c{number:02}"
    at = rng.randrange(100) * MINUTE
    story(account, at, "login phone", f"transfer phone {rng.randrange(100, 90_000) / 100} shop", gap=rng.randrange(1, 9) * MINUTE)
    if number % 4 == 0:
        story(account, at + 30 * MINUTE, "payee_added landlord", "transfer phone 1450.00 landlord")
    if number % 5 == 0:
        story(account, at + 20 * MINUTE, "device_added watch")

with open("input.ndjson", "w") as file:
    for number, (_, record) in enumerate(sorted(events, key=lambda item: item[0])):
        record["event_id"] = f"e{number + 1:02}"
        print(json.dumps(record, separators=(",", ":")), file=file)
