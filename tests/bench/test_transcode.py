"""What a session that encodes a room costs, and how good that looks, beside FFmpeg and gst-launch-1.0 with the same film.

The room sends a film of 1280x720 at 30 pictures a second as VP8, and sound; the others read the same VP8 from a file.
All are to yield 2000 kbit/s. docs/recording.md has the figures of one machine.

A picture costs more when it comes a thirtieth of a second after the one before: a codec that does nothing meanwhile finds
the caches cold. So the session is held to gst-launch-1.0 at the pace of the room; how fast a file can be is shown too.
"""

import films
import pytest
from havenlib import CACHE, analyse
from measure import cpu_seconds_of, kbits, picture_sizes, record, ssim_of_turn
from test_encoders import ENCODERS
from test_watch import repeat_ivf

FILM, TURN = "box", 300  # pictures
PICTURES = 620
RATE = 2000
CBR = ["-b:v", f"{RATE}k", "-minrate", f"{RATE}k", "-maxrate", f"{RATE}k", "-bufsize", f"{RATE}k"]

GST = (
    "gst-launch-1.0 -q filesrc location={clip} ! ivfparse {pace}! vp8dec ! queue ! {encoder} "
    "! matroskamux ! filesink location={out}"
)
PACE = "! clocksync "
FFMPEG = {
    "libaom-av1": ["-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-row-mt", "1", "-tiles", "2x1",
                   "-threads", "2", *CBR],
    "libsvtav1": ["-preset", "12", "-b:v", f"{RATE}k", "-svtav1-params", "rc=2:pred-struct=1:lp=2"],
    "libvpx-vp9": ["-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-row-mt", "1",
                   "-tile-columns", "1", "-threads", "2", *CBR],
    "libx264": ["-preset", "superfast", "-tune", "zerolatency", "-threads", "2", *CBR],
}  # fmt: skip
OTHERS = {  # format: what gst-launch-1.0 and FFmpeg encode it with; the first is what the session has
    "av1": (["havenav1enc", "av1enc, no frame rate"], ["libaom-av1", "libsvtav1"]),
    "vp9": (["vp9enc"], ["libvpx-vp9"]),
    "h264": (["openh264enc"], ["libx264"]),
}

# What is asked of the session, beside gst-launch-1.0 with the same encoder at the same pace.
OF_CPU, LESS_SSIM, OFF_RATE = 1.25, 0.01, 0.10


def gst_launch_of(name, clip, out, pace=""):
    return GST.format(clip=clip, pace=pace, encoder=ENCODERS[name].format(rate=RATE), out=out).split()


def commands(form, clip, out):
    """name: command, the first at the pace of the room"""
    gst, ffmpeg = OTHERS[form]
    return {
        f"gst-launch-1.0, {gst[0]}, at the room's pace": gst_launch_of(gst[0], clip, out, PACE),
        **{f"gst-launch-1.0, {name}": gst_launch_of(name, clip, out) for name in gst},
        **{f"FFmpeg, {name}": ["ffmpeg", "-v", "error", "-y", "-i", clip, "-c:v", name, "-g", "60", *FFMPEG[name], out]
           for name in ffmpeg},
    }  # fmt: skip


@pytest.mark.parametrize("form", OTHERS)
def test_transcode(haven, publisher, tmp_path, capsys, form):
    clip = films.make_numbered(FILM, tmp_path, TURN, tmp_path / "vp8-720.ivf", films.VP8)
    (tmp_path / "beep.ogg").symlink_to(CACHE / "clips" / "beep.ogg")
    lines = []

    def look_at(what, path, cpu):
        frames = analyse.read_video(path)
        lines.append((what, kbits(picture_sizes(path)), ssim_of_turn(path, frames, clip, TURN), cpu))
        with capsys.disabled():
            print("| {} | {} | {:.0f} | {:.3f} | {:.1f} |".format(form, *lines[-1]), flush=True)

    with capsys.disabled():
        print("\n| format | by | kbit/s | SSIM | CPU s/min |\n|---|---|---|---|---|")
    publisher(video="vp8-720", clips=tmp_path)
    path, part, cpu = record(haven, {"output_format": form, "video_quality": "medium"}, "video_frames", PICTURES)
    assert part["encoded"] and haven.terminate()[0] == 0
    look_at("session", path, cpu)
    long, out = repeat_ivf(clip, tmp_path / "long.ivf", 2), tmp_path / "out.mkv"
    for what, command in commands(form, long, out).items():
        look_at(what, out, cpu_seconds_of(command) * 60 / (2 * TURN / 30))

    (_, rate, alike, cpu), (_, _, plain_alike, plain_cpu) = lines[:2]
    kept, good, cheap = abs(rate / RATE - 1) < OFF_RATE, alike > plain_alike - LESS_SSIM, cpu < plain_cpu * OF_CPU
    assert kept and good and cheap, (lines[:2], part["drops"])
