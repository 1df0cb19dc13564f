"""A recording beside a scenario: the pipeline that makes it, and what its file must be."""

import subprocess
from dataclasses import dataclass

from . import analyse


def pipeline(path, options="", source="livekitsrc name=s room-name=demo"):
    """Records AV1 on a small canvas, and Opus as it was sent: pipelines/record-av1 for two cores that do more beside it."""
    return f"""
        {source} {options}
        s. ! video/x-raw ! queue max-size-buffers=15 max-size-bytes=0 max-size-time=0 leaky=downstream
           ! videoconvertscale ! video/x-raw,format=I420,width=320,height=180,pixel-aspect-ratio=1/1
           ! capssetter caps="video/x-raw,framerate=30/1"
           ! queue max-size-buffers=90 max-size-bytes=0 max-size-time=0 leaky=downstream
           ! av1enc usage-profile=realtime cpu-used=10 end-usage=cbr target-bitrate=400 min-quantizer=10
                    max-quantizer=56 lag-in-frames=0 keyframe-max-dist=60 threads=1
           ! av1parse ! mux.video_0
        s. ! audio/x-opus ! queue max-size-time=5000000000 max-size-bytes=0 max-size-buffers=0
           ! opusparse ! mux.audio_0
        matroskamux name=mux offset-to-zero=true ! filesink location={path}
    """


@dataclass
class Checked:
    duration: float
    frames: list
    sequence: analyse.Sequence
    offsets: list  # (seconds, ms)
    gaps: list  # (start, end) in seconds: no picture for longer than MIN_GAP

    def share_outside_gaps(self):
        inside = sum(max(0, round((end - start) * 30) - 1) for start, end in self.gaps)
        return self.sequence.received / max(1, self.sequence.expected - inside)

    def __str__(self):
        worst = max((abs(ms) for _, ms in self.offsets), default=0)
        return (
            f"{self.duration:.1f} s, {self.sequence.received} of {self.sequence.expected} pictures, "
            f"gaps {[f'{a:.1f}-{b:.1f}' for a, b in self.gaps]}, "
            f"{len(self.offsets)} A/V offsets, worst {worst:.1f} ms, "
            f"{['%.1f: %.1f' % o for o in self.offsets]}"
        )


MIN_GAP = 0.3


def assert_plays(path):
    """Decodes all of a file."""
    result = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostdin", "-v", "warning", "-xerror", "-i", str(path),
         "-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-f", "null", "-"],
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    # WAV does not say which channel is left: that is a guess of FFmpeg's, and no damage.
    complaints = [line for line in result.stderr.splitlines() if not line.startswith("Guessed Channel Layout")]
    assert result.returncode == 0 and not complaints, f"it does not play through: {result.stderr}"


def check(path, modulo=300, offset_ms=40, first_offsets=2, last_offsets=2, settling=0):
    """Decodes all of a recording and asserts that it is sound; returns what else there is to know.

    For so many seconds after a gap (settling) sound is not held to pictures: see docs/livekitsrc.md, "Lip-sync".
    There must be at least first_offsets flashes with a beep before the first gap in the pictures, and last_offsets
    after the last.
    """
    assert_plays(path)
    recording = analyse.recording(path, modulo)
    assert recording.probe["video"]["codec_name"] == "av1" and recording.probe["audio"]["codec_name"] == "opus"

    times = [f.pts for f in recording.frames]
    assert all(a < b for a, b in zip(times, times[1:])), "pictures go back in time"
    sound = [pts for pts, _ in analyse.read_audio(path)]
    assert all(a < b for a, b in zip(sound, sound[1:])), "sound goes back in time"
    gaps = [(a, b) for a, b in zip(times, times[1:]) if b - a > MIN_GAP]
    sequence = recording.sequence
    found = Checked(recording.probe["duration"], recording.frames, sequence, recording.offsets, gaps)
    print(path.name, found)

    assert not sequence.duplicates and not sequence.out_of_order, f"counters out of order: {sequence}"
    assert sequence.unreadable == 0, f"{sequence.unreadable} pictures without a counter"
    held = [o for o in recording.offsets if not any(end <= o[0] < end + settling for _, end in gaps)]
    assert all(abs(ms) < offset_ms for _, ms in held), f"sound is off: {recording.offsets}"
    if gaps:
        before = [o for o in recording.offsets if o[0] <= gaps[0][0]]
        after = [o for o in recording.offsets if o[0] >= gaps[-1][1]]
        assert len(before) >= first_offsets and len(after) >= last_offsets, f"too few flashes: {found}"
    else:
        assert len(recording.offsets) >= first_offsets + last_offsets
    return found
