"""Scenario 18: servers that break the protocol. No crash, no hang, no critical: a state or an error that says what."""

import asyncio
import random
import re

import pytest
from havenlib import errors
from havenlib.fake_livekit import FakeLiveKit, joined, response, sdp

SOURCE = "livekitsrc name=s room-name=fake connect-timeout={} {} ! fakesink"
NO_MEDIA = ("RESOURCE/OPEN_READ", "joined, but no media connection came up")
GROUP = "Servers that break the protocol"

streamer = {
    "sid": "PA_x",
    "identity": "streamer",
    "state": 2,
    "tracks": [{"sid": "TR_1", "type": 1, "name": "video", "source": 1, "mime_type": "video/VP8"}],
}


@pytest.fixture
def facing(launcher, started, error_table):
    """facing("what it does", script, expected error) -> the fake server, after livekitsrc gave up on it"""

    def run(what, script, expected, raw=None, timeout=1, more=""):
        fake = started(FakeLiveKit(script, raw=raw))
        pipeline = launcher(SOURCE.format(timeout, more), env={**fake.env, "G_DEBUG": "fatal-criticals"})
        error = pipeline.wait_event("error", timeout=30)
        code, sentence = expected
        assert re.fullmatch(code, errors.name(error)) and re.search(sentence, error["message"]), error
        assert pipeline.end()["ns"] < 1e9
        assert pipeline.running
        pipeline.stop()
        assert pipeline.returncode == 0, pipeline.output[-2000:]
        assert len(pipeline.errors()) == 1
        assert fake.failure is None and fake.joins >= 1
        error_table.add(GROUP, what, errors.name(error), error["message"])
        return fake, pipeline

    return run


# --- in the handshake


