"""A recording that the control server makes while something happens in its room, and what its files must be."""

import json
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pattern

from . import analyse
from .process import eventually

ANNOUNCED = 1.0  # s: what is longer is in the manifest
HOLE = 0.045  # s: a packet of sound lasts 20 ms
MIN_DISTANCE = 0.001  # s: so far apart is what came at one time
MAX_DROPPED = 0.05  # of all pictures, by an encoder that is behind: these machines are busy
ON_THE_WAY = 1_000_000_000  # ns: what was sent so long before a disturbance may be lost by it


@dataclass
class Part:
    told: dict  # as in the manifest
    pictures: list  # analyse.Frame
    sound: list  # time stamps, s
    offsets: list  # (s, ms)

    @property
    def times(self):
        return {"video": [p.pts for p in self.pictures], "audio": self.sound}


def pauses(times, begin, end, longer):
    edges = [begin, *times, end]
    return [(a, b) for a, b in zip(edges, edges[1:]) if b - a > longer]


def without_twins(pictures):
    """Where LiveKit goes to another layer of a simulcast, it sends one picture in both sizes, at one time."""
    return [p for before, p in zip([None, *pictures], pictures)
            if not (before and p.counter == before.counter and p.pts - before.pts < 1.5 * MIN_DISTANCE)]  # fmt: skip


def read_part(path, told):
    """Decodes all of a file, which must neither fail nor go back in time."""
    played = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-i", path,
         "-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-f", "null", "-"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert played.returncode == 0 and not played.stderr.strip(), f"{path.name} does not play: {played.stderr}"
    probed = analyse.probe(path)
    pictures = analyse.read_video(path) if probed["video"] else []
    blocks = analyse.read_audio(path) if probed["audio"] else []
    start, samples = analyse.lay_out(blocks)
    offsets = analyse.av_offsets(analyse.flash_onsets(pictures), analyse.beep_onsets(samples, start))
    part = Part(told, pictures, [pts for pts, _ in blocks], offsets)
    for kind, times in part.times.items():
        assert all(a < b for a, b in zip(times, times[1:])), f"{path.name}: {kind} goes back in time"
    assert_length_is_told(part, probed["duration"])
    return part


def assert_length_is_told(part, header):
    """By the manifest to the end of what came last; a header may tell the longest track's own length alone."""
    tracks = [times for times in part.times.values() if times]
    end, told = max(times[-1] for times in tracks), part.told["duration_seconds"]
    assert end < told < end + 0.2, (end, told)
    assert told - max(times[0] for times in tracks) - 0.2 < header < told + 0.2, (header, told)


def assert_gaps_are_announced(part):
    """The manifest tells of each pause in the file, and of none that is not there."""
    everything = [t for times in part.times.values() for t in times]
    for kind, times in part.times.items():
        if not times:
            continue
        found = pauses(times, min(everything), max(everything), 0.9 * ANNOUNCED)
        told = [(g["start_seconds"], g["start_seconds"] + g["duration_seconds"]) for g in part.told["gaps"] if g["kind"] == kind]

        def is_in(pause, others):
            return any(abs(pause[0] - a) < 0.15 and abs(pause[1] - b) < 0.15 for a, b in others)

        assert all(is_in(gap, found) for gap in told), f"{kind}: announced {told}, found {found}"
        assert all(is_in(p, told) for p in found if p[1] - p[0] > 1.1 * ANNOUNCED), f"{kind}: announced {told}, found {found}"


