"""Reads counters, flashes and beeps back, and says what is missing and how far sound is from picture."""

import io
import json
import re
import subprocess
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np
import pattern
from PIL import Image

from . import CACHE  # noqa: F401  (and with it the path to pattern)

# --- pictures


def gray_of_jpeg(data):
    image = Image.open(io.BytesIO(data))
    if image.width > 320:
        image.draft("L", (320, 180))  # the decoder scales by a power of two, which is fast
    return np.asarray(image.convert("L"))


def counter_of_jpeg(data):
    """The counter in a JPEG, or None."""
    return pattern.read_counter(gray_of_jpeg(data))


def size_of_jpeg(data):
    return Image.open(io.BytesIO(data)).size


def counter_of_gray(data, width, height, stride=None):
    """The counter in the bytes of a luma plane."""
    plane = np.frombuffer(data, np.uint8)[: height * (stride or width)].reshape(height, -1)[:, :width]
    return pattern.read_counter(plane)


Frame = namedtuple("Frame", "pts counter flash")  # seconds; counter or None; whether the flash is on


def within(span):
    """What ffmpeg has to be told before its input to read (start, length) of it, in seconds; None: all."""
    return ["-ss", str(span[0]), "-t", str(span[1])] if span else []


def read_video(path, span=None):
    """The pictures of a media file, in the order in which they are shown."""
    width, height = 320, 180
    process = subprocess.Popen(
        ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "info", "-nostats", "-copyts", *within(span),
         "-i", str(path), "-map", "0:v:0", "-vf", f"showinfo=checksum=0,scale={width}:{height}:flags=area,format=gray",
         "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "rawvideo", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"ffmpeg: {err.decode(errors='replace')[-2000:]}")
    times = [float(t) for t in re.findall(r"Parsed_showinfo.* pts_time:\s*(\S+)", err.decode(errors="replace"))]
    planes = np.frombuffer(out, np.uint8).reshape(-1, height, width)
    if len(times) != len(planes):
        raise RuntimeError(f"{path}: {len(times)} time stamps for {len(planes)} pictures")
    return [Frame(t, pattern.read_counter(p), pattern.flash_level(p) > 128) for t, p in zip(times, planes)]


# --- counters


@dataclass
class Sequence:
    """What became of a run of counters."""

    first: int | None = None  # unwrapped
    last: int | None = None
    received: int = 0  # distinct
    unreadable: int = 0
    missing: list = field(default_factory=list)
    duplicates: list = field(default_factory=list)
    out_of_order: list = field(default_factory=list)

    @property
    def expected(self):
        return 0 if self.first is None else self.last - self.first + 1

    @property
    def share(self):
        """Of the numbers from first to last, how many arrived."""
        return self.received / self.expected if self.expected else 0.0


def unwrap(counters, modulo=pattern.CLIP_FRAMES, times=None):
    """Counters on a scale that goes on when the clip begins again.

    Without times a step is taken to be less than half a clip either way; with times (seconds, one each)
    it is the one nearest to what 30 pictures a second make of the time between.
    """
    out, previous, before = [], None, None
    for i, counter in enumerate(counters):
        if counter is None:
            out.append(None)
            continue
        if previous is None:
            value = counter
        else:
            expected = previous
            if times is not None:
                expected += round((times[i] - before) * pattern.FPS)
            value = counter + round((expected - counter) / modulo) * modulo
        out.append(value)
        previous, before = value, times[i] if times is not None else None
    return out


def sequence(counters, modulo=pattern.CLIP_FRAMES, times=None):
    """Counts what is missing, doubled or out of order in counters as they came."""
    report = Sequence()
    seen = set()
    highest = None
    for value in unwrap(counters, modulo, times):
        if value is None:
            report.unreadable += 1
        elif value in seen:
            report.duplicates.append(value)
        else:
            if highest is not None and value < highest:
                report.out_of_order.append(value)
            seen.add(value)
            highest = value if highest is None else max(highest, value)
    if seen:
        report.first, report.last, report.received = min(seen), max(seen), len(seen)
        report.missing = sorted(set(range(report.first, report.last + 1)) - seen)
    return report


def latencies(sent, received):
    """Milliseconds from sent [Sent] to received [(counter, monotonic_ns)], for each one that was sent."""
    by_counter = {}
    for s in sent:
        by_counter.setdefault(s.counter, []).append(s.monotonic_ns)
    out = []
    for counter, at in received:
        earlier = [t for t in by_counter.get(counter, ()) if t <= at]
        if earlier:
            out.append((at - earlier[-1]) / 1e6)
    return out


# --- sound


def pcm_s16(data):
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2")


def read_audio(path, span=None):
    """Sound of a media file as [(pts in seconds, s16 mono samples at 48 kHz)], a block a decoded frame."""
    process = subprocess.Popen(
        ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "info", "-nostats", "-copyts", *within(span),
         "-i", str(path), "-map", "0:a:0", "-af", "aresample=48000,aformat=sample_fmts=s16:channel_layouts=mono,ashowinfo",
         "-f", "s16le", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"ffmpeg: {err.decode(errors='replace')[-2000:]}")
    samples, blocks, position = pcm_s16(out), [], 0
    for pts, count in re.findall(r"ashowinfo.* pts_time:(\S+) .*nb_samples:(\d+)", err.decode(errors="replace")):
        blocks.append((float(pts), samples[position : position + int(count)]))
        position += int(count)
    return blocks


def lay_out(blocks):
    """Blocks placed where their time stamps say: (time of the first sample, samples), silence in between."""
    if not blocks:
        return 0.0, np.zeros(0, np.int16)
    start = min(pts for pts, _ in blocks)
    places = [(round((pts - start) * pattern.SAMPLE_RATE), data) for pts, data in blocks]
    track = np.zeros(max(at + len(data) for at, data in places), np.int16)
    for at, data in places:
        track[at : at + len(data)] = data
    return start, track


PREROLL = 0.08  # seconds


def beep_onsets(samples, start=0.0, rate=pattern.SAMPLE_RATE):
    """Times at which a beep begins: a quarter of the peak is passed after 200 ms without.

    A beep that the track begins in has no beginning: its first packets are not there, and Opus takes 80 ms to sound
    right without them.
    """
    level = np.abs(samples.astype(np.int32))
    peak = level.max(initial=0)
    if peak < 1000:
        return []
    loud = np.flatnonzero(level > peak / 4)
    first = np.diff(loud, prepend=-rate) > rate * 0.2
    return [start + int(i) / rate for i in loud[first] if i > rate * PREROLL]


def flash_onsets(frames):
    """Times of the pictures with which a flash begins. One whose first picture is lost is not counted."""
    return [
        now.pts
        for before, now in zip([None, *frames], frames)
        if now.flash and (before is None or not before.flash) and now.counter is not None
        and now.counter % pattern.FPS == 0
    ]  # fmt: skip


def av_offsets(flashes, beeps, within=0.5):
    """For each flash with a beep near it: (time, beep - flash in ms); positive is sound too late."""
    out = []
    for flash in flashes:
        nearest = min(beeps, key=lambda beep: abs(beep - flash), default=None)
        if nearest is not None and abs(nearest - flash) < within:
            out.append((flash, (nearest - flash) * 1000))
    return out


# --- files


def probe(path):
    """What ffprobe says: {"duration": s, "format": …, "video": {…} or None, "audio": {…} or None}."""
    result = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)],
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(f"ffprobe: {result.stderr.strip()}")
    fields = json.loads(result.stdout)
    streams = {s["codec_type"]: s for s in reversed(fields["streams"])}
    return {
        "format": fields["format"]["format_name"],
        "duration": float(fields["format"].get("duration", 0)),
        "video": streams.get("video"),
        "audio": streams.get("audio"),
    }


def heights(path):
    """The height of each picture of a file, as it was decoded."""
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=height", "-of", "csv=p=0", path],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [int(line.strip(",")) for line in shown.split()]


@dataclass
class Recording:
    """All of it, for a recording of picture and sound."""

    probe: dict
    frames: list
    sequence: Sequence
    beeps: list  # times
    offsets: list  # (time, ms)


def recording(path, modulo=pattern.CLIP_FRAMES, span=None):
    frames = read_video(path, span)
    start, samples = lay_out(read_audio(path, span))
    beeps = beep_onsets(samples, start)
    return Recording(
        probe(path),
        frames,
        sequence([f.counter for f in frames], modulo, [f.pts for f in frames]),
        beeps,
        av_offsets(flash_onsets(frames), beeps),
    )


def astray(frames):
    """How far each readable picture is from where it was sent, in seconds; most are taken to be right.

    What comes again with the clip cannot be told apart: a whole clip too late is no distance.
    """
    places = np.array([f.pts - f.counter / pattern.FPS for f in frames if f.counter is not None])
    clip = pattern.CLIP_FRAMES / pattern.FPS
    distances = (places - places[0] + clip / 2) % clip - clip / 2
    return list(distances - np.median(distances))
