"""What goes wrong beneath a recording: its disk fails or hangs, its process stands still."""

import errno
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pattern
import pytest
from havenlib import analyse
from havenlib.disk import Disk
from havenlib.events import Events
from havenlib.haven import assert_failure
from havenlib.process import eventually
from havenlib.watcher import Watcher


def record(haven, room, **order):
    reply = haven.post("/api/recording/start", {"mint_id": room, **order})
    assert reply.status == 200, reply
    return reply.body["recording_id"]


def row(haven, recording):
    return haven.get(f"/api/recordings/{recording}").body


def wait_recorded(haven, room, seconds):
    eventually(lambda: status(haven, room)["stats"]["video_frames"] >= seconds * 30, 60, f"{seconds} s of a recording")


def status(haven, room):
    return haven.get(f"/api/recording/status/{room}").body


DISKS = [
    ("av1", "write", errno.EIO, "Input/output error"), ("source", "write", errno.EIO, "Input/output error"),
    ("source", "sync", errno.EIO, "Input/output error"), ("av1", "write", errno.ENOSPC, "No space left"),
]  # fmt: skip


@pytest.mark.parametrize("form, call, number, said", DISKS, ids=[f"{f}-{c}-{errno.errorcode[n]}" for f, c, n, _ in DISKS])
def test_a_disk_that_fails_costs_the_recording_two_seconds_at_most(
    shared_livekit, room, publisher, haven_factory, tmp_path, started, form, call, number, said
):
    disk = Disk(tmp_path / "recordings", tmp_path / "fault")
    haven = haven_factory(shared_livekit, env=disk.env)
    streamer = publisher(server=shared_livekit, room=room, video="vp8-360")
    events = started(Events(haven))
    recording = record(haven, room, output_format=form, video_quality="low" if form == "av1" else None)
    wait_recorded(haven, room, 4)
    before = haven.session_pids()

    disk.fail(call, number)
    failed_at = time.monotonic_ns()
    told = events.wait_for("recording", lambda data: data["state"] != "recording")
    ended_at = time.monotonic_ns()
    print(f"\n{form}, {call}: {told['error']}")
    assert told["state"] == "interrupted" and said in told["error"] and told["end_time"]
    (part,) = told["parts"]
    assert not part["complete"] and part["path"].endswith(".mkv.part"), "its end is not written"
    assert_failure(haven.post("/api/recording/stop", {"mint_id": room}), 404, "not_recording")
    assert haven.session_pids() == before and haven.get(f"/api/live-sessions/{room}").body["state"] == "active"
    disk.mend()
    second = record(haven, room, output_format="source")
    wait_recorded(haven, room, 2)
    assert haven.post("/api/recording/stop", {"mint_id": room}).body["final_path"].endswith(".mkv")
    assert row(haven, second)["state"] == "completed"

    (part,) = eventually(lambda: (p := row(haven, recording)["parts"])[0]["complete"] and p, 30, "its recovery")
    assert part["recovered"] == (call == "write") and part["path"].endswith(".mkv")
    ended = row(haven, recording)
    assert ended["state"] == "interrupted" and said in ended["error"]
    manifest = json.loads(Path(part["path"]).with_suffix(".json").read_text())
    assert "complete" not in manifest["parts"][0]
    found = analyse.recording(part["path"])
    assert abs(found.probe["duration"] - part["duration_seconds"]) < 0.1
    assert found.sequence.share > (0.999 if form == "source" else 0.98) and not found.sequence.out_of_order
    assert all(abs(ms) < 40 for _, ms in found.offsets)
    last = [s.monotonic_ns for s in streamer.sent() if s.counter == found.frames[-1].counter and s.monotonic_ns < ended_at]
    lost = (failed_at - last[-1]) / 1e9
    print(f"the last picture in it was sent {lost:.2f} s before the disk failed; {found.sequence}")
    assert lost < 2


@pytest.fixture
def hanging(shared_livekit, room, publisher, haven_factory, tmp_path):
    """(the disk that shall hang, a server that records four seconds to it, the streamer, the recording's id)"""
    disk = Disk(tmp_path / "recordings", tmp_path / "fault")
    haven = haven_factory(shared_livekit, env=disk.env)
    streamer = publisher(server=shared_livekit, room=room, video="vp8-360")
    recording = record(haven, room, output_format="source")
    wait_recorded(haven, room, 4)
    return disk, haven, streamer, recording