async def half_a_handshake(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso")


async def no_http(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x00\xff" * 4000 + b"\r\n\r\n")


async def an_endless_head(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 4000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


async def hang_up(reader, writer):
    await reader.read(10)


@pytest.mark.parametrize(
    "raw, sentence",
    [
        (half_a_handshake, "127.0.0.1"),
        (no_http, "127.0.0.1"),
        (an_endless_head, "127.0.0.1|does not answer"),
        (hang_up, "127.0.0.1"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_handshake(facing, raw, sentence):
    facing(raw.__name__.replace("_", " "), None, ("RESOURCE/(OPEN_READ|FAILED)", sentence), raw=raw)


# --- before the join


async def silence(session):
    await asyncio.sleep(30)


async def garbage(session):
    await session.socket.send_bytes(b"\xff" * 100)


async def garbage_ten_times_after_the_join(session):
    await session.send(join=joined())
    for seed in range(12):
        await session.socket.send_bytes(b"\x0a\xff\xff\xff\xff\x0f" + random.Random(seed).randbytes(50))


async def an_empty_message(session):
    await session.socket.send_bytes(b"")


async def text(session):
    await session.socket.send_str('{"join":{}}')


async def an_offer_before_the_join(session):
    await session.offer(sdp("application"))


async def leave_first(session):
    await session.send(leave={"reason": 3, "action": 0})


async def leave_first_and_reconnect_for_ever(session):
    await session.send(leave={"reason": 6, "action": 2})


async def hang_up_after_the_join(session):
    await session.send(join=joined())
    await session.socket.close()


async def a_resume_instead_of_a_join(session):
    await session.send(reconnect={})


async def another_address(session):
    await session.send(join=joined(alternative_url=session.fake.url))


@pytest.mark.parametrize(
    "script, code, sentence",
    [
        (silence, "RESOURCE/OPEN_READ", "The server does not answer"),
        (garbage, "RESOURCE/FAILED", "."),
        (garbage_ten_times_after_the_join, "RESOURCE/FAILED", "."),
        (an_empty_message, "RESOURCE/OPEN_READ", "The server does not answer"),
        (text, "RESOURCE/OPEN_READ", "The server does not answer"),
        (an_offer_before_the_join, "RESOURCE/FAILED", "did not begin with an answer to the join"),
        (leave_first, "RESOURCE/OPEN_READ", "server ended the session"),
        (leave_first_and_reconnect_for_ever, "RESOURCE/OPEN_READ", "server ended the session"),
        (hang_up_after_the_join, "RESOURCE/OPEN_READ", "closed the connection"),
        (a_resume_instead_of_a_join, "RESOURCE/FAILED", "answered a join with the resume of another session"),
        (another_address, "RESOURCE/OPEN_READ", "named another address"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nonsense_instead_of_a_session(facing, script, code, sentence):
    facing(script.__name__.replace("_", " "), script, (code, sentence))


# --- in a session


def in_session(*steps, **join):
    async def script(session):
        await session.send(join=joined(**join))
        for step in steps:
            await step(session)

    return script


def offers(*texts, numbers=None, **more):
    async def step(session):
        for i, text in enumerate(texts):
            await session.offer(text, numbers[i] if numbers else i + 1, **more)

    return step


def send_bytes(data):
    async def step(session):
        await session.socket.send_bytes(data)

    return step


def sends(*responses):
    async def step(session):
        for fields in responses:
            await session.send(**fields)

    return step


async def answers(session):
    """Tells the test each answer."""
    while True:
        answer = await session.request("answer")
        session.fake.said.append((answer.id, answer.sdp))


ABSURD = {
    "an empty SDP": "",
    "an SDP that is none": "hello\r\n" * 500,
    "an SDP without media": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
    "an SDP of zero bytes": "\0" * 100,
    "an SDP of bare m-lines": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + "m=video\r\n" * 50,
    "an SDP without ICE or fingerprint": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
    "a=mid:0\r\na=rtpmap:96 VP8/90000\r\na=sendrecv\r\n",
    "an SDP with a payload type of 99999": sdp("video").replace(" 96", " 99999").replace(":96", ":99999"),
    "an SDP of which the mid is missing": sdp("video", "audio").replace("a=mid:0\r\n", ""),
    "an SDP with one mid twice": sdp(("video", "0", {}), ("audio", "0", {})),
}


@pytest.mark.parametrize("what", ABSURD)
def test_an_absurd_offer(facing, what):
    facing(what, in_session(offers(ABSURD[what]), answers), ("RESOURCE/(OPEN_READ|FAILED)", "."))


def test_offers_are_answered_in_order_with_their_numbers(facing):
    """Twice the same, an ended m-line with port 0, a track on it again; then a flood."""
    steps = offers(
        sdp("application"),
        sdp("application"),
        sdp("application", "video", version=2),
        sdp("application", ("video", "1", {"port": 0, "direction": "inactive"}), version=3),
        sdp("application", ("video", "1", {"direction": "recvonly"}), "audio", version=4),
        numbers=[7, 7, 8, 9, 10],
    )
    fake, _ = facing("the same offer twice, an m-line with port 0", in_session(steps, answers), NO_MEDIA, timeout=3)
    assert [number for number, _ in fake.said][:5] == [7, 7, 8, 9, 10]
    assert all("a=mid:0" in text and "a=fingerprint" in text for _, text in fake.said)


@pytest.mark.parametrize(
    "what, script, expected",
    [
        (
            "an m-line whose mid changes",
            in_session(offers(sdp("application", "video"), sdp("application", ("video", "other", {}))), answers),
            ("RESOURCE/(OPEN_READ|FAILED)", "."),
        ),
        (
            "an m-line that is gone",
            in_session(offers(sdp("application", "video"), sdp("application")), answers),
            ("RESOURCE/(OPEN_READ|FAILED)", "."),
        ),
        (
            "100 m-lines",
            in_session(offers(sdp("application", *["video", "audio"] * 50)), answers),
            ("RESOURCE/(OPEN_READ|FAILED)", "."),
        ),
        (
            "1000 m-lines",
            in_session(offers(sdp("application", *["video"] * 1000))),
            ("RESOURCE/FAILED", "The server offers more than 256 media"),
        ),
        (
            "1000 offers at once",
            in_session(offers(*[sdp("application", version=i) for i in range(1000)])),
            ("RESOURCE/(OPEN_READ|FAILED)", "."),
        ),
        (
            "unknown messages and fields",
            in_session(
                send_bytes(b"\xfa\x3f\x03abc"), send_bytes(b"\x82\x02\x00"), send_bytes(response(pong=5) + b"\xf8\x7f\x01")
            ),
            NO_MEDIA,
        ),
        (
            "3 MiB that are valid",
            in_session(sends({"update": {"participants": [{**streamer, "name": "x" * (3 << 20)}]}})),
            NO_MEDIA,
        ),
        ("more than it may send", in_session(send_bytes(b"\x0a" * (20 << 20))), ("RESOURCE/FAILED", "more than .* MiB")),
        ("two joins", in_session(sends({"join": joined()}, {"reconnect": {}})), NO_MEDIA),
        (
            "candidates out of nowhere",
            in_session(
                sends(
                    *[
                        {"trickle": {"candidateInit": text, "target": 1}}
                        for text in (
                            "", "{}", "[1]", "null", '{"candidate":5}', '{"candidate":"candidate:","sdpMLineIndex":0}',
                            '{"candidate":"candidate:1 1 udp 1 999.1.1.1 1 typ host","sdpMLineIndex":4294967295}',
                            '{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMLineIndex":77}',
                            '{"candidate":"candidate:1 1 udp 1 nobody.invalid 9 typ host","sdpMLineIndex":0}',
                        )
                    ]
                ),
                offers(sdp("application")),
                sends(
                    *[
                        {"trickle": {"candidateInit": '{"candidate":"candidate:%d 1 udp 1 127.0.0.1 %d typ host",'
                                     '"sdpMLineIndex":%d}' % (i, i + 1, i % 90), "target": 1}}
                        for i in range(1000)
                    ]
                ),
            ),
            NO_MEDIA,
        ),
        (
            "ICE servers that are none",
            in_session(
                offers(sdp("application")), answers,
                ice_servers=[{"urls": ["", "turn:", "stun:", "stun:::", "http://x", "turn:%00:x", "turns:?transport=?"],
                              "username": "%:@/", "credential": "\x01"}] * 20,
            ),
            NO_MEDIA,
        ),
        (
            "participants without sense",
            in_session(
                sends(
                    {"update": {"participants": [{}, {"sid": "PA_self", "identity": "self"}, streamer, streamer]}},
                    {"update": {"participants": [{**streamer, "tracks": [{}, {"sid": "TR_1", "type": 7}]}]}},
                    {"update": {"participants": [{**streamer, "state": 3}] * 3}},
                    {"subscription_response": {"track_sid": "TR_none", "err": 9}},
                    {"subscription_permission_update": {"track_sid": "", "allowed": False}},
                    {"stream_state_update": {"stream_states": [{"track_sid": "TR_none", "state": 7}]}},
                    {"room_moved": {}}, {"room_update": {}}, {"refresh_token": ""}, {"pong_resp": {}},
                )
            ),
            ("RESOURCE/(OPEN_READ|NOT_AUTHORIZED|NOT_FOUND)", "."),
        ),
        (
            "a ping interval of -1",
            in_session(ping_interval=-1, ping_timeout=-1),
            NO_MEDIA,
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)  # fmt: skip
def test_nonsense_in_a_session(facing, what, script, expected):
    facing(what, script, expected)


moved = {"room_moved": {"room": {"sid": "RM_moved", "name": "moved"}, "token": "a.b.c"}}


@pytest.mark.parametrize("sid, said", [("RM_late", []), ("RM_moved", [moved])])
def test_the_sid_of_the_room_is_what_the_server_said_last(launcher, started, sid, said):
    other = {"sid": "PA_late", "identity": "late", "state": 2}
    script = in_session(
        sends({"room_update": {"room": {"sid": "RM_late", "name": "fake"}}}, *said, {"update": {"participants": [other]}}),
        room={"name": "fake"},
    )
    fake = started(FakeLiveKit(script))
    pipeline = launcher(SOURCE.format(60, ""), env=fake.env)
    pipeline.wait_event("livekit-participant-joined", identity="late")
    assert pipeline.get("room-sid") == sid


def test_16_a_track_that_never_comes_is_warned_of(launcher, started, error_table):
    subscribed = []

    async def script(session):
        await session.send(join=joined(other_participants=[streamer]))
        request = await session.request("subscription")
        subscribed.extend(request.track_sids)

    fake = started(FakeLiveKit(script))
    pipeline = launcher(SOURCE.format(60, "kinds=video"), env=fake.env)
    added = pipeline.wait_event("livekit-track-added")
    warning = pipeline.wait_event("warning", timeout=60)
    assert subscribed == ["TR_1"]
    assert "TR_1 (video/VP8) of “streamer” was subscribed to, but nothing came for 10 s" in warning["message"]
    assert 9 < (warning["at"] - added["at"]) / 1e9 < 20
    error_table.add("While it runs", "a track that never comes (a warning)", errors.name(warning), warning["message"])
    assert pipeline.end()["ns"] < 1e9 and not pipeline.errors()
