#!/usr/bin/python3
"""The child of launcher.Launcher: runs pipelines, says what happens in JSON lines, and obeys commands in JSON lines.

Runs under the system's Python, which has GStreamer's bindings; it imports nothing of ours.
"""

import json
import os
import random
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

pipelines = {}
ended = set()
output_lock = threading.Lock()


def say(**fields):
    fields.setdefault("at", time.monotonic_ns())
    line = json.dumps(fields, default=str) + "\n"
    with output_lock:
        sys.stdout.write(line)
        sys.stdout.flush()


# --- values of GStreamer as JSON


def plain(value):
    if isinstance(value, Gst.Structure):
        return from_structure(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Gst.Object):
        return value.get_name()
    if isinstance(value, Gst.Caps):
        return value.to_string()
    return str(getattr(value, "value_nick", value))


def from_array(array):
    return [plain(array.get_nth(i)) for i in range(array.n_values)]


def from_structure(structure):
    fields = {}
    for i in range(structure.n_fields()):
        name = structure.nth_field_name(i)
        known, array = structure.get_array(name)
        if not known:
            known, array = structure.get_list(name)
        try:
            fields[name] = from_array(array) if known else plain(structure.get_value(name))
        except TypeError:
            fields[name] = None  # of a type that the bindings do not know
    return fields


def get_property(element, name):
    spec = element.find_property(name)
    if not spec:
        raise KeyError(f"{element.get_name()} has no property {name}")
    if spec.value_type.name == "GstValueArray":
        known, array = Gst.util_get_object_array(element, name)
        return from_array(array) if known else None
    return plain(element.get_property(name))


# --- pads


def read_counter(buffer, width):
    """The counter of tests/rig/pattern.py from the luma plane of a picture, without numpy."""
    unit = width / 40
    stride = (width + 3) // 4 * 4
    row = buffer.extract_dup(int(unit * 0.5) * stride, width)
    if len(row) < width:
        return None
    blocks = []
    for i in range(24):
        part = row[round((i + 0.25) * unit) : max(round((i + 0.75) * unit), round((i + 0.25) * unit) + 1)]
        blocks.append(sum(part) / len(part))
    white, black = blocks[:2]
    if white - black < 60:
        return None
    bits = 0
    for value in blocks[2:]:
        bits = bits << 1 | (value > (white + black) / 2)
    counter = bits >> 6
    check = (counter ^ (counter >> 6) ^ (counter >> 12) ^ 0x2A) & 0x3F
    return counter if check == bits & 0x3F else None


def time_or_none(value):
    return None if value == Gst.CLOCK_TIME_NONE else value


class Watch:
    """Says what passes a pad."""

    def __init__(self, pad, name):
        self.name = name
        self.width = self.height = self.format = None
        pad.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.EVENT_DOWNSTREAM, self.probe)

    def probe(self, pad, info):
        if info.type & Gst.PadProbeType.BUFFER:
            self.buffer(info.get_buffer())
        else:
            self.event(info.get_event())
        return Gst.PadProbeReturn.OK

    def buffer(self, buffer):
        fields = {}
        if self.format in ("I420", "NV12", "YV12"):
            fields = {"width": self.width, "height": self.height, "counter": read_counter(buffer, self.width)}
        say(
            event="buffer",
            pad=self.name,
            pts=time_or_none(buffer.pts),
            duration=time_or_none(buffer.duration),
            bytes=buffer.get_size(),
            key=not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT),
            **fields,
        )

    def event(self, event):
        fields = {}
        if event.type == Gst.EventType.CAPS:
            caps = event.parse_caps()
            structure = caps.get_structure(0)
            self.width, self.height = structure.get_int("width")[1], structure.get_int("height")[1]
            self.format = structure.get_string("format") if structure.get_name() == "video/x-raw" else None
            fields = {"caps": caps.to_string(), "width": self.width, "height": self.height}
        elif event.type == Gst.EventType.GAP:
            pts, duration = event.parse_gap()
            fields = {"pts": time_or_none(pts), "duration": time_or_none(duration)}
        elif event.type == Gst.EventType.STREAM_START:
            fields = {"stream_id": event.parse_stream_start(), "fields": from_structure(event.get_structure())}
        elif event.type == Gst.EventType.TAG:
            tags = event.parse_tag()
            fields = {"tags": {name: tags.get_string(name)[1] for name in ("title", "artist")}}
        name = Gst.EventType.get_name(event.type)
        say(event="pad-event", pad=self.name, type=name, **fields)