def assert_ends_where_it_hung(file, streamer, hung_at):
    """It plays, has all pictures that it has without a hole, and at most two seconds before the disk hung are lost."""
    found = analyse.recording(file)
    assert found.sequence.share > 0.999 and not found.sequence.out_of_order
    # What waits for its sync is written, so the last may be of after it: of this turn of the clip, by when a stop has an answer.
    of_last = [s.monotonic_ns for s in streamer.sent() if s.counter == found.frames[-1].counter]
    last = max(at for at in of_last if at < hung_at + 2e9)
    lost = (hung_at - last) / 1e9
    print(f"the last picture in it was sent {lost:.2f} s before the disk hung; {found.sequence}")
    assert lost < 2


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_stop_does_not_wait_for_ever_for_a_disk_that_hangs(hanging, room, call):
    disk, haven, streamer, recording = hanging

    disk.hang(call)
    hung_at = time.monotonic_ns()
    for _ in range(2):  # it may be asked again
        began = time.monotonic()
        reply = haven.post("/api/recording/stop", {"mint_id": room})
        took = time.monotonic() - began
        print(f"\n{call}, after {took:.2f} s: {reply.body['detail']}")
        assert_failure(reply, 504, "session_timeout")
        assert "disk" in reply.body["detail"]
        assert took < 2  # as the contract has it
    assert status(haven, room)["state"] == "stopping" and row(haven, recording)["state"] == "recording"
    (left,) = haven.recordings.glob("*.mkv*")
    assert left.suffix == ".part", "it has no name before it is on the disk"

    disk.mend()
    ended = eventually(lambda: (r := row(haven, recording))["state"] != "recording" and r, 30, "its end")
    if call == "sync":
        assert ended["state"] == "completed" and ended["error"] is None
    else:
        assert ended["state"] == "interrupted" and "could not be written in time" in ended["error"]
    (part,) = eventually(lambda: (p := row(haven, recording)["parts"])[0]["complete"] and p, 30, "its completion")
    assert part["recovered"] == (call == "write") and part["path"] == str(left.with_suffix(""))
    manifest = json.loads(Path(part["path"]).with_suffix(".json").read_text())
    assert manifest["error"] == ended["error"] and "complete" not in manifest["parts"][0]
    assert_failure(haven.get(f"/api/recording/status/{room}"), 404, "not_recording")
    assert_ends_where_it_hung(part["path"], streamer, hung_at)


def test_a_stop_says_that_the_end_could_not_be_written(hanging, room):
    disk, haven, streamer, recording = hanging
    disk.fail("name")
    failed_at = time.monotonic_ns()
    reply = haven.post("/api/recording/stop", {"mint_id": room})
    print("\n", reply.body)
    assert reply.status == 200 and reply.body["success"] is False
    assert "could not be named" in reply.body["error"] and reply.body["final_path"].endswith(".mkv.part")
    told = row(haven, recording)
    assert told["state"] == "interrupted" and told["error"] == reply.body["error"]
    (part,) = eventually(lambda: (p := row(haven, recording)["parts"])[0]["complete"] and p, 30, "its recovery")
    assert_ends_where_it_hung(part["path"], streamer, failed_at)


