"""Every row of the interface, in both generations, against a real room: exact keys, codes and headers.

One server, one LiveKit and one streamer for the whole file; its limits and patience are set low.
"""

import asyncio
import base64
import io
import json
import re
import signal
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import jwt
import pytest
from havenlib import analyse
from havenlib.events import Events
from havenlib.haven import Haven, assert_failure
from havenlib.process import eventually
from havenlib.publisher import Publisher
from havenlib.token_endpoint import TokenEndpoint
from havenlib.viewer import Viewer
from PIL import Image

ROOM = "alpha"
GEN1, GEN2 = f"/api/live-sessions/ws/live/{ROOM}", f"/api/live-sessions/stream/{ROOM}"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

STREAM_INFO = {"room_name", "participant_sid", "participant_identity", "state"}
STARTED = {"success", "mint_id", "room_name", "participant_sid", "session_id", "record_session", "stream_info"}
SESSION_1 = {
    "id", "room_name", "participant_sid", "status", "record_session", "recording_path", "start_time", "end_time",
    "created_at", "updated_at",
}  # fmt: skip
SESSION_2 = {"mint_id", "room_name", "participant_sid", "stream_data"}
SESSION = SESSION_1 | {"success", "mint_id", "state", "viewers", "restarts", "recording_id", "error", "tracks", "stats"}
CONFIG = {
    "livekit_url", "livekit_api_key", "livekit_api_secret", "livekit_api_secret_set", "recording_directory",
    "token_endpoint", "updated_at",
}  # fmt: skip
RECORDED_AS = {"video_codec", "audio_codec", "video_bitrate", "audio_bitrate", "format"}
COUNTERS = {"video_frames", "audio_frames", "dropped_frames", "parts"}
RECORDING = {
    "success", "mint_id", "room_name", "recording_id", "output_path", "start_time", "participant_sid", "config",
}  # fmt: skip
STATUS = {
    "success", "mint_id", "room_name", "recording_id", "state", "is_recording", "start_time", "output_path",
    "duration_seconds", "file_size_mb", "config", "stats", "error",
}  # fmt: skip
FINISHED = {
    "success", "mint_id", "room_name", "recording_id", "output_path", "final_path", "start_time", "end_time",
    "duration_seconds", "file_size_bytes", "stats",
}  # fmt: skip
ROW = {
    "recording_id", "session_id", "mint_id", "room_name", "participant_sid", "state", "error", "output_path",
    "start_time", "end_time", "duration_seconds", "file_size_bytes", "config", "parts",
}  # fmt: skip
PART = {"part", "path", "duration_seconds", "file_size_bytes", "complete", "recovered", "chat", "subtitles"}
CONNECTION = {
    "success", "mint_id", "livekit_url", "token", "room_name", "participant_sid", "role", "stream_data",
    "connection_status",
}  # fmt: skip


@pytest.fixture(scope="module")
def haven(tmp_path_factory, shared_livekit, gst_env):
    server = Haven(
        tmp_path_factory.mktemp("contract"),
        shared_livekit,
        args=["--log-level", "debug"],
        config={"session": {"viewer-wait": 2, "streamer-timeout": 2, "max-viewers": 2, "max-sessions": 2}},
        gst_env=gst_env,
    )
    yield server
    server.close()


@pytest.fixture(scope="module")
def streamer(tmp_path_factory, shared_livekit):
    publisher = Publisher(shared_livekit, tmp_path_factory.mktemp("streamer"), room=ROOM, video="vp8-180")
    yield publisher
    publisher.stop()


@pytest.fixture(scope="module")
def loner(tmp_path_factory, gst_env):
    """A server that knows no LiveKit and wants a token."""
    server = Haven(
        tmp_path_factory.mktemp("loner"),
        env={"HAVEN_API_TOKEN": "sesame", "LIVEKIT_URL": "", "LIVEKIT_API_KEY": "", "LIVEKIT_API_SECRET": ""},
        args=["--log-level", "debug"],
        config={"session": {"connect-timeout": 2}},
        gst_env=gst_env,
    )
    yield server
    server.close()


@pytest.fixture
def session(haven, streamer):
    """A session that runs, for the time of a test."""
    started = haven.post("/api/live-sessions/start", {"mint_id": ROOM})
    assert started.status == 200, started
    yield started.body
    haven.post("/api/live-sessions/stop", {"mint_id": ROOM})


@contextmanager
def recording(haven, **order):
    started = haven.post("/api/recording/start", {"mint_id": ROOM, "output_format": "source", **order})
    assert started.status == 200, started
    try:
        yield started.body
    finally:
        haven.post("/api/recording/stop", {"mint_id": ROOM})


def has_frames(haven):
    status = haven.get(f"/api/recording/status/{ROOM}").body
    return status if status["stats"]["video_frames"] > 10 and status["duration_seconds"] > 0.5 else None


