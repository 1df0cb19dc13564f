"""Each format of a recording, of rooms that send each codec: whether the file is sound, what it costs, how good it is.

A cell is haven-live serve that records a room of 1280x720 at 30 pictures a second and Opus, nobody watches. CPU is that
of the session's process. SSIM compares with the clip as it was published, in its last whole turn that was recorded.
docs/recording.md has the table of one machine.
"""

from collections import namedtuple

import pytest
from havenlib import analyse, recorded
from measure import kbits, picture_sizes, record, ssim_of_turn

ROOMS = ["vp8", "vp9", "h264", "av1"]
FORMATS = {  # name: (codec that it encodes or None, codecs of rooms that it copies where no quality is asked for)
    "av1": ("av1", ["av1"]),
    "source": (None, ROOMS),
    "h264": ("h264", []),
    "vp9": ("vp9", ["vp9"]),
    "webm": ("vp8", ["vp8", "vp9"]),
    "mp4": ("h264", []),
    "opus": (None, []),
    "wav": (None, []),
}
SOUND = ["opus", "wav"]
QUALITY = "medium"  # 2000 kbit/s, as the clips have

PICTURES = 620  # of each cell: a clip of 300 is whole in any 600
PICTURES_VP9 = 2100  # libvpx leaves an edge in about one of 3000, so a share needs many
SOUNDS = PICTURES * 50 // 30  # packets, in the same time
SHARE_ENCODED, SHARE_COPIED = 0.999, 1
OFFSET_MS = 40

Cell = namedtuple("Cell", "room form copied")
HEAD = "| room | format | picture | pictures | order | A/V offset, ms | kbit/s | SSIM | CPU s/min |"


def cells():
    for room in ROOMS:
        for form, (encodes, copies) in FORMATS.items():
            if encodes or form in SOUND:
                yield Cell(room, form, False)
            if room in copies:
                yield Cell(room, form, True)


def pictures_of(cell):
    return PICTURES_VP9 if cell.form == "vp9" and not cell.copied else PICTURES


def name(cell):
    return f"{cell.room}-to-{cell.form}{'-copied' if cell.copied else ''}"


@pytest.fixture(scope="module")
def table():
    """Lines; all are printed at the end."""
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    yield lines
    print("", *lines, sep="\n")


def look_at_pictures(cell, path, part, clip):
    """(the values of its line, what is wrong with it)"""
    found = analyse.recording(path)
    sequence, offsets = found.sequence, [abs(ms) for _, ms in found.offsets]
    missing = sequence.missing
    in_order = not sequence.out_of_order and not sequence.duplicates
    alike = ssim_of_turn(path, found.frames, clip, analyse.pattern.CLIP_FRAMES)
    wrong = []
    if part["encoded"] == cell.copied:
        wrong.append(f"encoded: {part['encoded']}")
    if len(missing) > sequence.expected * (1 - (SHARE_COPIED if cell.copied else SHARE_ENCODED)):
        wrong.append(f"missing {missing}, of these {sequence.unreadable} cannot be read, {part['drops']}")
    if not in_order:
        wrong.append(f"order: {sequence}")
    if len(offsets) < pictures_of(cell) // 30 - 2 or max(offsets) >= OFFSET_MS:
        wrong.append(f"A/V offsets {offsets}")
    if alike is None:
        wrong.append("no whole turn of the clip")
    return [
        "copied" if cell.copied else part["video_codec"],
        f"{sequence.received} of {sequence.expected}", "yes" if in_order else "no",
        f"{max(offsets):.0f}" if offsets else "none", f"{kbits(picture_sizes(path)):.0f}", f"{alike or 0:.3f}",
    ], wrong  # fmt: skip


def look_at_sound(path):
    """Without pictures there is the beep of each second to count."""
    start, samples = analyse.lay_out(analyse.read_audio(path))
    beeps = analyse.beep_onsets(samples, start)
    off = max(abs(b - a - 1) * 1000 for a, b in zip(beeps, beeps[1:]))
    wrong = []
    if len(beeps) < SOUNDS // 50 - 1 or off >= OFFSET_MS:
        wrong.append(f"beeps at {beeps}")
    rate = path.stat().st_size * 8 / (len(samples) / analyse.pattern.SAMPLE_RATE) / 1000
    return ["–", f"{len(beeps)} beeps", "yes" if not wrong else "no", "–", f"{rate:.0f}", "–"], wrong


@pytest.mark.parametrize("cell", list(cells()), ids=name)
def test_cell(haven, publisher, table, capsys, cell):
    publisher(video=f"{cell.room}-720")
    order = {"output_format": cell.form}
    if not cell.copied and cell.form not in SOUND:
        order["video_quality"] = QUALITY
    kind, count = ("audio_frames", SOUNDS) if cell.form in SOUND else ("video_frames", pictures_of(cell))
    path, part, cpu = record(haven, order, kind, count)
    recorded.assert_plays(path)
    if cell.form in SOUND:
        values, wrong = look_at_sound(path)
    else:
        (clip,) = (analyse.CACHE / "clips").glob(f"{cell.room}-720.*")
        values, wrong = look_at_pictures(cell, path, part, clip)
    table.append("| " + " | ".join([cell.room.upper(), f"`{cell.form}`", *values, f"{cpu:.1f}"]) + " |")
    with capsys.disabled():
        print("\n" + table[-1], flush=True)
    assert not wrong, f"{name(cell)}: {wrong}"
