"""Scenarios of failing servers and networks: what livekitsrc recovers from, with a recording that runs through."""

import re
import time

import pytest
from havenlib import recorded
from havenlib.process import eventually
from test_scenarios_media import assert_gaps_cover, finish, now, seconds


def record(launcher, livekit, file, url=None, options=""):
    pipeline = launcher(recorded.pipeline(file, options), env={**livekit.env, "LIVEKIT_URL": url or livekit.url})
    pipeline.wait_buffers("video_0", 90)
    pipeline.wait_buffers("audio_0", 100)
    return pipeline


def assert_same_pipeline(pipeline):
    """Neither error nor EOS, each pad once and never a second stream on it; time goes on."""
    assert not pipeline.errors() and not pipeline.find_events("eos")
    assert sorted(pipeline.pads()) == ["audio_0", "video_0"] and not pipeline.find_events("pad-removed")
    for pad in ("video_0", "audio_0"):
        for once in ("stream-start", "segment"):
            assert len(pipeline.find_events("pad-event", pad=pad, type=once)) == 1
        times = [b["pts"] for b in pipeline.buffers[pad]]
        assert all(a < b for a, b in zip(times, times[1:])), f"{pad} goes back in time"
    small = [e for e in pipeline.caps("video_0") if min(e["width"], e["height"]) < 16]
    assert not small


THREE_SECONDS = (("video_0", 90), ("audio_0", 150))


def wait_media(pipeline, back, what, silent_from):
    """Media flows again, and GAP events have told of the time without it."""
    for pad, count in THREE_SECONDS:
        first = pipeline.wait_buffers(pad, count, after=back)[0]["at"]
        print(f"{pad}: media {seconds(first - back):.2f} s after {what}")
        assert_gaps_cover(pipeline, pad, silent_from, back)


# Until the packets tell how far the jitter buffers have moved, and 100 ms are made up for.
SETTLING = 2


def finish_and_check(pipeline, file, settling=0):
    """The same pipeline went on to its end, and the file plays through; returns what is known of that."""
    assert_same_pipeline(pipeline)
    finish(pipeline)
    checked = recorded.check(file, settling=settling)
    assert checked.share_outside_gaps() > 0.95
    return checked


def longest_silence(pipeline, pad, since):
    times = [b["at"] for b in pipeline.buffers[pad] if b["at"] > since - 1_000_000_000]
    return seconds(max(b - a for a, b in zip(times, times[1:])))


def own_sid(rigctl, identity="watcher"):
    return next((p["sid"] for p in rigctl.participants("demo") if p["identity"] == identity), None)


def test_cut_websocket_is_resumed(livekit, rigctl, publisher, launcher, fault_proxy, tmp_path):
    """Scenario 9."""
    publisher(video="vp8-360")
    file = tmp_path / "cut.mkv"
    pipeline = record(launcher, livekit, file, fault_proxy.url, "identity=watcher")
    sid = own_sid(rigctl)
    for _ in range(2):  # an ICE restart after an ICE restart
        seen = len(pipeline.events)
        accepted = fault_proxy.accepted
        cut = now()
        fault_proxy.cut()
        pipeline.wait_event("livekit-connection-state", state="reconnecting", since=seen)
        resumed = pipeline.wait_event("livekit-connection-state", state="connected", since=seen)["at"]
        for pad, count in THREE_SECONDS:
            pipeline.wait_buffers(pad, count, after=resumed)
            silence = longest_silence(pipeline, pad, cut)
            print(f"{pad}: resumed after {seconds(resumed - cut):.2f} s, longest silence {silence:.2f} s")
            assert silence < 2
        assert fault_proxy.accepted == accepted + 1, "one connection, which resumed"
        assert own_sid(rigctl) == sid
    finish_and_check(pipeline, file)


