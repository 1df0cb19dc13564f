"""yaml-to-json.py IN OUT: the description of the interface, as programs read it."""

import json
import sys

import yaml

with open(sys.argv[1]) as source, open(sys.argv[2], "w") as target:
    json.dump(yaml.safe_load(source), target, ensure_ascii=False, default=str, separators=(",", ":"))
