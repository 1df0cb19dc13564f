"""haven-live serve on a free port, with everything it keeps in a directory of the test."""

import configparser
import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections import namedtuple
from pathlib import Path

from . import BUILD
from .process import Process, eventually

PROGRAM = BUILD / "server" / "haven-live"
Reply = namedtuple("Reply", "status headers body")  # body: parsed JSON, or bytes


class Haven:
    """A control server that answers. It may be killed and started again: state and sessions stay.

    config is what its configuration file says: {"session": {"viewer-wait": 2}}; under, the command that runs it.
    """

    def __init__(self, directory, server=None, env=None, args=(), config=None, gst_env=None, start=True,
                 listen="127.0.0.1", under=()):
        self.directory = Path(directory)
        self.state, self.recordings = self.directory / "state", self.directory / "recordings"
        self.runtime = self.directory / "run"
        if len(str(self.runtime)) > 60:  # a socket's address is short
            self.runtime = Path("/tmp") / f"haven-test-{os.getpid()}-{abs(hash(str(directory))) % 10**8}"
        self.under = under
        self.listen = listen  # None: as its configuration says
        self.args = [*args, *(["--config", self._write(config)] if config else [])]
        self.env = {
            **(gst_env or os.environ),
            "HOME": str(self.directory),
            "HAVEN_RUNTIME_DIRECTORY": str(self.runtime),
            "GIO_USE_PROXY_RESOLVER": "dummy",
            # What ThreadSanitizer must know of GLib; sessions inherit it.
            **({"LD_PRELOAD": os.environ["HAVEN_PRELOAD"]} if "HAVEN_PRELOAD" in os.environ else {}),
            "HAVEN_MAX_CPU_PERCENT": "0",  # tests share the machine with whatever else runs on it
            **(server.env if server else {}),
            **(env or {}),
        }
        self.process, self.port, self.logs = None, None, []
        if start:
            self.start()

    def _write(self, config):
        path, parser = self.directory / "haven-live.conf", configparser.ConfigParser()
        parser.read_dict(config)
        with path.open("w") as file:
            parser.write(file, space_around_delimiters=False)
        return path

    def start(self, timeout=30):
        listen = ["--listen", f"{self.listen}:{self.port or 0}"] if self.listen else []
        self.process = Process(
            [*self.under, PROGRAM, "serve", *listen, "--state-dir", self.state, "--recordings", self.recordings,
             "--log-format", "json", *self.args],
            env=self.env,
        )  # fmt: skip
        line = self.process.wait_for(r'"event":"listening".*"port":"(\d+)"', timeout)
        self.port = int(line.group(1))
        self.logs.append(self.process)
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ws(self, path):
        return f"ws://127.0.0.1:{self.port}{path}"

    @property
    def log(self):
        return "\n".join(p.output for p in self.logs)

    def tail(self):
        return "\n".join(process.tail() for process in self.logs)

    def call(self, method, path, body=None, headers=None, data=None, timeout=60):
        """A Reply, whatever the status."""
        headers = dict(headers or {})
        if body is not None:
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, fields, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, fields, content = error.code, error.headers, error.read()
        if fields.get_content_type() == "application/json":
            content = json.loads(content)
        return Reply(status, fields, content)

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", path, body, **options)

    def put(self, path, body=None, **options):
        return self.call("PUT", path, body, **options)

    def delete(self, path, **options):
        return self.call("DELETE", path, **options)

    def raw(self, data, timeout=30):
        """All that comes back for these bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            connection.sendall(data)
            return read_all(connection)

    def session_pids(self):
        """Of the sessions that this server started, by what they say on their command lines."""
        pids = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if len(words) > 2 and words[1] == b"--socket" and words[2].startswith(str(self.runtime).encode()):
                    pids.append(int(entry.name))
        return sorted(pids)

    def kill(self):
        """SIGKILL of the control server alone: it is the only one in its group."""
        self.process.send_signal(signal.SIGKILL)
        self.process.popen.wait()

    def terminate(self, timeout=15):
        """SIGTERM; returns (exit status, seconds)."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout), time.monotonic() - began

    def close(self):
        if self.process and self.process.running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.popen.wait(15)
            except Exception:
                self.process.kill()
        for pid in self.session_pids():  # those whose server was killed
            os.kill(pid, signal.SIGTERM)
        try:
            eventually(lambda: not self.session_pids(), 15, "the end of all sessions")
        except AssertionError:
            for pid in self.session_pids():
                os.kill(pid, signal.SIGKILL)
        for process in self.logs:
            process._reader.join(5)


def read_all(connection):
    out = b""
    try:
        while chunk := connection.recv(65536):
            out += chunk
    except ConnectionResetError:
        pass
    return out


def assert_failure(reply, status, code):
    assert reply.status == status, reply
    assert set(reply.body) == {"detail", "code", "success", "error"}, reply.body
    assert reply.body["code"] == code and reply.body["success"] is False
    assert reply.body["detail"] == reply.body["error"] and len(reply.body["detail"]) > 5
    assert re.match(r"[A-Z“]", reply.body["detail"]) and not reply.body["detail"].startswith("GDBus")