def raw_messages(url, enough, say=None):
    """WebSocket messages as they come, until enough(them)."""

    async def watch():
        messages = []
        async with aiohttp.ClientSession() as client, client.ws_connect(url, compress=0) as socket:
            if say:
                await socket.send_str(say)
            while not enough(messages):
                message = await socket.receive(30)
                assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
                messages.append(message.data)
        return messages

    return asyncio.run(asyncio.wait_for(watch(), 60))


def both_kinds(messages):
    return all(any(f'"{kind}_frame"' in m[:60] for m in messages) for kind in ("video", "audio"))


# -- live sessions


@pytest.mark.parametrize("key", ["mint_id", "room_name"])
def test_a_session_starts_and_stops_and_starting_it_twice_is_one(haven, streamer, key):
    body = {key: ROOM}
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: haven.post("/api/live-sessions/start", body), range(3)))
    assert [a.status for a in answers] == [200] * 3
    assert len({a.body["session_id"] for a in answers}) == 1
    begun = answers[0].body
    assert set(begun) == STARTED and set(begun["stream_info"]) == STREAM_INFO
    assert begun["success"] is True and begun["mint_id"] == begun["room_name"] == ROOM
    assert begun["participant_sid"] == streamer.sid and begun["record_session"] is False
    assert begun["stream_info"]["participant_identity"] == "streamer"

    active = haven.get("/api/live-sessions/active").body
    assert set(active) == {"success", "count", "sessions", "active_sessions"} and active["count"] == 1
    assert set(active["sessions"][ROOM]) == SESSION_2 and set(active["sessions"][ROOM]["stream_data"]) == STREAM_INFO
    first = active["active_sessions"][ROOM]
    assert set(first) == SESSION_1 and first["id"] == begun["session_id"] and first["status"] == "active"
    assert ISO.match(first["start_time"]) and ISO.match(first["updated_at"]) and first["end_time"] is None

    stopped = haven.post("/api/live-sessions/stop", body)
    assert stopped.status == 200 and stopped.body == {"success": True, "mint_id": ROOM, "room_name": ROOM}
    assert_failure(haven.post("/api/live-sessions/stop", body), 404, "session_not_found")
    assert haven.get("/api/live-sessions/active").body == {
        "success": True, "count": 0, "sessions": {}, "active_sessions": {},
    }  # fmt: skip


def test_the_log_says_which_session_a_request_was_about(haven, session):
    haven.get(f"/api/live-sessions/{ROOM}")
    haven.get("/api/live-sessions/unknown")

    def said(path):
        lines = [json.loads(line) for line in haven.log.splitlines() if '"event":"request"' in line]
        return next((line for line in reversed(lines) if line["path"] == f"/api/live-sessions/{path}"), None)

    about = {"session": str(session["session_id"]), "mint_id": ROOM}
    for path in ("start", ROOM):
        line = eventually(lambda path=path: said(path), 10)
        assert about.items() <= line.items() and line["status"] == "200"
    line = eventually(lambda: said("unknown"), 10)
    assert line["mint_id"] == "unknown" and "session" not in line


def test_a_session_can_begin_with_a_recording_and_keeps_it_when_it_stops(haven, streamer):
    begun = haven.post("/api/live-sessions/start", {"room_name": ROOM, "record_session": True})
    assert begun.status == 200 and begun.body["record_session"] is True
    eventually(lambda: has_frames(haven), 30)
    active = haven.get("/api/live-sessions/active").body["active_sessions"][ROOM]
    assert active["record_session"] is True and active["recording_path"].endswith(".mkv")
    again = haven.post("/api/live-sessions/start", {"room_name": ROOM, "record_session": True})
    assert again.status == 200 and again.body["record_session"] is True
    assert haven.post("/api/live-sessions/stop", {"room_name": ROOM}).status == 200
    kept = haven.get(f"/api/recordings?mint_id={ROOM}").body["recordings"][0]
    assert kept["state"] == "completed" and Path(kept["output_path"]).stat().st_size == kept["file_size_bytes"]


def test_the_streamer_is_the_one_that_was_asked_for(haven, session):
    body = {"mint_id": ROOM, "participant_identity": "streamer"}
    assert haven.post("/api/live-sessions/start", body).body["session_id"] == session["session_id"]
    other = haven.post("/api/live-sessions/start", {**body, "participant_identity": "somebody"})
    assert_failure(other, 409, "other_streamer")


def test_a_streamer_of_whom_nothing_comes_is_told_from_one_who_is_not_there(haven, shared_livekit, tmp_path, started):
    frozen = started(Publisher(shared_livekit, tmp_path, room="frozen", video="vp8-180"))
    frozen.popen.send_signal(signal.SIGSTOP)
    try:
        begun = haven.post("/api/live-sessions/start", {"mint_id": "frozen"})
        assert_failure(begun, 504, "livekit_timeout")
        assert "nothing comes of it" in begun.body["detail"]
        assert haven.get("/api/live-sessions/frozen").status == 404
    finally:
        frozen.popen.send_signal(signal.SIGCONT)


