"""livekitsrc beside the scenarios: what it selects, says and promises, one thing a test."""

import shlex
import socket

import pytest
from havenlib import analyse
from havenlib.fake_livekit import FakeLiveKit, joined
from havenlib.ports import free_port
from havenlib.process import eventually
from test_scenarios_media import WATCH, assert_undisturbed, branch_count, now, seconds, settle


@pytest.fixture
def livekit(shared_livekit):
    return shared_livekit


# --- what is received


@pytest.mark.parametrize(
    "sources, expected",
    [
        ("camera", ["camera"]),
        ("screen", ["screen"]),
        ("microphone", ["microphone"]),
        ("screen+microphone", ["microphone", "screen"]),
    ],
)
def test_only_the_chosen_sources_have_pads(livekit, publisher, launcher, room, sources, expected):
    publisher(room=room, video="vp8-180", screen="vp8-360")
    pipeline = launcher(f"livekitsrc name=s room-name={room} sources={sources} ! fakesink", env=livekit.env)
    eventually(lambda: len(pipeline.pads()) == len(expected), 30, "its pads")
    pipeline.wait_buffers(pipeline.pads()[0], 30)
    assert sorted(pipeline.pad_get("s", pad, "track-source")["value"] for pad in pipeline.pads()) == expected


def test_others_see_our_name(livekit, publisher, launcher, rigctl, room):
    publisher(room=room, video="vp8-180", audio=None)
    options = f'room-name={room} identity=archive participant-name="The archive"'
    pipeline = launcher(f"livekitsrc name=s {options} ! fakesink", env=livekit.env)
    pipeline.wait_buffers("video_0", 1)
    assert {p["identity"]: p.get("name") for p in rigctl.participants(room)}["archive"] == "The archive"


def test_stream_start_and_tags_say_whose_track_it_is(livekit, publisher, launcher, room):
    publisher(room=room, video="vp8-180")
    pipeline = launcher(WATCH.replace("room-name=demo", f"room-name={room}").format(""), env=livekit.env)
    groups = set()
    for pad, kind, source in (("video_0", "video", "camera"), ("audio_0", "audio", "microphone")):
        pipeline.wait_buffers(pad, 10)
        start = pipeline.find_events("pad-event", pad=pad, type="stream-start")[0]
        assert start["stream_id"] == f"livekit/{room}/streamer/{kind}/{source}"
        fields = start["fields"]
        for name in ("track-sid", "track-name"):
            assert fields[name] == pipeline.pad_get("s", pad, name)["value"]
        assert fields["track-sid"].startswith("TR_")
        assert (fields["track-source"], fields["participant"]) == (source, "streamer")
        groups.add(fields["group-id"])
        tags = pipeline.find_events("pad-event", pad=pad, type="tag")[0]["tags"]
        assert tags == {"title": fields["track-name"] or source, "artist": "streamer"}
    assert len(groups) == 1, "picture and sound of one streamer are one group"


# --- the network


