"""livekit.proto is our own small part of LiveKit's: its names, numbers and types are held to what LiveKit publishes."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from havenlib import REPO

HERE = Path(__file__).parent / "protocol"
PROTO = REPO / "plugins" / "livekit" / "livekit.proto"
SCALARS = {"string", "bytes", "bool", "int32", "int64", "uint32", "uint64", "float", "double"}


@pytest.fixture(scope="module")
def published():
    """What @livekit/protocol describes; see protocol/fields.mjs."""
    setup = subprocess.run([HERE / "setup.sh"], check=True, capture_output=True, text=True)
    node, folder = setup.stdout.split(" ", 1)
    script = Path(folder.strip()) / "fields.mjs"
    return json.loads(subprocess.run([node, script], check=True, capture_output=True, text=True).stdout)


def parse(text):
    """(messages, enums) of a .proto file of the plain kind that ours is, in the form of protocol/fields.mjs."""
    text = re.sub(r"//[^\n]*", "", text)
    package = re.search(r"\bpackage\s+([\w.]+);", text).group(1)
    tokens = re.findall(r"map\s*<[^>]*>|[\w.]+|[{}=;]", text[text.index("message"):])
    messages, enums, scope = {}, {}, []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token in ("message", "enum", "oneof"):
            scope.append((token, tokens[position + 1]))
            name = ".".join([package, *(name for kind, name in scope if kind != "oneof")])
            if token == "message":
                messages[name] = {}
            elif token == "enum":
                enums[name] = {}
            position += 3
        elif token == "}":
            scope.pop()
            position += 1
        elif scope[-1][0] == "enum":
            name = ".".join([package, *(name for _, name in scope)])
            enums[name][token] = int(tokens[position + 2])
            position += 4
        else:
            repeated = token == "repeated"
            position += repeated
            kind, field, equals, number, end = tokens[position : position + 5]
            assert (equals, end) == ("=", ";"), tokens[position : position + 5]
            inside = ".".join([package, *(name for scope_kind, name in scope if scope_kind != "oneof")])
            messages[inside][field] = {
                "number": int(number),
                "type": kind,
                "repeated": repeated,
                "oneof": scope[-1][1] if scope[-1][0] == "oneof" else None,
            }
            position += 5
    for message, fields in messages.items():
        for field in fields.values():
            field["type"] = resolve(field["type"], message, messages.keys() | enums.keys())
    return messages, enums


def resolve(kind, inside, known):
    """The whole name of the type that a field of message `inside` calls `kind`."""
    if kind in SCALARS:
        return kind
    if kind.startswith("map"):
        return "map<{}, {}>".format(*re.findall(r"\w+", kind)[1:])
    while inside:
        if f"{inside}.{kind}" in known:
            return f"{inside}.{kind}"
        inside = inside.rpartition(".")[0]
    raise AssertionError(f"{kind} is not defined")


def test_every_field_is_as_published(published):
    messages, _ = parse(PROTO.read_text())
    compared = 0
    for name, fields in messages.items():
        if not fields:  # Encryption holds nothing but its enumeration
            continue
        assert name in published["messages"], f"there is no message {name}"
        for field, ours in fields.items():
            assert published["messages"][name].get(field) == ours, f"{name}.{field}"
            compared += 1
    assert compared > 100


def test_every_enumeration_value_is_as_published(published):
    _, enums = parse(PROTO.read_text())
    compared = 0
    for name, values in enums.items():
        assert name in published["enums"], f"there is no enumeration {name}"
        for value, number in values.items():
            assert published["enums"][name].get(value) == number, f"{name}.{value}"
            compared += 1
    assert compared > 50


def test_a_wrong_number_would_be_seen(published):
    right = PROTO.read_text()
    wrong = right.replace("bool disabled = 3;", "bool disabled = 2;")
    assert wrong != right
    messages, _ = parse(wrong)
    name = "livekit.UpdateTrackSettings"
    assert published["messages"][name]["disabled"] != messages[name]["disabled"]
