"""The rig measures itself: what it says of others can only be as good as what it says of its own."""

import asyncio
import subprocess
import time

import numpy as np
import pattern
import pytest
from havenlib import CACHE, analyse
from havenlib.livekit import RigCtl
from havenlib.process import Process, eventually
from livekit import rtc

CLIPS = CACHE / "clips"
VIDEO_CLIPS = [
    f"{codec}-{height}.{'h264' if codec == 'h264' else 'ivf'}"
    for codec in ("vp8", "vp9", "h264", "av1")
    for height in (720, 360, 180)
] + ["h264-screen-720.h264", "vp8-quick-360.ivf"]


@pytest.mark.parametrize("clip", VIDEO_CLIPS)
def test_clip_shows_each_counter_once_and_flashes_each_second(clip):
    frames = analyse.read_video(CLIPS / clip)
    assert [f.counter for f in frames] == list(range(pattern.CLIP_FRAMES))
    assert [f.flash for f in frames] == [n % 30 < pattern.FLASH_FRAMES for n in range(pattern.CLIP_FRAMES)]


def test_beeps_begin_with_the_flashes_on_the_wire():
    clip = CLIPS / "beep.ogg"
    times = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0", clip],
        capture_output=True, text=True, check=True,
    ).stdout.replace(",", " ").split()  # fmt: skip
    assert len(times) == pattern.CLIP_SECONDS * 50
    # On the wire packet n begins at n * 20 ms; in the file it is shifted by the pre-skip.
    first_packet = float(times[0])
    onsets = analyse.beep_onsets(*reversed(analyse.lay_out(analyse.read_audio(clip))))
    assert len(onsets) == pattern.CLIP_SECONDS - 1  # the first begins with the file, which is no onset
    for second, onset in enumerate(onsets, 1):
        assert abs(onset - first_packet - second) < 0.002


def test_counter_survives_small_bad_jpegs():
    import io

    from PIL import Image

    for content in ("camera", "screen"):
        painter = pattern.Painter(1280, 720, content)
        for counter in (0, 1, 29, 31, 170, 299, 4711, 65535):
            luma, _, _ = painter.planes(counter)
            file = io.BytesIO()
            Image.fromarray(luma).resize((320, 180)).save(file, "JPEG", quality=50)
            assert analyse.counter_of_jpeg(file.getvalue()) == counter


def test_no_counter_is_read_where_there_is_none():
    assert pattern.read_counter(np.full((180, 320), 90, np.uint8)) is None
    noise = np.random.default_rng(0).integers(0, 255, (180, 320), np.uint8)
    assert pattern.read_counter(noise) is None


def test_sequence_reports_what_is_wrong():
    report = analyse.sequence([298, 299, 0, 2, 1, 1, None, 5])
    assert (report.first, report.last) == (298, 305)
    assert report.missing == [303, 304]
    assert report.duplicates == [301]
    assert report.out_of_order == [301]
    assert report.unreadable == 1
    # two clips' length without a picture: only the times tell
    assert analyse.unwrap([10, 20], times=[0, 20.33]) == [10, 620]


def test_offsets_of_a_recording_are_exact(tmp_path):
    sound = (pattern.beeps(0, 10 * pattern.SAMPLE_RATE) * 32767).astype("<i2").tobytes()
    path = tmp_path / "clip.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", CLIPS / "vp8-360.ivf", "-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "-",
         "-c:v", "copy", "-c:a", "pcm_s16le", path],
        input=sound, check=True,
    )  # fmt: skip
    recording = analyse.recording(path)
    assert recording.sequence.share == 1 and recording.sequence.expected == pattern.CLIP_FRAMES
    assert len(recording.offsets) == pattern.CLIP_SECONDS - 1  # the first begins with the file, which is no onset
    assert all(abs(ms) < 1.5 for _, ms in recording.offsets)
    assert recording.probe["video"]["codec_name"] == "vp8" and abs(recording.probe["duration"] - 10) < 0.1