def test_a_recording_that_cannot_begin_is_no_recorded_session(haven, streamer):
    haven.recordings.mkdir(exist_ok=True)
    (haven.recordings / "blocked").write_text("a file where a directory should be")
    haven.post("/api/recording/set-output-directory", {"output_directory": str(haven.recordings / "blocked" / "x")})
    try:
        begun = haven.post("/api/live-sessions/start", {"mint_id": ROOM, "record_session": True})
        assert begun.status == 422, begun
        assert haven.get(f"/api/live-sessions/{ROOM}").body["record_session"] is False
    finally:
        haven.put("/api/config", {"recording_directory": None})
        haven.post("/api/live-sessions/stop", {"mint_id": ROOM})


def test_one_session_too_many_is_told_when_to_come_again(haven, session):
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(haven.post, "/api/live-sessions/start", {"mint_id": "empty"})
        eventually(lambda: haven.get("/api/live-sessions/empty").status == 200)
        third = haven.post("/api/live-sessions/start", {"mint_id": "crowd"})
        assert (third.status, third.body["code"]) == (503, "limit_reached") and int(third.headers["Retry-After"]) > 0
        assert second.result().status == 504


def test_a_session_tells_of_itself(haven, session):
    with Viewer(haven.ws(GEN1)) as viewer:
        viewer.wait("video", 3)
        told = eventually(lambda: (b := haven.get(f"/api/live-sessions/{ROOM}").body)["viewers"] == 1 and b)
    assert set(told) == SESSION and told["state"] == told["status"] == "active" and told["error"] is None
    assert told["mint_id"] == ROOM and told["restarts"] == 0 and told["recording_id"] is None
    assert len(told["tracks"]) == 2 and told["stats"]["frames"] > 0


# -- frames


def test_generation_1_sends_bare_jpegs_and_audio_as_base64(haven, session):
    messages = raw_messages(haven.ws(GEN1), lambda m: len({type(x) for x in m}) == 2 and len(m) > 5)
    assert all(m[:2] == b"\xff\xd8" for m in messages if isinstance(m, bytes))
    for text in (m for m in messages if isinstance(m, str)):
        assert text.startswith("audio:") and len(base64.b64decode(text[6:], validate=True)) % 2 == 0


def test_generation_2_sends_json_with_these_keys(haven, session):
    messages = [json.loads(m) for m in raw_messages(haven.ws(GEN2), both_kinds)]
    by_type = {m["type"]: m for m in messages}
    assert set(by_type) == {"video_frame", "audio_frame"}
    assert set(by_type["video_frame"]) == {"type", "mint_id", "data", "timestamp"}
    assert set(by_type["audio_frame"]) == {"type", "mint_id", "data", "timestamp", "sample_rate", "num_channels"}
    assert (by_type["audio_frame"]["sample_rate"], by_type["audio_frame"]["num_channels"]) == (48000, 1)
    assert {m["mint_id"] for m in messages} == {ROOM} and all(ISO.match(m["timestamp"]) for m in messages)


@pytest.mark.parametrize("path", [GEN1, GEN2], ids=["generation-1", "generation-2"])
def test_the_query_sets_what_a_viewer_gets(haven, session, path):
    with Viewer(haven.ws(path + "?width=64&fps=5&quality=30&audio=0")) as viewer:
        pictures = viewer.wait("video", 4)
        assert {Image.open(io.BytesIO(p.data)).width for p in pictures} == {64}
        apart = (pictures[3].monotonic_ns - pictures[1].monotonic_ns) / 2e9
        assert apart > 0.1 and not viewer.of("audio")


def test_ping_is_answered_by_pong(haven, session):
    assert "pong" in raw_messages(haven.ws(GEN2), lambda m: "pong" in m, say="ping")


@pytest.mark.parametrize("path", [GEN1, GEN2], ids=["generation-1", "generation-2"])
def test_a_viewer_may_come_before_its_session_and_goes_with_it(haven, streamer, path):
    with Viewer(haven.ws(path)) as viewer:
        viewer.send("ping")
        assert viewer.wait("text")[0].data == "pong" and not viewer.of("video")
        assert haven.post("/api/live-sessions/start", {"mint_id": ROOM}).status == 200
        viewer.wait("video", 3)
        viewer.wait("audio", 3)
        haven.post("/api/live-sessions/stop", {"mint_id": ROOM})
        assert viewer.wait_closed() == 1000


def test_nobody_waits_for_ever_for_a_session(haven):
    with Viewer(haven.ws("/api/live-sessions/stream/nobody")) as viewer:
        assert viewer.wait_closed(20) == 1008


def test_a_full_session_refuses_before_the_handshake(haven, session):
    with Viewer(haven.ws(GEN1)) as first, Viewer(haven.ws(GEN2)) as second:
        first.wait("video")
        second.wait("video")
        for path in (GEN1, GEN2):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                Viewer(haven.ws(path))
            assert refused.value.status == 503 and int(refused.value.headers["Retry-After"]) > 0
        mjpeg = haven.get(f"/api/live-sessions/{ROOM}/stream.mjpeg")
        assert_failure(mjpeg, 503, "limit_reached")


