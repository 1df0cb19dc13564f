"""Scenarios of the media: what publishers do, and what livekitsrc makes of it."""

import statistics
import time

import pytest
from havenlib import analyse, recorded
from havenlib.process import eventually

WATCH = """livekitsrc name=s room-name=demo {}
    s. ! queue ! videoconvert ! fakesink name=pictures s. ! queue ! audioconvert ! fakesink name=sound"""
ENCODED = """livekitsrc name=s room-name=demo output=encoded {}
    s. ! queue ! video/x-vp8 ! fakesink s. ! queue ! audio/x-opus ! fakesink"""


def now():
    return time.monotonic_ns()


def seconds(ns):
    return ns / 1e9


def assert_undisturbed(pipeline, pads=("video_0", "audio_0")):
    """No error, no warning, each pad once, no EOS, never a picture or caps of an ending track."""
    assert not [e["message"] for e in pipeline.errors() + pipeline.find_events("warning")]
    states = [e["state"] for e in pipeline.find_events("livekit-connection-state")]
    assert states[:2] == ["connecting", "connected"] and len(states) == 2, "the session did not go on"
    assert sorted(pipeline.pads()) == sorted(pads) and not pipeline.find_events("pad-removed")
    assert not pipeline.find_events("pad-event", type="eos") and not pipeline.find_events("eos")
    for pad in pads:
        assert len(pipeline.find_events("pad-event", pad=pad, type="stream-start")) == 1
        assert len(pipeline.find_events("pad-event", pad=pad, type="segment")) == 1
        times = [b["pts"] for b in pipeline.buffers.get(pad, ())]
        assert all(a < b for a, b in zip(times, times[1:])), f"{pad} goes back in time"
    small = [e for e in pipeline.caps("video_0") if e["width"] and min(e["width"], e["height"]) < 16]
    assert not small and all(b.get("height", 16) >= 16 for b in pipeline.buffers.get("video_0", ()))


def assert_gaps_cover(pipeline, pad, start, end):
    """GAP events without holes tell of the silence between two instants (monotonic ns)."""
    gaps = [g for g in pipeline.gaps(pad, after=start) if g["at"] < end]
    assert gaps, f"{pad}: silence is not announced"
    for before, after in zip(gaps, gaps[1:]):
        assert abs(before["pts"] + before["duration"] - after["pts"]) < 5e6
    told = seconds(sum(g["duration"] for g in gaps))
    assert told > seconds(end - start) - 2, f"{pad}: gaps of {told:.1f} s in {seconds(end - start):.1f} s"


def finish(pipeline):
    """Ends the stream as gst-launch-1.0 -e does."""
    asked = now()
    pipeline.eos()
    took = seconds(pipeline.wait_event("eos")["at"] - asked)
    reached = [e["at"] for e in pipeline.find_events("pad-event", type="eos")]
    assert reached and seconds(max(reached) - asked) < 1, "EOS does not reach what follows"
    return took


@pytest.mark.parametrize("codec", ["vp8", "h264", "vp9", "av1"])
def test_each_codec_arrives(livekit, publisher, launcher, codec):
    """Scenario 1."""
    publisher(video=f"{codec}-720")
    pipeline = launcher(WATCH.format(""), env=livekit.env)
    start = pipeline.wait_event("state", state="ready")["at"]
    pictures = pipeline.wait_buffers("video_0", 150)
    sound = pipeline.wait_buffers("audio_0", 200)
    first = seconds(pictures[0]["at"] - start)
    report = analyse.sequence([p["counter"] for p in pictures])
    print(f"{codec}: first picture after {first:.2f} s, {report.share:.1%} of {report.expected}")
    assert first < 2 and report.share > 0.9 and not report.out_of_order and not report.duplicates
    assert seconds(sound[0]["at"] - start) < 2
    assert pipeline.pad_get("s", "video_0", "track-source")["value"] == "camera"
    assert pipeline.pad_get("pictures", "sink", "caps")["value"].startswith("video/x-raw")
    assert pipeline.pad_get("sound", "sink", "caps")["value"].startswith("audio/x-raw")
    assert_undisturbed(pipeline)