def test_killed_server_comes_back(livekit, publisher, launcher, tmp_path):
    """Scenario 10."""
    publisher(video="vp8-360")
    file = tmp_path / "killed.mkv"
    pipeline = record(launcher, livekit, file)
    killed = now()
    livekit.kill()
    pipeline.wait_event("livekit-connection-state", state="reconnecting")
    time.sleep(4)  # the scenario's own length of absence
    livekit.start()
    started = now()
    wait_media(pipeline, started, "the server's return", silent_from=killed)
    assert len(finish_and_check(pipeline, file).gaps) == 1


def test_server_that_was_stopped_comes_back(livekit, publisher, launcher, tmp_path):
    """Scenario 11."""
    publisher(video="vp8-360")
    file = tmp_path / "stopped.mkv"
    pipeline = record(launcher, livekit, file)
    livekit.stop()
    stopped = now()
    pipeline.wait_event("livekit-connection-state", state="reconnecting")
    time.sleep(2)
    livekit.start()
    started = now()
    wait_media(pipeline, started, "the server's return", silent_from=stopped)
    assert len(finish_and_check(pipeline, file).gaps) == 1


def sessions(proxy):
    """How the room was gone to, time after time: "join", or the reason that a resume gave."""
    found = []
    for request in proxy.requests:
        if re.search(r" /rtc\?", request):
            reason = re.search(r"reconnect_reason=(\d+)", request)
            found.append(int(reason[1]) if reason else "join")
    return found


def test_media_path_that_goes_dark_is_resumed(livekit, rigctl, publisher, launcher, fault_proxy, turn, tmp_path):
    """ICE fails while the signalling goes on. The server notices, after 15 s, and its LEAVE has the action RESUME."""
    publisher(video="vp8-360")
    file = tmp_path / "dark.mkv"
    pipeline = launcher(env={**livekit.env, "LIVEKIT_URL": fault_proxy.url})
    pipeline.launch(recorded.pipeline(file, "identity=watcher ice-transport-policy=relay"), state="null")
    pipeline.set_value("s", "turn-servers", turn.url())
    pipeline.set_state("playing")
    pipeline.wait_buffers("video_0", 90)
    pipeline.wait_buffers("audio_0", 100)
    sid = own_sid(rigctl)
    dark = now()
    turn.pause()
    lost = pipeline.wait_event("livekit-connection-state", state="reconnecting", timeout=90)["at"]
    print(f"noticed after {seconds(lost - dark):.1f} s")
    pipeline.drop("s", 100)  # a relay that slept still has packets of the time before, which no network keeps
    turn.resume()
    light = now()
    eventually(lambda: pipeline.drop_stats("s")["dropped"] > 0, 60, "packets")
    time.sleep(1)  # it hands over at once what it kept
    pipeline.drop("s", 0)
    wait_media(pipeline, light, "the path was there again", silent_from=dark)
    assert sessions(fault_proxy) == ["join", 1] and own_sid(rigctl) == sid
    gaps = finish_and_check(pipeline, file, SETTLING).gaps
    assert 1 <= len(gaps) <= 2, "the dark, and the restart of ICE where some came before it"


# Fields of SimulateScenario, which the server does to the participant that asks for it.
NODE_FAILURE, SERVER_LEAVE = 2, 4


@pytest.mark.parametrize(
    "scenario, then",
    [
        pytest.param(NODE_FAILURE, [1, "join"], id="resume-refused"),
        pytest.param(SERVER_LEAVE, ["join"], id="told-to-reconnect"),
    ],
)
def test_server_sends_us_away_to_come_again(livekit, rigctl, publisher, launcher, fault_proxy, tmp_path, scenario, then):
    """Scenario 10's LEAVE: action RECONNECT, as the answer to a resume (STATE_MISMATCH) and within a session."""
    publisher(video="vp8-360")
    file = tmp_path / "leave.mkv"
    pipeline = record(launcher, livekit, file, fault_proxy.url, "identity=watcher")
    sid = own_sid(rigctl)
    seen = len(pipeline.events)
    sent = now()
    fault_proxy.inject(bytes([13 << 3 | 2, 2, scenario << 3, 1]))  # SignalRequest.simulate
    pipeline.wait_event("livekit-connection-state", state="reconnecting", since=seen)
    back = pipeline.wait_event("livekit-connection-state", state="connected", since=seen)["at"]
    for pad, count in THREE_SECONDS:
        pipeline.wait_buffers(pad, count, after=back)
        print(f"{pad}: back after {seconds(back - sent):.2f} s, longest silence {longest_silence(pipeline, pad, sent):.2f} s")
    # Where the end of its transport was an error inside webrtcbin, there is nothing left to resume.
    assert sessions(fault_proxy) in (["join", *then], ["join", "join"])
    assert own_sid(rigctl) != sid, "a new session"
    finish_and_check(pipeline, file)


