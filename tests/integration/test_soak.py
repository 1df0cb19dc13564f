"""Recordings and viewers over a long time: nothing grows, and sound stays with its picture."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from havenlib import analyse
from havenlib.viewer import Viewer

PPM = 100  # by how much the streamers' clocks are faster than ours
SPAN = 15  # seconds of a file that are looked at, so many times over its length
SPANS = 12
HOUR = 3600
GROWTH = 10e6  # bytes: what half an hour may add


class Cost:
    """What processes hold, looked at again and again."""

    def __init__(self, pids):
        self.samples = {pid: [] for pid in pids}  # (seconds, bytes, descriptors, threads)

    def look(self):
        for pid, samples in self.samples.items():
            proc = Path(f"/proc/{pid}")
            resident = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            samples.append(
                (time.monotonic(), resident, len(os.listdir(proc / "fd")), len(os.listdir(proc / "task")))
            )


def slope(points):
    """Of the line through [(x, y)], and its standard error."""
    x, y = np.array(points, float).T
    x = x - x.mean()
    found = (x * y).sum() / (x * x).sum()
    rest = y - y.mean() - found * x
    return found, np.sqrt((rest * rest).sum() / (len(x) - 2) / (x * x).sum())


def offsets(path, seconds):
    """[(time, ms)] of all flashes with a beep in what is looked at of a file."""
    count = SPANS if seconds > SPANS * SPAN else 1
    length = SPAN if count > 1 else seconds
    starts = [i * (seconds - length) / max(1, count - 1) for i in range(count)]
    found = []
    for start in starts:
        part = analyse.recording(path, span=(start, length))
        assert part.sequence.received > (length - 2) * 28, f"at {start}: {part.sequence}"
        found += part.offsets
    return found


@pytest.mark.parametrize(
    "length", [pytest.param(120, id="short"), pytest.param(HOUR // 2, id="long", marks=pytest.mark.soak)]
)
def test_nothing_grows_and_sound_stays_with_its_picture(livekit, publisher, haven, started, length):
    rooms = {"encoded": "av1", "copied": "source"}
    recordings = {}
    for room, form in rooms.items():
        publisher(room=room, identity=room, video="vp8-360", ppm=PPM)
        quality = {"video_quality": "low"} if form == "av1" else {}
        reply = haven.post("/api/recording/start", {"mint_id": room, "output_format": form, **quality})
        assert reply.status == 200, reply
        recordings[room] = reply.body["recording_id"]
    viewers = [started(Viewer(haven.ws(f"/api/live-sessions/stream/{room}"), max_messages=500)) for room in rooms]
    for viewer in viewers:
        viewer.wait("video", 30)
    cost = Cost([haven.process.pid, *haven.session_pids()])
    ends = time.monotonic() + length
    while time.monotonic() < ends:
        cost.look()
        time.sleep(length / 100)
    assert not any(viewer._ended for viewer in viewers)
    for room in rooms:
        reply = haven.post("/api/recording/stop", {"mint_id": room})
        assert reply.status == 200, reply

    for pid, samples in cost.samples.items():
        settled = samples[len(samples) // 5 :]
        growth, error = slope([(at, resident) for at, resident, _, _ in settled])
        held = [(fds, threads) for _, _, fds, threads in settled]
        print(
            f"\n{pid}: {settled[0][1] / 1e6:.1f} MB, then {settled[-1][1] / 1e6:.1f}; {growth * HOUR / 1e6:+.1f} "
            f"± {2 * error * HOUR / 1e6:.1f} MB an hour; descriptors, threads {held[0]} … {held[-1]}, at most {max(held)}"
        )
        assert settled[-1][1] < settled[0][1] + GROWTH
        assert held[-1][0] <= held[0][0] + 2 and held[-1][1] <= held[0][1] + 2
    for room, form in rooms.items():
        row = haven.get(f"/api/recordings/{recordings[room]}").body
        (part,) = row["parts"]
        assert row["state"] == "completed" and not row["error"] and part["duration_seconds"] > length
        found = offsets(part["path"], part["duration_seconds"])
        drift, error = slope(found)
        worst = max(abs(ms) for _, ms in found)
        print(
            f"{form}: {len(found)} flashes over {part['duration_seconds']:.0f} s, worst {worst:.1f} ms, "
            f"drift {drift * HOUR:+.1f} ± {2 * error * HOUR:.1f} ms an hour"
        )
        assert worst < 40
        # A jitter buffer moves by 2 ms for some seconds, which over two minutes is more than a drift that matters.
        assert length < HOUR // 6 or abs(drift) * HOUR < 20 + 2 * error * HOUR