def test_screen_share_of_another_codec_comes_later(livekit, publisher, launcher):
    """Scenario 2."""
    streamer = publisher(video="vp8-360")
    pipeline = launcher(WATCH.format(""), env=livekit.env)
    pipeline.wait_buffers("video_0", 10)
    streamer.command("publish screen h264-screen-720")
    pipeline.wait_event("pad-added", pad="video_1")
    assert pipeline.add("queue ! videoconvert ! fakesink", "s", "video_1")["linked"] == "ok"
    screen = pipeline.wait_buffers("video_1", 60)
    camera = pipeline.wait_buffers("video_0", 30, after=screen[0]["at"])
    assert {b["height"] for b in screen} == {720} and {b["height"] for b in camera} == {360}
    assert analyse.sequence([b["counter"] for b in screen]).share > 0.9
    assert pipeline.pad_get("s", "video_1", "track-source")["value"] == "screen"
    assert_undisturbed(pipeline, ("video_0", "audio_0", "video_1"))


@pytest.mark.parametrize("nack", ["true", "false"])
def test_mute_is_a_gap(livekit, publisher, launcher, tmp_path, nack):
    """Scenario 3."""
    streamer = publisher()
    file = tmp_path / "mute.mkv"
    pipeline = launcher(recorded.pipeline(file, f"do-nack={nack}"), env=livekit.env)
    pipeline.wait_buffers("video_0", 90)
    muted = now()
    streamer.command("mute video")
    pipeline.wait_event("livekit-track-muted", muted=True)
    pipeline.wait_buffers("audio_0", 150, after=muted)  # sound goes on
    streamer.command("unmute video")
    unmuted = now()
    assert_gaps_cover(pipeline, "video_0", muted, unmuted)
    pictures = pipeline.wait_buffers("video_0", 90, after=unmuted)
    delay = seconds(pictures[0]["at"] - unmuted)
    print(f"NACK {nack}: pictures {delay:.2f} s after the unmute")
    assert delay < 1
    assert_undisturbed(pipeline)
    finish(pipeline)
    checked = recorded.check(file)
    assert len(checked.gaps) == 1 and checked.share_outside_gaps() > 0.95


def republish(pipeline, streamer, clips):
    """Publishes one clip after another in place of the present one; each comes out of the same pad under a new sid."""
    sids = {pipeline.pad_get("s", "video_0", "track-sid")["value"]}
    for clip in clips:
        seen = len(pipeline.events)
        streamer.command("unpublish video")
        pipeline.wait_event("livekit-track-removed", since=seen)
        published = now()
        streamer.command(f"publish video {clip}")
        pipeline.wait_event("livekit-track-added", since=seen)
        pictures = pipeline.wait_buffers("video_0", 20, after=published)
        print(f"{clip}: pictures after {seconds(pictures[0]['at'] - published):.2f} s")
        assert pictures[-1]["height"] == int(clip.split("-")[1])
        sids.add(pipeline.pad_get("s", "video_0", "track-sid")["value"])
    assert len(sids) == 1 + len(clips)


OTHERS = "h264-360 vp9-360 av1-360 vp8-360 h264-360 vp8-720 av1-720 vp9-360 vp8-360 vp8-360".split()


def test_republishing_keeps_the_pad(livekit, publisher, launcher, tmp_path):
    """Scenario 4."""
    streamer = publisher(video="vp8-360")
    file = tmp_path / "republish.mkv"
    pipeline = launcher(recorded.pipeline(file), env=livekit.env)
    pipeline.wait_buffers("video_0", 90)
    children = len(pipeline.children("s")["children"])
    threads = pipeline.threads()["threads"]
    republish(pipeline, streamer, OTHERS)
    eventually(lambda: len(pipeline.children("s")["children"]) == children, what="the branches that were replaced go")
    after = settle(lambda: pipeline.threads()["threads"])
    print(f"{threads} threads before, {after} after ten publications")
    assert after <= threads + 3 * 10  # two for each, until the webrtcbin is replaced, and those of another decoder
    pipeline.wait_buffers("video_0", 90, after=now())
    assert_undisturbed(pipeline)
    finish(pipeline)
    checked = recorded.check(file)
    assert len(checked.gaps) >= 10 and checked.share_outside_gaps() > 0.95


@pytest.mark.soak
def test_a_hundred_republished_tracks_leave_nothing_behind(livekit, publisher, launcher):
    """Scenario 4, for long: neither branches nor threads, files or memory pile up."""
    streamer = publisher(video="vp8-360")
    pipeline = launcher(WATCH.format(""), env=livekit.env)
    pipeline.wait_buffers("video_0", 90)
    children = len(pipeline.children("s")["children"])
    costs = []
    for _ in range(10):
        republish(pipeline, streamer, OTHERS)
        pipeline.wait_buffers("video_0", 30, after=now())
        costs.append((pipeline.threads()["threads"], pipeline.descriptors(), pipeline.rss() / 1e6))
        print("{} threads, {} descriptors, {:.0f} MB".format(*costs[-1]))
    eventually(lambda: len(pipeline.children("s")["children"]) == children, what="the branches that were replaced go")
    assert_undisturbed(pipeline)
    threads, files, memory = (max(of) - of[0] for of in zip(*costs))  # the first ten brought each decoder once
    assert threads <= 5 and files <= 5 and memory < 100


