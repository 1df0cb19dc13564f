"""haven-live recover: what a crash left is finished. Files of real muxers, killed while they write; ffmpeg is the judge."""

import bisect
import errno
import fcntl
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from havenlib.disk import Disk
from havenlib.haven import PROGRAM
from havenlib.process import eventually

VIDEO = "videotestsrc pattern=ball num-buffers=100000 ! video/x-raw,width=160,height=120,framerate=30/1"
NOISE = "audiotestsrc wave=white-noise num-buffers=1000000 ! audio/x-raw,rate=48000,channels=2"
OPUS = f"{NOISE} ! opusenc bitrate-type=vbr ! opusparse"
SINE = "audiotestsrc num-buffers=1000000 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! opusparse"
H264 = f"{VIDEO} ! openh264enc complexity=low gop-size=60 ! h264parse ! queue"
VP8 = f"{VIDEO} ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=60 ! queue"
# As the session writes: server/session/haven-graph.c.
AV1 = (
    f"{VIDEO} ! av1enc usage-profile=realtime cpu-used=10 end-usage=cbr target-bitrate=500 min-quantizer=10 "
    "max-quantizer=56 lag-in-frames=0 keyframe-max-dist=60 ! av1parse ! queue"
)
FRAGMENTS = "fragment-duration=1000 fragment-mode=first-moov-then-finalise"
WRITERS = {
    "av1.mkv": f"{AV1} ! matroskamux name=m offset-to-zero=true {{}} {OPUS} ! queue ! m.",
    "vp8.webm": f"{VP8} ! webmmux name=m offset-to-zero=true {{}} {OPUS} ! queue ! m.",
    "h264.mp4": f"{H264} ! mp4mux name=m {FRAGMENTS} {{}} {OPUS} ! queue ! m.",
    # Sound of one size: mp4mux 1.22 forgets sizes then, and ffmpeg refuses what it leaves.
    "sine.mp4": f"{H264} ! mp4mux name=m {FRAGMENTS} {{}} {SINE} ! queue ! m.",
    "sound.mkv": f"{OPUS} ! matroskamux offset-to-zero=true {{}}",
    "sound.ogg": f"{OPUS} ! oggmux {{}}",
    "sound.wav": f"{NOISE} ! wavenc {{}}",
}
ENOUGH = 400_000  # bytes
CUTS = 200


