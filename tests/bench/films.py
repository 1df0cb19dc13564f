"""Films of 1280x720 at 30 pictures a second that are no test pattern, of what Debian packages hold (packages.txt).

Two were made by people with cameras, of another rate or size; a third is drawn by computer, with cuts; a photograph is
panned over and zoomed into by an unsteady hand. All get the noise of a sensor, which scaling has taken from them.
"""

import subprocess
from pathlib import Path

import numpy as np
from havenlib import analyse

FILMS = Path("/usr/share/doc/opencv-doc/examples/data")
BOX = Path("/usr/share/doc/opencv-doc/opencv4/html/box.mp4.gz")
PHOTO = Path("/usr/share/backgrounds/mate/nature/Dune.jpg")

RAW = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "1280x720", "-r", "30"]  # how FFmpeg reads one without a format
# A key frame a second and none that is hidden, as the publisher wants it.
VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-auto-alt-ref", "0",
       "-g", "30", "-keyint_min", "30", "-b:v", "3M"]  # fmt: skip

# x0, y0 … y3 of the corners of what is seen of the photograph, by the number of the picture.
SWAY_X, SWAY_Y = "180*sin(on/50)+6*sin(on/3.1)", "90*cos(on/70)+5*sin(on/2.3)"
HAND = (
    "perspective=sense=source:interpolation=cubic:eval=frame:"
    f"x0='200+{SWAY_X}':y0='120+{SWAY_Y}':x1='W-200+{SWAY_X}+60*sin(on/40)':y1='120+{SWAY_Y}':"
    f"x2='200+{SWAY_X}':y2='H-120+{SWAY_Y}+40*sin(on/40)':"
    f"x3='W-200+{SWAY_X}+60*sin(on/40)':y3='H-120+{SWAY_Y}+40*sin(on/40)'"
)
CONTENTS = {  # name: FFmpeg's input, and its filters
    "box": (["-ss", "2", "-i", "{tmp}/box.mp4"], "fps=30,crop=640:360"),  # a hand turns a printed box
    "street": (["-r", "30", "-i", FILMS / "vtest.avi"], "crop=768:432:0:60"),  # passers-by, three times as fast
    "drawn": (["-i", FILMS / "Megamind.avi"], "fps=30,crop=720:405"),
    "grass": (["-r", "30", "-loop", "1", "-i", PHOTO], f"scale=1680:945,format=yuv444p,{HAND}"),
}


def make(name, directory, pictures, path, output):
    """output: how FFmpeg shall encode. Returns: path"""
    (directory / "box.mp4").write_bytes(subprocess.run(["zcat", BOX], check=True, capture_output=True).stdout)
    source, filters = CONTENTS[name]
    subprocess.run(
        ["ffmpeg", "-v", "fatal", "-y", *(str(word).format(tmp=directory) for word in source), "-vf",
         f"{filters},scale=1280:720:flags=bicubic,noise=alls=4:allf=t:all_seed=1,format=yuv420p",
         "-r", "30", "-frames:v", str(pictures), *output, str(path)],
        check=True,
    )  # fmt: skip
    return path


def make_numbered(name, directory, pictures, path, output):
    """The same with a counter in each picture, as the clips of the rig have it. Returns: path"""
    raw = make(name, directory, pictures, directory / "film.yuv", ["-f", "rawvideo"])
    for counter, picture in enumerate(np.memmap(raw, np.uint8, "r+").reshape(pictures, -1)):
        analyse.pattern.draw_counter(picture[: 1280 * 720].reshape(720, 1280), counter)
    subprocess.run(["ffmpeg", "-v", "fatal", "-y", *RAW, "-i", raw, *output, path], check=True)
    raw.unlink()
    return path
