"""Who may be in the room and receive: scenarios 13, 15, 16, 17, 19, 23 and 24 of the protocol reference."""

import re
import time

import pytest
from havenlib import errors
from havenlib.livekit import RigCtl
from havenlib.process import eventually

PICTURES = "livekitsrc name=s room-name={room} identity=watcher {more} s. ! video/x-raw ! fakesink"


@pytest.fixture
def livekit(shared_livekit):
    return shared_livekit


def watching(launcher, livekit, room, more="kinds=video"):
    pipeline = launcher(PICTURES.format(room=room, more=more), env=livekit.env)
    pipeline.wait_buffers("video_0", 10)
    return pipeline


def wait_quiet(pipeline, pad, seconds=1.0, timeout=30):
    """Until a pad has given no buffer for so long; returns the monotonic time of the last."""

    def last_if_quiet():
        last = pipeline.buffers[pad][-1]["at"]
        return last if time.monotonic_ns() - last > seconds * 1e9 else None

    return eventually(last_if_quiet, timeout, f"silence of {pad}")


def states(pipeline):
    return [e["state"] for e in pipeline.find_events("livekit-connection-state")]


# --- 13: three ends that are not the network's


def test_13_another_client_takes_the_identity(launcher, livekit, publisher, rigctl, room, error_table):
    publisher(room=room, video="vp8-180")
    first = watching(launcher, livekit, room)
    second = watching(launcher, livekit, room)
    error = first.wait_event("error")
    error_table.add("While it runs", "another client joins with our identity", errors.name(error), error["message"])
    assert errors.name(error) == "RESOURCE/BUSY"
    assert "“watcher”" in error["message"]
    assert states(first)[-1] == "failed" and first.get("connection-state") == "failed"
    # Retrying would throw the second out, again and again.
    second.wait_buffers("video_0", 60, since=second.count("video_0"))
    assert not second.errors() and states(second) == ["connecting", "connected"]
    assert states(first) == ["connecting", "connected", "failed"]
    assert sum(p["identity"] == "watcher" for p in rigctl.participants(room)) == 1


def test_13_removed_from_the_room(launcher, livekit, publisher, rigctl, room, error_table):
    publisher(room=room, video="vp8-180")
    pipeline = watching(launcher, livekit, room)
    rigctl.remove(room, "watcher")
    error = pipeline.wait_event("error")
    error_table.add("While it runs", "removed by a moderator", errors.name(error), error["message"])
    assert errors.name(error) == "RESOURCE/NOT_AUTHORIZED"
    assert "removed from the room" in error["message"]
    # The longest first back-off is under a second: it does not come back.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert all(p["identity"] != "watcher" for p in rigctl.participants(room))
    assert states(pipeline) == ["connecting", "connected", "failed"]


def test_13_the_room_is_deleted(launcher, livekit, publisher, rigctl, room):
    publisher(room=room, video="vp8-180")
    pipeline = launcher(
        f"livekitsrc name=s room-name={room} s. ! video/x-raw ! fakesink s. ! audio/x-raw ! fakesink", env=livekit.env
    )
    pipeline.wait_buffers("video_0", 10)
    pipeline.wait_buffers("audio_0", 10)
    rigctl.delete(room)
    ended = pipeline.wait_event("livekit-room-ended")
    assert "deleted" in ended["reason"]
    for pad in ("video_0", "audio_0"):
        pipeline.wait_event("pad-event", pad=pad, type="eos")
    pipeline.wait_event("eos")
    assert not pipeline.errors()
    assert states(pipeline)[-1] == "failed"


def test_13_the_room_is_deleted_before_any_media(launcher, livekit, rigctl, room, error_table):
    pipeline = launcher(f"livekitsrc name=s room-name={room} ! fakesink", env=livekit.env)
    pipeline.wait_event("livekit-connection-state", state="connected")
    rigctl.delete(room)
    error = pipeline.wait_event("error")
    error_table.add("While it runs", "the room is deleted before any media", errors.name(error), error["message"])
    assert errors.name(error) == "RESOURCE/NOT_FOUND" and "deleted" in error["message"]