class Subscriber:
    """The official SDK, keeping counters and beeps with the time of their arrival."""

    def __init__(self):
        self.video, self.audio = [], []  # (counter, flash, size, monotonic_ns); (samples, monotonic_ns)
        self.changed = asyncio.Condition()
        self.room = rtc.Room()
        self.room.on("track_subscribed", lambda track, *_: self.tasks.append(asyncio.create_task(self.read(track))))
        self.tasks = []

    async def read(self, track):
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420):
                now, frame = time.monotonic_ns(), event.frame
                luma = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height]
                luma = luma.reshape(frame.height, frame.width)
                await self.add(self.video, (pattern.read_counter(luma), pattern.flash_level(luma) > 128, frame.width, now))
        else:
            async for event in rtc.AudioStream(track, sample_rate=48000, num_channels=1):
                await self.add(self.audio, (np.frombuffer(event.frame.data, np.int16).copy(), time.monotonic_ns()))

    async def add(self, where, what):
        async with self.changed:
            where.append(what)
            self.changed.notify_all()

    async def wait(self, predicate, timeout=60):
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(predicate), timeout)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.room.disconnect()
        for task in self.tasks:
            task.cancel()


@pytest.mark.alone  # its decoder stretches sound that is kept waiting
@pytest.mark.parametrize("video", ["vp8-720", "vp9-720", "h264-720", "av1-720"])
def test_official_subscriber_gets_every_picture(livekit, rigctl, publisher, video):
    streamer = publisher(video=video)

    async def subscribe():
        async with Subscriber() as viewer:
            await viewer.room.connect(livekit.url, rigctl.token())
            await viewer.wait(lambda: len(viewer.video) > 200 and len(viewer.audio) > 300)
            return viewer.video, viewer.audio

    pictures, sound = asyncio.run(subscribe())
    pictures = pictures[60:]  # it catches up at first
    report = analyse.sequence([p[0] for p in pictures])
    assert report.share > 0.97 and not report.out_of_order
    assert pictures[-1][2] == 1280
    beeps = analyse.beep_onsets(np.concatenate([s for s, _ in sound]))
    assert len(beeps) >= 2
    assert all(abs(b - a - 1) < 0.01 for a, b in zip(beeps[2:], beeps[3:]))
    sent = streamer.sent()
    assert analyse.sequence([s.counter for s in sent]).missing == []
    delays = analyse.latencies(sent, [(p[0], p[3]) for p in pictures])
    print(video, "latency p50", np.percentile(delays, 50), "late at worst", streamer.stats())


def published(rigctl, name="video"):
    """The track as the server's list has it, which follows events with a delay."""
    return next((t for p in rigctl.participants() for t in p.get("tracks", []) if t["name"] == name), {})


def test_publisher_obeys(rigctl, publisher):
    streamer = publisher(video="vp8-360")
    eventually(lambda: published(rigctl))
    streamer.command("mute video")
    frames = streamer.stats()["video"]["frames"]
    eventually(lambda: published(rigctl).get("muted"))
    streamer.command("unmute video")
    eventually(lambda: not published(rigctl).get("muted"))
    first = published(rigctl)["sid"]
    streamer.command("unpublish video")
    assert streamer.stats()["video"]["frames"] - frames < 30
    streamer.command("publish video h264-360")
    eventually(lambda: published(rigctl).get("mimeType") == "video/H264" and published(rigctl)["sid"] != first)
    streamer.command("switch h264-720")
    streamer.command("publish screen h264-screen-720")
    eventually(lambda: published(rigctl, "screen").get("source") == "SCREEN_SHARE")
    sid = streamer.sid
    streamer.command("leave")
    eventually(lambda: not published(rigctl))
    streamer.command("return")
    assert streamer.sid != sid
    eventually(lambda: published(rigctl, "screen") and published(rigctl, "audio") and published(rigctl))
    streamer.command("permission restrict")
    streamer.command("permission allow")
    with pytest.raises(RuntimeError):
        streamer.command("dance")
    streamer.command("quit")
    assert streamer.wait(10) == 0


def test_publisher_keeps_one_clock_across_a_republish(publisher):
    streamer = publisher(video="vp8-360")
    streamer.command("unpublish video")
    streamer.command("publish video vp9-360")
    count = len(streamer.sent())
    streamer.wait_until(lambda: len(streamer.sent()) > count + 5)
    sent = streamer.sent()
    assert sent[0].pts_ns == 0
    for s in sent:
        assert s.counter == round(s.pts_ns * 30 / 1e9) % pattern.CLIP_FRAMES
    late = [(s.monotonic_ns - sent[0].monotonic_ns - s.pts_ns) / 1e6 for s in sent]
    assert np.percentile(np.abs(late), 90) < 10