class Take:
    """haven records the room of a streamer; windows is when something was done, [(kinds, begin, end)] in monotonic ns."""

    def __init__(self, haven, streamer, form, room="demo"):
        self.haven, self.streamer, self.form, self.room = haven, streamer, form, room
        self.windows = []

    def order(self):
        """Asks for the recording, and gives the answer, whatever it is."""
        quality = {} if self.form == "source" else {"video_quality": "medium"}
        self.reply = self.haven.post(
            "/api/recording/start", {"mint_id": self.room, "output_format": self.form, **quality}, timeout=120
        )
        return self.reply

    def start(self):
        self.order()
        return self.begun()

    def begun(self):
        """The order was taken; waits for the first seconds."""
        assert self.reply.status == 200, self.reply
        self.id = self.reply.body["recording_id"]
        self.more(1)
        self._first_by = time.monotonic_ns()
        self.more(75, 100)
        return self

    def row(self):
        return self.haven.get(f"/api/recordings/{self.id}").body

    def frames(self):
        """(pictures, packets of sound) so far."""
        status = self.haven.get(f"/api/recording/status/{self.room}")
        assert status.status == 200, (status, self.row())
        return status.body["stats"]["video_frames"], status.body["stats"]["audio_frames"]

    def more(self, pictures=0, sound=0, timeout=120):
        """Waits until so many more are recorded."""
        now = self.frames()
        wanted = now[0] + pictures, now[1] + sound
        eventually(lambda: all(a >= b for a, b in zip(self.frames(), wanted)), timeout, f"{pictures} pictures, {sound} of sound")

    @contextmanager
    def disturbed(self, *kinds):
        """What is done inside may cost pictures and sound, or that of them, until a second of both is recorded again."""
        begin = time.monotonic_ns()
        yield
        self.more(30, 50)
        self.windows.append((kinds or ("video", "audio"), begin, time.monotonic_ns()))

    def stop(self):
        began = time.monotonic()
        reply = self.haven.post("/api/recording/stop", {"mint_id": self.room})
        assert reply.status == 200, reply
        print(f"stopped in {time.monotonic() - began:.2f} s")

    def wait_end(self):
        """It ends by itself; returns its row."""
        return eventually(lambda: (row := self.row())["state"] != "recording" and row, 60, "its end")

    def finished(self):
        """The row and the parts of a recording that has ended as it should."""
        row = self.wait_end()
        assert row["state"] == "completed" and all(p["complete"] and not p["recovered"] for p in row["parts"]), row
        path = Path(row["output_path"])
        assert not list(path.parent.glob(f"{self.room}*.part"))
        first = min(path.parent.glob(f"{self.room}_*.json"), key=lambda p: len(p.name))
        manifest = json.loads(first.read_text())
        assert manifest["recording_id"] == self.id and len(manifest["parts"]) == len(row["parts"])
        return row, [read_part(path.parent / told["file"], told) for told in manifest["parts"]]

    def check(self, codecs=None, gaps=(), maybe=(), settling=0, offset_ms=40, flashes=4, modulo=pattern.CLIP_FRAMES,
              exact=True, simulcast=False, error=None):
        """Holds the recording to what was to be; returns (outcome, gaps, A/V) in words.

        codecs    of the picture, a part each
        gaps      {(kind, reason)} that must be announced; maybe: that may be, since their length is chance
        offset_ms how far sound may be from pictures; None: the streamer itself does not hold them together
        settling  for so many seconds after a pause sound is not held to pictures (docs/livekitsrc.md, "Lip-sync")
        exact     each picture that was sent is there; else nine of ten, of an encoder that leaves out some itself
        simulcast a picture may be there in two sizes
        error     of what is said of its end; None: nothing is
        """
        row, parts = self.finished()
        assert error in row["error"] if error else row["error"] is None, row
        assert [p.told["video_codec"] for p in parts] == (codecs or [p.told["video_codec"] for p in parts[:1]])

        announced = [(g["kind"], g["reason"], g["duration_seconds"]) for p in parts for g in p.told["gaps"]]
        for part in parts:
            assert_gaps_are_announced(part)
        told = {(kind, reason) for kind, reason, _ in announced}
        assert set(gaps) <= told <= set(gaps) | set(maybe), f"announced {announced}"

        offsets = [o for part in parts for o in part.offsets]
        worst = max((abs(ms) for _, ms in offsets), default=0)
        for part in parts:
            everything = [part.times[kind] for kind in part.times if part.times[kind]]
            back = [b for times in everything for _, b in pauses(times, times[0], times[-1], 0.3)]
            held = [o for o in part.offsets if not any(end <= o[0] < end + settling for end in back)]
            assert offset_ms is None or all(abs(ms) < offset_ms for _, ms in held), f"sound is off: {part.offsets}, pauses end {back}"
        assert len(offsets) >= flashes, f"too few flashes: {offsets}"

        drops = sum(sum(part.told["drops"].values()) for part in parts)
        for part in parts:
            pictures = without_twins(part.pictures) if simulcast else part.pictures
            report = analyse.sequence([p.counter for p in pictures], modulo, [p.pts for p in pictures])
            assert not (report.duplicates or report.out_of_order or report.unreadable), report
            assert exact or report.share > 0.9, report
        if exact:
            self._assert_nothing_else_is_lost(parts, drops)
        pictures = sum(len(part.pictures) for part in parts)
        seconds = parts[-1].told["start_seconds"] + parts[-1].told["duration_seconds"]
        files = "one file" if len(parts) == 1 else f"{len(parts)} parts"
        outcome = f"{files}, {seconds:.0f} s, {pictures} pictures" + (f", {drops} dropped" if drops else "")
        longest = {}
        for kind, reason, duration in announced:
            longest.setdefault((kind, reason), []).append(duration)
        words = [
            f"{kind} {reason} {max(times):.1f} s" + (f" (the longest of {len(times)})" if len(times) > 1 else "")
            for (kind, reason), times in longest.items()
        ]
        return outcome, ", ".join(words) or "none", f"{worst:.0f} ms" if offset_ms else "–"

    def _assert_nothing_else_is_lost(self, parts, drops):
        """Each picture that was sent, but within the windows, and each packet of sound."""
        sent = {round(s.pts_ns * pattern.FPS / 1e9): s for s in self.streamer.sent()}
        frames = [(part.told["start_seconds"] + p.pts, p.counter) for part in parts for p in part.pictures]
        places = analyse.unwrap([counter for _, counter in frames], times=[t for t, _ in frames])
        first = max(i for i, s in sent.items() if s.counter == frames[0][1] and s.monotonic_ns < self._first_by)
        there = [place - places[0] + first for place in places]
        assert all(i in sent and sent[i].counter == f[1] for i, f in zip(there, frames)), "pictures that were not sent"

        def is_outside(kind, a, b):
            return not any(kind in of and begin - ON_THE_WAY <= a and b <= end for of, begin, end in self.windows)

        missing = set(range(min(there), max(there) + 1)) & set(sent) - set(there)
        lost = sorted(i for i in missing if is_outside("video", sent[i].monotonic_ns, sent[i].monotonic_ns))
        print(f"{len(missing)} pictures missing, {len(lost)} of them outside of {len(self.windows)} disturbances; {drops} dropped")
        assert len(lost) <= min(drops, MAX_DROPPED * len(there)), f"pictures {lost} are missing, {drops} dropped"
        shift = median(sent[i].monotonic_ns - t * 1e9 for i, (t, _) in zip(there, frames))
        sound = sorted(part.told["start_seconds"] + t for part in parts for t in part.sound)
        holes = [(a, b) for a, b in zip(sound, sound[1:]) if b - a > HOLE]
        holes = [(a, b) for a, b in holes if is_outside("audio", a * 1e9 + shift, b * 1e9 + shift)]
        assert not holes, f"sound is missing: {holes}"
