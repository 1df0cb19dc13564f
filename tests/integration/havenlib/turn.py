"""Debian's coturn on free ports, with one user."""

import signal

from .ports import free_port, lan_address
from .process import Process


class Turn:
    user, password, realm = "haven", "turn-password", "haven.test"

    def __init__(self, directory):
        # libnice has no loopback candidates: its UDP reaches 127.0.0.1, and no answer of it comes back.
        address = self.address = lan_address()
        self.port = free_port()
        first = free_port()
        last = min(first + 40, 65535)
        self.process = Process(
            [
                "turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--verbose",
                "--listening-ip", address, "--listening-port", self.port, "--relay-ip", address,
                "--min-port", first, "--max-port", last, "--allow-loopback-peers",
                "--lt-cred-mech", "--user", f"{self.user}:{self.password}", "--realm", self.realm,
                "--log-file", "stdout", "--simple-log", "--pidfile", directory / f"turn-{self.port}.pid",
                "--userdb", directory / f"turn-{self.port}.db",
            ],
            log=directory / f"turn-{self.port}.log",
        )  # fmt: skip
        self.process.wait_for(rf"(listener opened on|TCP listener).*{self.port}|UDP listener.*{self.port}")

    def url(self, transport="udp"):
        return f"turn://{self.user}:{self.password}@{self.address}:{self.port}?transport={transport}"

    def for_livekit(self):
        return [
            {
                "host": self.address, "port": self.port, "protocol": protocol,
                "username": self.user, "credential": self.password,
            }
            for protocol in ("udp", "tcp")
        ]  # fmt: skip

    def allocations(self):
        """How many relays it has given so far."""
        return self.process.output.count("new ALLOCATE") or self.process.output.count("ALLOCATE processed, success")

    def pause(self):
        """SIGSTOP: what goes this way goes nowhere, and nobody is told."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.resume()
        self.process.stop()