def test_streamer_comes_back(livekit, publisher, launcher, tmp_path):
    """Scenario 5."""
    streamer = publisher(video="vp8-360")
    file = tmp_path / "return.mkv"
    pipeline = launcher(recorded.pipeline(file), env=livekit.env)
    pipeline.wait_buffers("video_0", 90)
    sid = streamer.sid
    streamer.command("leave")
    left = pipeline.wait_event("livekit-participant-left", identity="streamer", sid=sid)["at"]
    time.sleep(5)  # the scenario's own length of absence
    returned = now()
    streamer.command("return")
    pipeline.wait_event("livekit-participant-joined", identity="streamer", sid=streamer.sid)
    assert streamer.sid != sid
    for pad, count in (("video_0", 90), ("audio_0", 150)):
        first = pipeline.wait_buffers(pad, count, after=returned)[0]["at"]
        assert_gaps_cover(pipeline, pad, left, returned)
        print(f"{pad}: media {seconds(first - returned):.2f} s after the return")
        assert pipeline.pad_get("s", pad, "participant-sid")["value"] == streamer.sid
        assert pipeline.pad_get("s", pad, "participant-identity")["value"] == "streamer"
    assert_undisturbed(pipeline)
    finish(pipeline)
    checked = recorded.check(file)
    assert len(checked.gaps) == 1 and checked.share_outside_gaps() > 0.95


def test_layers_are_as_asked(livekit, publisher, launcher, tmp_path):
    """Scenario 6, but for the frame rate."""
    publisher(video="vp8-720", simulcast=True)
    file = tmp_path / "layers.mkv"
    pipeline = launcher(recorded.pipeline(file), env=livekit.env)

    def wait_size(size, count=10):
        start = now()
        pictures = []

        def settled():
            nonlocal pictures
            pictures = [b for b in pipeline.buffers.get("video_0", ()) if b["at"] > start][-count:]
            return len(pictures) == count and all((b["width"], b["height"]) == size for b in pictures)

        pipeline.wait_until(settled, 60, f"{count} pictures of {size}")
        print(f"{size[0]}x{size[1]} after {seconds(pictures[0]['at'] - start):.2f} s")

    wait_size((1280, 720), 60)
    pipeline.set_value("s", "video-quality", "low")
    wait_size((320, 180))
    pipeline.set_value("s", "video-quality", "high")
    wait_size((1280, 720))
    pipeline.set_value("s", "max-width", 640)
    pipeline.set_value("s", "max-height", 360)
    wait_size((640, 360))

    def received():
        return pipeline.stats("video_0")["packets-received"]

    pipeline.unlink("s", "video_0")  # who listens no more is not sent anything
    eventually(lambda: branch_count(pipeline) == 1, what="the branch goes")
    idle = settle(received)
    pipeline.wait_buffers("audio_0", 100, after=now())  # two seconds
    assert received() == idle
    linked = now()
    assert pipeline.relink("s", "video_0")["linked"] == "ok"
    pictures = pipeline.wait_buffers("video_0", 90, after=linked)
    print(f"enabled: pictures after {seconds(pictures[0]['at'] - linked):.2f} s")
    assert_undisturbed(pipeline)
    finish(pipeline)
    assert recorded.check(file).share_outside_gaps() > 0.95


def test_what_is_enabled_again_begins_with_a_key_frame(livekit, publisher, launcher):
    """Scenario 6, as it is sent."""
    publisher(video="vp8-720", simulcast=True)
    pipeline = launcher(ENCODED.format(""), env=livekit.env)
    pipeline.wait_buffers("video_0", 60)
    for _ in range(3):
        linked = unlink_and_relink(pipeline)
        pictures = pipeline.wait_buffers("video_0", 40, after=linked)
        assert pictures[0]["key"] and not all(b["key"] for b in pictures)
    assert_undisturbed(pipeline)


