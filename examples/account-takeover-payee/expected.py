"""Computes expected.ndjson from input.ndjson by looking, for each reset, at all that the account did in the two hours behind it."""
import json
from collections import defaultdict

BOUND, WITHIN, LARGE = 60_000, 7_200_000, 1000
RESETS, PAYEES = ("password_reset", "credential_reset", "token_replaced"), ("payee_added", "payee_changed")
lines, accounts, watermark = [], defaultdict(list), float("-inf")
for line in open("input.ndjson"):
    event = json.loads(line)
    ts = event["ts"]
    if not isinstance(event.get("amount", 0), str):
        if ts <= watermark:
            lines.append(dict(type="late", account_id=event["account_id"], event_id=event["event_id"], ts=ts))
        else:
            accounts[event["account_id"]].append(event)
    watermark = max(watermark, ts - BOUND - 1)


class Amount(float):
    def __repr__(self):
        return f"{self:.2f}"


for account, events in accounts.items():
    events.sort(key=lambda event: event["ts"])
    reported_through = -1
    for at, reset in enumerate(events):
        if reset["type"] not in RESETS or at <= reported_through:
            continue
        # Each new device with the payees that were changed behind it.
        devices, device, transfer, verified = [], None, None, False
        for place, event in enumerate(events[at + 1:], at + 1):
            if event["ts"] - reset["ts"] >= WITHIN:
                break
            if event["type"] == "identity_verified":
                verified = True
                break
            elif event["type"] == "device_added":
                devices.append((event, []))
            elif event["type"] in PAYEES:
                for _, payees in devices:
                    payees.append(event)
            elif event["type"] == "transfer" and event["amount"] >= LARGE:
                fitting = [(added, payees) for added, payees in devices if added["device"] == event["device"]
                           and any(payee["payee"] == event["payee"] for payee in payees)]
                if fitting:
                    (device, payees), transfer, reported_through = fitting[0], event, place
                    break
        if not devices or verified:
            continue
        if transfer is None:
            device, payees = devices[0]
        payees = [payee for payee in payees if transfer is None or payee["payee"] == transfer["payee"]]
        told = dict(account_id=account, reset_id=reset["event_id"], reset_ts=reset["ts"], device=device["device"], device_ts=device["ts"])
        if payees:
            told |= dict(payee=payees[0]["payee"], payee_ts=payees[0]["ts"])
        if transfer:
            told |= dict(type="takeover", transfer_id=transfer["event_id"], transfer_ts=transfer["ts"], amount=Amount(transfer["amount"]), currency="EUR",
                         reason="large_transfer_to_changed_payee")
        else:
            told |= dict(type="near_miss", reason="no_large_transfer" if payees else "no_changed_payee")
        lines.append(told)


def text(value):
    return repr(value) if isinstance(value, Amount) else json.dumps(value)


with open("expected.ndjson", "w") as file:
    for line in sorted("{" + ",".join(f'"{key}":{text(value)}' for key, value in sorted(line.items())) + "}" for line in lines):
        print(line, file=file)
