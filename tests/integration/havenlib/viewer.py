"""WebSocket viewers: one that keeps what it gets, and one that stops reading."""

import asyncio
import base64
import json
import os
import socket
import struct
import threading
import time
from collections import namedtuple
from urllib.parse import urlsplit

import aiohttp

from . import analyse

# kind is "video" (data is a JPEG), "audio" (data is s16le, 48 kHz, mono) or "text" (anything else).
Message = namedtuple("Message", "kind monotonic_ns data")


def parse_message(message, now):
    """Either generation's form, told by what it looks like."""
    if isinstance(message, bytes):
        return Message("video", now, message)
    if message.startswith("audio:"):
        return Message("audio", now, base64.b64decode(message[6:], validate=True))
    if message.startswith("{"):
        fields = json.loads(message)
        if fields.get("type") in ("video_frame", "audio_frame"):
            return Message(fields["type"][:5], now, base64.b64decode(fields["data"], validate=True))
    return Message("text", now, message)


# A message of haven.v1. kind is "video", "audio" or "config"; data is the payload, time in µs since 1970.
V1Message = namedtuple("V1Message", "kind monotonic_ns data codec flags sequence time")
KEY, CONFIG, DISCONTINUITY = 1, 2, 4
V1_CODECS = {1: "jpeg", 2: "vp8", 3: "vp9", 4: "h264", 5: "av1", 16: "pcm", 17: "opus"}


def parse_v1(message, now):
    if isinstance(message, str):
        return Message("text", now, message)
    kind, codec, flags, track, sequence, at = struct.unpack(">BBBBIq", message[:16])
    assert kind in (1, 2) and track == 0, message[:16].hex()
    name = "config" if flags & CONFIG else "audio" if kind == 2 else "video"
    return V1Message(name, now, message[16:], V1_CODECS[codec], flags, sequence, at)


class Viewer:
    """Connects in a thread of its own and keeps every message, until close() or the server ends it."""

    _parse = staticmethod(parse_message)
    _protocols = ()
    _first = None  # text to begin with

    def __init__(self, url, headers=None, max_messages=None):
        self.url = url
        self.messages = []
        self.close_code = self.error = None
        self._max = max_messages
        self._headers = headers
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._socket = None
        self._opened = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wait(lambda: self._opened or self._ended, 30, "connection")
        if self.error:
            self._thread.join(5)
            raise self.error

    def _run(self):
        try:
            self._loop.run_until_complete(self._receive())
        except Exception as error:  # handed to whoever waits
            self.error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._loop.close()

    async def _receive(self):
        async with aiohttp.ClientSession(headers=self._headers) as session:
            async with session.ws_connect(
                self.url, max_msg_size=0, compress=0, protocols=self._protocols
            ) as self._socket:
                if self._first is not None:
                    await self._socket.send_str(self._first)
                self._notify(opened=True)
                async for message in self._socket:
                    now = time.monotonic_ns()
                    if message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                        self._notify(self._parse(message.data, now))
                self.close_code = self._socket.close_code

    def _notify(self, message=None, opened=False):
        with self._changed:
            self._opened |= opened
            if message:
                self.messages.append(message)
                if self._max and len(self.messages) > self._max:
                    del self.messages[: len(self.messages) // 2]
            self._changed.notify_all()

    def _wait(self, predicate, timeout, what):
        with self._changed:
            if not self._changed.wait_for(predicate, timeout):
                raise AssertionError(f"{self.url}: no {what} within {timeout} s; {len(self.messages)} messages")

    def of(self, kind):
        return [m for m in list(self.messages) if m.kind == kind]

    def wait(self, kind, count=1, timeout=60):
        """Waits until there are count messages of a kind, and returns them all."""
        self._wait(lambda: len(self.of(kind)) >= count or self._ended, timeout, f"{count} {kind}")
        found = self.of(kind)
        assert len(found) >= count, f"{self.url}: closed ({self.close_code}) after {len(found)} {kind}"
        return found

    def wait_closed(self, timeout=60):
        """Waits for the server to end it and returns the close code."""
        self._wait(lambda: self._ended, timeout, "close")
        return self.close_code

    def send(self, text):
        asyncio.run_coroutine_threadsafe(self._socket.send_str(text), self._loop).result(10)

    def counters(self):
        """[(counter or None, monotonic_ns)] of the pictures so far."""
        return [(analyse.counter_of_jpeg(m.data), m.monotonic_ns) for m in self.of("video")]

    def pcm(self):
        """All sound so far as one s16 array, mono at 48 kHz."""
        return analyse.pcm_s16(b"".join(m.data for m in self.of("audio")))

    def close(self):
        if not self._ended:
            try:
                asyncio.run_coroutine_threadsafe(self._socket.close(), self._loop).result(10)
            except (RuntimeError, TimeoutError, asyncio.CancelledError):
                pass
        self._thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class V1Viewer(Viewer):
    """A viewer of haven.v1: V1Viewer(url, {"video": "encoded"}); its messages are V1Messages."""

    _parse = staticmethod(parse_v1)
    _protocols = ("haven.v1",)

    def __init__(self, url, ask=None, **options):
        self._first = None if ask is None else json.dumps(ask)
        super().__init__(url, **options)


class StalledViewer:
    """Shakes hands and never reads again."""

    def __init__(self, url, receive_buffer=4096):
        parts = urlsplit(url)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect((parts.hostname, parts.port or 80))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            byte = self.socket.recv(1)
            assert byte, f"closed in the handshake: {head!r}"
            head += byte
        assert b" 101 " in head.split(b"\r\n")[0], head

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