# --- 15: permission


def test_15_a_token_that_may_not_subscribe_gets_media_once_granted(launcher, livekit, publisher, rigctl, room):
    publisher(room=room, video="vp8-180")
    token = rigctl.token(room, "watcher", no_subscribe=True)
    pipeline = launcher(env=livekit.env)
    pipeline.launch("livekitsrc name=s kinds=video s. ! video/x-raw ! fakesink", state="null")
    pipeline.set_value("s", "auth-token", token)
    pipeline.set_state("playing")
    warning = pipeline.wait_event("warning")
    assert errors.name(warning) == "RESOURCE/NOT_AUTHORIZED" and "canSubscribe" in warning["message"]
    pipeline.wait_event("livekit-connection-state", state="connected")
    assert not pipeline.pads(), "nothing is announced that cannot come"
    rigctl.permit(room, "watcher", subscribe=True)
    pipeline.wait_buffers("video_0", 30)
    assert not pipeline.errors()


def test_15_subscribing_is_revoked_and_granted_at_run_time(launcher, livekit, publisher, rigctl, room, error_table):
    publisher(room=room, video="vp8-180")
    pipeline = watching(launcher, livekit, room)
    rigctl.permit(room, "watcher", subscribe=False)
    warning = pipeline.wait_event("warning")
    error_table.add("While it runs", "canSubscribe is revoked (a warning)", errors.name(warning), warning["message"])
    assert errors.name(warning) == "RESOURCE/NOT_AUTHORIZED" and "canSubscribe" in warning["message"]
    last = wait_quiet(pipeline, "video_0")
    pipeline.wait_until(lambda: pipeline.gaps("video_0", after=last), what="a GAP")
    rigctl.permit(room, "watcher", subscribe=True)
    pipeline.wait_buffers("video_0", 30, after=last)
    assert pipeline.pads() == ["video_0"] and not pipeline.errors()


def test_15_the_publisher_restricts_its_tracks(launcher, livekit, publisher, room, error_table):
    streamer = publisher(room=room, video="vp8-180")
    pipeline = watching(launcher, livekit, room)
    streamer.command("permission restrict")
    warning = pipeline.wait_event("warning")
    error_table.add(
        "While it runs", "the streamer restricts its tracks (a warning)", errors.name(warning), warning["message"]
    )
    assert errors.name(warning) == "RESOURCE/NOT_AUTHORIZED" and "“streamer” does not let us" in warning["message"]
    last = wait_quiet(pipeline, "video_0")
    streamer.command("permission allow")
    pipeline.wait_buffers("video_0", 30, after=last)
    assert pipeline.pads() == ["video_0"] and not pipeline.errors()


# --- 16: choosing (a bogus participant is in test_errors.py, a track that never comes in test_hostile_server.py)


@pytest.mark.media
def test_16_media_soon_after_the_subscription(launcher, livekit, publisher, room):
    pipeline = launcher(
        f"livekitsrc name=s room-name={room} s. ! video/x-raw ! fakesink s. ! audio/x-raw ! fakesink", env=livekit.env
    )
    pipeline.wait_event("livekit-connection-state", state="connected")
    publisher(room=room, video="vp8-quick-360")
    for pad, kind in (("video_0", "video"), ("audio_0", "audio")):
        subscribed = pipeline.wait_event("livekit-track-added", kind=kind)["at"]
        first = pipeline.wait_buffers(pad, 1)[0]["at"]
        # Of which 200 ms are the jitter buffer's, and up to 100 the wait for a key frame.
        print(f"{kind}: {(first - subscribed) / 1e6:.0f} ms")
        assert first - subscribed < 1e9