def test_a_snapshot_is_a_picture_of_the_size_that_was_asked_for(haven, session):
    path = f"/api/live-sessions/{ROOM}/snapshot.jpg?width=160&quality=50"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: haven.get(path), range(4)))
    assert [(a.status, a.headers["Content-Type"], a.headers["Cache-Control"]) for a in answers] == [
        (200, "image/jpeg", "no-store")
    ] * 4
    assert {Image.open(io.BytesIO(a.body)).width for a in answers} == {160}


def test_mjpeg_is_what_its_header_says(haven, session):
    path = f"/api/live-sessions/{ROOM}/stream.mjpeg"
    assert haven.call("HEAD", path).body == b""
    with urllib.request.urlopen(haven.url + path + "?fps=10", timeout=30) as answer:
        kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
        assert kind == "multipart/x-mixed-replace"
        for _ in range(3):
            line = answer.readline()
            while line == b"\r\n":
                line = answer.readline()
            assert line == f"--{boundary}\r\n".encode()
            head = {}
            while (line := answer.readline()) != b"\r\n":
                name, _, value = line.decode().strip().partition(": ")
                head[name.lower()] = value
            assert head["content-type"] == "image/jpeg"
            assert analyse.counter_of_jpeg(answer.read(int(head["content-length"]))) is not None


# -- configuration


def test_put_changes_what_it_names_and_nothing_else(haven, shared_livekit):
    before = haven.get("/api/config").body
    assert set(before) == CONFIG and before["livekit_api_secret"] is None and before["livekit_api_secret_set"] is True
    assert before["livekit_url"] == shared_livekit.env["LIVEKIT_URL"] and before["token_endpoint"] is None

    changed = haven.put("/api/config", {"token_endpoint": "http://localhost:1/token", "theme": "dark", "volume": 3})
    assert changed.status == 200 and set(changed.body) == CONFIG
    assert changed.body == haven.get("/api/config").body
    assert {k: v for k, v in changed.body.items() if k not in ("token_endpoint", "updated_at")} == {
        k: v for k, v in before.items() if k not in ("token_endpoint", "updated_at")
    }
    assert changed.body["updated_at"] > before["updated_at"] and ISO.match(changed.body["updated_at"])

    sent_back = haven.put("/api/config", {**changed.body, "token_endpoint": ""})
    assert sent_back.status == 200 and sent_back.body["token_endpoint"] is None
    assert sent_back.body["livekit_api_secret_set"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"livekit_url": "http://localhost:7880"},
        {"livekit_url": "localhost:7880"},
        {"livekit_url": 5},
        {"token_endpoint": "ftp://localhost"},
        {"recording_directory": "/etc"},
        {"recording_directory": "relative"},
        {"livekit_api_key": "a\u0007b"},
        {"livekit_api_key": "x" * 5000},
    ],
    ids=lambda body: next(iter(body.items()))[0] + "=" + str(next(iter(body.values())))[:20].encode("unicode_escape").decode(),
)
def test_a_setting_that_cannot_be_is_refused_by_name(haven, body):
    before = haven.get("/api/config").body
    refused = haven.put("/api/config", {"token_endpoint": "http://localhost:1/", **body})
    assert_failure(refused, 422, "invalid_request")
    assert next(iter(body)) in refused.body["detail"] and haven.get("/api/config").body == before


# -- recording


def test_a_recording_from_start_to_file(haven, streamer):
    """Without a session: it joins by itself."""
    started = haven.post("/api/recording/start", {"mint_id": ROOM, "output_format": "source"})
    assert started.status == 200 and set(started.body) == RECORDING, started
    assert set(started.body["config"]) == RECORDED_AS and started.body["participant_sid"] == streamer.sid
    assert re.fullmatch(ROOM + r"_\d{8}_\d{6}(_\d+)?\.mkv", Path(started.body["output_path"]).name)
    assert ISO.match(started.body["start_time"])
    assert_failure(haven.post("/api/recording/start", {"mint_id": ROOM}), 409, "already_recording")

    status = eventually(lambda: has_frames(haven), 30)
    assert set(status) == STATUS and set(status["stats"]) >= COUNTERS and status["is_recording"] is True
    assert status["state"] == "recording" and status["error"] is None and status["file_size_mb"] > 0
    config = status["config"]
    assert (config["video_codec"], config["audio_codec"], config["format"]) == ("vp8", "opus", "source")
    assert (config["video_bitrate"], config["audio_bitrate"]) == ("source", "source")
    everything = haven.get("/api/recording/active").body
    assert set(everything) == {"success", "recordings"} and set(everything["recordings"]) == {ROOM}
    assert set(everything["recordings"][ROOM]) == STATUS
    busy = haven.delete(f"/api/recordings/{started.body['recording_id']}")
    assert_failure(busy, 409, "recording_runs")

    began = time.monotonic()
    stopped = haven.post("/api/recording/stop", {"mint_id": ROOM})
    assert time.monotonic() - began < 2  # as the contract has it
    assert stopped.status == 200 and set(stopped.body) == FINISHED, stopped
    assert stopped.body["recording_id"] == started.body["recording_id"] and ISO.match(stopped.body["end_time"])
    final = Path(stopped.body["final_path"])
    assert final.stat().st_size == stopped.body["file_size_bytes"]
    assert analyse.probe(final)["video"]["codec_name"] == "vp8"
    assert_failure(haven.post("/api/recording/stop", {"mint_id": ROOM}), 404, "not_recording")
    assert_failure(haven.get(f"/api/recording/status/{ROOM}"), 404, "not_recording")
    assert haven.get("/api/recording/active").body == {"success": True, "recordings": {}}
    haven.post("/api/live-sessions/stop", {"mint_id": ROOM})


