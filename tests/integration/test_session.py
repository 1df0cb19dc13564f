"""haven-session on the real server: D-Bus peer to peer, viewers by fd passing, recordings."""

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pattern
import pytest
from havenlib import analyse
from havenlib.disk import Disk
from havenlib.haven import PROGRAM as HAVEN_LIVE
from havenlib.process import eventually
from havenlib.session import PROGRAM, Refused, Session
from havenlib.viewer import Viewer


# A helper that scans plugins could not load those that were built with a sanitizer.
IN_PROCESS = {"GST_REGISTRY_FORK": "no"}


@pytest.fixture
def session(gst_env, tmp_path, started):
    """session() -> a Session"""

    def make(env=None):
        return started(Session(tmp_path, {**gst_env, **IN_PROCESS, **(env or {})}, started))

    return make


def credentials(livekit, **more):
    return {
        "session_id": 7, "mint_id": "demo", "room_name": "demo", "livekit_url": livekit.url,
        "api_key": livekit.api_key, "api_secret": livekit.api_secret, **more,
    }  # fmt: skip


def pictures(viewer, after=0):
    return [m for m in viewer.messages if m.kind == "video" and m.monotonic_ns > after]


def wait_pictures(viewer, count, timeout=60, after=0):
    viewer._wait(lambda: len(pictures(viewer, after)) >= count, timeout, f"{count} pictures")
    return pictures(viewer, after)


def test_a_viewer_sees_and_hears(livekit, publisher, session):
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    info = control.call("start", **credentials(livekit))
    assert info["participant_identity"] == "streamer" and info["participant_sid"].startswith("PA_")
    assert info["session_id"] == 7 and info["room_name"] == "demo" and info["state"] == "active"
    assert control.property("State") == "active"

    viewer = Viewer(control.url + "gen1")
    seen = wait_pictures(viewer, 60)
    report = analyse.sequence([analyse.counter_of_jpeg(m.data) for m in seen])
    print(report)
    assert report.share > 0.99 and not report.out_of_order and not report.duplicates
    assert any(m.kind == "audio" for m in viewer.messages)
    assert control.property("NumViewers") == 1 and control.property("ViewerAddresses") == {"127.0.0.1": 1}

    control.call("stop", code=1000, reason="enough")
    viewer._wait(lambda: viewer._ended, 10, "end")
    assert viewer.close_code == 1000
    assert control.wait_event("Ended")["reason"] == "stopped"
    assert process.wait() == 0 and not process.socket.exists()


def test_branches_come_and_go_with_who_needs_them(livekit, publisher, session, tmp_path):
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    idle = control.stats()
    assert idle["decoders"] == 0 and idle["encoders"] == 0

    first, same = Viewer(control.url + "gen1"), Viewer(control.url + "gen2?quality=85")
    wait_pictures(first, 5), wait_pictures(same, 5)
    assert control.wait_stats("one encoder for the same ask", decoders=1, encoders=1)
    small = Viewer(control.url + "gen1?width=160&fps=10&audio=0")
    wait_pictures(small, 20)
    assert control.stats()["encoders"] == 2 and len(control.stats()["viewers"]) == 3
    assert {analyse.size_of_jpeg(m.data) for m in pictures(small)} == {(160, 90)}
    times = [m.monotonic_ns / 1e9 for m in pictures(small)]
    rate = (len(times) - 1) / (times[-1] - times[0])
    assert 8 < rate < 12 and not any(m.kind == "audio" for m in small.messages)
    control.call("snapshot", file=str(tmp_path / "still.jpg"), width=320)
    assert analyse.size_of_jpeg((tmp_path / "still.jpg").read_bytes()) == (320, 180)

    before = len(pictures(first))
    small.close()
    control.wait_stats("the small branch goes", encoders=1)
    wait_pictures(first, before + 30)
    first.close(), same.close()
    gone = control.wait_stats("nobody watches: nothing is decoded", decoders=0, encoders=0)
    assert gone["frames"] >= before + 30 and gone["bytes"] > 0 and gone["encode_seconds"] > 0
    report = analyse.sequence([analyse.counter_of_jpeg(m.data) for m in pictures(first)])
    print(report)
    assert report.share > 0.99 and not report.out_of_order, "who comes and goes costs the others pictures"