def test_the_given_stun_server_is_asked(livekit, publisher, launcher, room):
    publisher(room=room, video="vp8-180", audio=None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stun:
        stun.bind((livekit.address, 0))
        stun.settimeout(30)
        server = "stun://{}:{}".format(*stun.getsockname())
        pipeline = launcher(f"livekitsrc name=s room-name={room} stun-server={server} ! fakesink", env=livekit.env)
        request, _ = stun.recvfrom(2048)
        assert request[:2] == b"\x00\x01", "a binding request"
        pipeline.wait_buffers("video_0", 30)


def test_a_stun_server_that_is_not_there_disturbs_nothing(livekit, publisher, launcher, room):
    publisher(room=room, video="vp8-180")
    options = f"room-name={room} stun-server=stun://{livekit.address}:{free_port()}"
    pipeline = launcher(WATCH.replace("room-name=demo", options).format(""), env=livekit.env)
    for pad in ("video_0", "audio_0"):
        pipeline.wait_buffers(pad, 30)
    assert_undisturbed(pipeline)


def test_the_round_trip_is_measured_without_media(livekit, launcher, room):
    pipeline = launcher(f"livekitsrc name=s room-name={room} participant-timeout=0 ! fakesink", env=livekit.env)
    pipeline.wait_event("livekit-connection-state", state="connecting")
    eventually(lambda: pipeline.stats()["rtt"] > 0, 30, "an answer to a ping")


def test_a_webrtcbin_that_fails_is_replaced(livekit, publisher, launcher, room):
    """To resume would be to go on with it."""
    publisher(room=room, video="vp8-180")
    pipeline = launcher(WATCH.replace("room-name=demo", f"room-name={room}").format(""), env=livekit.env)
    pipeline.wait_buffers("video_0", 30)

    def webrtcbins():
        return [name for name in pipeline.children("s")["children"] if name.startswith("webrtcbin")]

    before = webrtcbins()
    seen, failed = len(pipeline.events), now()
    pipeline.fail("s", "nicesrc")
    pipeline.wait_event("livekit-connection-state", state="reconnecting", since=seen)
    pipeline.wait_event("livekit-connection-state", state="connected", since=seen)
    for pad in ("video_0", "audio_0"):
        first = pipeline.wait_buffers(pad, 30, after=failed + 1_000_000_000)[0]
        print(f"{pad}: media {seconds(first['at'] - failed):.2f} s after the failure")
    after = webrtcbins()
    assert len(before) == len(after) == 1 and before != after
    assert not pipeline.errors() and sorted(pipeline.pads()) == ["audio_0", "video_0"]


@pytest.mark.soak
def test_hundreds_of_publications_end_in_a_fresh_connection(livekit, publisher, launcher, room):
    """A webrtcbin keeps a thread and more for each track that it ever received."""
    streamer = publisher(room=room, video="vp8-quick-360", audio=None)
    pipeline = launcher(f"livekitsrc name=s room-name={room} kinds=video ! fakesink", env=livekit.env)
    pipeline.wait_buffers("video_0", 30)
    threads = [pipeline.threads()["threads"]]
    while not pipeline.find_events("livekit-connection-state", state="reconnecting"):
        seen = len(pipeline.events)
        streamer.command("unpublish video")
        pipeline.wait_event("livekit-track-removed", since=seen)
        published = now()
        streamer.command("publish video vp8-quick-360")
        pipeline.wait_buffers("video_0", 1, after=published)
        threads.append(pipeline.threads()["threads"])
        assert len(threads) <= 102
    pipeline.wait_buffers("video_0", 30, after=now())
    fresh = settle(lambda: pipeline.threads()["threads"])
    print(f"{threads[0]} threads, {max(threads)} after {len(threads)} publications, {fresh} on the fresh connection")
    assert len(threads) >= 100 and fresh <= threads[0] + 2
    assert pipeline.pads() == ["video_0"] and not pipeline.errors() and not pipeline.find_events("warning")


# --- decoders


def test_a_decoder_that_always_fails_is_given_a_rest(livekit, publisher, launcher, room):
    streamer = publisher(room=room, video="vp8-quick-360")
    pipeline = launcher(WATCH.replace("room-name=demo", f"room-name={room}").format(""), env=livekit.env)
    pipeline.wait_buffers("video_0", 30)

    def fail(times):
        for _ in range(times):
            pipeline.wait_buffers("video_0", 1, after=now())
            assert not pipeline.find_events("warning"), "less often is bad luck"
            pipeline.fail("s", "vp8dec")

    fail(5)
    warning = pipeline.wait_event("warning")
    assert warning["message"] == (
        "What comes on the pad video_0 (video/VP8) cannot be used: it failed 5 times in 60 s. The next try is in 30 s. "
        "it was told to fail"
    )
    assert branch_count(pipeline) == 1 and "vp8dec" not in pipeline.children("s")["factories"]
    rest = warning["at"]
    pictures = pipeline.wait_buffers("video_0", 30, after=rest)
    assert 25 < seconds(pictures[0]["at"] - rest) < 45

    # What is published anew does not wait.
    pipeline.events.clear()
    fail(5)
    pipeline.wait_event("warning")
    streamer.command("unpublish video")
    pipeline.wait_event("livekit-track-removed")
    published = now()
    streamer.command("publish video vp8-quick-360")
    pipeline.wait_buffers("video_0", 30, after=published, timeout=20)
    assert not pipeline.errors()


# --- pads and their end


def test_a_track_that_comes_after_the_end_ends_at_once(livekit, publisher, launcher, room, tmp_path):
    streamer = publisher(room=room, video="vp8-360", audio=None)
    file = tmp_path / "ended.mkv"
    pipeline = launcher(
        f"""livekitsrc name=s room-name={room} output=encoded s.video_0 ! queue max-size-time=0 ! mux.video_0
            s.audio_0 ! queue ! mux.audio_0 matroskamux name=mux ! filesink location={file}""",
        env=livekit.env,
    )
    pipeline.wait_buffers("video_0", 60)
    pipeline.eos()
    pipeline.wait_event("pad-event", pad="video_0", type="eos")
    assert not pipeline.find_events("eos"), "the muxer waits for sound"
    streamer.command("publish audio beep")
    pipeline.wait_event("pad-event", pad="audio_0", type="eos", timeout=20)
    pipeline.wait_event("eos", timeout=20)
    assert analyse.probe(file)["video"]["codec_name"] == "vp8"


def test_another_codec_of_an_encoded_pad_comes_on_a_pad_of_its_own(livekit, publisher, launcher, room):
    streamer = publisher(room=room, video="vp8-360")
    pipeline = launcher(
        f"""livekitsrc name=s room-name={room} output=encoded s.video_0 ! queue ! video/x-vp8 ! fakesink
            s.audio_0 ! queue ! fakesink""",
        env=livekit.env,
    )
    pipeline.wait_buffers("video_0", 30)
    streamer.command("unpublish video")
    pipeline.wait_event("livekit-track-removed")
    streamer.command("publish video h264-360")
    warning = pipeline.wait_event("warning")
    assert warning["message"] == (
        "The streamer sends video/H264 now, where it sent video/VP8: "
        "it comes on the pad video_1, and nothing more on video_0"
    )
    pipeline.wait_event("pad-added", pad="video_1")
    assert pipeline.add("queue ! video/x-h264 ! fakesink", "s", "video_1")["linked"] == "ok"
    pipeline.wait_buffers("video_1", 30)
    streamer.command("unpublish video")
    back = now()
    streamer.command("publish video vp8-360")
    pipeline.wait_buffers("video_0", 30, after=back)
    assert sorted(pipeline.pads()) == ["audio_0", "video_0", "video_1"] and not pipeline.errors()
    assert len(pipeline.find_events("warning")) == 1


@pytest.mark.parametrize(
    "line, codec",
    [
        ("kinds=video ! matroskamux ! filesink location={}", "vp8"),
        ("kinds=audio ! oggmux ! filesink location={}", "opus"),
        ("! videoconvert ! jpegenc ! matroskamux ! filesink location={}", "mjpeg"),
    ],
)
def test_what_follows_decides_what_a_pad_carries(livekit, publisher, gst_launch, room, tmp_path, line, codec):
    """Commands as in the README, with output=auto."""
    publisher(room=room, video="vp8-360")
    file = tmp_path / "auto"
    process = gst_launch(f"livekitsrc room-name={room} " + line.format(shlex.quote(str(file))), env=livekit.env)
    eventually(lambda: file.exists() and file.stat().st_size > 20_000, 60, "a file")
    process.interrupt()
    assert process.wait(20) == 0 and "WARNING" not in process.output, process.output
    probe = analyse.probe(file)
    assert codec in [probe[kind]["codec_name"] for kind in ("video", "audio") if probe[kind]]


def test_one_sink_that_shows_pictures_is_enough(livekit, publisher, launcher, room):
    publisher(room=room, video="vp8-360")
    pipeline = launcher(f"livekitsrc name=s room-name={room} ! videoconvert ! fakevideosink", env=livekit.env)
    pictures = pipeline.wait_buffers("video_0", 60)
    assert analyse.sequence([p["counter"] for p in pictures]).share > 0.9
    assert not pipeline.count("audio_0") and not pipeline.errors() and not pipeline.find_events("warning")


# --- what it says


def test_muted_is_said_when_it_changes_and_not_otherwise(launcher, started):
    wide, narrow = {"width": 1280, "height": 720}, {"width": 320, "height": 180}

    async def script(session):
        track = {"sid": "TR_1", "type": 1, "name": "video", "source": 1, "mime_type": "video/VP8"}
        person = {"sid": "PA_x", "identity": "streamer", "state": 2}
        await session.send(join=joined(other_participants=[{**person, "tracks": [track]}]))
        for change in (wide, {"muted": True}, narrow, {"muted": False}):
            track.update(change)
            await session.send(update={"participants": [{**person, "tracks": [track]}]})

    fake = started(FakeLiveKit(script))
    pipeline = launcher("livekitsrc name=s room-name=fake kinds=video ! fakesink", env=fake.env)
    eventually(lambda: len(pipeline.find_events("livekit-track-changed")) == 4, 30, "four changes")
    assert [e["width"] for e in pipeline.find_events("livekit-track-changed")] == [1280, 1280, 320, 320]
    assert [e["muted"] for e in pipeline.find_events("livekit-track-muted")] == [True, False]


def test_a_stop_is_said(livekit, publisher, launcher, room):
    publisher(room=room, video="vp8-180", audio=None)
    pipeline = launcher(f"livekitsrc name=s room-name={room} ! fakesink", env=livekit.env)
    pipeline.wait_buffers("video_0", 1)
    pipeline.set_state("ready")
    assert pipeline.get("connection-state") == "disconnected"
    pipeline.wait_event("livekit-connection-state", state="disconnected")
    assert pipeline.get("stats") == {"rtt": 0, "tracks": []} and not pipeline.get("participants")
