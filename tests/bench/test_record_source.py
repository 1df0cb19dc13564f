"""What a session costs that takes a room's own picture and sound into a file, beside the element that does the same."""

import contextlib
import os
import statistics
import time

from havenlib.process import eventually
from measure import cpu_seconds

SECONDS = int(os.environ.get("BENCH_SECONDS", "20"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SOURCE_SECONDS = 2.6  # CPU, a minute, of the session's whole process: what is asked


@contextlib.contextmanager
def session(haven):
    body = {"mint_id": "demo", "output_format": "source"}
    assert haven.post("/api/live-sessions/start", body).status == 200
    assert haven.post("/api/recording/start", body).status == 200
    (pid,) = haven.session_pids()
    eventually(lambda: haven.get("/api/recording/status/demo").body["stats"]["video_frames"] > 60, 20)
    yield pid
    assert haven.post("/api/recording/stop", body).status == 200
    assert haven.post("/api/live-sessions/stop", body).status == 200


@contextlib.contextmanager
def element(livekit, gst_launch, path):
    process = gst_launch(
        f"livekitsrc name=s room-name=demo output=encoded matroskamux name=m ! filesink location={path} "
        "s. ! queue ! m.video_0 s. ! queue ! m.audio_0",
        env=livekit.env,
    )
    eventually(lambda: path.exists() and path.stat().st_size > 500_000, what="data in the file")
    yield process.pid
    process.kill()


def test_record_source(haven, livekit, publisher, gst_launch, tmp_path, capsys):
    publisher(video="vp8-720")
    cost = {"element": [], "session": []}
    for _ in range(ROUNDS):
        for name, run in (
            ("element", element(livekit, gst_launch, tmp_path / "element.mkv")),
            ("session", session(haven)),
        ):
            with run as pid:
                before, began = cpu_seconds(pid), time.monotonic()
                time.sleep(SECONDS)  # this is the measurement
                cost[name].append((cpu_seconds(pid) - before) * 60 / (time.monotonic() - began))
    medians = {name: statistics.median(seconds) for name, seconds in cost.items()}
    with capsys.disabled():
        print(f"\nCPU s/min: element {medians['element']:.2f}, session {medians['session']:.2f}, "
              f"ratio {medians['session'] / medians['element']:.2f}")  # fmt: skip
    assert medians["session"] <= SOURCE_SECONDS