def read_parts(data):
    """The JPEGs in a multipart/x-mixed-replace answer."""
    while True:
        start = data.find(b"\r\n--haven\r\n")
        head_end = data.find(b"\r\n\r\n", start)
        if start < 0 or head_end < 0:
            return
        length = int(data[start:head_end].lower().partition(b"content-length:")[2].split()[0])
        jpeg = data[head_end + 4 : head_end + 4 + length]
        if len(jpeg) < length:
            return
        yield jpeg
        data = data[head_end + 4 + length :]


def test_mjpeg(livekit, publisher, session):
    publisher(video="vp8-360")
    control = session().control()
    control.call("start", **credentials(livekit))
    with socket.create_connection(("127.0.0.1", control.port)) as client:
        client.sendall(b"GET /mjpeg?width=320 HTTP/1.1\r\nHost: x\r\n\r\n")
        client.settimeout(30)
        data = b""
        while len(list(read_parts(data))) < 10:
            data += client.recv(65536)
    counters = [analyse.counter_of_jpeg(jpeg) for jpeg in read_parts(data)]
    assert analyse.sequence(counters).share == 1
    control.wait_stats("the branch goes", encoders=0)


def record(control, path, seconds, **settings):
    """Records for so long as the file says; returns what StopRecording answers."""
    control.call("start_recording", path=str(path), **settings)
    eventually(lambda: control.call("get_recording")["duration_seconds"] >= seconds, 60, "some recording")
    info = control.call("stop_recording")
    assert control.took < 2, f"stopping took {control.took} s"
    assert info["state"] == "stopped" and info["final_path"] == str(path) and info["error"] == ""
    assert info["file_size_bytes"] == path.stat().st_size and not list(path.parent.glob("*.part"))
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["format"] == settings["format"] and manifest["parts"][0]["size_bytes"] == path.stat().st_size
    return info


def summed(path):
    """The manifest of a recording, once the checksums in it are made; or None."""
    manifest = json.loads(path.with_suffix(".json").read_text())
    for part in manifest["parts"]:
        if part["sha256"] is None:
            return None
        assert part["sha256"] == hashlib.sha256((path.parent / part["file"]).read_bytes()).hexdigest()
    return manifest


def packet_count(path, stream):
    counted = subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-select_streams", stream,
         "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", str(path)],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    return int(counted.strip().strip(","))


FORMATS = [
    ("vp8", "source", "mkv", "vp8"),
    ("h264", "source", "mkv", "h264"),
    ("vp9", "source", "mkv", "vp9"),
    ("av1", "source", "mkv", "av1"),
    ("vp8", "av1", "mkv", "av1"),
    ("vp8", "h264", "mp4", "h264"),
    ("h264", "webm", "webm", "vp8"),
    ("vp8", "vp9", "webm", "vp9"),
]