def test_simulcast_has_three_layers(livekit, rigctl, publisher):
    publisher(video="vp8", simulcast=True)
    layers = eventually(lambda: published(rigctl).get("layers"))
    assert [layer["width"] for layer in layers] == [320, 640, 1280]

    async def subscribe():
        async with Subscriber() as viewer:
            await viewer.room.connect(livekit.url, rigctl.token())
            await viewer.wait(lambda: any(p[2] == 1280 for p in viewer.video))
            publication = next(
                p
                for participant in viewer.room.remote_participants.values()
                for p in participant.track_publications.values()
                if p.kind == rtc.TrackKind.KIND_VIDEO
            )
            assert publication.simulcasted

    asyncio.run(subscribe())


def test_encrypted_publisher_says_so(rigctl, publisher):
    publisher(encrypted=True)
    assert eventually(lambda: published(rigctl))["encryption"] == "GCM"


def test_publisher_in_dtx_is_silent_between_beeps(publisher):
    streamer = publisher(video="vp8-360", dtx=True)
    streamer.wait_until(lambda: streamer.stats()["video"]["frames"] > 60)
    stats = streamer.stats()
    assert stats["audio"]["frames"] < 50 * stats["video"]["frames"] / 30 * 0.8


def test_publisher_comes_back_after_the_server_was_killed(livekit, rigctl, publisher):
    streamer = publisher(video="vp8-360")
    old = streamer.track_sid("video")
    livekit.kill()
    livekit.start()
    new = eventually(lambda: published(rigctl), 60, "the publisher's return")["sid"]
    assert new != old and eventually(lambda: streamer.track_sid("video") == new)
    streamer.command("unpublish video")
    eventually(lambda: not published(rigctl))


def test_tokens_are_as_asked(livekit, rigctl):
    import jwt

    claims = jwt.decode(
        rigctl.token("r", "me", valid="-90s", kind="egress", recorder=True, hidden=True, no_subscribe=True),
        livekit.api_secret,
        algorithms=["HS256"],
        options={"verify_exp": False},
    )
    assert claims["sub"] == "me" and claims["kind"] == "egress" and claims["exp"] < time.time() - 80
    video = claims["video"]
    assert video["recorder"] and video["hidden"] and video["roomJoin"] and video["canSubscribe"] is False


def test_server_stops_in_both_ways(livekit):
    livekit.stop()
    assert not livekit.answers()
    livekit.restart()
    livekit.pause()
    assert not livekit.answers()
    livekit.resume()
    assert livekit.answers()


def connects(url, token, **options):
    async def go():
        room = rtc.Room()
        await room.connect(url, token, rtc.RoomOptions(**options))
        state = room.connection_state
        await room.disconnect()
        return state == rtc.ConnectionState.CONN_CONNECTED

    return asyncio.run(go())


def test_tcp_only_server(livekit_factory, publisher):
    server = livekit_factory(tcp_only=True)
    # The looping publisher's ICE knows no active TCP; the one on libwebrtc does.
    publisher(server=server, webrtc=True)
    assert connects(server.url, RigCtl(server).token())


def test_turn_relays(livekit_factory, turn, publisher):
    server = livekit_factory(turn=turn)
    publisher(server=server, video="vp8-360")

    async def relayed():
        config = rtc.RtcConfiguration(ice_transport_type=rtc.IceTransportType.TRANSPORT_RELAY)
        viewer = Subscriber()
        async with viewer:
            await viewer.room.connect(server.url, RigCtl(server).token(), rtc.RoomOptions(rtc_config=config))
            await viewer.wait(lambda: len(viewer.video) > 10)

    asyncio.run(relayed())
    assert turn.allocations()


def test_fault_proxy_cuts(livekit, rigctl, fault_proxy, publisher):
    import http.client

    assert connects(fault_proxy.url, rigctl.token())
    fault_proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", fault_proxy.port).request("GET", "/")
    fault_proxy.accept()
    connection = http.client.HTTPConnection("127.0.0.1", fault_proxy.port)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"OK"
    fault_proxy.cut()
    with pytest.raises(OSError):
        connection.request("GET", "/")
        connection.getresponse()