def test_16_nobody_publishes_is_told_in_time(launcher, livekit, room):
    pipeline = launcher(
        f"livekitsrc name=s room-name={room} participant-timeout=2 ! video/x-raw ! fakesink", env=livekit.env
    )
    connected = pipeline.wait_event("livekit-connection-state", state="connected")
    error = pipeline.wait_event("error")
    assert errors.name(error) == "RESOURCE/NOT_FOUND" and "Nobody published" in error["message"]
    assert 1.9 < (error["at"] - connected["at"]) / 1e9 < 2 + 2


# --- 17: many at once


ENCODED = "livekitsrc name={name} room-name={room} {more} output=encoded {name}. ! video/x-vp8 ! fakesink"


def offers_and_answers(log):
    """By element: the turns of its signalling, as its debug log has them, [("offer", id), ("answer", id), …]."""
    turns = {}
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"\S+ +\d+ +(0x[0-9a-f]+) .* (offer|answer) (\d+):$", line)
        if found:
            turns.setdefault(found[1], []).append((found[2], found[3]))
    return list(turns.values())


def assert_answered_in_order(turns):
    """Each offer was answered, by its number, before the next was looked at."""
    assert len(turns) % 2 == 0
    for offer, answer in zip(turns[::2], turns[1::2]):
        assert (offer[0], answer[0]) == ("offer", "answer") and offer[1] == answer[1]


def test_17_four_publishers_at_once(launcher, livekit, publisher, room, tmp_path):
    names = [f"streamer-{i}" for i in range(4)]
    log = tmp_path / "debug.log"
    pipeline = launcher(
        " ".join(
            ENCODED.format(name=f"e{i}", room=room, more=f"participant={name}") + f" e{i}. ! audio/x-opus ! fakesink"
            for i, name in enumerate(names)
        ),
        env={**livekit.env, "GST_DEBUG": "livekitsrc:5", "GST_DEBUG_FILE": str(log)},
    )
    for i in range(4):
        pipeline.wait_event("livekit-connection-state", element=f"e{i}", state="connected")
    streamers = [publisher(room=room, identity=name, video="vp8-180", wait=False) for name in names]
    for streamer in streamers:
        streamer.wait_event("publishing")
    for i in range(4):
        pipeline.wait_buffers(f"e{i}.video_0", 30)
        pipeline.wait_buffers(f"e{i}.audio_0", 30)
    assert not pipeline.errors() and not pipeline.find_events("warning")
    pipeline.stop()
    turns = offers_and_answers(log)  # each element has a thread of its own
    assert len(turns) == 4
    for turn in turns:
        assert len(turn) >= 4
        assert_answered_in_order(turn)


def test_17_camera_screen_and_sound_at_once(launcher, livekit, publisher, room, tmp_path):
    """All tracks of one publisher on one connection, published together while we wait for them."""
    log = tmp_path / "debug.log"
    pipeline = launcher(
        f"livekitsrc name=s room-name={room} output=encoded"
        " s.video_0 ! fakesink s.video_1 ! fakesink s.audio_0 ! fakesink",
        env={**livekit.env, "GST_DEBUG": "livekitsrc:5", "GST_DEBUG_FILE": str(log)},
    )
    pipeline.wait_event("livekit-connection-state", state="connected")
    publisher(room=room, video="vp8-180", screen="h264-screen-720", audio="beep")
    pads = ("video_0", "video_1", "audio_0")
    for pad in pads:
        pipeline.wait_buffers(pad, 60)
    sources = {pipeline.pad_get("s", pad, "track-source")["value"] for pad in pads}
    assert sources == {"camera", "screen", "microphone"}
    assert sorted(pipeline.pads()) == sorted(pads)
    # A publisher announces its tracks one after another. Where the third comes after the element has told that camera and
    # microphone are all there is for now, the parser of pipelines warns of the link that still waits, and makes it later.
    warnings = [event for event in pipeline.find_events("warning") if event["domain"] != "gst_parse_error"]
    assert not pipeline.errors() and not warnings
    pipeline.stop()
    (turns,) = offers_and_answers(log)
    assert_answered_in_order(turns)


