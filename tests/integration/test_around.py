"""What goes on around a recording: the disk fills, a command and a webhook hear of it."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from havenlib import analyse
from havenlib.events import Events
from havenlib.haven import assert_failure
from havenlib.livekit import RigCtl
from havenlib.process import eventually
from havenlib.token_endpoint import TokenEndpoint
from havenlib.webhook import Webhook, is_signed
from livekit import rtc

# A disk of so many bytes that is there for the program alone, and gone with it: nothing has to be unmounted.
SMALL_DISK = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def record(haven, room, **order):
    reply = haven.post("/api/recording/start", {"mint_id": room, "output_format": "source", **order})
    assert reply.status == 200, reply
    return reply.body["recording_id"]


def row(haven, recording):
    return haven.get(f"/api/recordings/{recording}").body


def wait_frames(haven, room, count=20):
    path = f"/api/recording/status/{room}"
    eventually(lambda: haven.get(path).body["stats"]["video_frames"] >= count, 30, "some recording")


def test_a_disk_that_fills_is_warned_of_and_the_recording_ends_before_it_is_full(
    shared_livekit, room, publisher, haven_factory, tmp_path, started
):
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount in a namespace of his own")
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    haven = haven_factory(
        shared_livekit,
        config={"recording": {"reserve-megabytes": 8, "warn-megabytes": 8}},
        under=[*NAMESPACE, "sh", "-c", SMALL_DISK, "sh", "32000000", recordings],
    )
    disk = Path(f"/proc/{haven.process.pid}/root{recordings}")  # as the program sees it
    publisher(server=shared_livekit, room=room, video="vp8-360")
    events = started(Events(haven))
    recording = record(haven, room)
    wait_frames(haven, room)
    assert not events.of("disk")

    def leave(megabytes):
        (disk / "filler").unlink(missing_ok=True)
        size = shutil.disk_usage(disk).free - megabytes * 1000000
        (disk / "filler").write_bytes(bytes(size))

    leave(12)
    told = events.wait_for("disk", lambda data: data["low"])
    assert told["directory"] == str(recordings) and told["reserve_bytes"] == 8000000
    assert told["available_bytes"] < 16000000
    assert row(haven, recording)["state"] == "recording"
    leave(7)
    ended = events.wait_for("recording", lambda data: data["state"] != "recording")
    assert ended["state"] == "completed" and "is full" in ended["error"] and ended["parts"][0]["complete"]
    assert_failure(haven.post("/api/recording/start", {"mint_id": room}), 507, "disk_full")
    name = Path(ended["output_path"]).name
    file = analyse.recording(shutil.copy(disk / name, tmp_path / name))
    assert file.sequence.share == 1 and len(file.frames) >= 20
    leave(20)
    events.wait_for("disk", lambda data: not data["low"])
    assert '"event":"disk-low"' in haven.log and '"event":"disk-no-longer-low"' in haven.log


def test_a_command_and_a_webhook_hear_of_a_recording(
    shared_livekit, room, publisher, haven_factory, tmp_path, started
):
    webhook = started(Webhook(answers=[503]))
    script, found = tmp_path / "on complete.py", tmp_path / "found.json"
    script.write_text(
        "import json, os, sys\n"
        "names = ('HAVEN_', 'LIVEKIT_')\n"
        "text = json.dumps({n: v for n, v in os.environ.items() if n.startswith(names)})\n"
        "open(sys.argv[1] + '.new', 'w').write(text)\n"
        "os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
        "print('moved to the archive')\n"
    )
    haven = haven_factory(
        shared_livekit,
        config={"recording": {"on-complete": f"'{sys.executable}' '{script}' '{found}'", "webhook-url": webhook.url}},
        env={"HAVEN_WEBHOOK_SECRET": "a-secret-of-both"},
    )
    # What a caller could set would be run by us.
    for name in ("on_complete", "on-complete", "HAVEN_ON_COMPLETE"):
        assert haven.put("/api/config", {name: "touch /tmp/owned", "webhook_url": "http://127.0.0.1:9/"}).status == 200
    publisher(server=shared_livekit, room=room, video="vp8-360")
    recording = record(haven, room)
    wait_frames(haven, room)
    assert not found.exists()
    assert haven.post("/api/recording/stop", {"mint_id": room}).status == 200

    environment = eventually(lambda: found.exists() and json.loads(found.read_text()), 30, "the command")
    told = row(haven, recording)
    assert environment["HAVEN_RECORDING_ID"] == recording and environment["HAVEN_RECORDING_ROOM"] == room
    assert environment["HAVEN_RECORDING_PATH"] == told["output_path"]
    assert environment["HAVEN_RECORDING_STATE"] == "completed" and environment["HAVEN_RECORDING_ERROR"] == ""
    assert json.loads(Path(environment["HAVEN_RECORDING_MANIFEST"]).read_text())["recording_id"] == recording
    assert int(environment["HAVEN_RECORDING_SIZE"]) == Path(told["output_path"]).stat().st_size
    assert not {"LIVEKIT_API_SECRET", "HAVEN_WEBHOOK_SECRET"} & set(environment)
    haven.process.wait_for(r"command-output.*moved to the archive")
    haven.process.wait_for("command-done")

    (completed,) = webhook.wait_for("recording.completed")
    assert completed["event"] == "recording.completed"
    assert completed["recording"] == {k: v for k, v in told.items() if k != "success"}
    assert len(webhook.wait_for("recording.started", 2)) == 2, "the first time it was refused"
    assert all(is_signed(*request, "a-secret-of-both") for request in webhook.requests)
    assert not any(is_signed(*request, "another") for request in webhook.requests)
    haven.process.wait_for("webhook-delivered.*recording.started")
    assert "a-secret-of-both" not in haven.log and webhook.url not in haven.log


# -- auto-record

AUTO = {
    "success", "mint_id", "state", "recording_id", "error", "output_format", "video_quality", "audio_quality",
    "output_directory", "name_template", "record_chat", "created_at", "updated_at",
}  # fmt: skip


def auto(haven, room):
    return haven.get(f"/api/auto-record/{room}").body


def wait_auto(haven, room, state, timeout=60):
    return eventually(lambda: (b := auto(haven, room))["state"] == state and b, timeout, f"{room} {state}")


def recordings(haven, room):
    """The oldest first."""
    return haven.get(f"/api/recordings?mint_id={room}").body["recordings"][::-1]


def test_a_room_is_recorded_whenever_somebody_streams_in_it(shared_livekit, room, publisher, haven_factory):
    haven = haven_factory(
        shared_livekit,
        config={"recording": {"auto-record-interval": 1, "auto-record-grace": 2}, "session": {"idle-timeout": 1}},
    )
    wish = {"output_format": "source", "name_template": "{room} of {date}"}
    put = haven.put(f"/api/auto-record/{room}", wish)
    assert put.status == 200 and put.body["state"] == "waiting" and set(put.body) == AUTO, put
    assert haven.put(f"/api/auto-record/{room}", {"name_template": "{x}"}).status == 422
    assert haven.put("/api/auto-record/another", {}).status == 200
    assert [r["mint_id"] for r in haven.get("/api/auto-record").body["rooms"]] == sorted([room, "another"])

    streamer = publisher(server=shared_livekit, room=room, video="vp8-360")
    first = wait_auto(haven, room, "recording")["recording_id"]
    wait_frames(haven, room)
    haven.kill()  # who is recorded, and why, is known to the next one
    haven.start()
    assert wait_auto(haven, room, "recording")["recording_id"] == first
    assert len(haven.session_pids()) == 1, "no process waits in the other room"
    streamer.stop()
    ended = eventually(lambda: (r := row(haven, first))["state"] != "recording" and r, 60, "its end")
    assert ended["state"] == "completed" and ended["error"] is None, ended
    assert Path(ended["output_path"]).name.startswith(f"{room}_of_20")
    eventually(lambda: not haven.session_pids(), 30, "the session's end")
    assert auto(haven, room)["state"] == "waiting"

    # Stopped by a person it stays so, until the streamer has gone and comes back.
    streamer = publisher(server=shared_livekit, room=room, video="vp8-360")
    wait_auto(haven, room, "recording")
    assert haven.post("/api/recording/stop", {"mint_id": room}).status == 200
    wait_auto(haven, room, "held")
    streamer.stop()
    wait_auto(haven, room, "waiting")
    publisher(server=shared_livekit, room=room, video="vp8-360")
    wait_auto(haven, room, "recording")
    assert len(recordings(haven, room)) == 3
    assert haven.delete(f"/api/auto-record/{room}").status == 200
    assert_failure(haven.get(f"/api/auto-record/{room}"), 404, "auto_record_not_found")
    assert haven.get(f"/api/recording/status/{room}").status == 200, "what runs goes on"


def test_without_a_key_a_start_is_tried_again_and_again(shared_livekit, room, publisher, haven_factory, started):
    rigctl = RigCtl(shared_livekit)
    endpoint = started(TokenEndpoint(lambda body: (200, {"token": rigctl.token(body["mintId"])})))
    haven = haven_factory(
        env={"LIVEKIT_URL": shared_livekit.url, "LIVEKIT_TOKEN_ENDPOINT": endpoint.url},
        config={"recording": {"auto-record-interval": 1}, "session": {"streamer-timeout": 1}},
    )
    assert haven.put(f"/api/auto-record/{room}", {"output_format": "source"}).status == 200
    eventually(lambda: len(endpoint.requests) >= 2, 60, "a second attempt")
    assert auto(haven, room)["error"] is None, "that nobody streams is no error"
    publisher(server=shared_livekit, room=room, video="vp8-360")
    wait_auto(haven, room, "recording", 90)


# -- what is said


def test_what_is_said_is_written_beside_the_recording(shared_livekit, room, publisher, haven_factory):
    """By the two ways in which official clients send chat, and as data of an application."""
    haven = haven_factory(shared_livekit)
    publisher(server=shared_livekit, room=room, video="vp8-360")
    recording = record(haven, room, record_chat=True)
    wait_frames(haven, room)
    name = Path(row(haven, recording)["output_path"])

    def lines():
        path = name.with_suffix(".jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    async def talk():
        someone = rtc.Room()
        await someone.connect(shared_livekit.url, RigCtl(shared_livekit).token(room, "ann"))
        me = someone.local_participant
        await me.publish_data(b"\x00\xff", topic="cursor")
        await me.publish_data(json.dumps({"id": "1", "message": "an older client"}), topic="lk-chat-topic")
        await me.send_text("hello & welcome", topic="lk.chat")
        await me.send_text("long " * 8000, topic="lk.chat")
        await asyncio.to_thread(eventually, lambda: len(lines()) >= 4, 30, "what was said")
        await someone.disconnect()

    asyncio.run(talk())
    stopped = haven.post("/api/recording/stop", {"mint_id": room}).body
    said = lines()
    assert {line["participant"] for line in said} == {"ann"}
    assert sorted(line["topic"] for line in said) == ["cursor", "lk-chat-topic", "lk.chat", "lk.chat"]
    assert all(0 < line["offset_seconds"] <= stopped["duration_seconds"] for line in said)
    assert next(line for line in said if line["topic"] == "cursor")["base64"] == "AP8="
    assert {len(line["text"]) for line in said if line["topic"] == "lk.chat"} == {15, 40000}
    subtitles = name.with_suffix(".vtt").read_text()
    assert subtitles.startswith("WEBVTT\n\n00:00:") and "<v ann>hello &amp; welcome\n" in subtitles
    assert "<v ann>an older client\n" in subtitles and subtitles.count("-->") == 3
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", name.with_suffix(".vtt")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert probed.stdout.strip() == "webvtt"

    (part,) = row(haven, recording)["parts"]
    assert part["chat"] and part["subtitles"]
    for path, kind in (("chat.jsonl", "application/jsonl"), ("chat.vtt", "text/vtt")):
        file, url = name.with_suffix(Path(path).suffix), f"/api/recordings/{recording}/{path}"
        whole, size = haven.get(url), file.stat().st_size
        assert (whole.status, whole.headers["Content-Type"], whole.body) == (200, kind, file.read_bytes())
        assert f'filename="{file.name}"' in whole.headers["Content-Disposition"]
        tail = haven.get(url, headers={"Range": "bytes=5-"})
        assert tail.status == 206 and tail.headers["Content-Range"] == f"bytes 5-{size - 1}/{size}"
        assert tail.body == whole.body[5:]
        head = haven.call("HEAD", url)
        assert head.status == 200 and int(head.headers["Content-Length"]) == size
        assert_failure(haven.get(f"{url}?part=2"), 422, "invalid_request")
    assert haven.get(f"/api/recordings/{recording}/manifest.json").body["recording_id"] == recording
    assert haven.delete(f"/api/recordings/{recording}").status == 200
    assert not list(haven.recordings.iterdir()), "it goes with its recording"
