"""What those get who mean harm, and that everyone else is served meanwhile. The table is printed when the run ends."""

import json
import os
import socket
import struct
import subprocess
import time
from contextlib import contextmanager

import pytest
from havenlib.haven import PROGRAM, Haven, read_all
from havenlib.process import eventually

GROUP = "what attackers get"
TIMEOUT = 4  # s for a request to arrive
HOST = b"Host: localhost\r\n"
HANDSHAKE = (
    b"GET /api/live-sessions/stream/x?access_token=sesame HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(scope="module")
def haven(tmp_path_factory, gst_env):
    limits = {"server": {"request-timeout": TIMEOUT}}
    server = Haven(
        tmp_path_factory.mktemp("security"), env={"HAVEN_API_TOKEN": "sesame"}, config=limits, gst_env=gst_env
    )
    yield server
    server.close()


@pytest.fixture
def row(error_table):
    """row(attack, code, sentence): a line of the table"""
    return lambda attack, code, sentence="": error_table.add(GROUP, attack, code, sentence)


def connect(haven, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", haven.port), 20, (source, 0))


def serves(haven):
    began = time.monotonic()
    answer = haven.get("/api/config", headers={"Authorization": "Bearer sesame"}, timeout=20)
    assert answer.status == 200
    return time.monotonic() - began


def descriptors(haven):
    return len(os.listdir(f"/proc/{haven.process.pid}/fd"))


@contextmanager
def attack(haven):
    """Whatever happens in here: before, meanwhile (the test asks) and after it, others are served, and nothing is left."""
    serves(haven)
    before = descriptors(haven)
    yield
    serves(haven)
    eventually(lambda: descriptors(haven) <= before + 2, 30, "its descriptors back")


def parse(answer):
    """(status, body) of a whole HTTP answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if body else None


def refusal(answer):
    status, body = parse(answer)
    assert body["success"] is False and body["detail"] == body["error"]
    return f"{status} {body['code']}", body["detail"]


@pytest.mark.parametrize(
    "part, begin, drip",
    [
        ("head", b"GET /health HTTP/1.1\r\n", b"X-a: b\r\n"),
        ("body", b"PUT /api/config HTTP/1.1\r\n" + HOST + b"Authorization: Bearer sesame\r\n"
         b"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n", b" "),
    ],
    ids=["head", "body"],
)  # fmt: skip
def test_one_that_drips_its_request_is_cut_off(haven, row, part, begin, drip):
    with attack(haven):
        slow = [connect(haven) for _ in range(100)]
        for connection in slow:
            connection.sendall(begin)
        answers, began = {}, time.monotonic()
        while len(answers) < len(slow):
            assert time.monotonic() - began < 30
            serves(haven)
            for connection in set(slow) - set(answers):
                try:
                    connection.sendall(drip)
                    connection.settimeout(0.001)
                    connection.recv(1, socket.MSG_PEEK)
                except TimeoutError:
                    continue
                except OSError:
                    pass
                connection.settimeout(20)
                answers[connection] = read_all(connection)
        codes = {refusal(answer) for answer in answers.values() if answer}
        assert {code for code, _ in codes} == {"408 request_timeout"}
        for connection in slow:
            connection.close()
        row(f"a {part} a byte at a time, 100 of them", *codes.pop())


@pytest.mark.parametrize(
    "path",
    [b"/web/../../etc/passwd", b"/web/..%2f..%2f..%2fetc%2fpasswd", b"/web/%2e%2e/%2e%2e/etc/passwd",
     b"/web//etc/passwd", b"/api/recordings/..%2f..%2fetc%2fpasswd/file", b"/api/recordings/%00/file",
     b"/web/control%5c..%5capp.js", b"/web/....//....//etc/passwd"],
)  # fmt: skip
def test_no_path_leads_out(haven, row, path):
    with attack(haven):
        request = b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"Authorization: Bearer sesame\r\n\r\n"
        code, sentence = refusal(haven.raw(request))
    assert code in ("400 bad_request", "404 not_found", "404 recording_not_found")
    row(path.decode(), code, sentence)


@pytest.mark.parametrize(
    "what, head, code",
    [
        ("a name bound to this address", b"Host: evil.example:8000\r\nOrigin: http://evil.example:8000\r\n", "403 host_not_allowed"),
        ("the same, without Origin", b"Host: evil.example\r\n", "403 host_not_allowed"),
        ("a page of a foreign origin", HOST + b"Origin: https://evil.example\r\n", "403 origin_not_allowed"),
        ("a foreign page's img", HOST + b"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", "403 origin_not_allowed"),
        ("no token", HOST, "401 unauthorized"),
        ("a wrong token", HOST + b"Authorization: Bearer sesamf\r\n", "401 unauthorized"),
        ("the token's beginning", HOST + b"Authorization: Bearer sesam\r\n", "401 unauthorized"),
        ("a wrong token in the query", b"Host: localhost\r\nX-query: ?access_token=nonsense\r\n", "401 unauthorized"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
@pytest.mark.parametrize("socket_too", [False, True], ids=["http", "websocket"])
def test_strangers_are_refused(haven, row, what, head, code, socket_too):
    query = b"?access_token=nonsense" if b"X-query" in head else b""
    path = b"/api/live-sessions/stream/x" if socket_too else b"/api/live-sessions/active"
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" if socket_too else b""
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" if socket_too else b""
    with attack(haven):
        answer = haven.raw(b"GET " + path + query + b" HTTP/1.1\r\n" + head + upgrade + key + b"\r\n")
    refused = refusal(answer)
    assert refused[0] == code
    if b"evil" in head:
        assert b"Access-Control-Allow-Origin" not in answer
    row(what + (", WebSocket" if socket_too else ""), *refused)


def test_a_token_in_the_query_changes_nothing(haven, row):
    refused = haven.put("/api/config?access_token=sesame", {"livekit_url": None})
    assert (refused.status, refused.body["code"]) == (401, "unauthorized")
    row("PUT with the token in the query", "401 unauthorized", refused.body["detail"])


def test_a_head_without_end_is_not_kept(haven, row):
    with attack(haven), connect(haven) as connection:
        try:
            connection.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"X-a: " + b"a" * 200_000)
        except OSError:
            pass
        assert read_all(connection) == b""
    row("a head over 64 KiB", "closed", "without an answer")


@pytest.mark.parametrize("framing", ["length", "chunks", "endless"])
def test_a_body_without_end_is_not_kept(haven, row, framing):
    head = b"PUT /api/config HTTP/1.1\r\n" + HOST + b"Authorization: Bearer sesame\r\nContent-Type: application/json\r\n"
    sizes = {
        "length": b"Content-Length: 70000\r\n\r\n" + b" " * 70_000,
        "chunks": b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 3,
        "endless": b"Content-Length: 999999999999\r\n\r\n" + b" " * 1_000_000,
    }
    with attack(haven), connect(haven) as connection:
        connection.sendall(head + sizes[framing])
        code, sentence = refusal(read_all(connection))
    assert code == "413 body_too_large"
    row(f"a body over 64 KiB ({framing})", code, sentence)


@pytest.mark.parametrize(
    "what, frame, code",
    [
        ("a frame of 1 MiB", b"\x82\xff" + struct.pack(">Q", 1 << 20) + b"mask", 1009),
        ("a frame of 2^62 bytes", b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"mask", 1009),
        ("a message of endless fragments", (b"\x01\xfe\x0f\xa0mask" + b"x" * 4000)
         + (b"\x00\xfe\x0f\xa0mask" + b"x" * 4000), 1009),
        ("a frame without a mask", b"\x81\x04ping", 1002),
        ("an unknown opcode", b"\x83\x80mask", 1002),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_a_frame_without_end_is_not_kept(haven, row, what, frame, code):
    with attack(haven), connect(haven) as connection:
        connection.sendall(HANDSHAKE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert b" 101 " in head
        connection.sendall(frame)
        goodbye = read_all(connection)
    assert goodbye[0] == 0x88 and struct.unpack(">H", goodbye[2:4])[0] == code
    row(what, f"close {code}", goodbye[4:].decode())


def test_frames_before_the_handshakes_answer_are_refused(haven, row):
    with attack(haven):
        head, _, goodbye = haven.raw(HANDSHAKE + b"\x81\x84mask" + b"\0" * 4).partition(b"\r\n\r\n")
    assert b" 101 " in head and goodbye[0] == 0x88 and struct.unpack(">H", goodbye[2:4])[0] == 1002
    row("a frame glued to its handshake", "close 1002", goodbye[4:].decode())


def test_two_thousand_idle_connections_lock_nobody_out(haven, row):
    with attack(haven):
        idle = []
        for n in range(2000):
            idle.append(connect(haven, f"127.0.0.{2 + n % 20}"))
            if n % 100 == 99:
                serves(haven)
        slowest = max(serves(haven) for _ in range(20))
        assert descriptors(haven) < 800
        answers = [read_all(connection) for connection in idle]
        codes = {refusal(answer) for answer in answers if answer}
        for connection in idle:
            connection.close()
    assert {code for code, _ in codes} == {"503 limit_reached", "408 request_timeout"}
    for code, sentence in sorted(codes):
        row(f"2,000 idle connections of 20 addresses, {code[:3]}", code, sentence)
    row("an honest client meanwhile", "200", f"the slowest of 20 answers took {slowest * 1000:.0f} ms")


def test_one_address_cannot_have_all_connections(haven, row):
    with attack(haven):
        idle = [connect(haven, "127.0.0.2") for _ in range(300)]
        serves(haven)
        refused = [read_all(connection) for connection in idle[256:]]
        answer = next(filter(None, refused))
        assert b"Retry-After: " in answer
        for connection in idle:
            connection.close()
    code, sentence = refusal(answer)
    assert code == "503 limit_reached"
    row("300 connections of one address", code, sentence)


def test_one_address_cannot_have_all_places_that_last(haven, row):
    """Viewers, listeners and downloads are counted together, and only they are refused."""
    listen = b"GET /api/events HTTP/1.1\r\n" + HOST + b"Authorization: Bearer sesame\r\n\r\n"
    with attack(haven):
        lasting = []
        for n in range(128):
            lasting.append(connect(haven, "127.0.0.2"))
            lasting[-1].sendall((listen, HANDSHAKE)[n % 2])
            assert lasting[-1].recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
        for what, request in (("listener", listen), ("viewer", HANDSHAKE)):
            with connect(haven, "127.0.0.2") as refused:
                refused.sendall(request)
                answer = read_all(refused)
            assert b"Retry-After: " in answer
            code, sentence = refusal(answer)
            assert code == "503 limit_reached"
            row(f"a {what} more than the 128 of its address", code, sentence)
            with connect(haven, "127.0.0.3") as other:
                other.sendall(request)
                assert other.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
        with connect(haven, "127.0.0.2") as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
            assert plain.recv(12) == b"HTTP/1.1 200", "what does not last is answered"
        for connection in lasting:
            connection.close()


def test_other_machines_are_not_let_in_without_a_token(tmp_path, gst_env, row):
    environment = {**gst_env, "HOME": str(tmp_path), "HAVEN_RUNTIME_DIRECTORY": str(tmp_path / "r")}
    environment.pop("HAVEN_API_TOKEN", None)
    started = subprocess.run(
        [PROGRAM, "serve", "--listen", "0.0.0.0:0", "--state-dir", tmp_path / "s"],
        env=environment, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert started.returncode == 2 and "set an API token" in started.stderr, started
    row("serve on 0.0.0.0 without a token", "exit 2", "Other machines could reach it: set an API token …")
