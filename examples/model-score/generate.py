"""Writes input.ndjson, seeded, and pipeline.yaml with the trees of ../../udfs/model-score/src/tests/xgboost.json."""
import json
import random

rng = random.Random(15)
with open("input.ndjson", "w") as file:
    for i in range(60):
        features = dict(
            utilisation=round(rng.betavariate(2, 3), 3), age_months=rng.randrange(1, 240), delinquencies=rng.choice([0, 0, 0, 1, 2, 4]),
            income=round(rng.lognormvariate(8, 0.5), 2), enquiries=rng.choice([0, 1, 1, 2, 3, 6]))
        for name in list(features):
            if rng.random() < 0.07:
                if rng.random() < 0.5:
                    features[name] = None
                else:
                    del features[name]
        record = dict(id=f"a{i}", customer_id=f"c{i % 17}", ts=1_700_000_000_000 + i * 60_000, features=features)
        if i == 31:
            record["features"]["income"] = "enough"
        print(json.dumps(record, separators=(",", ":")), file=file)

HEAD = """\
# Scores credit applications with trees that XGBoost has trained: probability of default, points, decision, and what each feature adds.
name: model-score

sources:
  applications:
    stream: APPLICATIONS
    subject: applications.>
    event-time: { pointer: /ts }
    watermark: { bound: 1m }

stages:
  score:
    module: { file: ../../udfs/dist/model-score.wasm }
    partitions: 4
    inputs:
      applications: { key: { pointer: /customer_id } }
    # `udfs/model-score/README.md` lists all settings.
    config:
      reasons: 3
      codes: { utilisation: R01, delinquencies: R02, enquiries: R03, income: R04, age_months: R05 }
      decisions:
        - { below: 0.15, decision: accept }
        - { below: 0.35, decision: refer }
        - { decision: decline }
      points: { at: 600, odds: 50, double: 20, min: 300, max: 850 }
      model:
        xgboost:
          base_score: 0.2
          # What `get_dump(dump_format="json", with_stats=True)` gives, one tree per line.
          trees:
"""
TAIL = """\
    outputs:
      output: scores
    on-error: dead-letter

sinks:
  scores: { subject: "scores.{key}" }
"""


def slim(node):
    return {k: [slim(child) for child in v] if k == "children" else v for k, v in node.items() if k not in ("depth", "gain")}


trees = json.load(open("../../udfs/model-score/src/tests/xgboost.json"))
with open("pipeline.yaml", "w") as file:
    file.write(HEAD)
    for tree in trees:
        file.write(f"            - {json.dumps(slim(tree))}\n")
    file.write(TAIL)