def source_pad_added(element, pad):
    if pad.get_direction() == Gst.PadDirection.SRC:
        name = pad.get_name()
        prefix = "" if element.get_name() in ("s", "src") else element.get_name() + "."
        Watch(pad, prefix + name)
        say(event="pad-added", element=element.get_name(), pad=prefix + name)


def source_pad_removed(element, pad):
    say(event="pad-removed", element=element.get_name(), pad=pad.get_name())


# --- bus


def on_message(bus, message, name):
    element = message.src.get_name() if message.src else None
    if message.type == Gst.MessageType.ELEMENT:
        structure = message.get_structure()
        say(event=structure.get_name(), pipeline=name, element=element, **{
            key.replace("-", "_"): value for key, value in from_structure(structure).items()
        })  # fmt: skip
    elif message.type in (Gst.MessageType.ERROR, Gst.MessageType.WARNING):
        kind = "error" if message.type == Gst.MessageType.ERROR else "warning"
        error, debug = message.parse_error() if kind == "error" else message.parse_warning()
        say(
            event=kind,
            pipeline=name,
            element=element,
            domain=error.domain,
            code=error.code,
            message=error.message,
            debug=debug,
        )
    elif message.type == Gst.MessageType.EOS:
        say(event="eos", pipeline=name)
    elif message.type == Gst.MessageType.STATE_CHANGED and message.src is pipelines.get(name):
        old, new, pending = message.parse_state_changed()
        say(event="state", pipeline=name, old=old.value_nick, state=new.value_nick, pending=pending.value_nick)
    return True


def descend(element):
    found = []
    if isinstance(element, Gst.Bin):
        iterator = element.iterate_recurse()
        while True:
            result, child = iterator.next()
            if result == Gst.IteratorResult.RESYNC:
                found.clear()
                iterator.resync()
            elif result != Gst.IteratorResult.OK:
                return found
            else:
                found.append(child)
    return found


def factory_of(element):
    factory = element.get_factory()
    return factory.get_name() if factory else type(element).__name__


def find(name):
    for pipeline in pipelines.values():
        if pipeline.get_name() == name:
            return pipeline
        element = pipeline.get_by_name(name)
        if element:
            return element
    raise KeyError(f"no element {name}")


# --- commands


def launch(pipeline, name="main", state="playing"):
    built = Gst.parse_launch(pipeline)
    if not isinstance(built, Gst.Pipeline):
        only, built = built, Gst.Pipeline.new(None)
        built.add(only)
    pipelines[name] = built
    for element in descend(built):
        if factory_of(element) == "livekitsrc":
            element.connect("pad-added", source_pad_added)
            element.connect("pad-removed", source_pad_removed)
    bus = built.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message, name)
    return set_state(state, name)


def set_state(state, name="main"):
    before = time.monotonic_ns()
    result = pipelines[name].set_state(Gst.State.__dict__[state.upper()])
    return {"result": result.value_nick, "ns": time.monotonic_ns() - before}


def end(name="main"):
    """To NULL, and forgets the pipeline."""
    answer = set_state("null", name)
    pipelines[name].get_bus().remove_signal_watch()
    del pipelines[name]
    return answer


def set_value(element, property, value):
    Gst.util_set_object_arg(find(element), property, str(value))


def get_value(element, property):
    return {"value": get_property(find(element), property)}


def pad_get(element, pad, property):
    return {"value": plain(find(element).get_static_pad(pad).get_property(property))}


def emit(element, signal):
    find(element).emit(signal)