def test_formats_are_what_this_machine_can_do(haven):
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: haven.get("/api/recording/formats"), range(3)))
    assert [a.status for a in answers] == [200] * 3 and answers[0].body == answers[1].body == answers[2].body
    body = answers[0].body
    assert set(body) == {"success", "formats", "quality_presets"}
    assert {"av1", "source"} <= set(body["formats"]) <= {"av1", "h264", "vp9", "mp4", "webm", "source", "opus", "wav"}
    for format in body["formats"].values():
        assert set(format) == {"description", "codec", "video_codec", "audio_codec", "container"}
    assert {n: (p["video_bitrate"], p["audio_bitrate"]) for n, p in body["quality_presets"].items()} == {
        "low": ("1000k", "64k"), "medium": ("2000k", "128k"), "high": ("4000k", "192k"),
    }  # fmt: skip
    assert all(set(p) == {"video_bitrate", "audio_bitrate", "description"} for p in body["quality_presets"].values())


def test_recordings_go_where_they_should(haven, session):
    assert haven.get("/api/recording/output-directory").body == {
        "success": True, "output_directory": str(haven.recordings),
    }  # fmt: skip
    other = haven.recordings / "other"
    moved = haven.post("/api/recording/set-output-directory", {"output_directory": str(other)})
    assert moved.status == 200 and moved.body == {"success": True, "output_directory": str(other)}
    assert haven.get("/api/config").body["recording_directory"] == str(other)
    with recording(haven) as started:
        assert Path(started["output_path"]).parent == other
    haven.put("/api/config", {"recording_directory": None})
    with recording(haven, output_directory=str(haven.recordings / "third")) as started:
        assert Path(started["output_path"]).parent == haven.recordings / "third"
    for path, body in (
        ("/api/recording/set-output-directory", {}),
        ("/api/recording/start", {"mint_id": ROOM}),
    ):
        for directory in ("/etc", str(haven.recordings / ".." / ".." / ".." / ".." / "etc"), "relative"):
            refused = haven.post(path, {**body, "output_directory": directory})
            assert_failure(refused, 422, "invalid_request")
    assert_failure(haven.post("/api/recording/set-output-directory", {}), 422, "invalid_request")


def test_a_directory_that_cannot_be_written_is_named_as_such(haven, session):
    (haven.recordings / "file").write_text("no directory")
    body = {"mint_id": ROOM, "output_directory": str(haven.recordings / "file" / "below")}
    refused = haven.post("/api/recording/start", body)
    assert refused.status == 422 and "file/below" in refused.body["detail"], refused


# -- a browser in the room itself


def test_a_browser_gets_a_token_of_its_own(haven, session, shared_livekit):
    answers = [haven.get(f"/api/live/connection/{ROOM}").body for _ in range(2)]
    assert all(set(a) == CONNECTION for a in answers) and answers[0]["success"] is True
    assert answers[0]["livekit_url"] == shared_livekit.env["LIVEKIT_URL"] and answers[0]["role"] == "viewer"
    assert answers[0]["connection_status"] == "connected" and set(answers[0]["stream_data"]) == STREAM_INFO
    claims = [jwt.decode(a["token"], shared_livekit.api_secret, algorithms=["HS256"]) for a in answers]
    assert claims[0]["sub"] != claims[1]["sub"] and claims[0]["sub"].startswith("haven-viewer-")
    grants = claims[0]["video"]
    assert grants["room"] == ROOM and grants["roomJoin"] is True and grants["canPublish"] is False
    assert claims[0]["exp"] - claims[0]["nbf"] <= 700


def test_a_browser_may_come_without_a_session_and_leave(haven):
    alone = haven.get("/api/live/connection/elsewhere").body
    assert set(alone) == CONNECTION and alone["connection_status"] == "disconnected"
    assert alone["participant_sid"] is None and alone["room_name"] == "elsewhere"
    for method in ("POST", "DELETE"):
        left = haven.call(method, "/api/live/disconnect/elsewhere")
        assert left.status == 200 and set(left.body) == {"success", "mint_id", "message"}
        assert left.body["mint_id"] == "elsewhere" and left.body["success"] is True


# -- events and library


