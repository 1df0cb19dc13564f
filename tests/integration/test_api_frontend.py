"""What a frontend does, step by step, in both generations, against a real room."""

import re
from pathlib import Path

import pytest
from havenlib import analyse
from havenlib.process import eventually
from havenlib.viewer import Viewer

pytestmark = pytest.mark.smoke
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


@pytest.mark.parametrize(
    "key, path",
    [("room_name", "/api/live-sessions/ws/live/demo"), ("mint_id", "/api/live-sessions/stream/demo")],
    ids=["generation-1", "generation-2"],
)
def test_a_frontends_evening(haven, publisher, key, path):
    streamer = publisher()
    body = {key: "demo", "theme": "dark"}  # frontends send settings of their own along

    begun = haven.post("/api/live-sessions/start", body)
    assert begun.status == 200, begun
    assert begun.body["mint_id"] == begun.body["room_name"] == "demo"
    assert begun.body["participant_sid"] == streamer.sid

    with Viewer(haven.ws(path)) as viewer:
        viewer.wait("video", 10)
        viewer.wait("audio", 10)
        counters = [c for c, _ in viewer.counters()[:10]]
        assert None not in counters and len(set(counters)) > 5

        recording = haven.post("/api/recording/start", {**body, "output_format": "av1"})
        assert recording.status == 200, recording
        output = Path(recording.body["output_path"])
        assert output.parent == haven.recordings and re.fullmatch(r"demo_\d{8}_\d{6}\.mkv", output.name)

        def grown():
            status = haven.get("/api/recording/status/demo")
            assert status.status == 200 and status.body["is_recording"] is True
            assert status.body["state"] == "recording"
            return status.body if status.body["duration_seconds"] > 2 else None

        polled = eventually(grown, 60)
        assert polled["stats"]["video_frames"] > 0 and polled["error"] is None

        stopped = haven.post("/api/recording/stop", body)
        assert stopped.status == 200, stopped
        assert stopped.body["recording_id"] == recording.body["recording_id"]
        assert ISO.match(stopped.body["end_time"]) and stopped.body["duration_seconds"] > 2
        final = Path(stopped.body["final_path"])
        assert final.stat().st_size == stopped.body["file_size_bytes"]
        assert haven.get("/api/recording/status/demo").status == 404

        probed = analyse.probe(final)
        assert probed["video"]["codec_name"] == "av1" and probed["audio"]["codec_name"] == "opus"

        ended = haven.post("/api/live-sessions/stop", body)
        assert ended.status == 200 and ended.body == {"success": True, "mint_id": "demo", "room_name": "demo"}
        assert viewer.wait_closed() == 1000
    assert haven.get("/api/live-sessions/active").body["count"] == 0

    library = haven.get("/api/recordings").body
    assert [r["recording_id"] for r in library["recordings"]] == [stopped.body["recording_id"]]
    file = haven.get(f"/api/recordings/{stopped.body['recording_id']}/file")
    assert file.status == 200 and file.body == final.read_bytes()
