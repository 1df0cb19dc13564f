"""What watching and keeping a room costs, beside the bare work that nobody can avoid, in one table; and who spends it.

The bare floor is paced, decodes and encodes the same pictures, and does nothing else. Machines differ and are noisy:
the ratio to the floor measured in turn with it is the figure to compare, not the seconds. docs/performance.md has the
figures of one machine.
"""

import contextlib
import os
import re
import statistics
import struct
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path

from havenlib import analyse
from havenlib.ports import free_port
from havenlib.process import eventually
from havenlib.viewer import Viewer

SECONDS = int(os.environ.get("BENCH_SECONDS", "20"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CLIP = analyse.CACHE / "clips" / "vp8-720.ivf"

DECODE_AND_ENCODE = "vp8dec ! jpegenc quality=85 ! fakesink"

# What is asked of the medians, on two cores that run the server and the publisher beside it.
WATCH_OF_FLOOR = 1.15
KEEP_SECONDS = 2.6  # CPU, a minute
P50_MS, P99_MS = 10, 18


def repeat_ivf(source, target, times):
    """A clip that goes on for longer: its frames again and again, with timestamps that go on."""
    data = source.read_bytes()
    header, frames, at = data[:32], [], 32
    while at < len(data):
        size, pts = struct.unpack_from("<IQ", data, at)
        frames.append((pts, data[at + 12 : at + 12 + size]))
        at += 12 + size
    span = frames[-1][0] + (frames[1][0] - frames[0][0])
    with open(target, "wb") as out:
        out.write(header[:24] + struct.pack("<I", len(frames) * times) + header[28:])
        for turn in range(times):
            for pts, frame in frames:
                out.write(struct.pack("<IQ", len(frame), pts + turn * span) + frame)
    return target


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def thread_seconds(pid):
    """CPU seconds of a process by the names of its threads, of which the numbers are taken off."""
    seconds = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            name = re.sub(r"\d+", "*", (task / "comm").read_text().strip())
            seconds[name] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


class Bench:
    """Runs one pipeline after another and keeps what each took."""

    def __init__(self, gst_launch, server, streamer, directory):
        self.gst_launch, self.server, self.streamer, self.directory = gst_launch, server, streamer, directory
        self.cpu, self.rss, self.delays = defaultdict(list), {}, []
        self.clip = repeat_ivf(CLIP, directory / "long.ivf", 3 + SECONDS // 10)

    # The pipelines.

    @contextlib.contextmanager
    def floor(self, work):
        process = self.gst_launch(f"filesrc location={self.clip} ! ivfparse ! identity sync=true ! {work}")
        process.wait_for("PLAYING")
        yield process
        process.kill()

    @contextlib.contextmanager
    def watch(self, sound=False):
        port = free_port()
        process = self.gst_launch(
            f"livekitsrc name=s room-name=bench kinds={'video+audio' if sound else 'video'} "
            f"s. ! jpegenc quality=85 ! w.video havenwssink name=w port={port} stream-name=bench "
            + ("s. ! queue ! audioconvert ! audioresample ! w.audio" if sound else ""),
            env=self.server.env,
        )
        viewer = eventually(lambda: connect(port), what="the sink's port")
        viewer.wait("video", 30)
        yield process
        received = [(counter, at) for counter, at in viewer.counters()[30:] if counter is not None]
        viewer.close()
        process.kill()
        if not sound:
            self.delays += analyse.latencies(self.streamer.sent(), received)

    @contextlib.contextmanager
    def keep(self, sound=False):
        path = self.directory / "keep.mkv"
        process = self.gst_launch(
            f"livekitsrc name=s room-name=bench kinds={'video+audio' if sound else 'video'} output=encoded "
            f"s. ! queue ! m.video_0 matroskamux name=m ! filesink location={path} "
            + ("s. ! queue ! m.audio_0" if sound else ""),
            env=self.server.env,
        )
        eventually(lambda: path.exists() and path.stat().st_size > 500_000, what="data in the file")
        yield process
        process.kill()
        path.unlink()

    # What is measured of them.

    def take(self, name, pipeline):
        """CPU seconds a minute, user and system, all threads."""
        with pipeline as process:
            began, cpu = time.monotonic(), process.cpu_seconds()
            time.sleep(SECONDS)  # this is the measurement
            assert process.running, process.output
            self.cpu[name].append((process.cpu_seconds() - cpu) * 60 / (time.monotonic() - began))
            self.rss[name] = process.rss()

    def profile(self, pipeline):
        """Which threads and which libraries the time goes to, in lines."""
        data = self.directory / "perf.data"
        with pipeline as process:
            began, before = time.monotonic(), thread_seconds(process.pid)
            recorded = subprocess.run(
                ["perf", "record", "-e", "cpu-clock", "-F", "499", "-o", data, "-p", str(process.pid)]
                + ["--", "sleep", str(SECONDS)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            spent, minutes = thread_seconds(process.pid) - before, (time.monotonic() - began) / 60
        yield f"  {'thread':50}{'CPU s/min':>10}"
        for name, seconds in spent.most_common(8):
            yield f"  {name:50}{seconds / minutes:10.2f}"
        if recorded.returncode:
            yield f"  perf: {recorded.stdout.strip()}"
            return
        for what, keys, count in (("library", "dso", 10), ("function", "dso,symbol", 6)):
            report = subprocess.run(
                ["perf", "report", "--stdio", "--no-children", "--sort", keys, "-i", data],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
            )  # fmt: skip
            yield f"  {what:50}{'CPU s/min':>10}"
            shares = re.findall(r"^ *([\d.]+)% +(\S.*?)[ -]*$", report.stdout, re.M)
            named = [(float(share), re.sub(" +", " ", name)) for share, name in shares if " 0x0" not in name]
            for share, name in named[:count]:
                yield f"  {name[:49]:50}{share / 100 * spent.total() / minutes:10.2f}"

    def cost(self, name):
        return statistics.median(self.cpu[name])

    def latency(self, share):
        return percentile(self.delays, share)

    def table(self, pairs):
        yield f"720p30 VP8, medians of {ROUNDS} rounds of {SECONDS} s"
        yield f"{'':14}{'CPU s/min':>10}{'of floor':>10}{'RSS MB':>8}   rounds"
        for name, floor in pairs:
            rounds = " ".join(f"{value:.2f}" for value in self.cpu[name])
            ratio = self.cost(name) / self.cost(floor)
            yield f"{name:14}{self.cost(name):10.2f}{ratio:10.2f}{self.rss[name] / 1e6:8.0f}   {rounds}"
        yield "from the packet in the publisher's RTP stack to the whole message at the viewer:"
        yield f"p50 {self.latency(0.5):.1f} ms, p99 {self.latency(0.99):.1f} ms, {len(self.delays)} pictures"


def connect(port):
    try:
        return Viewer(f"ws://127.0.0.1:{port}/ws/live/bench")
    except Exception:
        return None


def test_watch_and_keep(livekit, publisher, gst_launch, tmp_path, capsys):
    bench = Bench(gst_launch, livekit, publisher(room="bench", video="vp8-720", audio="beep"), tmp_path)
    for _ in range(ROUNDS):
        bench.take("floor", bench.floor(DECODE_AND_ENCODE))
        bench.take("watch", bench.watch())
        bench.take("watch+sound", bench.watch(sound=True))
        bench.take("keep floor", bench.floor(f"matroskamux ! filesink location={tmp_path / 'floor.mkv'}"))
        bench.take("keep", bench.keep())
        bench.take("keep+sound", bench.keep(sound=True))
    pairs = [(name, "floor") for name in ("floor", "watch", "watch+sound")]
    pairs += [(name, "keep floor") for name in ("keep floor", "keep", "keep+sound")]
    table = list(bench.table(pairs))
    p50, p99 = bench.latency(0.5), bench.latency(0.99)
    profiles = [("floor", bench.floor(DECODE_AND_ENCODE)), ("watch", bench.watch()), ("keep", bench.keep())]
    with capsys.disabled():
        print("", *table, sep="\n")
        for name, pipeline in profiles:
            print(f"{name}, {SECONDS} s of it:", *bench.profile(pipeline), sep="\n")
    assert bench.cost("watch") <= WATCH_OF_FLOOR * bench.cost("floor")
    assert bench.cost("keep") <= KEEP_SECONDS
    assert p50 < P50_MS and p99 < P99_MS
