#!/usr/bin/env python3
"""Makes the clips that the publisher loops.

usage: make_clips.py DIRECTORY [NAME...]

Makes NAME, or every clip that is missing: CODEC-HEIGHT.ivf (or .h264) and beep.ogg. Each lasts ten
seconds, begins with a key frame and has no frame that is not shown, so that it can be looped and so
that one coded frame is one picture.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pattern

SIZES = {720: (1280, 720, "2000k"), 360: (640, 360, "700k"), 180: (320, 180, "200k")}

# Every second is closed: a key frame at its start and nothing that refers back over it.
GOP = ["-g", "30", "-keyint_min", "30"]
CODECS = {
    "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0",
            "-auto-alt-ref", "0", *GOP],
    "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0",
            "-auto-alt-ref", "0", "-row-mt", "1", *GOP],
    # One slice a picture: the publisher takes each slice for a whole picture.
    "h264": ["-c:v", "libx264", "-profile:v", "baseline", "-preset", "veryfast", "-tune", "zerolatency",
             "-sc_threshold", "0", "-x264-params", "slices=1:sliced-threads=0:repeat-headers=1", *GOP],
    "av1": ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0",
            "-row-mt", "1", "-tiles", "2x1", *GOP],
}  # fmt: skip

FFMPEG = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]


def clips():
    """name -> (content, codec options, (width, height, bit rate))"""
    table = {}
    for codec, options in CODECS.items():
        suffix = "h264" if codec == "h264" else "ivf"
        for height, size in SIZES.items():
            table[f"{codec}-{height}.{suffix}"] = ("camera", options, size)
    table["h264-screen-720.h264"] = ("screen", CODECS["h264"], SIZES[720])
    # For measures of how fast a subscriber starts: a key frame is at most 100 ms away.
    quick = ["3" if option == "30" else option for option in CODECS["vp8"]]
    table["vp8-quick-360.ivf"] = ("camera", quick, (640, 360, "2000k"))
    return table


def make_master(path, content):
    """The pictures, without loss, for all encoders to read."""
    part = path.with_suffix(".part.mkv")
    ffmpeg = subprocess.Popen(
        ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p",
         "-s", "1280x720", "-r", str(pattern.FPS), "-i", "-",
         "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", str(part)],
        stdin=subprocess.PIPE,
    )  # fmt: skip
    painter = pattern.Painter(1280, 720, content)
    for counter in range(pattern.CLIP_FRAMES):
        ffmpeg.stdin.write(painter.frame(counter))
    ffmpeg.stdin.close()
    if ffmpeg.wait():
        sys.exit(f"make_clips: ffmpeg could not write {path.name}")
    part.rename(path)


def make_video(path, master, options, size):
    width, height, rate = size
    part = path.with_name(f"part-{path.name}")
    scale = [] if width == 1280 else ["-vf", f"scale={width}:{height}:flags=area"]
    subprocess.run(
        [*FFMPEG, "-i", str(master), *scale, "-pix_fmt", "yuv420p", *options, "-b:v", rate,
         "-maxrate", rate, "-bufsize", rate, str(part)],
        check=True,
    )  # fmt: skip
    part.rename(path)


def make_audio(path):
    """Beeps whose onset, on the wire, is the instant of the flash.

    The encoder looks 312 samples (6.5 ms) ahead: packet n decodes to what went in 312 samples before
    20*n ms. Players of files take these off again (pre-skip); RTP knows no such thing, so what goes in
    is 312 samples early. And the encoder starts a second before the clip, so that the first packet
    is one of a running stream, as it is each time that the clip begins again.
    """
    lead, lookahead = 1, 312
    part = path.with_name(f"part-{path.name}")
    running = path.with_name(f"running-{path.name}")
    samples = pattern.beeps(lookahead, (pattern.CLIP_SECONDS + 2 * lead) * pattern.SAMPLE_RATE)
    subprocess.run(
        [*FFMPEG[:-2], "-y", "-f", "f32le", "-ar", "48000", "-ac", "1", "-i", "-", "-c:a", "libopus",
         "-b:a", "64k", "-frame_duration", "20", "-application", "audio", str(running)],
        input=samples.tobytes(),
        check=True,
    )  # fmt: skip
    subprocess.run(
        [*FFMPEG, "-i", str(running), "-ss", str(lead - 0.01), "-frames:a", str(pattern.CLIP_SECONDS * 50),
         "-c", "copy", str(part)],
        check=True,
    )  # fmt: skip
    running.unlink()
    part.rename(path)


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    table = clips()
    wanted = [n for n in sys.argv[2:] or ["beep.ogg", *table] if not (directory / n).exists()]
    if "beep.ogg" in wanted:
        make_audio(directory / "beep.ogg")
        wanted.remove("beep.ogg")
    masters = {content: directory / f"master-{content}.mkv" for content in {table[n][0] for n in wanted}}
    for content, master in masters.items():
        make_master(master, content)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(make_video, directory / n, masters[table[n][0]], *table[n][1:]) for n in wanted
        ]
        for job in jobs:
            job.result()
    for master in masters.values():
        master.unlink()


main()