@pytest.mark.parametrize("room, form, extension, codec", FORMATS, ids=[f"{r}-{f}" for r, f, _, _ in FORMATS])
def test_recording(livekit, publisher, session, tmp_path, room, form, extension, codec):
    publisher(video=f"{room}-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    path = tmp_path / f"a.{extension}"
    info = record(control, path, 6, format=form, video_quality="low")
    assert control.stats()["decoders"] == 0 and control.stats()["encoders"] == 0
    events = [e["info"]["state"] for e in control.events if e["event"] == "RecordingChanged"]
    assert events == ["recording", "stopped"]
    control.call("stop")

    found = analyse.recording(path)
    print(found.sequence, found.offsets, found.probe, info)
    assert found.probe["video"]["codec_name"] == codec and found.probe["audio"]["codec_name"] == "opus"
    assert abs(found.probe["duration"] - info["duration_seconds"]) < 1.2
    assert found.sequence.share > (0.999 if form == "source" else 0.98) and not found.sequence.out_of_order
    assert not found.sequence.duplicates and info["video_frames"] == len(found.frames)
    assert len(found.offsets) >= 4 and all(abs(ms) < 40 for _, ms in found.offsets)


def test_a_format_that_fits_the_room_is_copied(livekit, publisher, session, tmp_path):
    publisher(video="vp9-360")
    control = session().control()
    control.call("start", **credentials(livekit))
    path = tmp_path / "copied.webm"
    control.call("start_recording", path=str(path), format="webm")  # no quality is asked for
    eventually(lambda: control.call("get_recording")["video_frames"] > 90, 60, "pictures")
    assert control.stats()["decoders"] == 0 and control.stats()["encoders"] == 0
    info = control.call("stop_recording")
    assert info["video_bitrate"] == "source" and info["video_codec"] == "vp9"
    found = analyse.recording(path)
    assert found.probe["video"]["codec_name"] == "vp9" and found.sequence.share > 0.999


@pytest.mark.parametrize("form, extension, codec", [("opus", "opus", "opus"), ("wav", "wav", "pcm_s16le")])
def test_sound_alone(livekit, publisher, session, tmp_path, form, extension, codec):
    """With a pause in it, which stays one: what is heard afterwards is heard when it was."""
    streamer = publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    path = tmp_path / f"sound.{extension}"
    control.call("start_recording", path=str(path), format=form)

    def sounds(more):
        heard = control.call("get_recording")["audio_frames"]
        eventually(lambda: control.call("get_recording")["audio_frames"] > heard + more, 60, "sound")

    sounds(150)
    assert control.stats()["decoders"] == 0
    streamer.command("mute audio")
    time.sleep(3)  # how long the pause is does not matter, only that there is one
    streamer.command("unmute audio")
    sounds(200)
    if form == "wav":  # at any moment its header says how long it is
        left = path.with_name(path.name + ".part")
        eventually(lambda: analyse.probe(left)["duration"] > 5, 10, "a duration")
    info = control.call("stop_recording")
    assert control.took < 2 and info["video_frames"] == 0 and info["error"] == ""

    if form == "wav":  # nothing but sound is behind its header: that is set by the file's size while the file grows
        assert int.from_bytes(path.read_bytes()[76:80], "little") == path.stat().st_size - 80
    found = analyse.probe(path)
    manifest = eventually(lambda: summed(path), 30, "checksums")
    (part,) = manifest["parts"]
    print(found, part)
    assert found["audio"]["codec_name"] == codec and not found.get("video")
    assert abs(found["duration"] - part["duration_seconds"]) < 0.2
    (gap,) = part["gaps"]
    assert gap["kind"] == "audio" and gap["reason"] == "muted" and gap["duration_seconds"] > 1
    start, samples = analyse.lay_out(analyse.read_audio(path))
    beeps = analyse.beep_onsets(samples, start)
    print(beeps)
    at = gap["start_seconds"] + start, gap["start_seconds"] + start + gap["duration_seconds"]
    # The first after the pause may be the rest of a beep that the mute cut.
    whole = [beep for beep in beeps if beep < at[1] - 0.1] + [beep for beep in beeps if beep >= at[1] - 0.1][1:]
    steps = [b - a for a, b in zip(whole, whole[1:])]
    assert len(whole) > 4 and max(steps) > 2 and all(abs(s - round(s)) < 0.04 for s in steps)
    assert not any(at[0] + 0.1 < beep < at[1] - 0.1 for beep in beeps)


@pytest.mark.alone
def test_a_wav_of_more_than_4_gb(livekit, publisher, session, tmp_path):
    """Another part begins before that; where none can be made, the header says more. Holes make the files as large."""
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    first, second, third = (tmp_path / f"{name}.wav.part" for name in ("long", "long-2", "long-3"))
    control.call("start_recording", path=str(first.with_suffix("")), format="wav")
    eventually(lambda: first.stat().st_size > 100_000, 60, "some sound")
    third.write_text("taken")
    os.truncate(first, 4_000_000_000)
    eventually(first.with_suffix("").exists, 60, "the end of the first part")
    eventually(lambda: second.stat().st_size > 100_000, 60, "some sound in the second")
    os.truncate(second, 4_400_000_080)

    def header():
        with second.open("rb") as file:
            return file.read(80)

    eventually(lambda: header()[:4] == b"RF64", 30, "a header of 64 bits")
    block = int.from_bytes(header()[68:70], "little")
    size = second.stat().st_size
    assert struct.unpack_from("<QQQ", header(), 20) == (size - 8, size - 80, (size - 80) // block)
    assert abs(analyse.probe(second)["duration"] - (size - 80) / block / 48000) < 0.01
    assert len(control.call("get_recording")["parts"]) == 2 and third.read_text() == "taken"
    process.kill()
    os.truncate(second, size + 10 * block + 1)  # what came after that, and a torn sample
    found = recover(second)
    assert found["size_bytes"] == size + 10 * block and found["cut_bytes"] == 1
    assert found["audio_frames"] == (size - 80) // block + 10
    assert abs(analyse.probe(second.with_suffix(""))["duration"] - found["duration_seconds"]) < 0.01


@pytest.mark.parametrize("room, form, extension", [("vp8-720", "source", "mkv"), ("vp8-360", "webm", "webm")])
def test_a_recording_is_divided_without_a_gap(livekit, publisher, session, tmp_path, room, form, extension):
    """Copied and encoded: no picture and no packet of sound is missing at a cut, or there twice."""
    publisher(video=room)
    control = session().control()
    control.call("start", **credentials(livekit))
    path = tmp_path / f"long.{extension}"
    quality = {} if form == "source" else {"video_quality": "low"}
    control.call("start_recording", path=str(path), format=form, segment_mb=1, **quality)
    eventually(lambda: len([p for p in control.call("get_recording")["parts"] if p["complete"]]) >= 2, 60, "two parts")
    info = control.call("stop_recording")
    assert control.took < 2 and info["error"] == ""
    files, manifest = all_parts(path), eventually(lambda: summed(path), 30, "checksums")
    parts = [analyse.recording(file) for file in files]
    counters = [f.counter for part in parts for f in part.frames]
    whole = analyse.sequence(counters)
    starts = [p["start_seconds"] for p in manifest["parts"]]
    packets = [packet_count(file, "a:0") for file in files]
    print(whole, starts, packets, [(p.probe["duration"], p.offsets) for p in parts])
    assert len(files) >= 3 and not whole.duplicates and not whole.out_of_order
    left_out = sum(sum(part["drops"].values()) for part in manifest["parts"])  # by an encoder that was slow
    assert len(whole.missing) <= left_out + 2 and (form != "source" or left_out == 0)
    assert sum(packets) == info["audio_frames"]
    # 20 ms a packet, so that they tell whether one is missing: the whole of them lasts as long as the recording
    last = manifest["parts"][-1]
    assert abs(sum(packets) * 0.02 - (starts[-1] + last["duration_seconds"])) < 0.3
    for before, now in zip(manifest["parts"], manifest["parts"][1:]):
        assert abs(before["start_seconds"] + before["duration_seconds"] - now["start_seconds"]) < 0.1
        assert before["gaps"] == []
    for part in parts:
        assert all(abs(ms) < 40 for _, ms in part.offsets)


@pytest.mark.parametrize("form, extension", [("source", "mkv"), ("av1", "mkv"), ("h264", "mp4")])
def test_a_killed_session_leaves_what_it_recorded(livekit, publisher, session, tmp_path, form, extension):
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    path = tmp_path / f"killed.{extension}"
    control.call("start_recording", path=str(path), format=form, video_quality="low")
    recorded = eventually(
        lambda: (i := control.call("get_recording"))["duration_seconds"] > 5 and i, 60, "some recording"
    )
    process.kill()
    left = path.with_name(path.name + ".part")
    assert left.exists() and not path.exists()
    if form == "h264":  # without durations that mp4mux 1.22 forgets, players leave pictures out; recovery finds them
        found = analyse.recording(recover(shutil.copy(left, tmp_path / "again.mp4.part"))["path"])
    else:
        found = analyse.recording(left)
    report = found.sequence
    print(report, recorded)
    assert report.received > 0 and not report.out_of_order and report.share > (0.999 if form == "source" else 0.98)
    assert found.frames[-1].pts - found.frames[0].pts > recorded["duration_seconds"] - 2, "more than 2 s are lost"

    recovered = recover(left)
    assert recovered["path"] == str(path) and recovered["video_frames"] == report.received
    assert abs(analyse.probe(path)["duration"] - recovered["duration_seconds"]) < 0.1
    (part,) = json.loads(path.with_suffix(".json").read_text())["parts"]
    assert part["recovered"] and part["size_bytes"] == path.stat().st_size


@pytest.mark.parametrize("muted, form, extension", [
    (kind, form, extension) for kind in ("video", "audio") for form, extension in (("source", "mkv"), ("h264", "mp4"))
])  # fmt: skip
def test_a_muted_track_holds_up_no_other(livekit, publisher, session, tmp_path, muted, form, extension):
    """What comes meanwhile is in the file, also where the session is killed then, and what follows is in its place."""
    streamer = publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))

    def record(name):
        path = tmp_path / f"{name}.{extension}"
        control.call("start_recording", path=str(path), format=form, video_quality="low")
        return path

    def more(seconds, *kinds):
        rates = {"video": 30, "audio": 50}
        before = control.call("get_recording")

        def come():
            now = control.call("get_recording")
            return all(now[f"{k}_frames"] >= before[f"{k}_frames"] + rates[k] * seconds for k in kinds)

        eventually(come, 60, f"{seconds} s of {kinds}")

    other = "audio" if muted == "video" else "video"
    path = record("finished")
    more(4, muted, other)
    streamer.command(f"mute {muted}")
    more(15, other)
    streamer.command(f"unmute {muted}")
    more(4, muted, other)
    info = control.call("stop_recording")
    (part,) = json.loads(path.with_suffix(".json").read_text())["parts"]
    found = analyse.recording(path)
    print(part, found.sequence, found.offsets)
    assert info["error"] == "" and control.took < 2
    assert [(gap["kind"], gap["reason"]) for gap in part["gaps"]] == [(muted, "muted")]
    assert part["gaps"][0]["duration_seconds"] > 13 and not any(part["drops"].values())
    assert abs(found.probe["duration"] - part["duration_seconds"]) < 0.2
    assert part["video_frames"] == packet_count(path, "v:0") and part["audio_frames"] == packet_count(path, "a:0")
    back = part["gaps"][0]["start_seconds"] + part["gaps"][0]["duration_seconds"]
    # Of a beep that the mute cut there is but the end, where the sound comes back.
    whole = [ms for flash, ms in found.offsets if abs(flash + ms / 1000 - back) > pattern.BEEP_SECONDS]
    assert len(whole) >= 4 and all(abs(ms) < 40 for ms in whole)

    path = record("killed")
    more(2, muted, other)
    streamer.command(f"mute {muted}")
    more(3, other)
    # It is not killed ten times, but stopped at random moments, and its file copied.
    part, begin, copies = path.with_name(path.name + ".part"), control.call("get_recording")["duration_seconds"], []
    for n, seconds in enumerate(sorted(random.Random(f"{muted}-{form}").uniform(0, 5) for _ in range(10))):
        eventually(lambda: control.call("get_recording")["duration_seconds"] > begin + seconds, 60, "some recording")
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", 10, "its stop")
        copies.append((time.monotonic_ns(), part.with_name(f"copy-{n}-{part.name}")))
        shutil.copy(part, copies[-1][1])
        process.send_signal(signal.SIGCONT)
    lost = [lost_of(streamer, at, recover(copy)["path"], other) for at, copy in copies]
    print(f"\n{muted} muted, {form}: of the {other} are lost {[round(seconds, 2) for seconds in lost]} s")
    assert max(lost) < 2


