"""What a process took, a recording that is measured, and what a file of video holds."""

import json
import os
import re
import resource
import subprocess
import time
from pathlib import Path

from havenlib.process import eventually


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_of(command):
    """Runs it to its end."""

    def spent():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return spent() - before


def record(haven, order, kind, count):
    """So many (count) of video_frames or audio_frames (kind) of room demo, in one file.

    Returns: (path, its part in the manifest, CPU seconds a minute of the session)
    """
    reply = haven.post("/api/recording/start", {"mint_id": "demo", **order})
    assert reply.status == 200, reply
    (session,) = haven.session_pids()

    def wait(frames):
        eventually(lambda: haven.get("/api/recording/status/demo").body["stats"][kind] >= frames, 90, f"{frames} {kind}")

    wait(1)
    before, began = cpu_seconds(session), time.monotonic()
    wait(count)
    cpu = (cpu_seconds(session) - before) * 60 / (time.monotonic() - began)
    reply = haven.post("/api/recording/stop", {"mint_id": "demo"})
    assert reply.status == 200, reply
    path = Path(reply.body["final_path"])
    (part,) = json.loads(path.with_suffix(".json").read_text())["parts"]
    return path, part, cpu


def picture_sizes(path):
    """The bytes of each coded picture of a file."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size", "-of", "csv=p=0", path],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [int(line.strip(",")) for line in done.stdout.split()]


def kbits(sizes):
    """The bit rate of pictures of which 30 are a second."""
    return sum(sizes) * 8 / (len(sizes) / 30) / 1000


def ssim(shown, original, times="settb=1/30,setpts=N"):
    """Of two inputs of FFmpeg, a picture of the first with that of the same time in the second.

    times: filters that choose pictures of the first and number them in their time stamps, as those of the second are.
    """
    done = subprocess.run(
        ["ffmpeg", "-v", "info", "-nostdin", "-copyts", *shown, *original, "-lavfi",
         f"[0]{times}[a];[1]settb=1/30,setpts=N[b];[a][b]ssim=shortest=1", "-f", "null", "-"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(re.search(r"SSIM .*All:([0-9.]+)", done.stderr)[1])


def ssim_of_turn(path, frames, clip, turn):
    """Of a recording (path, and what analyse.read_video() read of it) of a clip that is looped: the last whole turn in it.

    turn: how many pictures the clip has. None: no turn is whole.
    """
    begins = [f.pts for f in frames if f.counter == 0 and frames[-1].pts - f.pts > (turn - 1.5) / 30]
    if not begins:
        return None
    times = f"trim=start={begins[-1] - 0.01}:duration={(turn - 0.5) / 30},setpts=PTS-STARTPTS,settb=1/30"
    return ssim(["-i", path], ["-i", clip], times)


def assert_goes_to_its_end(path, hours):
    """Who plays a file of so many hours can go to its end at once: it has an index."""
    shown = subprocess.run(
        ["ffprobe", "-v", "fatal", "-show_entries", "packet=pts_time", "-of", "csv=p=0",
         "-read_intervals", f"{hours * 3600 - 2}%+#1", path],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    first = float(shown.stdout.split()[0].strip(","))
    assert hours * 3600 - 5 < first < hours * 3600, first