def test_events_tell_of_sessions_tracks_and_recordings(haven, streamer):
    events = Events(haven)
    assert events.content_type == "text/event-stream"
    haven.post("/api/live-sessions/start", {"mint_id": ROOM})
    with recording(haven):
        eventually(lambda: has_frames(haven), 30)
    streamer.command("mute audio")
    eventually(lambda: events.of("track"), 20, "an event of a track")
    streamer.command("unmute audio")
    haven.post("/api/live-sessions/stop", {"mint_id": ROOM})
    eventually(lambda: "ended" in [e["state"] for e in events.of("session")], 20, "the end")
    events.close()

    assert {"connecting", "active", "ended"} <= {e["state"] for e in events.of("session")}
    assert [e["state"] for e in events.of("recording")][0] == "recording"
    assert "completed" in [e["state"] for e in events.of("recording")]
    for _, kind, data in (event for event in events.seen if event[1] != "disk"):  # that is of no room
        assert data["mint_id"] == data["room_name"] == ROOM and ISO.match(data["timestamp"])
        assert kind in ("session", "track", "recording")

    middle = len(events.seen) // 2
    again = Events(haven, events.seen[middle][0])
    eventually(lambda: len(again.seen) >= len(events.seen) - middle - 1, 20, "what was missed")
    assert again.seen[: len(events.seen) - middle - 1] == events.seen[middle + 1 :]
    again.close()
    stranger = Events(haven, "17")
    eventually(lambda: [kind for _, kind, _ in stranger.seen][:1] == ["reset"], 20, "reset")
    stranger.close()


def test_the_library_lists_serves_and_deletes(haven, session):
    ids = []
    for _ in range(3):
        with recording(haven) as started:
            eventually(lambda: has_frames(haven), 30)
        ids.append(started["recording_id"])
    page = haven.get(f"/api/recordings?mint_id={ROOM}&state=completed&limit=2&offset=1").body
    assert set(page) == {"success", "total", "limit", "offset", "recordings"}
    assert (page["limit"], page["offset"]) == (2, 1) and page["total"] >= 3
    assert [r["recording_id"] for r in page["recordings"]] == ids[1::-1]
    assert all(set(r) == ROW and set(r["parts"][0]) == PART for r in page["recordings"])
    assert haven.get("/api/recordings?mint_id=nobody").body["recordings"] == []

    row = haven.get(f"/api/recordings/{ids[0]}").body
    assert set(row) == ROW | {"success"} and row["config"]["video_codec"] == "vp8"
    content = Path(row["output_path"]).read_bytes()
    file = f"/api/recordings/{ids[0]}/file"
    whole = haven.get(file)
    assert whole.status == 200 and whole.body == content and whole.headers["Content-Type"] == "video/x-matroska"
    assert whole.headers["Accept-Ranges"] == "bytes"
    size = len(content)
    for wanted, status, first, last in (
        ("bytes=0-9", 206, 0, 9), ("bytes=-10", 206, size - 10, size - 1), (f"bytes={size - 1}-", 206, size - 1, size - 1),
        ("bytes=0-1,4-5", 200, 0, size - 1), ("nonsense", 200, 0, size - 1),
    ):  # fmt: skip
        part = haven.get(file, headers={"Range": wanted})
        assert (part.status, part.body) == (status, content[first : last + 1]), wanted
        assert part.headers["Content-Range"] == (f"bytes {first}-{last}/{size}" if status == 206 else None)
    beyond = haven.get(file, headers={"Range": f"bytes={size}-"})
    assert_failure(beyond, 416, "range_not_satisfiable")
    assert beyond.headers["Content-Range"] == f"bytes */{size}"
    head = haven.call("HEAD", file)
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) == size
    thumbnail = eventually(lambda: (t := haven.get(f"/api/recordings/{ids[0]}/thumbnail.jpg")).status == 200 and t)
    assert Image.open(io.BytesIO(thumbnail.body)).width == 320
    assert Path(row["output_path"]).with_suffix(".jpg").read_bytes() == thumbnail.body
    assert haven.get(f"/api/recordings/{ids[0]}/manifest.json").body["recording_id"] == ids[0]
    assert not row["parts"][0]["chat"] and not row["parts"][0]["subtitles"]
    for nothing in ("chat.jsonl", "chat.vtt"):
        assert_failure(haven.get(f"/api/recordings/{ids[0]}/{nothing}"), 404, "file_not_found")

    for id in ids:
        path = Path(haven.get(f"/api/recordings/{id}").body["output_path"])
        deleted = haven.delete(f"/api/recordings/{id}")
        assert deleted.status == 200 and deleted.body == {"success": True, "recording_id": id}
        assert not path.exists() and not any(path.with_suffix(end).exists() for end in (".json", ".jpg"))
        for suffix in ("", "/file", "/chat.jsonl", "/chat.vtt", "/manifest.json", "/thumbnail.jpg"):
            assert_failure(haven.get(f"/api/recordings/{id}{suffix}"), 404, "recording_not_found")


# -- the server itself