def lost_of(streamer, at, path, kind):
    """How long before that moment the last of a kind that a file has was sent, s."""
    frames = analyse.read_video(path)
    last = analyse.read_audio(path)[-1][0] if kind == "audio" else frames[-1].pts
    # The last picture that came, not one that stands in for those that did not.
    came = [now for before, now in zip([None, *frames], frames) if not before or now.counter != before.counter][-1]
    (delay,) = analyse.latencies(streamer.sent(), [(came.counter, at)])
    return delay / 1000 - (last - came.pts)


def recover(path):
    """What haven-live recover says of a file that was cut off."""
    result = subprocess.run([HAVEN_LIVE, "recover", "--json", path], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result
    (found,) = json.loads(result.stdout)["files"]
    assert found["state"] == "recovered", found
    return found


def kill_at(livekit, streamer, session, path, form, seconds):
    """Kills a session that has recorded for so long; returns how long before that the last picture left in the file
    was sent, s."""
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    control.call("start_recording", path=str(path), format=form, video_quality="low")
    eventually(lambda: control.call("get_recording")["duration_seconds"] > seconds, 60, "some recording")
    killed_at = time.monotonic_ns()
    process.kill()
    found = recover(path.with_name(path.name + ".part"))
    left = analyse.recording(path)
    assert abs(left.probe["duration"] - found["duration_seconds"]) < 0.1
    assert found["video_frames"] == len(left.frames) and not left.sequence.out_of_order
    (delay,) = analyse.latencies(streamer.sent(), [(left.frames[-1].counter, killed_at)])
    return delay / 1000


KILLS = [("vp8", "av1", "mkv"), ("vp8", "source", "mkv"), ("h264", "source", "mkv"), ("vp8", "h264", "mp4"),
         ("vp8", "webm", "webm")]  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("room, form, extension", KILLS, ids=[f"{r}-{f}" for r, f, _ in KILLS])
def test_a_session_may_be_killed_at_any_moment(livekit, publisher, session, tmp_path, room, form, extension):
    streamer = publisher(video=f"{room}-360")
    dice = random.Random(f"{room}-{form}")
    lost = [
        kill_at(livekit, streamer, session, tmp_path / f"{n}.{extension}", form, dice.uniform(2, 7)) for n in range(10)
    ]
    print(f"\n{room} room as {form}: worst {max(lost):.2f} s; all {[round(seconds, 2) for seconds in sorted(lost)]}")
    assert max(lost) < 2


def test_sigterm_finishes_the_recording_and_says_goodbye(livekit, publisher, session, tmp_path):
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    viewer = Viewer(control.url + "gen1")
    path = tmp_path / "term.mkv"
    control.call("start_recording", path=str(path), format="source")
    wait_pictures(viewer, 60)
    assert control.stats()["encoders"] == 1, "the viewer's: what is copied is not encoded"
    process.popen.terminate()
    assert process.wait(10) == 0
    viewer._wait(lambda: viewer._ended, 10, "end")
    assert viewer.close_code == 1001
    assert analyse.recording(path).sequence.share == 1


def test_another_control_adopts(livekit, publisher, session, tmp_path):
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    viewer = Viewer(control.url + "gen1")
    path = tmp_path / "adopted.mkv"
    control.call("start_recording", path=str(path), format="source", recording_id="42")
    wait_pictures(viewer, 10)
    control.kill()
    heir = process.control()
    now = heir.call("start")  # runs already
    assert now["state"] == "active" and now["recording"] and heir.property("RoomName") == "demo"
    seen = len(pictures(viewer))
    wait_pictures(viewer, seen + 30)
    assert heir.call("get_recording")["recording_id"] == "42"
    with pytest.raises(Refused, match="Busy"):
        heir.call("start_recording", path=str(tmp_path / "b.mkv"), format="source")
    heir.call("stop_recording")
    heir.call("stop")
    assert analyse.recording(path).sequence.share == 1
    assert analyse.sequence([analyse.counter_of_jpeg(m.data) for m in pictures(viewer)]).share > 0.99


ERRORS = [
    ("Unauthorized", dict(api_secret="wrong-wrong-wrong-wrong-wrong-wrong-wrong")),
    ("Unavailable", dict(livekit_url="ws://127.0.0.1:9", connect_timeout=2)),
    ("NoStreamer", dict(room_name="empty", streamer_timeout=2)),
    ("Config", dict(livekit_url="gopher://x")),
]


@pytest.mark.parametrize("name, settings", ERRORS, ids=[name for name, _ in ERRORS])
def test_errors_have_names(livekit, session, name, settings):
    process = session()
    control = process.control()
    with pytest.raises(Refused) as refused:
        control.call("start", **{**credentials(livekit), **settings})
    assert refused.value.name == name
    ended = control.wait_event("Ended")
    assert ended["reason"] == name and ended["detail"]
    assert livekit.api_secret not in process.output and livekit.api_secret not in str(refused.value)
    assert process.wait(10) != 0


def test_an_installation_without_its_plugins_says_so(livekit, session, tmp_path):
    process = session({"GST_PLUGIN_PATH": str(tmp_path), "GST_REGISTRY": str(tmp_path / "registry")})
    control = process.control()
    with pytest.raises(Refused, match="Internal.*GST_PLUGIN_PATH"):
        control.call("start", **credentials(livekit))
    assert process.wait(10) == 1


def test_recording_errors(livekit, publisher, session, tmp_path):
    publisher(video="vp8-360")
    control = session().control()
    control.call("start", **credentials(livekit, recording_reserve=1 << 60))
    with pytest.raises(Refused, match="DiskFull"):
        control.call("start_recording", path=str(tmp_path / "a.mkv"), format="source")
    with pytest.raises(Refused, match="Config"):
        control.call("start_recording", path=str(tmp_path / "a.mkv"), format="nonsense")
    with pytest.raises(Refused, match="NotRecording"):
        control.call("stop_recording")
    assert control.call("get_recording") == {} and not list(tmp_path.glob("a*"))


def test_an_end_that_could_not_be_written_in_time_is_told(livekit, publisher, session, tmp_path):
    """The disk hangs, and is back when it is too late for an index."""
    publisher(video="vp8-360")
    disk = Disk(tmp_path / "recordings", tmp_path / "fault")
    process = session(disk.env)
    control = process.control()
    control.call("start", **credentials(livekit))
    path = disk.directory / "late.mkv"
    control.call("start_recording", path=str(path), format="source")
    eventually(lambda: control.call("get_recording")["video_frames"] > 60, 60, "some recording")
    disk.hang("write")
    stop = control.send("stop_recording")
    process.wait_for("could not be written in time")
    disk.mend()
    info = control.answer_to("stop_recording", stop)["result"]
    (part,) = info["parts"]
    assert "could not be written in time" in info["error"] and not part["complete"]
    assert info["final_path"] == part["path"] == f"{path}.part"
    assert recover(part["path"])["path"] == str(path)


def test_a_closed_room_ends_all(livekit, publisher, session, rigctl, tmp_path):
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit))
    viewer = Viewer(control.url + "gen1")
    path = tmp_path / "closed.mkv"
    control.call("start_recording", path=str(path), format="source")
    wait_pictures(viewer, 60)
    rigctl.delete("demo")
    assert control.wait_event("Ended")["reason"] == "room-closed"
    assert process.wait(10) == 0
    viewer._wait(lambda: viewer._ended, 10, "end")
    assert viewer.close_code == 1000
    assert analyse.recording(path).sequence.share > 0.99


