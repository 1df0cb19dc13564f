"""Whether a session encodes AV1 of 1280x720 at 30 pictures a second while they come in, beside somebody who watches."""

import json
import os
import time
from pathlib import Path

import films
import pytest
from havenlib import CACHE
from havenlib.process import eventually
from havenlib.viewer import Viewer
from measure import cpu_seconds

SECONDS = int(os.environ.get("BENCH_SECONDS", "20"))


@pytest.mark.parametrize("film", ["box", "grass"])
def test_record_av1_live(haven, publisher, tmp_path, capsys, film):
    films.make(film, tmp_path, 300, tmp_path / "vp8-720.ivf", films.VP8)
    (tmp_path / "beep.ogg").symlink_to(CACHE / "clips" / "beep.ogg")
    publisher(video="vp8-720", clips=tmp_path)
    assert haven.post("/api/live-sessions/start", {"mint_id": "demo"}).status == 200
    with Viewer(haven.ws("/api/live-sessions/ws/live/demo")) as viewer:
        viewer.wait("video", 30)
        body = {"mint_id": "demo", "output_format": "av1", "video_quality": "medium"}
        recording = haven.post("/api/recording/start", body)
        assert recording.status == 200, recording
        (session,) = haven.session_pids()
        eventually(lambda: haven.get("/api/recording/status/demo").body["stats"]["video_frames"] > 0, 20)
        seen, before, began = len(viewer.of("video")), cpu_seconds(session), time.monotonic()
        time.sleep(SECONDS)  # this is the measurement
        seconds = time.monotonic() - began
        cpu = (cpu_seconds(session) - before) / seconds * 100
        seen = len(viewer.of("video")) - seen
        stopped = haven.post("/api/recording/stop", body)
        assert stopped.status == 200, stopped
    path = Path(stopped.body["final_path"])
    (part,) = json.loads(path.with_suffix(".json").read_text())["parts"]
    rate = part["size_bytes"] * 8 / part["duration_seconds"] / 1000
    with capsys.disabled():
        print(f"\n{film}: {part['video_frames']} pictures in {part['duration_seconds']:.1f} s, {part['dropped_frames']} dropped "
              f"{part['drops']}, {rate:.0f} kbit/s with sound, {cpu:.0f} % of a processor; "
              f"the viewer got {seen / seconds:.1f} a second")  # fmt: skip
    assert part["dropped_frames"] <= part["video_frames"] * 0.02