def test_frame_rate_is_as_asked(livekit, publisher, launcher, tmp_path):
    """Scenario 6: it needs temporal layers, which the encoder of libwebrtc makes."""
    publisher(video="vp8-360", simulcast=True, webrtc=True)
    file = tmp_path / "rate.mkv"
    pipeline = launcher(recorded.pipeline(file), env=livekit.env)

    def rate():
        pictures = pipeline.wait_buffers("video_0", 20, after=now())
        return (len(pictures) - 1) / seconds(pictures[-1]["at"] - pictures[0]["at"])

    pipeline.wait_buffers("video_0", 60)
    full = rate()
    pipeline.set_value("s", "max-fps", 5)
    # Its encoder has temporal layers of a half and a quarter of what it manages beside everything else here.
    eventually(lambda: rate() < 0.6 * full, what="fewer pictures a second")
    reduced = rate()
    print(f"{full:.1f} pictures a second, {reduced:.1f} after asking for 5")
    pipeline.set_value("s", "max-fps", 0)
    eventually(lambda: rate() > 1.4 * reduced, what="all pictures again")
    pipeline.wait_buffers("audio_0", 150, after=now())
    assert_undisturbed(pipeline)
    finish(pipeline)
    recorded.check(file, modulo=65536, offset_ms=150)  # this publisher does not capture both at one instant


def branch_count(pipeline):
    return sum(name.startswith("bin") for name in pipeline.children("s")["children"])


def unlink_and_relink(pipeline):
    """The picture, whose branch is gone in between; returns when it was linked again."""
    pipeline.unlink("s", "video_0")
    eventually(lambda: branch_count(pipeline) == 1, what="the branch goes")
    linked = now()
    assert pipeline.relink("s", "video_0")["linked"] == "ok"
    return linked


def settle(read, still=1.0):
    """The value of read() once it has not changed for a second."""
    value, since = read(), time.monotonic()
    deadline = since + 20
    while time.monotonic() - since < still:
        assert time.monotonic() < deadline, f"it does not come to rest: {value}"
        time.sleep(0.1)
        latest = read()
        if latest != value:
            value, since = latest, time.monotonic()
    return value


def test_key_unit_asks_by_pli(livekit, publisher, launcher):
    """Scenario 7."""
    publisher(video="vp8-360", webrtc=True)
    pipeline = launcher(ENCODED.format(""), env=livekit.env)
    pipeline.wait_buffers("video_0", 60)
    # The server passes on a request a second; those of the start are to be over.
    settle(lambda: sum(b["key"] for b in pipeline.buffers["video_0"]), 3)
    eventually(lambda: 0 < pipeline.stats()["rtt"] < 1000, what="a round trip, in ms")
    before = pipeline.stats("video_0")
    asked = now()
    assert pipeline.key_unit("s", "video_0")["sent"]
    key = pipeline.wait_until(
        lambda: next((b for b in pipeline.buffers["video_0"][::-1] if b["key"] and b["at"] > asked), None), 10, "a key frame"
    )
    after = pipeline.stats("video_0")
    delay = seconds(key["at"] - asked)
    print(f"key frame after {delay * 1000:.0f} ms, {after['pli-sent'] - before['pli-sent']} PLI, {after['fir-sent']} FIR")
    assert after["pli-sent"] > before["pli-sent"] and after["fir-sent"] == 0
    assert delay < 0.5

    settle(lambda: sum(b["key"] for b in pipeline.buffers["video_0"]), 3)
    asked = now()
    pipeline.emit("s", "request-keyframe")
    pipeline.wait_until(
        lambda: any(b["key"] and b["at"] > asked for b in pipeline.buffers["video_0"][-60:]), 10, "a key frame"
    )


def test_lost_packets_come_again(livekit, publisher, launcher):
    """Scenario 8: 30 s, of which the first five do not count."""
    publisher()
    pipeline = launcher(WATCH.format("latency=250"), env=livekit.env)
    pipeline.wait_buffers("video_0", 30)

    def retransmitted():
        return sum(b["rtx-success-count"] for b in pipeline.jitterbuffers("s")["jitterbuffers"])

    assert pipeline.drop("s", 5)["sources"] == 1
    start = now()
    pipeline.wait_buffers("audio_0", 250, after=start)  # five seconds
    early = retransmitted()
    start = now()
    pipeline.wait_buffers("audio_0", 1250, after=start)
    pictures = [b for b in pipeline.buffers["video_0"] if b["at"] > start]
    report = analyse.sequence([b["counter"] for b in pictures])
    lost = pipeline.drop_stats("s")
    print(f"{lost} {report.share:.1%} of {report.expected} pictures, {early} then {retransmitted()} retransmitted")
    assert lost["dropped"] > 100 and early > 0 and retransmitted() > early
    assert report.share > 0.8 and report.expected > 700
    assert_undisturbed(pipeline)


