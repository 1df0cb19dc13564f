"""How long who stops a recording through the API waits: of ten hours, and of ten seconds.

The ten hours pass in minutes in a room of fast-room.c's, which stands in for livekitsrc. All behind that is the real
thing: server, session, muxer, file, the sync each second, manifest, checksum. What is not: a disk that has aged for ten
hours, and the times by the wall clock in the answers. The last seconds before a stop pass in real time, so that no
more waits for the disk than ever does.
"""

import hashlib
import json
import os
import time
from pathlib import Path

from havenlib import BUILD, CACHE
from havenlib.process import eventually
from measure import assert_goes_to_its_end

HOURS = 10
IN_REAL_TIME = 5  # seconds
LIMIT = 2  # seconds
CLIP = CACHE / "clips" / "vp8-360.ivf"


def fast_room(haven_factory, directory, seconds):
    directory.mkdir()
    return haven_factory(directory=directory, env={
        "LIVEKIT_URL": "ws://127.0.0.1:9", "LIVEKIT_API_KEY": "nobody", "LIVEKIT_API_SECRET": "asks for it here",
        "GST_PLUGIN_PATH": f"{BUILD}/tests/bench:{BUILD}/plugins", "GST_REGISTRY": str(directory / "registry.bin"),
        "HAVEN_FAST_ROOM_CLIP": str(CLIP), "HAVEN_FAST_ROOM_SECONDS": str(seconds),
    })  # fmt: skip


def record(haven, pictures, room="room", timeout=900):
    assert haven.post("/api/recording/start", {"mint_id": room, "output_format": "source"}).status == 200

    def stats():
        return haven.get(f"/api/recording/status/{room}").body["stats"]

    eventually(lambda: stats()["video_frames"] >= pictures, timeout, f"{pictures} pictures")
    assert stats()["dropped_frames"] == 0


def stop(haven, room="room"):
    """The answer, and the seconds that it took."""
    began = time.monotonic()
    reply = haven.post("/api/recording/stop", {"mint_id": room})
    took = time.monotonic() - began
    assert reply.status == 200 and reply.body["success"] is True, reply
    print(f"\n{reply.body['stats']['video_frames'] / 30 / 3600:.3f} h, {reply.body['file_size_bytes'] / 1e6:.0f} MB: "
          f"answered in {took:.2f} s; load {os.getloadavg()[0]:.1f}")
    return reply.body, took


def checksum(answer):
    return json.loads(Path(answer["final_path"]).with_suffix(".json").read_text())["parts"][0]["sha256"]


def test_a_stop_is_answered_as_fast_after_ten_hours(haven_factory, tmp_path):
    haven = fast_room(haven_factory, tmp_path / "short", 0)
    record(haven, 300)
    _, short = stop(haven)
    haven.close()

    haven = fast_room(haven_factory, tmp_path / "long", HOURS * 3600)
    record(haven, (HOURS * 3600 + IN_REAL_TIME) * 30)
    answer, long = stop(haven)
    file = Path(answer["final_path"])
    assert_goes_to_its_end(file, HOURS)

    record(haven, 90)  # while the checksum is computed beside it
    beside = checksum(answer) is None
    _, next_one = stop(haven)
    print(f"the checksum of the large file was {'being computed' if beside else 'there already'} then")
    made = eventually(lambda: checksum(answer), 300, "the checksum")
    with file.open("rb") as content:
        assert made == hashlib.file_digest(content, "sha256").hexdigest()
    file.unlink()  # pytest would keep it
    print(f"ten hours took {long / short:.1f} times what ten seconds took")
    assert max(short, long, next_one) < LIMIT