def test_tls_proxy_is_trusted_with_its_ca_only(livekit, tls_proxy):
    import ssl
    import urllib.request

    address = tls_proxy.url.replace("wss", "https")
    context = ssl.create_default_context(cafile=tls_proxy.ca_file)
    assert urllib.request.urlopen(address, context=context).read() == b"OK"
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(address)


def test_viewer_reads_both_generations():
    import base64
    import io
    import json
    import threading

    from aiohttp import web
    from havenlib.viewer import StalledViewer, Viewer
    from PIL import Image

    luma, _, _ = pattern.Painter(640, 360).planes(77)
    file = io.BytesIO()
    Image.fromarray(luma).save(file, "JPEG")
    jpeg, pcm = file.getvalue(), b"\1\2" * 480

    async def serve(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if "ws/live" in request.path:
            await socket.send_bytes(jpeg)
            await socket.send_str("audio:" + base64.b64encode(pcm).decode())
        else:
            for kind, data in (("video_frame", jpeg), ("audio_frame", pcm)):
                await socket.send_str(json.dumps({"type": kind, "data": base64.b64encode(data).decode()}))
        await socket.receive()
        await socket.close(code=1013)
        return socket

    loop, port = asyncio.new_event_loop(), []

    async def start():
        app = web.Application()
        app.router.add_get("/{path:.*}", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.append(runner.addresses[0][1])
        return runner

    runner = loop.run_until_complete(start())
    threading.Thread(target=loop.run_forever, daemon=True).start()
    for path in ("ws/live/demo", "stream/demo"):
        with Viewer(f"ws://127.0.0.1:{port[0]}/{path}") as viewer:
            viewer.wait("video")
            viewer.wait("audio")
            assert viewer.counters()[0][0] == 77 and len(viewer.pcm()) == 480
            viewer.send("bye")
            assert viewer.wait_closed() == 1013
    StalledViewer(f"ws://127.0.0.1:{port[0]}/ws/live/demo").close()
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)


def test_gst_launch_ends_with_eos_when_interrupted(gst_launch):
    process = gst_launch("videotestsrc is-live=true ! fakesink")
    process.wait_for("PLAYING")
    process.interrupt()
    process.wait_for("EOS")
    assert process.wait() == 0


def test_process_helper_waits_and_ends_only_its_own(started):
    process = started(Process(["sh", "-c", "trap 'echo two; exit 3' INT; echo one; while :; do sleep 0.1; done"]))
    process.wait_for("one")
    process.interrupt()
    process.wait_for("two")
    assert process.wait() == 3


@pytest.mark.parametrize("simulcast", [False, True])
def test_publisher_on_libwebrtc(livekit, rigctl, publisher, simulcast):
    streamer = publisher(webrtc=True, video="vp8-360", simulcast=simulcast)

    async def subscribe():
        async with Subscriber() as viewer:
            await viewer.room.connect(livekit.url, rigctl.token())
            await viewer.wait(lambda: len(viewer.video) > 100 and len(viewer.audio) > 300)
            return viewer.video, viewer.audio

    pictures, sound = asyncio.run(subscribe())
    report = analyse.sequence([p[0] for p in pictures[50:]], modulo=65536)
    assert report.share > 0.9 and not report.out_of_order
    assert len(analyse.beep_onsets(np.concatenate([s for s, _ in sound]))) >= 2
    streamer.command("mute video")
    eventually(lambda: published(rigctl).get("muted"))
    streamer.command("unmute video")
    eventually(lambda: not published(rigctl).get("muted"))
    first = published(rigctl)["sid"]
    streamer.command("unpublish video")
    streamer.command("publish video h264-360")
    eventually(lambda: published(rigctl).get("mimeType") == "video/H264" and published(rigctl)["sid"] != first)
    streamer.command("leave")
    eventually(lambda: not published(rigctl))
    streamer.command("return")
    eventually(lambda: published(rigctl) and published(rigctl, "audio"))
    streamer.command("quit")
    assert streamer.wait(15) == 0


def test_interrupted_demo_leaves_nothing(started, tmp_path):
    import os

    from havenlib import RIG
    from havenlib.ports import free_port

    process = started(Process([RIG / "demo.sh"], env={**os.environ, "PORT": str(free_port()), "TMPDIR": str(tmp_path)}))
    process.wait_for("^ROOM=demo")
    process.popen.terminate()
    assert process.wait(20) in (0, 143)
    assert list(tmp_path.iterdir()) == []
