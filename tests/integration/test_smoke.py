"""One short life of a room through all elements, and one through the server; the sanitizer suites run it with their builds."""

import pytest

from havenlib.ports import free_port
from havenlib.process import eventually
from havenlib.viewer import Viewer


def connect(port):
    try:
        return Viewer(f"ws://127.0.0.1:{port}/stream/live")
    except Exception:
        return None


def assert_clean(output):
    for complaint in ("Sanitizer", "runtime error", "CRITICAL"):
        assert complaint not in output, output


@pytest.mark.smoke
def test_a_room_is_watched_and_kept(livekit, publisher, gst_launch, started, tmp_path):
    streamer = publisher(room="smoke", video="vp8-360", audio="beep")
    port = free_port()
    process = gst_launch(
        "livekitsrc name=s room-name=smoke s. ! queue ! jpegenc ! w.video "
        f"s. ! queue ! audioconvert ! audioresample ! w.audio havenwssink name=w port={port} "
        f"livekitsrc name=e room-name=smoke output=encoded kinds=video ! matroskamux ! filesink location={tmp_path}/e.mkv",
        env=livekit.env,
    )
    viewer = started(eventually(lambda: connect(port), what="the sink's port"))

    def more(kind):
        return viewer.wait(kind, len(viewer.of(kind)) + 30)

    more("video")
    more("audio")
    for command in ("mute video", "unmute video", "unpublish video", "publish video h264-360"):
        streamer.command(command)
    more("video")
    streamer.command("unpublish video")
    streamer.command("publish video av1-360")
    more("video")
    livekit.kill()
    livekit.start()
    more("video")
    process.interrupt()
    assert process.wait(60) == 0, process.output
    assert_clean(process.output)
    assert (tmp_path / "e.mkv").stat().st_size > 10_000


@pytest.mark.smoke
def test_a_room_is_served_and_recorded(livekit, publisher, haven_factory, started):
    """Control server and session: their sanitizers write into the log, and a process that one ends is no 200 here."""
    publisher(room="demo", video="vp8-360", audio="beep")
    haven = haven_factory(livekit)
    body = {"mint_id": "demo"}
    assert haven.post("/api/live-sessions/start", body).status == 200
    viewer = started(Viewer(haven.ws("/api/live-sessions/stream/demo")))
    viewer.wait("audio", 10)

    def grown():
        return haven.get("/api/recording/status/demo").body["duration_seconds"] > 3

    for form in ("av1", "source"):
        assert haven.post("/api/recording/start", {**body, "output_format": form}).status == 200
        eventually(grown, 60, f"three seconds of {form}")
        viewer.wait("video", len(viewer.of("video")) + 10)
        stopped = haven.post("/api/recording/stop", body)
        assert stopped.status == 200 and stopped.body["stats"]["parts"] == 1 and stopped.body["file_size_bytes"] > 10_000
    assert haven.post("/api/live-sessions/stop", body).status == 200
    assert viewer.wait_closed() == 1000
    status, _ = haven.terminate(60)
    assert status == 0, haven.log
    assert_clean(haven.log)
