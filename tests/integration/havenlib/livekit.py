"""The real LiveKit server, and rigctl, which administers it."""

import http.client
import json
import os
import signal
import subprocess
import time

from . import CACHE
from .ports import free_port, lan_address
from .process import Process

API_KEY = "devkey"
API_SECRET = "haven-live-test-rig-secret-0123456789"


class LiveKit:
    """A server on free ports of this machine; after stop or kill it starts again on the same ports.

    tcp_only     no UDP at all: media over ICE/TCP
    turn         a Turn whose address and credentials the server gives to participants
    rtc, config  more of the server's configuration, merged over ours
    """

    def __init__(self, directory, tcp_only=False, turn=None, rtc=None, config=None):
        self.port, self.tcp_port, self.udp_port = free_port(), free_port(), free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.http_url = f"http://127.0.0.1:{self.port}"
        self.api_key, self.api_secret = API_KEY, API_SECRET
        self.log = directory / f"livekit-{self.port}.log"
        self.process = None
        # Media goes by the machine's own address, not 127.0.0.1: libnice has no loopback candidates, and takes
        # answers only from the address that it sent to. Packets to oneself do not leave the machine.
        self.address = lan_address()
        settings = {
            "port": self.port,
            "bind_addresses": ["127.0.0.1"],
            "keys": {API_KEY: API_SECRET},
            "logging": {"level": "info"},
            "rtc": {
                "tcp_port": self.tcp_port,
                "node_ip": self.address,
                "ips": {"includes": [f"{self.address}/32"]},
                **({"enable_loopback_candidate": True} if self.address == "127.0.0.1" else {}),
                # Named so that clients are not sent to public ones; nothing needs to listen there.
                "stun_servers": [f"127.0.0.1:{self.udp_port}"],
                **({"force_tcp": True} if tcp_only else {"udp_port": self.udp_port}),
                **({"turn_servers": turn.for_livekit()} if turn else {}),
                **(rtc or {}),
            },
            **(config or {}),
        }
        self.config = directory / f"livekit-{self.port}.yaml"
        self.config.write_text(json.dumps(settings, indent=2))  # JSON is YAML

    @property
    def env(self):
        """What our own elements and rigctl read."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.api_key, "LIVEKIT_API_SECRET": self.api_secret}

    def start(self, timeout=60):
        self.process = Process([CACHE / "bin" / "livekit-server", "--config", self.config], log=self.log)
        self._started = time.monotonic()
        deadline = time.monotonic() + timeout
        while not self.answers():
            assert self.process.running, f"the LiveKit server ended:\n{self.process.output[-4000:]}"
            assert time.monotonic() < deadline, "the LiveKit server does not answer"
            time.sleep(0.02)
        return self

    def answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def drain(self):
        """One SIGTERM: it goes on until the last participant has left."""
        # It answers requests 100 ms before it can be stopped; a signal in between is lost on it.
        time.sleep(max(0, self._started + 0.5 - time.monotonic()))
        self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout=15):
        """Two SIGTERM: participants are told, and it ends."""
        if not (self.process and self.process.running):
            return
        seen = len(self.process.lines)
        self.drain()
        # The second must not come before the first is taken in: two pending signals are one.
        self.process.wait_for("exit requested", timeout=10, since=seen)
        self.process.stop(timeout)

    def kill(self):
        """SIGKILL: nobody is told."""
        self.process.kill()

    def restart(self):
        if self.process and self.process.running:
            self.stop()
        return self.start()

    def pause(self):
        """SIGSTOP: silent, with its sockets open."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        if self.process and self.process.running:
            self.resume()
            self.stop(timeout=5)


class RigCtl:
    """Rigctl as methods: rigctl.remove("room", "identity"). What it answers is parsed JSON."""

    def __init__(self, server):
        self.server = server

    def __call__(self, *args):
        result = subprocess.run(
            [CACHE / "bin" / "rigctl", *map(str, args)],
            env={**os.environ, **self.server.env},
            capture_output=True,
            text=True,
            timeout=30,
        )
        if result.returncode:
            raise RuntimeError(result.stderr.strip())
        return result.stdout.strip()

    def token(self, room="demo", identity="viewer", **options):
        """Options as rigctl's: valid="-90s", not_before="90s", kind="egress", recorder=True, no_subscribe=True …"""
        args = ["token", "--room", room, "--identity", identity]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            if isinstance(value, dict):
                value = json.dumps(value)
            args += [flag] if value is True else [] if value is False else [f"{flag}={value}"]
        return self(*args)

    def rooms(self):
        return json.loads(self("rooms")).get("rooms", [])

    def participants(self, room="demo"):
        return json.loads(self("list", "--room", room)).get("participants", [])

    def remove(self, room, identity):
        self("remove", "--room", room, "--identity", identity)

    def delete(self, room):
        self("delete", "--room", room)

    def permit(self, room, identity, subscribe=True, publish=True, hidden=False):
        flags = [] if subscribe else ["--no-subscribe"]
        flags += [] if publish else ["--no-publish"]
        flags += ["--hidden"] if hidden else []
        self("permit", "--room", room, "--identity", identity, *flags)

    def mute(self, room, identity, track_sid, muted=True):
        self("mute", "--room", room, "--identity", identity, "--track", track_sid, *([] if muted else ["--off"]))