def test_a_session_that_is_stopped_while_the_disk_hangs_leaves_a_recording(hanging, room):
    disk, haven, streamer, recording = hanging
    disk.hang("write")
    hung_at = time.monotonic_ns()
    assert haven.post("/api/live-sessions/stop", {"mint_id": room}).status == 200
    told = row(haven, recording)
    print("\n", told["error"])
    assert told["state"] == "interrupted" and "was killed" in told["error"]
    disk.mend()
    (part,) = eventually(lambda: (p := row(haven, recording)["parts"])[0]["complete"] and p, 30, "its recovery")
    assert part["recovered"] and row(haven, recording)["error"] == told["error"]
    assert_ends_where_it_hung(part["path"], streamer, hung_at)


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def test_what_cannot_be_finished_yet_waits_for_a_disk_that_works(
    shared_livekit, room, publisher, haven_factory, tmp_path
):
    """The disk fails while no server is there, and is read-only for the first that comes."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount in a namespace of his own")
    disk = Disk(tmp_path / "recordings", tmp_path / "fault")
    first = haven_factory(shared_livekit, env=disk.env)
    publisher(server=shared_livekit, room=room, video="vp8-720")
    recording = record(first, room, output_format="source", segment_mb=1)
    eventually(lambda: len([p for p in row(first, recording)["parts"] if p["complete"]]) == 1, 60, "a whole part")
    first.kill()
    disk.fail("sync")
    path = eventually(lambda: next(iter(disk.directory.glob("*.json")), None), 60, "the manifest")
    told = json.loads(path.read_text())
    whole = [part.get("complete", True) for part in told["parts"]]  # another may have begun meanwhile
    assert whole[0] and not whole[-1] and "Input/output error" in told["error"]
    left = [disk.directory / f"{part['file']}.part" for part in told["parts"] if "complete" in part]
    heads = [f for f, p in zip(left, told["parts"][1:]) if not p["video_frames"] + p["audio_frames"]]  # nothing else
    before = [file.read_bytes() for file in left]

    second = haven_factory(shared_livekit, under=[*NAMESPACE, "sh", "-c", READ_ONLY, "sh", disk.directory])
    for file in left:
        failed = second.process.wait_for(rf'.*"event":"recovery-failed".*{re.escape(file.name)}.*', 60).group()
        assert json.loads(failed)["message"] == "Read-only file system"
    parts = row(second, recording)["parts"]
    assert [part["complete"] for part in parts] == whole and parts[-1]["path"] == str(left[-1])
    assert row(second, recording)["state"] == "interrupted" and [file.read_bytes() for file in left] == before
    second.terminate()

    disk.mend()
    third = haven_factory(shared_livekit)
    for file in heads:
        third.process.wait_for(rf"{re.escape(file.name)}.*nothing in it but its head", 30)

    def finished():
        return [part for part in row(third, recording)["parts"] if part["complete"]]

    parts = eventually(lambda: len(found := finished()) == len(told["parts"]) - len(heads) and found, 30, "the recovery")
    assert [file for file in left if file.exists()] == heads
    manifest = json.loads(path.read_text())
    assert [part["file"] for part in manifest["parts"] if "complete" not in part] == [Path(p["path"]).name for p in parts]
    assert len(list(disk.directory.glob("*.json"))) == 1
    seen = analyse.sequence([frame.counter for part in parts for frame in analyse.read_video(part["path"])])
    assert seen.share == 1 and not seen.duplicates and not seen.out_of_order


STILL = 9  # seconds; less than the two answers that the server waits for, and not the length of the clip


@pytest.mark.parametrize("form", ["av1", "source"])
@pytest.mark.alone
def test_a_recording_goes_on_after_its_process_stood_still(
    shared_livekit, room, publisher, haven_factory, started, form
):
    """As on a machine that is suspended, or so busy that it runs nothing else."""
    haven = haven_factory(shared_livekit)
    publisher(server=shared_livekit, room=room, video="vp8-360")
    recording = record(haven, room, output_format=form, video_quality="low" if form == "av1" else None)
    viewer = started(Watcher("viewer", haven.ws(f"/api/live-sessions/stream/{room}")))
    viewer.wait_pictures(30)
    wait_recorded(haven, room, 4)
    (pid,) = haven.session_pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(STILL)
        assert haven.get("/health").status == 200 and row(haven, recording)["state"] == "recording"
    finally:
        os.kill(pid, signal.SIGCONT)
    went_on = time.monotonic_ns()
    viewer.wait_pictures(60, after=went_on)
    wait_recorded(haven, room, 4 + 10)  # some of them again
    assert haven.session_pids() == [pid] and not viewer.closes, "nobody was thrown out for that"
    assert haven.post("/api/recording/stop", {"mint_id": room}).status == 200

    told = row(haven, recording)
    (part,) = told["parts"]
    assert told["state"] == "completed" and not told["error"] and not part["recovered"]
    found = analyse.recording(part["path"])
    (manifest,) = json.loads(Path(part["path"]).with_suffix(".json").read_text())["parts"]
    print(f"\n{form}: offsets {found.offsets}; beeps {found.beeps}; manifest {manifest['gaps']}, {manifest['drops']}")
    times = [f.pts for f in found.frames]
    gap, begin = max((b - a, a) for a, b in zip(times, times[1:]))
    sound = next(g for g in manifest["gaps"] if g["kind"] == "audio")
    assert [g["kind"] for g in manifest["gaps"]].count("audio") == 1 and all(g["reason"] == "lost" for g in manifest["gaps"])
    assert STILL - 2 < sound["duration_seconds"] < STILL + 1 and abs(sound["start_seconds"] - begin) < 1
    # Of the pictures the server sends the last seconds again.
    pictures = [g for g in manifest["gaps"] if g["kind"] == "video"]
    assert pictures and gap > STILL / 3 and abs(pictures[0]["start_seconds"] - begin) < 1
    assert all(g["start_seconds"] + g["duration_seconds"] < begin + STILL + 3 for g in pictures)

    # What waited while nobody took it is where it was sent, and so is all that follows.
    back = sound["start_seconds"] + sound["duration_seconds"]
    # Of a beep in which the sound comes back there is but the end.
    beeps = [at for at in found.beeps if abs(at - back) > pattern.BEEP_SECONDS]
    offsets = [ms for flash, ms in found.offsets if abs(flash + ms / 1000 - back) > pattern.BEEP_SECONDS]
    (flash, *_) = analyse.flash_onsets(found.frames)
    assert len(offsets) >= 6 and max(map(abs, offsets)) < 40
    assert max(map(abs, analyse.astray(found.frames))) < 0.04
    assert all(abs((at - flash + 0.5) % 1 - 0.5) < 0.04 for at in beeps), "they are a second apart"
