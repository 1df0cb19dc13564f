"""The main job: 720p at 30 pictures a second watched in a browser's form and recorded as AV1, by one pipeline."""

import subprocess

import pytest
from havenlib import CACHE, REPO, analyse
from havenlib.ports import free_port
from havenlib.process import eventually
from havenlib.viewer import Viewer

SECONDS = 20
FPS = 30


def assert_all_there(what, counters, times):
    """At least 99 % of the numbers from the first to the last, each once and in order."""
    sequence = analyse.sequence(counters, times=times)
    print(f"{what}: {sequence.received} of {sequence.expected} pictures, missing {sequence.missing}")
    assert sequence.expected >= SECONDS * FPS - FPS, sequence
    assert sequence.share >= 0.99, sequence
    assert not sequence.out_of_order and not sequence.duplicates and not sequence.unreadable, sequence
    return sequence


def assert_published_without_gaps(streamer):
    sent = analyse.sequence([s.counter for s in streamer.sent()])
    assert not sent.missing, "the publisher itself left pictures out"


def packet_span(path):
    """Seconds from the start of the first packet of a file to the end of the last."""
    lines = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time,duration_time", "-of", "csv=p=0", path],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    packets = [tuple(float(field) for field in line.rstrip(",").split(",")) for line in lines]
    return max(p[0] + p[-1] for p in packets) - min(p[0] for p in packets)


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_watch_and_record(livekit, publisher, launch, tmp_path, codec):
    streamer = publisher(video=f"{codec}-720")
    port, recording = free_port(), tmp_path / f"{codec}.mkv"
    pipeline = launch(
        REPO / "pipelines" / "watch-and-record",
        env={**livekit.env, "PORT": str(port), "OUTPUT": str(recording)},
    )

    def connected():
        assert pipeline.running, pipeline.output
        try:
            return Viewer(f"ws://127.0.0.1:{port}/ws/live/live")
        except OSError:
            return None

    with eventually(connected, 60, "the page") as viewer:
        viewer.wait("video", SECONDS * FPS, timeout=SECONDS * 3)
        cpu = pipeline.cpu_seconds()
    pipeline.interrupt()
    assert pipeline.wait(20) == 0, pipeline.output
    assert "WARNING" not in pipeline.output, pipeline.output
    print(f"{codec}: {cpu:.1f} CPU seconds")

    assert_published_without_gaps(streamer)
    seen = viewer.counters()
    assert_all_there(f"{codec}, watched", [c for c, _ in seen], [at / 1e9 for _, at in seen])
    assert len(viewer.of("audio")) >= SECONDS * 50 * 0.95

    recorded = analyse.recording(recording)
    sequence = assert_all_there(
        f"{codec}, recorded", [f.counter for f in recorded.frames], [f.pts for f in recorded.frames]
    )
    video, audio = recorded.probe["video"], recorded.probe["audio"]
    assert (video["codec_name"], audio["codec_name"]) == ("av1", "opus")
    assert (video["width"], video["height"]) == (640, 360)
    assert abs(recorded.probe["duration"] - packet_span(recording)) < 0.3
    shown = recorded.frames[-1].pts - recorded.frames[0].pts
    assert abs(shown - (sequence.expected - 1) / FPS) < 0.3
    offsets = [ms for _, ms in recorded.offsets]
    print(f"{codec}: {recorded.probe['duration']:.1f} s, A/V offsets {min(offsets):.1f} to {max(offsets):.1f} ms")
    assert len(offsets) >= SECONDS - 3
    assert max(abs(ms) for ms in offsets) < 40


# --- as it is sent


def packets(path, to):
    """The payloads of a file's video, one a picture, as ffmpeg's copy of them lays them out in IVF."""
    ivf = to / f"{path.stem}.ivf"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", path, "-map", "0:v:0", "-c", "copy", "-f", "ivf", ivf], check=True
    )
    return ivf_frames(ivf)


def ivf_frames(path):
    data = path.read_bytes()
    at, frames = int.from_bytes(data[6:8], "little"), []
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        frames.append(data[at + 12 : at + 12 + size])
        at += 12 + size
    return frames


def leb128(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def without_delimiters(unit):
    """An AV1 temporal unit as the OBUs in it that RTP carries: no temporal delimiter, tile list or padding; no sizes."""
    at, obus = 0, []
    while at < len(unit):
        header = unit[at]
        start = at + 1 + (header >> 2 & 1)
        size, start = leb128(unit, start) if header & 2 else (len(unit) - start, start)
        if header >> 3 & 15 not in (2, 8, 15):
            obus.append((header >> 3 & 15, unit[start : start + size]))
        at = start + size
    return obus


def nal_units(annexb):
    """The NAL units of H.264 with start codes, without access unit delimiters."""
    units = [unit.rstrip(b"\0") for unit in annexb.split(b"\0\0\1")[1:]]
    return [unit for unit in units if unit and unit[0] & 31 != 9]


def h264_pictures(path, to):
    """For each picture the NAL units of its slices: parameter sets stand in Matroska's header too."""
    raw = to / f"{path.stem}-copy.h264"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", path, "-map", "0:v:0", "-c", "copy", "-f", "h264", raw], check=True
    )
    return [unit for unit in nal_units(raw.read_bytes()) if unit[0] & 31 in (1, 5)]


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264", "av1"])
def test_source_recording_is_bit_exact(livekit, publisher, launch, tmp_path, codec):
    publisher(video=f"{codec}-720", audio=None)
    recording = tmp_path / f"{codec}.mkv"
    record = launch(
        REPO / "pipelines" / "record-source", env={**livekit.env, "OUTPUT": str(recording), "AUDIO": ""}
    )
    eventually(lambda: recording.exists() and recording.stat().st_size > 1_500_000, 60, "a recording")
    record.interrupt()
    assert record.wait(20) == 0, record.output

    if codec == "h264":
        clip = CACHE / "clips" / "h264-720.h264"
        published, recorded = h264_pictures(clip, tmp_path), h264_pictures(recording, tmp_path)
    else:
        clip = CACHE / "clips" / f"{codec}-720.ivf"
        published, recorded = ivf_frames(clip), packets(recording, tmp_path)
        if codec == "av1":
            published = [without_delimiters(unit) for unit in published]
            recorded = [without_delimiters(unit) for unit in recorded]
    assert len(published) == 300 and len(recorded) > 120
    first = published.index(recorded[0])
    differing = [i for i, frame in enumerate(recorded) if frame != published[(first + i) % len(published)]]
    assert not differing, f"of {len(recorded)} pictures from number {first}"
    print(f"{codec}: {len(recorded)} pictures from number {first} are those of the clip, bit by bit")