def test_media_over_tcp(livekit_factory, publisher, launcher):
    """Scenario 12. The looping publisher has no TCP; libwebrtc has."""
    server = livekit_factory(tcp_only=True)
    publisher(server=server, video="vp8-360", webrtc=True)
    pipeline = launcher(
        """livekitsrc name=s room-name=demo s. ! queue ! videoconvert ! fakesink
           s. ! queue ! audioconvert ! fakesink""",
        env=server.env,
    )
    pictures = pipeline.wait_buffers("video_0", 60)
    pipeline.wait_buffers("audio_0", 100)
    assert all(p["counter"] is not None for p in pictures)
    assert not pipeline.errors() and not pipeline.find_events("warning")


def test_silent_server_is_given_up_and_resumed(livekit, rigctl, publisher, launcher, tmp_path):
    """Scenario 22."""
    publisher(video="vp8-360")
    file = tmp_path / "silent.mkv"
    pipeline = record(launcher, livekit, file, options="identity=watcher")
    sid = own_sid(rigctl)
    paused = now()
    livekit.pause()
    lost = pipeline.wait_event("livekit-connection-state", state="reconnecting", timeout=40)["at"]
    print(f"given up {seconds(lost - paused):.1f} s after the server fell silent")
    # The ping timeout counts from the last message, which comes at most a ping interval (5 s) before the silence.
    assert 9 < seconds(lost - paused) < 17
    time.sleep(max(0, 20 - seconds(now() - paused)))  # the scenario's own length of silence
    livekit.resume()
    back = now()
    wait_media(pipeline, back, "the server woke", silent_from=paused)
    assert own_sid(rigctl) == sid, "resumed"
    assert finish_and_check(pipeline, file, SETTLING).gaps


def run_with_a_resume(launcher, livekit, fault_proxy, file, length):
    """Records for so many seconds, with one resume half way."""
    pipeline = record(launcher, livekit, file, fault_proxy.url)
    start = now()
    cut = False
    while seconds(now() - start) < length:
        if not cut and seconds(now() - start) > length / 2:
            fault_proxy.cut()
            cut = True
        pipeline.wait_buffers("audio_0", 50, after=now())
    assert len(pipeline.find_events("livekit-connection-state", state="reconnecting")) == 1
    assert_same_pipeline(pipeline)
    finish(pipeline)
    checked = recorded.check(file, offset_ms=60)
    offsets = [ms for _, ms in checked.offsets]
    print(f"A/V offset {min(offsets):.1f} to {max(offsets):.1f} ms over {length} s")
    assert len(offsets) > length * 0.8 and checked.share_outside_gaps() > 0.97


def test_sound_stays_with_pictures_for_a_minute(livekit, publisher, launcher, fault_proxy, tmp_path):
    """Scenario 21, its short form."""
    publisher(video="vp8-360")
    run_with_a_resume(launcher, livekit, fault_proxy, tmp_path / "minute.mkv", 60)


@pytest.mark.soak
def test_sound_stays_with_pictures_for_ten_minutes(livekit, publisher, launcher, fault_proxy, tmp_path):
    """Scenario 21."""
    publisher(video="vp8-360")
    run_with_a_resume(launcher, livekit, fault_proxy, tmp_path / "long.mkv", 600)