def test_an_idle_session_ends(livekit, publisher, session):
    publisher(video="vp8-360")
    process = session()
    control = process.control()
    control.call("start", **credentials(livekit, idle_timeout=2))
    viewer = Viewer(control.url + "gen1")
    since = wait_pictures(viewer, 100)[0].monotonic_ns  # three seconds: it does not end while someone watches
    viewer.close()
    ended = control.wait_event("Ended")
    assert ended["reason"] == "idle" and ended["at"] - since > 2e9
    assert process.wait(10) == 0


def test_probe(launch, tmp_path):
    program = launch(PROGRAM, "--probe", env=IN_PROCESS)
    assert program.wait(30) == 0
    known = json.loads(program.output)
    assert known["gstreamer"].startswith("1.") and {"av1", "source"} <= set(known["formats"])
    for form in known["formats"].values():
        assert form["available"] is (form["missing"] == []) and form["codec"] == form["video_codec"]

    nothing = {"GST_PLUGIN_PATH": str(tmp_path), "GST_PLUGIN_SYSTEM_PATH": str(tmp_path)}
    program = launch(PROGRAM, "--probe", env={**IN_PROCESS, **nothing, "GST_REGISTRY": str(tmp_path / "registry")})
    assert program.wait(30) == 0
    lacking = json.loads(program.output)["formats"]["av1"]
    assert lacking["available"] is False and {"livekitsrc", "havenav1enc", "matroskamux"} <= set(lacking["missing"])


