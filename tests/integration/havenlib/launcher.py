"""Pipelines in a child process that says what happens in them and does what it is told."""

import json
import subprocess
import threading
from pathlib import Path

from .process import Process

# The system's Python has GStreamer's bindings (python3-gi); the rig's own has not.
PYTHON = "/usr/bin/python3"
CHILD = Path(__file__).parent / "launched.py"


class Launcher(Process):
    """Runs pipelines; "main" is the one of the constructor.

        pipeline = launcher("livekitsrc name=s room-name=demo ! videoconvert ! fakesink", env=livekit.env)
        pipeline.wait_event("livekit-connection-state", state="connected")
        pipeline.wait_buffers("video_0", 30)
        pipeline.set_value("s", "video-quality", "low")

    events   all but buffers, as dicts with "event" and "at" (monotonic ns). Bus messages: the name of an element
             message, with its fields ("-" as "_"); error and warning (domain, code, message, debug), eos, state.
             Of each livekitsrc: pad-added, pad-removed, and pad-event (type, and caps, width, height; pts, duration;
             stream_id, fields; tags).
    buffers  pad name -> dicts with at, pts, duration, bytes, key; for raw pictures width, height, counter too. The
             pads of a livekitsrc whose name is not "s" are "NAME.PAD".

    Commands (launched.py has them) are methods, and return the answer as a dict: launch, set_state, end, set_value,
    get_value, pad_get, emit, key_unit, eos, unlink, relink, add, children, fail, drop, drop_stats, jitterbuffers, threads.
    """

    def __init__(self, pipeline=None, env=None, state="playing", timeout=60):
        self.events, self.buffers, self.answers = [], {}, {}
        self._number = 0
        self._command_lock = threading.Lock()
        super().__init__([PYTHON, "-u", CHILD], env=env, stdin=True)
        self.wait_event("ready", timeout=timeout)
        if pipeline:
            self.command("launch", pipeline=pipeline, state=state)

    def on_line(self, line):
        try:
            fields = json.loads(line)
        except ValueError:
            super().on_line(line)  # what GLib and GStreamer have to say
            return
        with self._changed:
            if "answer" in fields:
                self.answers[fields["answer"]] = fields
            elif fields.get("event") == "buffer":
                self.buffers.setdefault(fields["pad"], []).append(fields)
            else:
                self.events.append(fields)
                if fields.get("type") != "gap":  # of which there are too many to show where a test fails
                    self.lines.append((fields["at"], line))
            self._changed.notify_all()

    def command(self, name, /, timeout=60, **arguments):
        with self._command_lock:
            self._number += 1
            number = self._number
            self.popen.stdin.write(json.dumps({"command": name, "number": number, **arguments}) + "\n")
            self.popen.stdin.flush()
        answer = self.wait_until(lambda: self.answers.get(number), timeout, f"answer to {name}")
        if not answer["ok"]:
            raise RuntimeError(f"{name}: {answer['error']}")
        return answer

    def __getattr__(self, name):
        if name not in COMMANDS:
            raise AttributeError(name)

        def call(*args, **arguments):
            return self.command(name, **dict(zip(COMMANDS[name], args)), **arguments)

        return call

    def stop(self, timeout=10):
        """Ends its pipelines, which leave their rooms, and then it."""
        if self.running:
            try:
                self.popen.stdin.close()
                self.popen.wait(timeout)
            except (OSError, subprocess.TimeoutExpired):
                pass  # super() is less polite
        return super().stop(timeout)

    def get(self, property, element="s"):
        return self.command("get_value", element=element, property=property)["value"]

    def stats(self, pad=None, element="s"):
        """The statistics of livekitsrc, or those of one of its pads."""
        stats = self.get("stats", element)
        return next(t for t in stats["tracks"] if t["pad"] == pad) if pad else stats

    # What happened.

    def find_events(self, name, since=0, **fields):
        return [
            e for e in self.events[since:] if e["event"] == name and all(e.get(k) == v for k, v in fields.items())
        ]

    def wait_event(self, name, timeout=60, since=0, **fields):
        """Waits for an event with these fields; since counts events to skip (len(pipeline.events) before)."""
        return self.wait_until(
            lambda: next(iter(self.find_events(name, since, **fields)), None), timeout, f"event {name} {fields}"
        )

    def wait_buffers(self, pad, count, timeout=60, since=0, after=0):
        """Waits for count buffers of a pad, of those after the since-th and after the monotonic time; returns them."""
        state = {"seen": since, "found": []}

        def find():
            buffers = self.buffers.get(pad, ())
            while state["seen"] < len(buffers):
                if buffers[state["seen"]]["at"] > after:
                    state["found"].append(buffers[state["seen"]])
                state["seen"] += 1
            return state["found"] if len(state["found"]) >= count else None

        return self.wait_until(find, timeout, f"{count} buffers of {pad}")

    def count(self, pad):
        return len(self.buffers.get(pad, ()))

    def errors(self):
        return self.find_events("error")

    def pads(self):
        return [e["pad"] for e in self.find_events("pad-added")]

    def caps(self, pad, since=0):
        return self.find_events("pad-event", since, pad=pad, type="caps")

    def gaps(self, pad, after=0):
        return [e for e in self.find_events("pad-event", pad=pad, type="gap") if e["at"] > after]


# Their arguments, in order.
COMMANDS = {
    "launch": ("pipeline", "name", "state"),
    "set_state": ("state", "name"),
    "end": ("name",),
    "set_value": ("element", "property", "value"),
    "get_value": ("element", "property"),
    "pad_get": ("element", "pad", "property"),
    "emit": ("element", "signal"),
    "key_unit": ("element", "pad"),
    "eos": ("name",),
    "unlink": ("element", "pad"),
    "relink": ("element", "pad"),
    "add": ("description", "element", "pad", "name"),
    "children": ("element",),
    "fail": ("element", "factory"),
    "drop": ("element", "percent", "seed"),
    "drop_stats": ("element",),
    "jitterbuffers": ("element",),
    "threads": (),
}