def test_pad_that_nobody_links_costs_nothing(livekit, publisher, launcher):
    """Neither decoding nor packets, and it stops no other."""
    publisher()
    pipeline = launcher("livekitsrc name=s room-name=demo s. ! queue ! audioconvert ! fakesink", env=livekit.env)
    pipeline.wait_buffers("audio_0", 100)
    assert sorted(pipeline.pads()) == ["audio_0", "video_0"] and not pipeline.count("video_0")
    factories = pipeline.children("s")["factories"]
    assert "opusdec" in factories and not {"vp8dec", "rtpvp8depay"} & set(factories)
    received = settle(lambda: pipeline.stats("video_0").get("packets-received", 0))
    pipeline.wait_buffers("audio_0", 50, after=now())
    assert pipeline.stats("video_0").get("packets-received", 0) == received
    linked = now()
    assert pipeline.add("queue ! videoconvert ! fakesink", "s", "video_0")["linked"] == "ok"
    pictures = pipeline.wait_buffers("video_0", 30, after=linked)
    assert "vp8dec" in pipeline.children("s")["factories"]
    print(f"linked later: pictures after {seconds(pictures[0]['at'] - linked):.2f} s")
    assert not pipeline.errors() and not pipeline.find_events("warning")


def test_silence_of_dtx_is_no_end(livekit, publisher, launcher):
    """A microphone in DTX sends next to nothing between two beeps."""
    streamer = publisher(video=None, dtx=True)
    pipeline = launcher(
        "livekitsrc name=s room-name=demo kinds=audio s. ! queue ! audioconvert ! fakesink", env=livekit.env
    )
    sound = pipeline.wait_buffers("audio_0", 150)
    report = streamer.stats()["audio"]
    assert_undisturbed(pipeline, ("audio_0",))
    span = seconds(sound[-1]["pts"] - sound[0]["pts"])
    told = sum(b["duration"] for b in sound) + sum(g["duration"] or 0 for g in pipeline.gaps("audio_0"))
    print(f"{span:.1f} s in {len(sound)} buffers, {len(pipeline.gaps('audio_0'))} gaps; {report}")
    assert span > 2 and seconds(told) > 0.8 * span


@pytest.mark.alone  # half a second is all that a join may take
def test_join_shows_a_picture_at_once(livekit, publisher, launcher):
    """From PLAYING to the first picture; the publisher makes key frames on demand.

    Each has been to READY before, long enough for the DTLS key to be made, as it is in an application that builds its
    pipeline before it needs it. The server and the publisher take their time with the first subscriber of all, so
    there is one before.
    """
    publisher(video="vp8-360", webrtc=True)
    join = "livekitsrc name={0} room-name=demo kinds=video {0}. ! queue ! videoconvert ! fakesink"

    def took(pipeline, name):
        pipeline.launch(join.format(name), name, "null")
        threads = pipeline.threads()["threads"]
        pipeline.set_state("ready", name)
        eventually(lambda: pipeline.threads()["threads"] <= threads, what="the end of the thread that makes the key")
        start = now()
        pipeline.set_state("playing", name)
        ms = (pipeline.wait_buffers(f"{name}.video_0", 1)[0]["at"] - start) / 1e6
        pipeline.end(name)
        time.sleep(2)  # the server passes on a request for a key frame each second, and no earlier
        return ms

    took(launcher(env=livekit.env), "before")
    pipeline = launcher(env=livekit.env)
    first, *others = [took(pipeline, name) for name in "abcd"]
    print(f"join to first picture: {first:.0f} ms, then in the same process", *(f"{ms:.0f} ms" for ms in others))
    assert first < 450 and statistics.median(others) < 450


def test_branches_that_go_amid_packets_stop_nothing(livekit, publisher, launcher):
    """What a branch that is taken away answers to its last packet must not reach the transport, which all share."""
    publisher(video="vp8-720")
    pipeline = launcher(WATCH.format(""), env=livekit.env)
    pipeline.wait_buffers("video_0", 10)
    for _ in range(20):
        linked = unlink_and_relink(pipeline)
        pipeline.wait_buffers("audio_0", 10, after=linked, timeout=10)
    for pad in ("audio_0", "video_0"):
        pipeline.wait_buffers(pad, 30, after=now(), timeout=10)
    assert_undisturbed(pipeline)