def all_parts(path):
    """The files of a recording, in order, checked against its manifest."""
    manifest = json.loads(path.with_suffix(".json").read_text())
    files = [path.parent / part["file"] for part in manifest["parts"]]
    assert not list(path.parent.glob("*.part")) and manifest["error"] is None
    return files


@pytest.mark.parametrize("form", ["source", "av1"])
def test_a_recording_goes_on_over_what_the_streamer_does(livekit, publisher, session, tmp_path, form):
    streamer = publisher(video="vp8-360")
    control = session().control()
    control.call("start", **credentials(livekit))
    viewer = Viewer(control.url + "gen1")
    wait_pictures(viewer, 5)
    path = tmp_path / "long.mkv"
    control.call("start_recording", path=str(path), format=form, video_quality="low")

    def goes_on(command):
        streamer.command(command)
        wait_pictures(viewer, 75, after=time.monotonic_ns())

    wait_pictures(viewer, 75, after=time.monotonic_ns())
    streamer.command("mute video")
    sound = control.call("get_recording")["audio_frames"]
    viewer._wait(lambda: not any(m.monotonic_ns > time.monotonic_ns() - 2e9 for m in pictures(viewer)), 20, "silence")
    goes_on("unmute video")
    streamer.command("unpublish video")
    goes_on("publish video vp8-360")
    streamer.command("unpublish video")
    goes_on("publish video h264-360")
    info = control.call("stop_recording")
    assert control.took < 2 and info["error"] == "" and info["audio_frames"] > sound
    parts = [analyse.recording(file) for file in all_parts(path)]
    print([(p.probe["video"]["codec_name"], str(p.sequence), p.offsets) for p in parts])
    if form == "source":  # a track of a file has one codec
        assert [p.probe["video"]["codec_name"] for p in parts] == ["vp8", "h264"]
    else:
        assert [p.probe["video"]["codec_name"] for p in parts] == ["av1"]
    for part in parts:
        assert not part.sequence.out_of_order and not part.sequence.duplicates
        times = [f.pts for f in part.frames]
        assert all(a < b for a, b in zip(times, times[1:]))
        assert part.offsets and all(abs(ms) < 40 for _, ms in part.offsets)