@pytest.fixture
def place():
    """In memory: hundreds of files are synced."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as path:
        yield Path(path)


@pytest.fixture
def killed(gst_env, place, started):
    """killed("av1.mkv") -> what its muxer had written when it was killed; whole=True: when it was stopped"""

    def make(name, whole=False):
        path = place / f"killed-{name}"
        pipeline = WRITERS[name].format(f"! filesink buffer-mode=unbuffered location={path}")
        process = subprocess.Popen(["gst-launch-1.0", "-q", *(["-e"] if whole else []), *pipeline.split()], env=gst_env)
        try:
            eventually(lambda: path.exists() and path.stat().st_size > ENOUGH, 120, f"some of {name}")
        finally:
            process.send_signal(signal.SIGINT if whole else signal.SIGKILL)
            process.wait(60)
        return path

    return make


def recover(path, code=0, env=None):
    result = subprocess.run(
        [PROGRAM, "recover", "--json", path], env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == code, result
    answer = json.loads(result.stdout)
    assert answer["exit_code"] == code and answer["success"] == (code == 0)
    return answer["files"]


def packets(path):
    """[(kind, position)] of all packets in a file that plays."""
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pos", "-of", "csv=p=0", path],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    rows = [line.split(",") for line in out.stdout.split()]
    return sorted(((row[0], int(row[1])) for row in rows), key=lambda packet: packet[1])


def check_plays(path, found):
    """All of it decodes, it has what is said of it, and one can seek in it."""
    decoded = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-"], capture_output=True, text=True, timeout=120
    )
    assert decoded.returncode == 0 and not decoded.stderr, decoded.stderr
    kinds = [kind for kind, _ in packets(path)]
    if path.suffix != ".wav":
        assert kinds.count("video") == found["video_frames"] and kinds.count("audio") == found["audio_frames"]
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert abs(float(out.stdout) - found["duration_seconds"]) < 0.05
    assert path.stat().st_size == found["size_bytes"]


def fragment_ends(data):
    """Of an MP4 that grows: where its moov and each moof end."""
    ends, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if size < 8 or at + size > len(data):
            break
        at += size
        if kind in (b"moov", b"moof"):
            ends.append(at)
    return ends


def expected(name, data, all_packets, cut):
    """(fewest, most) packets that must be there when only so many bytes are: the last one may be whole or not."""
    places = [position for _, position in all_packets]
    if name.endswith(".mp4"):
        ends = [end for end in fragment_ends(data) if end <= cut]
        count = bisect.bisect_left(places, ends[-1]) if ends else 0
        return count, count
    last = bisect.bisect_right(places, cut) - 1
    if last < 0:
        return 0, 0
    first = bisect.bisect_left(places, places[last])
    return first, last + 1


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_byte_it_ends_with_all_before_is_kept(killed, place, name):
    whole = killed(name)
    data = whole.read_bytes()
    untouched = place / f"all.{name}.part"
    shutil.copy(whole, untouched)
    (found,) = recover(untouched)
    assert found["state"] == "recovered" and found["path"] == str(untouched.with_suffix(""))
    reference = Path(found["path"])
    check_plays(reference, found)
    all_packets = packets(reference) if not name.endswith(".wav") else []
    dice = random.Random(name)
    cuts = sorted({dice.randrange(len(data)) for _ in range(CUTS)})
    folder = place / "cut"
    folder.mkdir()
    for cut in cuts:
        (folder / f"{cut:09}-{name}.part").write_bytes(data[:cut])
    answer = json.loads(subprocess.run([PROGRAM, "recover", "--json", folder], capture_output=True).stdout)
    assert len(answer["files"]) == len(cuts)
    played = 0
    for cut, found in zip(cuts, answer["files"]):
        if name.endswith(".wav"):
            fewest, most = (max(0, cut - 44) // 4,) * 2
        else:
            fewest, most = expected(name, data, all_packets, cut)
        if found["state"] == "failed":
            assert found["code"] in ("empty", "unknown") and fewest == 0 and Path(found["file"]).stat().st_size == cut, found
            continue
        assert found["state"] == "recovered", found
        assert fewest <= found["video_frames"] + found["audio_frames"] <= most, (cut, found)
        if played % 25 == 0:
            check_plays(Path(found["path"]), found)
        played += 1
    assert played > CUTS / 2
    again = [recover(path) for path in sorted(folder.glob(f"*-{name}"))[:20]]
    assert all(file["state"] == "complete" for (file,) in again)


@pytest.mark.parametrize("name", ["av1.mkv", "h264.mp4"])
def test_what_was_finished_and_then_lost_its_end_is_finished_again(killed, place, name):
    """As after a power loss just after the end, or a copy that was broken off."""
    whole = killed(name, whole=True)
    (found,) = recover(whole)
    before = whole.read_bytes()
    assert found["state"] == "complete" and whole.read_bytes() == before
    for share in (0.5, 0.9, 0.99):
        short = place / f"{share}-{name}"
        short.write_bytes(before[: int(len(before) * share)])
        (found,) = recover(short)
        assert found["state"] == "recovered" and found["path"] == str(short)
        check_plays(short, found)
        (again,) = recover(short)
        assert again["state"] == "complete"


def test_what_is_said_of_it_and_what_is_left_alone(killed, place):
    whole = killed("vp8.webm")
    part, name = place / "a.webm.part", place / "a.webm"
    shutil.copy(whole, part)
    with open(part, "rb") as session:
        fcntl.flock(session, fcntl.LOCK_EX)
        before = part.read_bytes()
        (found,) = recover(part, 8)
        assert found["code"] == "in_use" and part.read_bytes() == before
    name.write_text("another recording")
    (found,) = recover(part)
    assert found["path"] == str(place / "a-1.webm") and name.read_text() == "another recording" and not part.exists()
    manifest = json.loads((place / "a-1.json").read_text())
    (entry,) = manifest["parts"]
    assert entry == {
        "file": "a-1.webm", "size_bytes": found["size_bytes"], "duration_seconds": found["duration_seconds"],
        "video_frames": found["video_frames"], "audio_frames": found["audio_frames"], "recovered": True,
        "cut_bytes": found["cut_bytes"],
    }  # fmt: skip

    link, text, empty = place / "link.webm.part", place / "text.webm.part", place / "empty.webm.part"
    link.symlink_to(found["path"])
    text.write_text("this is no recording, whatever its name says")
    empty.touch()
    assert recover(link, 1)[0]["code"] == "file"
    assert recover(text, 1)[0]["code"] == "unknown"
    assert recover(empty, 1)[0]["code"] == "empty"
    assert recover(place / "nothing", 1)[0]["code"] == "file"
    assert [file["code"] for file in recover(place, 1)] == ["empty", "file", "unknown"]
    os.unlink(link), os.unlink(text), os.unlink(empty)
    assert recover(place) == []
    spoken = subprocess.run([PROGRAM, "recover", found["path"]], capture_output=True, text=True)
    assert spoken.stdout == f"{found['path']}: complete already, untouched\n" and not spoken.returncode


def test_damage_in_the_middle_costs_nothing(killed, place):
    whole = killed("vp8.webm")
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) // 2) + bytes(65 << 20)  # more than a crash can cost
    part = place / "b.webm.part"
    part.write_bytes(data)
    (found,) = recover(part, 1)
    assert found["code"] == "damaged" and part.read_bytes() == data


def box(kind, *content):
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def whole_boxes(data):
    """What of an MP4 is there to the end of its last whole box."""
    at = 0
    while at + 8 <= len(data) and 8 <= (size := struct.unpack_from(">I", data, at)[0]) <= len(data) - at:
        at += size
    return data[:at]


def test_a_file_that_kills_its_recovery_costs_no_other(killed, place, haven_factory):
    """Its last fragment has more frames than fit into the memory that is allowed."""
    recordings = place / "recordings"
    recordings.mkdir()
    frames = 8_000_000  # of a byte
    size_of_all = struct.pack(">III", 0x020010, 1, 1)  # base is this moof, track 1, each one byte
    run = struct.pack(">II", 0, frames)
    moof = box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", box(b"tfhd", size_of_all), box(b"trun", run)))
    poisoned, sound = recordings / "poisoned.mp4.part", recordings / "sound.webm.part"
    poisoned.write_bytes(whole_boxes(killed("h264.mp4").read_bytes()) + moof + box(b"mdat", bytes(frames)))
    shutil.copy(killed("vp8.webm"), sound)
    before = poisoned.read_bytes()

    haven = haven_factory(directory=place, under=["prlimit", "--data=100000000"])
    line = haven.process.wait_for(r'.*"event":"recovery-failed".*', 60).group()
    told = json.loads(line)
    assert told["path"] == str(poisoned) and told["message"] == "its process died of it"
    eventually(lambda: not sound.exists(), 60, "the recovery of the other")
    assert packets(sound.with_suffix("")) and haven.get("/health").status == 200
    assert poisoned.read_bytes() == before and not poisoned.with_suffix("").exists()


FAULTS = [("read", errno.EIO), *((call, n) for call in ("write", "sync", "name") for n in (errno.EIO, errno.ENOSPC))]


@pytest.mark.parametrize("name", ["vp8.webm", "h264.mp4", "sound.ogg", "sound.wav"])
def test_on_a_disk_that_still_fails_it_stays_as_part_and_is_finished_later(killed, place, name):
    whole = killed(name)
    reference = place / f"reference-{name}"
    shutil.copy(whole, reference)
    recover(reference)
    for call, number in FAULTS:
        folder = place / f"{call}-{number}"
        folder.mkdir()
        part, finished = folder / f"{name}.part", folder / name
        shutil.copy(whole, part)
        disk = Disk(folder, place / "fault")
        disk.fail(call, number)
        full = number == errno.ENOSPC
        (failed,) = recover(part, 6 if full else 1, disk.env)
        assert failed["state"] == "failed" and failed["code"] == ("disk_full" if full else "file"), (call, failed)
        assert os.strerror(number) in failed["error"], (call, failed)
        assert list(folder.iterdir()) == [part], (call, number)
        if call in ("read", "write"):
            assert part.read_bytes() == whole.read_bytes(), call
        disk.mend()
        (found,) = recover(part)
        assert found["path"] == str(finished) and finished.read_bytes() == reference.read_bytes(), (call, found)


def test_one_that_is_whole_gets_its_name_when_it_is_on_the_disk(killed, place):
    """Its session wrote all, but could not sync it: the disk is asked again."""
    part = place / "whole.webm.part"
    shutil.copy(killed("vp8.webm", whole=True), part)
    disk = Disk(place, place / "fault")
    for number, code, exit_code in ((errno.EIO, "file", 1), (errno.ENOSPC, "disk_full", 6)):
        disk.fail("sync", number)
        (failed,) = recover(part, exit_code, disk.env)
        assert failed["code"] == code and os.strerror(number) in failed["error"] and part.exists(), failed
    disk.mend()
    (found,) = recover(part)
    assert found["state"] == "complete" and found["path"] == str(part.with_suffix("")) and not part.exists()


@pytest.mark.parametrize("manifest", ["a.json", "a-2.json"])
def test_the_manifest_that_names_a_part_is_told_of_its_recovery(killed, place, manifest):
    """Of a recording in parts it lies beside the first, or beside the first that a process wrote."""
    part, path = place / "a-3.webm.part", place / manifest
    shutil.copy(killed("vp8.webm"), part)
    others = [{"file": "a-2.webm", "size_bytes": 1}, {"file": "a-3.webm", "complete": False, "video_codec": "vp8"}]
    path.write_text(json.dumps({"version": 1, "recording_id": "7", "parts": others}))
    (found,) = recover(part)
    told = json.loads(path.read_text())
    assert told["recording_id"] == "7" and told["parts"][0] == others[0]
    entry = told["parts"][1]
    assert "complete" not in entry and entry["recovered"] and entry["video_codec"] == "vp8"
    assert entry["size_bytes"] == found["size_bytes"] and not (place / "a-3.json").exists()


def test_a_manifest_that_cannot_be_written_is_told_of(killed, place):
    part = place / "a.webm.part"
    shutil.copy(killed("vp8.webm"), part)
    (place / "a.json").mkdir()
    (found,) = recover(part)
    assert found["state"] == "recovered" and "manifest" in found["warning"] and packets(found["path"])
