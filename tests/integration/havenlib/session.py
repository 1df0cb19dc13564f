"""haven-session, and the one who commands it as the control server would."""

import json
import time

from . import BUILD
from .launcher import PYTHON
from .process import Process, eventually
from pathlib import Path

PROGRAM = BUILD / "server" / "session" / "haven-session"
BRIDGE = Path(__file__).parent / "bridge.py"


class Refused(RuntimeError):
    """An org.haven.Error; name is its NAME."""

    def __init__(self, command, answer):
        super().__init__(f"{command}: {answer['error']}: {answer['message']}")
        self.name = answer["error"].rpartition(".")[2]


class Control(Process):
    """Speaks D-Bus with a session; bridge.py does it.

    events  dicts with event (Ended, RecordingChanged, TrackChanged, viewer, closed), at (monotonic ns)
    url     of a WebSocket server that hands its viewers over: url + "gen1?width=320"
    """

    def __init__(self, socket):
        self.events, self.answers = [], {}
        self._number = 0
        super().__init__([PYTHON, "-u", BRIDGE, socket], stdin=True)
        self.port = self.wait_event("ready")["port"]
        self.url = f"ws://127.0.0.1:{self.port}/"

    def on_line(self, line):
        try:
            fields = json.loads(line)
        except ValueError:
            super().on_line(line)
            return
        fields["at"] = time.monotonic_ns()
        with self._changed:
            if "answer" in fields:
                self.answers[fields["answer"]] = fields
            else:
                self.events.append(fields)
                self.lines.append((fields["at"], line))
            self._changed.notify_all()

    def wait_event(self, name, timeout=60, since=0, **fields):
        def find():
            for event in self.events[since:]:
                if event["event"] == name and all(event.get(k) == v for k, v in fields.items()):
                    return event
            return None

        return self.wait_until(find, timeout, f"event {name} {fields or ''}")

    def send(self, name, **arguments):
        self._number += 1
        self.popen.stdin.write(json.dumps({"command": name, "number": self._number, **arguments}) + "\n")
        self.popen.stdin.flush()
        return self._number

    def answer_to(self, name, number, timeout=120):
        answer = self.wait_until(lambda: self.answers.get(number), timeout, f"answer to {name}")
        if not answer["ok"]:
            raise Refused(name, answer)
        self.took = answer["ns"] / 1e9
        return answer

    def call(self, name, **arguments):
        """Calls a method; .took is how many seconds the last call took."""
        return self.answer_to(name, self.send(name, **arguments)).get("result")

    def stats(self):
        return self.call("get_stats")

    def property(self, name):
        return self.call("properties")[name]

    def wait_stats(self, what, timeout=30, **values):
        """Waits until figures of GetStats have these values."""
        return eventually(
            lambda: all((stats := self.stats()).get(k) == v for k, v in values.items()) and stats, timeout, what
        )


class Session(Process):
    """A haven-session that serves a socket; control() gives one more who commands it."""

    def __init__(self, directory, env, started):
        self.socket = directory / f"session-{time.monotonic_ns()}.sock"
        self._started = started
        super().__init__([PROGRAM, "--socket", self.socket], env=env)
        eventually(lambda: self.socket.exists() or not self.running, 30, "the socket")

    def control(self):
        return self._started(Control(self.socket))