# --- 19: a recorder alone


def test_19_the_room_closes_around_a_recorder(launcher, livekit_factory, publisher, room):
    # 20 s by default; the server counts the same way from 2.
    server = livekit_factory(config={"room": {"departure_timeout": 2}})
    streamer = publisher(server=server, room=room, video="vp8-180")
    token = RigCtl(server).token(room, "recorder", recorder=True, hidden=True)
    pipeline = launcher(env=server.env)
    pipeline.launch("livekitsrc name=s kinds=video s. ! video/x-raw ! fakesink", state="null")
    pipeline.set_value("s", "auth-token", token)
    pipeline.set_state("playing")
    pipeline.wait_buffers("video_0", 10)
    streamer.command("leave")
    ended = pipeline.wait_event("livekit-room-ended", timeout=90)
    assert "closed" in ended["reason"]
    pipeline.wait_event("eos")
    assert not pipeline.errors()


# --- 23: encryption


def test_23_encrypted_media_is_reported_and_never_decoded(launcher, livekit, publisher, room):
    publisher(room=room, video="vp8-180", encrypted=True)
    pipeline = launcher(
        f"livekitsrc name=s room-name={room} participant-timeout=4 ! video/x-raw ! fakesink", env=livekit.env
    )
    warning = pipeline.wait_event("warning")
    assert errors.name(warning) == "STREAM/DECRYPT_NOKEY"
    connected = pipeline.wait_event("livekit-connection-state", state="connected")
    error = pipeline.wait_event("error")
    assert errors.name(error) == "STREAM/DECRYPT_NOKEY" and "“streamer”" in error["message"]
    assert (error["at"] - connected["at"]) / 1e9 < 4 + 2
    assert not pipeline.pads(), "nothing is announced that cannot be played"
    assert len(pipeline.errors()) == 1 and len(pipeline.find_events("warning")) == 1
    assert not any("dec" in name for name in pipeline.children("s")["factories"])


def test_23_an_encrypted_picture_leaves_the_sound(launcher, livekit, publisher, room):
    streamer = publisher(room=room, video=None)
    streamer.command("publish video vp8-180 encrypted")
    pipeline = launcher(f"livekitsrc name=s room-name={room} s. ! audio/x-raw ! fakesink", env=livekit.env)
    pipeline.wait_buffers("audio_0", 30)
    warning = pipeline.wait_event("warning")
    assert errors.name(warning) == "STREAM/DECRYPT_NOKEY"
    assert pipeline.pads() == ["audio_0"] and not pipeline.errors()


# --- 24: two of them


def test_24_two_elements_two_rooms(launcher, livekit, publisher, room):
    publisher(room=room + "-a", video="vp8-180", audio=None)
    publisher(room=room + "-b", video="vp8-180", audio=None)
    pipeline = launcher(env=livekit.env)
    took = []
    for name in ("a", "b"):
        started = time.monotonic_ns()
        pipeline.launch(f"livekitsrc name={name} room-name={room}-{name} {name}. ! video/x-raw ! fakesink", name=name)
        connected = pipeline.wait_event("livekit-connection-state", element=name, state="connected")["at"]
        took.append((connected - started) / 1e6)
        pipeline.wait_buffers(f"{name}.video_0", 10)
    print("to a media connection: " + ", then ".join(f"{ms:.0f} ms" for ms in took))
    assert took[1] < took[0], "the second finds the DTLS key and the plugins there"
    rooms = [pipeline.get("room-sid", name) for name in ("a", "b")]
    assert rooms[0] != rooms[1]
    for name in ("a", "b"):
        assert [p["tracks"][0]["kind"] for p in pipeline.get("participants", name)] == ["video"]
    pipeline.end(name="a")
    pipeline.wait_buffers("b.video_0", 60, since=pipeline.count("b.video_0"))
    assert not pipeline.errors()