def test_the_server_tells_of_itself(haven):
    assert haven.get("/health").body == {"status": "ok"} and haven.get("/ready").body == {"status": "ready"}
    metrics = haven.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"\nhaven_sessions{" in metrics.body and b"\nhaven_http_requests_total " in metrics.body
    described = haven.get("/openapi.json").body
    assert described["openapi"].startswith("3.") and "/api/live-sessions/start" in described["paths"]
    assert set(haven.get("/").body) == {"name", "version", "status", "documentation"}
    page = haven.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.headers["Content-Type"].startswith("text/html") and b"<html" in page.body
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    script = re.search(rb'src="/?(web/[^"]+\.js)"', page.body).group(1).decode()
    assert haven.get("/" + script).headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    ["/health/", "/api/config/", "/api/live-sessions/active/", "/api/recordings/", "/api/live/connection/elsewhere/",
     "/api/recording/formats/", "/openapi.json/"],
)  # fmt: skip
def test_a_slash_at_the_end_does_not_matter(haven, path):
    plain = haven.get(path[:-1]).body
    slashed = haven.get(path)
    assert slashed.status == 200
    assert set(slashed.body) == set(plain)


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "method, path, headers, data, status, code",
    [
        ("POST", "/api/live-sessions/start", JSON, b"{", 400, "malformed_json"),
        ("POST", "/api/live-sessions/start", JSON, b"", 400, "malformed_json"),
        ("POST", "/api/live-sessions/start", JSON, b" ", 400, "malformed_json"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": "a\\u0000b"}', 400, "malformed_json"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": "a\\757"}', 400, "malformed_json"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": "a", "\\757": 1}', 400, "malformed_json"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": "a", "x": ["\\ud800"]}', 400, "malformed_json"),
        ("POST", "/api/live-sessions/start", JSON, b"[]", 422, "invalid_request"),
        ("POST", "/api/live-sessions/start", JSON, b"{}", 422, "invalid_request"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": 5}', 422, "invalid_request"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": ""}', 422, "invalid_request"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": "%s"}' % (b"x" * 129), 422, "invalid_request"),
        ("POST", "/api/live-sessions/start", JSON, b'{"mint_id": "a", "record_session": "yes"}', 422, "invalid_request"),
        ("POST", "/api/live-sessions/start", {"Content-Type": "text/plain"}, b"{}", 415, "unsupported_media_type"),
        ("POST", "/api/live-sessions/start", JSON, b" " * 70000, 413, "body_too_large"),
        ("POST", "/api/live-sessions/start", JSON, b'{"room_name": "empty"}', 504, "no_streamer"),
        ("POST", "/api/live-sessions/stop", JSON, b'{"room_name": "nobody"}', 404, "session_not_found"),
        ("GET", "/api/live-sessions/nobody", {}, None, 404, "session_not_found"),
        ("GET", "/api/live-sessions/nobody/snapshot.jpg", {}, None, 404, "session_not_found"),
        ("GET", "/api/live-sessions/nobody/stream.mjpeg", {}, None, 404, "session_not_found"),
        ("GET", "/api/live-sessions/" + "x" * 129, {}, None, 422, "invalid_request"),
        ("GET", GEN1, {}, None, 426, "upgrade_required"),
        ("GET", GEN2 + "?width=1", {}, None, 422, "invalid_request"),
        ("GET", GEN2 + "?audio=2", {}, None, 422, "invalid_request"),
        ("PUT", "/api/config", JSON, b"nonsense", 400, "malformed_json"),
        ("POST", "/api/recording/start", JSON, b'{"mint_id": "a", "output_format": "avi"}', 422, "invalid_request"),
        ("POST", "/api/recording/start", JSON, b'{"mint_id": "a", "video_quality": "best"}', 422, "invalid_request"),
        ("POST", "/api/recording/start", JSON, b'{"mint_id": "a", "segment_mb": -1}', 422, "invalid_request"),
        ("POST", "/api/recording/start", JSON, b'{"mint_id": "a", "segment_minutes": "5"}', 422, "invalid_request"),
        ("POST", "/api/recording/stop", JSON, b'{"mint_id": "nobody"}', 404, "not_recording"),
        ("GET", "/api/recording/status/nobody", {}, None, 404, "not_recording"),
        ("GET", "/api/recordings/nothing", {}, None, 404, "recording_not_found"),
        ("DELETE", "/api/recordings/nothing", {}, None, 404, "recording_not_found"),
        ("GET", "/api/recordings?limit=0", {}, None, 422, "invalid_request"),
        ("GET", "/api/recordings?offset=-1", {}, None, 422, "invalid_request"),
        ("GET", "/api/nothing", {}, None, 404, "not_found"),
        ("GET", "/web/nothing.js", {}, None, 404, "not_found"),
        ("GET", "/health", {"Host": "example.org"}, None, 403, "host_not_allowed"),
        ("GET", "/api/config", {"Origin": "http://example.org"}, None, 403, "origin_not_allowed"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, (str, int)) else None,
)
def test_what_is_wrong_is_answered_by_its_code(haven, method, path, headers, data, status, code):
    assert_failure(haven.call(method, path, data=data, headers=headers), status, code)


