#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""client.py SIDE: measures one side from within its testbed. bench/run starts it, writes a line of JSON per wish ([verb, scene, row…]) and reads
one back: the figure, null where the side has nothing of the kind, or {"error": …}."""

import importlib
import json
import sys
import traceback

import growth
from table import Missing, scenes

SIDES = {"virtbus": "Virtbus", "libvirt": "Libvirt", "bare": "Bare"}


def rows():
    return {row.name: row for scene in scenes() for row in scene.rows}


def answer(side, verb, name, *args):
    by_name = {scene.name: scene for scene in scenes()}
    if verb == "measure":
        return rows()[name].measure(side)
    if verb == "growth":
        return growth.VERBS[name](side, *args)
    getattr(by_name[name], verb)(side)
    return None


def main():
    kind = sys.argv[1]
    side = getattr(importlib.import_module(f"sides.{kind}"), SIDES[kind])()
    side.connect()
    for line in sys.stdin:
        try:
            result = answer(side, *json.loads(line))
        except Missing:
            result = "missing" if json.loads(line)[0] == "setup" else None
        except Exception:
            result = {"error": traceback.format_exc()}
        print(json.dumps(result), flush=True)


main()