def key_unit(element, pad):
    """An upstream force-key-unit event, as downstream of the pad would send it."""
    structure = Gst.Structure.new_from_string("GstForceKeyUnit, all-headers=(boolean)true, count=(uint)0")
    event = Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, structure)
    return {"sent": find(element).get_static_pad(pad).send_event(event)}


def eos(name="main"):
    """As gst-launch-1.0 -e does it."""
    return {"sent": pipelines[name].send_event(Gst.Event.new_eos())}


def unlink(element, pad):
    pad = find(element).get_static_pad(pad)
    peer = pad.get_peer()
    unlinked[pad] = peer
    return {"unlinked": pad.unlink(peer)}


def relink(element, pad):
    pad = find(element).get_static_pad(pad)
    return {"linked": pad.link(unlinked.pop(pad)).value_nick}


unlinked = {}


def add(description, element, pad, name="main"):
    """Adds a branch to a running pipeline behind a pad that nobody links."""
    branch = Gst.parse_bin_from_description(description, True)
    pipelines[name].add(branch)
    branch.sync_state_with_parent()
    return {"linked": find(element).get_static_pad(pad).link(branch.get_static_pad("sink")).value_nick}


def children(element):
    """Factories of all that is in a bin, counted; direct children apart."""
    bin_ = find(element)
    counts = {}
    for child in descend(bin_):
        counts[factory_of(child)] = counts.get(factory_of(child), 0) + 1
    return {"children": [c.get_name() for c in bin_.children], "factories": counts}


def fail(element, factory):
    """An error of an element of that kind inside a bin, as it would post it itself."""
    child = next(e for e in descend(find(element)) if factory_of(e) == factory)
    error = GLib.Error.new_literal(Gst.StreamError.quark(), "it was told to fail", Gst.StreamError.FAILED)
    child.post_message(Gst.Message.new_error(child, error, ""))
    return {"element": child.get_name()}


def drop(element, percent, seed=1):
    """Loses packets at random behind each nicesrc that is in the element now; asked again, another share of the same."""
    if element in dropped:
        dropped[element]["percent"] = percent
        return {}
    generator = random.Random(seed)
    dropped[element] = {"dropped": 0, "passed": 0, "percent": percent}
    count = dropped[element]

    def probe(pad, info):
        if generator.random() * 100 < count["percent"]:
            count["dropped"] += 1
            return Gst.PadProbeReturn.DROP
        count["passed"] += 1
        return Gst.PadProbeReturn.OK

    sources = [e for e in descend(find(element)) if factory_of(e) == "nicesrc"]
    for source in sources:
        source.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, probe)
    return {"sources": len(sources)}


dropped = {}


def drop_stats(element):
    return dropped[element]


def jitterbuffers(element):
    return {
        "jitterbuffers": [
            {"latency": e.get_property("latency"), **from_structure(e.get_property("stats"))}
            for e in descend(find(element))
            if factory_of(e) == "rtpjitterbuffer"
        ]
    }


def threads():
    return {"threads": len(os.listdir("/proc/self/task"))}


def quit():
    for name in list(pipelines):
        end(name)
    loop.quit()


commands = {
    f.__name__: f
    for f in (
        launch, set_state, end, set_value, get_value, pad_get, emit, key_unit, eos, unlink, relink, add, children,
        fail, drop, drop_stats, jitterbuffers, threads, quit,
    )
}  # fmt: skip


def obey(line):
    try:
        request = json.loads(line)
        number = request.pop("number")
    except (ValueError, KeyError) as error:
        say(event="bad-command", error=str(error))
        return
    try:
        answer = commands[request.pop("command")](**request) or {}
        say(answer=number, ok=True, **answer)
    except Exception as error:
        say(answer=number, ok=False, error=f"{type(error).__name__}: {error}")


def read_commands():
    for line in sys.stdin:
        GLib.idle_add(obey, line)
    GLib.idle_add(quit)


Gst.init(None)
loop = GLib.MainLoop()
threading.Thread(target=read_commands, daemon=True).start()
say(event="ready", version=Gst.version_string())
loop.run()