@pytest.mark.parametrize(
    "request_",
    ["NONSENSE", "GET /health HTTP/1.1", "GET http://[/ HTTP/1.1\r\nHost: localhost",
     "POST /api/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: many",
     "GET /api/recordings/%00 HTTP/1.1\r\nHost: localhost"],
    ids=["no request", "no host", "no address", "no length", "a zero byte"],
)  # fmt: skip
def test_what_is_not_http_gets_the_same_form(haven, request_):
    head, _, body = haven.raw(request_.encode() + b"\r\n\r\n").partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0] and b"Content-Type: application/json" in head
    assert json.loads(body)["code"] == "bad_request"


def test_a_session_that_failed_says_why(haven):
    haven.post("/api/live-sessions/start", {"room_name": "void"})
    gone = haven.get("/api/live-sessions/void")
    assert_failure(gone, 404, "session_not_found")
    assert "failed" in gone.body["detail"]


@pytest.mark.parametrize(
    "method, path, allow",
    [
        ("GET", "/api/live-sessions/start", "POST"),
        ("DELETE", "/api/config", "GET, HEAD, PUT"),
        ("PUT", "/api/recordings/x", "GET, HEAD, DELETE"),
        ("GET", "/api/live/disconnect/x", "POST, DELETE"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
def test_another_method_is_told_which_there_are(haven, method, path, allow):
    refused = haven.call(method, path)
    assert_failure(refused, 405, "method_not_allowed")
    assert refused.headers["Allow"] == allow


@pytest.mark.parametrize("origin", ["http://localhost:3000", "file://", "null"])
def test_a_frontend_of_another_origin_may_call(haven, origin):
    answer = haven.get("/api/config", headers={"Origin": origin})
    assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == origin
    asked = haven.call(
        "OPTIONS", "/api/config", headers={"Origin": origin, "Access-Control-Request-Method": "PUT"}
    )
    assert asked.status == 204 and "PUT" in asked.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in asked.headers["Access-Control-Allow-Headers"]


# -- who may call, and what LiveKit says


def test_a_token_opens_what_is_locked(loner):
    for path in ("/api/config", "/api/live-sessions/active", "/metrics", "/api/events", GEN1):
        refused = loner.get(path)
        assert_failure(refused, 401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    for path in ("/", "/health", "/ready", "/openapi.json"):
        assert loner.get(path).status == 200
    assert loner.get("/api/config", headers={"Authorization": "Bearer sesame"}).status == 200
    assert loner.get("/api/config?access_token=sesame").status == 200
    wrong = loner.get("/api/config", headers={"Authorization": "Bearer sesam"})
    assert_failure(wrong, 401, "unauthorized")
    by_query = loner.put("/api/config?access_token=sesame", {})
    assert_failure(by_query, 401, "unauthorized")


def test_livekit_and_token_endpoint_have_codes_of_their_own(loner, shared_livekit, started):
    def call(method, path, body=None):
        return loner.call(method, path, body, headers={"Authorization": "Bearer sesame"})

    def start():
        return call("POST", "/api/live-sessions/start", {"mint_id": "x"})

    assert_failure(start(), 409, "not_configured")
    assert_failure(call("GET", "/api/live/connection/x"), 409, "not_configured")
    url = shared_livekit.env["LIVEKIT_URL"]
    call("PUT", "/api/config", {"livekit_url": url, "livekit_api_key": "devkey", "livekit_api_secret": "wrong" * 8})
    assert_failure(start(), 502, "livekit_refused")
    call("PUT", "/api/config", {"livekit_url": "ws://127.0.0.1:1"})
    assert_failure(start(), 502, "livekit_unavailable")

    endpoint = started(TokenEndpoint((403, {})))
    call("PUT", "/api/config", {"token_endpoint": endpoint.url})
    assert_failure(start(), 502, "livekit_refused")
    assert endpoint.requests[-1]["mintId"] == "x" and endpoint.requests[-1]["role"] == "viewer"
    assert call("GET", "/api/live/connection/x").status == 502
    endpoint.answer = None
    assert_failure(start(), 504, "livekit_timeout")


def test_secrets_stand_nowhere(haven, session, loner, shared_livekit):
    """In no answer, log line, argument or metric, and in no session's environment; a browser's token is only its own."""
    with recording(haven):
        eventually(lambda: has_frames(haven), 30)
        token = haven.get(f"/api/live/connection/{ROOM}").body["token"]
        loner.get("/api/config?access_token=sesame")
        said = [
            haven.call("GET", path, headers={"Accept": "*/*"}).body
            for path in ("/metrics", "/api/config", "/api/live-sessions/active", f"/api/live-sessions/{ROOM}",
                         f"/api/recording/status/{ROOM}", "/api/recordings", "/openapi.json", "/")
        ]  # fmt: skip
        sessions = haven.session_pids()
        assert len(sessions) == 1
        for pid in (haven.process.pid, loner.process.pid, *sessions):
            said.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        said += [Path(f"/proc/{pid}/environ").read_bytes() for pid in sessions]
    said = "\n".join(map(str, [*said, haven.log, loner.log]))
    assert '"event":"request"' in said and "haven_sessions" in said and "--socket" in said
    for secret in (shared_livekit.api_secret, "sesame", token, "eyJ"):
        assert secret not in said
