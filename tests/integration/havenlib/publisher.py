"""The streamer of a test: the looping publisher, or the one on libwebrtc."""

import json
import sys
from collections import namedtuple

from . import CACHE, RIG
from .process import Process

Sent = namedtuple("Sent", "counter monotonic_ns pts_ns")


class Publisher(Process):
    """A publisher that has its tracks up when the constructor returns.

    publisher.command("mute video") carries out any of the publisher's commands and returns its answer.
    """

    def __init__(
        self,
        server,
        directory,
        room="demo",
        identity="streamer",
        video="vp8-720",
        audio="beep",
        screen=None,
        simulcast=False,
        encrypted=False,
        dtx=False,
        ppm=0,
        webrtc=False,
        clips=CACHE / "clips",
        verbose=False,
        wait=True,
        timeout=60,
    ):
        self.events, self.answers = [], []
        self.identity = identity
        self.log_path = directory / f"sent-{identity}-{id(self):x}.txt"
        program = [sys.executable, RIG / "webrtc_publisher.py"] if webrtc else [CACHE / "bin" / "publisher"]
        args = [*program, "--url", server.url, "--api-key", server.api_key, "--api-secret", server.api_secret]
        args += ["--room", room, "--identity", identity, "--control", "-", "--log", self.log_path]
        for name, value in (("--video", video), ("--audio", audio), ("--screen", screen)):
            args += [name, value] if value else []
        for name, value in (
            ("--simulcast", simulcast),
            ("--encrypted", encrypted),
            ("--dtx", dtx),
            ("--verbose", verbose),
        ):
            args += [name] if value else []
        if not webrtc:
            args += ["--clips", clips, "--ppm", str(ppm)]
        super().__init__(args, stdin=True)
        if wait:
            self.wait_event("publishing", timeout)

    def on_line(self, line):
        if line.startswith("{"):
            message = json.loads(line)
            (self.events if "event" in message else self.answers).append(message)
        super().on_line(line)

    def wait_event(self, name, timeout=60, since=0):
        """Waits for an event; since counts events to skip (len(publisher.events) before what causes it)."""
        return self.wait_until(
            lambda: next((e for e in self.events[since:] if e["event"] == name), None), timeout, f"event {name}"
        )

    def command(self, line, timeout=30):
        count = len(self.answers)
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        answer = self.wait_until(
            lambda: self.answers[count] if len(self.answers) > count else None, timeout, f"answer to {line}"
        )
        if not answer["ok"]:
            raise RuntimeError(f"{line}: {answer.get('error')}")
        return answer

    def stats(self):
        return self.command("stats")["stats"]

    def status(self):
        return self.command("status")

    @property
    def sid(self):
        return self.status()["sid"]

    def track_sid(self, name):
        return self.status()["tracks"][name]["sid"]

    def sent(self):
        """Every picture handed to the RTP stack so far."""
        with open(self.log_path) as log:
            lines = log.read().rpartition("\n")[0].splitlines()
        return [Sent(*map(int, line.split())) for line in lines]
