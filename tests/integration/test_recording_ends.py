"""How a recording's end is told: in the list of recordings, in its manifest, and to who asked for it.

What nobody stopped says why it ended, in the same words everywhere; what somebody stopped says nothing.
"""

import asyncio
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from havenlib.events import Events
from havenlib.haven import PROGRAM
from havenlib.livekit import RigCtl
from havenlib.process import eventually
from livekit import rtc

OURS = "haven-player"  # our identity in the room


def status(at):
    return at.haven.get(f"/api/recording/status/{at.room}")


def row(at):
    return at.haven.get(f"/api/recordings/{at.id}").body


def wait_recorded(at, pictures):
    def recorded():
        found = status(at)
        return found.status == 200 and found.body["stats"]["video_frames"] >= pictures

    eventually(recorded, 60, f"{pictures} pictures")


def recording_is_stopped(at):
    answer = at.haven.post("/api/recording/stop", {"mint_id": at.room}).body
    assert answer["success"] is True and "error" not in answer


def session_is_stopped(at):
    assert at.haven.post("/api/live-sessions/stop", {"mint_id": at.room}).status == 200


def room_is_deleted(at):
    at.rigctl.delete(at.room)


def we_are_removed(at):
    at.rigctl.remove(at.room, OURS)


def another_takes_our_identity(at):
    async def join():
        other = rtc.Room()
        await other.connect(at.livekit.url, at.rigctl.token(at.room, OURS))
        await other.disconnect()

    asyncio.run(join())


def livekit_stays_away(at):
    at.livekit.kill()


def process_is_told_to_end(at):
    (pid,) = at.haven.session_pids()
    os.kill(pid, signal.SIGTERM)


def server_is_told_to_end(at):
    assert at.haven.terminate()[0] == 0
    at.haven.start()


def room_is_deleted_while_the_server_is_down(at):
    at.haven.kill()
    at.rigctl.delete(at.room)
    eventually(lambda: not at.haven.session_pids(), 30, "the session's end")
    at.haven.start()


ENDS = [
    (recording_is_stopped, None),
    (session_is_stopped, None),
    (room_is_deleted, "the room was deleted"),
    (we_are_removed, "removed from the room"),
    (another_takes_our_identity, "Another client joined"),
    (livekit_stays_away, "was lost for"),
    (process_is_told_to_end, "The session was ended: the server stops"),
    (server_is_told_to_end, "The session was ended: the server is shutting down"),
    (room_is_deleted_while_the_server_is_down, "the room was deleted"),
]


@pytest.mark.parametrize("act, said", ENDS, ids=[act.__name__ for act, _ in ENDS])
def test_the_end_of_a_recording_is_told(livekit, publisher, haven_factory, room, act, said):
    haven = haven_factory(livekit, config={"session": {"reconnect-timeout": 2}})
    publisher(server=livekit, room=room, video="vp8-360")
    reply = haven.post("/api/recording/start", {"mint_id": room, "output_format": "source"})
    at = SimpleNamespace(
        haven=haven, livekit=livekit, rigctl=RigCtl(livekit), room=room, id=reply.body["recording_id"]
    )
    wait_recorded(at, 30)
    assert status(at).body["error"] is None
    act(at)
    ended = eventually(lambda: (r := row(at))["state"] != "recording" and r, 60, "its end")
    print("\n", ended["error"])
    (part,) = ended["parts"]
    assert ended["state"] == "completed" and part["complete"] and not part["recovered"], "it is as after a stop"
    manifest = json.loads(Path(part["path"]).with_suffix(".json").read_text())
    assert ended["error"] == manifest["error"]
    assert said in ended["error"] if said else ended["error"] is None
    assert status(at).status == 404


def test_one_that_is_stopped_before_anything_came_leaves_nothing(livekit, publisher, haven_factory, room):
    """Neither a file that holds a head alone, nor a recording that is called complete; a room that is watched is held."""
    haven = haven_factory(livekit, config={"recording": {"auto-record-interval": 1}})
    streamer = publisher(server=livekit, room=room, video="vp8-360", audio=None)
    assert haven.post("/api/live-sessions/start", {"mint_id": room}).status == 200
    streamer.command("mute video")
    assert haven.put(f"/api/auto-record/{room}", {"output_format": "source"}).status == 200
    eventually(lambda: haven.get(f"/api/auto-record/{room}").body["state"] == "recording", 10, "its beginning")
    answer = haven.post("/api/recording/stop", {"mint_id": room})
    print("\n", answer.body)
    assert answer.status == 200 and answer.body["success"] is False and answer.body["final_path"] is None
    assert "Nothing came" in answer.body["error"]
    (told,) = haven.get("/api/recordings").body["recordings"]
    assert told["state"] == "failed" and told["error"] == answer.body["error"] and not told["parts"]
    assert haven.get(f"/api/auto-record/{room}").body["state"] == "held"
    assert status(SimpleNamespace(haven=haven, room=room)).status == 404
    assert not list(haven.recordings.iterdir())


def kill_session(at):
    (pid,) = eventually(at.haven.session_pids, 30, "its process")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pid not in at.haven.session_pids(), 10, "its death")


def test_a_session_that_dies_again_and_again_is_why_its_recording_ended(livekit, publisher, haven_factory, started, room):
    haven = haven_factory(livekit)
    publisher(server=livekit, room=room, video="vp8-360")
    events = started(Events(haven))
    reply = haven.post("/api/recording/start", {"mint_id": room, "output_format": "source"})
    at = SimpleNamespace(haven=haven, room=room, id=reply.body["recording_id"])
    wait_recorded(at, 30)
    kill_session(at)
    meanwhile = eventually(lambda: (s := status(at).body)["error"] and s, 10, "why it does not go on now")
    assert "signal 9" in meanwhile["error"] and meanwhile["is_recording"] and meanwhile["state"] == "connecting"
    kill_session(at)
    kill_session(at)
    told = events.wait_for("recording", lambda data: data["state"] != "recording")
    print("\n", told["error"])
    assert told["state"] == "interrupted" and "died three times within a minute" in told["error"]
    assert row(at)["error"] == told["error"]


def test_a_room_that_is_deleted_is_no_failure_of_haven_live_record(livekit, publisher, launch, room, tmp_path):
    publisher(server=livekit, room=room, video="vp8-360")
    file = tmp_path / "alone.mkv"
    recorder = launch(PROGRAM, "record", room, "-o", file, "-f", "source", "--json", env=livekit.env)
    part = tmp_path / "alone.mkv.part"
    eventually(lambda: part.exists() and part.stat().st_size > 100_000, 60, "some recording")
    RigCtl(livekit).delete(room)
    assert recorder.wait(30) == 0, recorder.output
    assert json.loads(recorder.lines[-1][1])["error"] == ""
    assert "the room was deleted" in json.loads(file.with_suffix(".json").read_text())["error"]