@pytest.mark.parametrize("codec", ["vp8", "h264", "vp9", "av1"])
def test_a_source_recording_goes_on_over_another_size(livekit, publisher, session, tmp_path, codec):
    streamer = publisher(video=f"{codec}-360")
    control = session().control()
    control.call("start", **credentials(livekit))
    path = tmp_path / "sizes.mkv"
    control.call("start_recording", path=str(path), format="source")

    def recorded(frames):
        eventually(lambda: control.call("get_recording")["video_frames"] >= frames, 60, f"{frames} pictures")

    recorded(60)
    for size in ("180", "360"):
        streamer.command(f"switch video {codec}-{size}")
        recorded(control.call("get_recording")["video_frames"] + 90)
    assert control.call("stop_recording")["error"] == ""
    (file,) = all_parts(path)
    heights = [height for height, _ in itertools.groupby(analyse.heights(file))]
    assert heights == [360, 180, 360]


def test_sound_that_comes_later_is_recorded(livekit, publisher, session, tmp_path):
    streamer = publisher(video="vp8-360", audio=None)
    control = session().control()
    control.call("start", **credentials(livekit))
    path = tmp_path / "later.mkv"
    control.call("start_recording", path=str(path), format="source")
    eventually(lambda: control.call("get_recording")["video_frames"] > 60, 30, "pictures")
    streamer.command("publish audio beep")
    eventually(lambda: control.call("get_recording")["audio_frames"] > 150, 30, "sound")
    control.call("stop_recording")
    silent, both = all_parts(path)
    assert analyse.sequence([f.counter for f in analyse.read_video(silent)]).share == 1
    whole = analyse.recording(both)
    assert whole.sequence.share == 1
    assert len(whole.offsets) >= 2 and all(abs(ms) < 40 for _, ms in whole.offsets)


def test_a_recording_outlives_the_server(livekit, publisher, session, tmp_path):
    streamer = publisher(video="vp8-360")
    control = session().control()
    control.call("start", **credentials(livekit))
    viewer = Viewer(control.url + "gen1")
    path = tmp_path / "restart.mkv"
    control.call("start_recording", path=str(path), format="source")
    wait_pictures(viewer, 60)
    livekit.kill()
    eventually(lambda: control.property("State") == "reconnecting", 60, "notice")
    livekit.start()
    wait_pictures(viewer, 60, timeout=120, after=time.monotonic_ns())
    assert control.property("State") == "active" and control.stats()["reconnects"] >= 1
    control.call("stop_recording")
    (file,) = all_parts(path)
    only = analyse.recording(file)
    print(only.sequence, only.offsets)
    assert not only.sequence.out_of_order and all(abs(ms) < 40 for _, ms in only.offsets)
    times = [f.pts for f in only.frames]
    assert all(a < b for a, b in zip(times, times[1:])) and streamer.running
