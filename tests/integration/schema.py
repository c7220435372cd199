# SPDX-License-Identifier: LGPL-2.1-or-later
"""What virtctl --json prints, held against docs/virtctl-json.schema.json."""

import json
from pathlib import Path

import jsonschema

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/virtctl-json.schema.json").read_text())
VERBS = {name for name in SCHEMA["$defs"] if not name.startswith("_")}


def texts(said):
    """All JSON texts that follow each other."""
    values, decoder, said = [], json.JSONDecoder(), said.strip()
    while said:
        value, end = decoder.raw_decode(said)
        values.append(value)
        said = said[end:].lstrip()
    return values


def valid(verb, said):
    """What a verb has printed, which must be as the schema says."""
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{verb}", "$defs": SCHEMA["$defs"]})
    values = texts(said)
    assert values, f"{verb} printed nothing"
    for value in values:
        validator.validate(value)
    return values[0]
