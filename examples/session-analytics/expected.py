"""Computes expected.ndjson from input.ndjson, from the definitions in the UDF's README and without its code: sessions are kept as lists
of events that are sorted and cut at pauses whenever one is looked at."""
import json

GAP, BOUND, ENGAGED, FUNNEL, ABANDONED_FROM = 600_000, 120_000, 10_000, ["login", "view", "add_payee", "confirm"], 2
lines, kept = [], {}


def cut(events):
    """Sessions: no pause in them is longer than the gap."""
    sessions = []
    for event in sorted(events, key=lambda event: (event["ts"], event["event_id"])):
        if sessions and event["ts"] - sessions[-1][-1]["ts"] <= GAP:
            sessions[-1].append(event)
        else:
            sessions.append([event])
    return sessions


def tell(session):
    first, last = session[0], session[-1]
    reached = []
    for event in session:
        if len(reached) < len(FUNNEL) and event["type"] == FUNNEL[len(reached)]:
            reached.append(event)
    pages = [event["page"] for event in session if "page" in event]
    duration = last["ts"] - first["ts"]
    converted = len(reached) == len(FUNNEL)
    bounced = not converted and len(set(pages)) < 2 and duration < ENGAGED
    abandoned = not converted and len(reached) >= ABANDONED_FROM
    line = dict(type="session", customer_id=first["customer_id"], start=first["ts"], duration_ms=duration, events=len(session),
                pages=len(set(pages)), converted=converted, bounced=bounced, devices=len({event["device"] for event in session}),
                device_changes=sum(a["device"] != b["device"] for a, b in zip(session, session[1:])),
                funnel=[dict(step=event["type"], after_ms=event["ts"] - first["ts"]) for event in reached],
                reason="converted" if converted else "abandoned" if abandoned else "bounced" if bounced else "browsed")
    if pages:
        line |= dict(entry_page=pages[0], exit_page=pages[-1])
    if reached:
        line["step"] = reached[-1]["type"]
    lines.append(line)
    if abandoned:
        step = reached[-1]
        behind = session[session.index(step) + 1:]
        changed = any(event["device"] != step["device"] for event in behind)
        lines.append(dict(type="abandoned", customer_id=first["customer_id"], start=first["ts"], step=step["type"], step_ts=step["ts"],
                          next_step=FUNNEL[len(reached)], waited_ms=last["ts"] - step["ts"], device=step["device"],
                          reason="device_changed" if changed else "went_elsewhere" if behind else "stopped"))


def over(watermark):
    """Tells the sessions that no event up to the watermark can prolong."""
    for customer, events in kept.items():
        open_ones = []
        for session in cut(events):
            if session[-1]["ts"] + GAP - 1 <= watermark:
                tell(session)
            else:
                open_ones += session
        kept[customer] = open_ones


watermark = float("-inf")
for line in open("input.ndjson"):
    event = json.loads(line)
    if event["type"]:
        events = kept.setdefault(event["customer_id"], [])
        near = any(abs(event["ts"] - other["ts"]) <= GAP for other in events)
        if event["ts"] + GAP - 1 <= watermark and not near:
            lines.append(dict(type="late", customer_id=event["customer_id"], event_id=event["event_id"], ts=event["ts"]))
        else:
            events.append(event)
    watermark = max(watermark, event["ts"] - BOUND - 1)
    over(watermark)
over(float("inf"))

with open("expected.ndjson", "w") as file:
    for line in sorted(json.dumps(dict(sorted(line.items())), separators=(",", ":")) for line in lines):
        print(line, file=file)
