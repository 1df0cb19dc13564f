"""havenwssink as people run it: errors they see, many viewers, the page in a browser."""

import asyncio
import base64
import io
import json
import re
import socket
import subprocess
import time
from collections import Counter
from datetime import datetime, timezone

import aiohttp
import numpy
import pytest
from havenlib.browser import PIXELS, Browser
from havenlib.process import eventually
from havenlib.viewer import StalledViewer, V1Viewer, Viewer
from PIL import Image

FPS = 30
N_PICTURES = 32  # that differ; their numbers all do
N_VIEWERS = 50
N_STALLED = 5
WARM_UP = 4  # s, after which memory must stay as it is
MAX_GROWTH = 10  # MB
SOUND = 960  # samples, a buffer: 20 ms


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until_listening(process, port):
    def listens():
        assert process.running, process.output
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens, 30, "the sink listens")


def make_clip(folder, n_frames):
    """An MJPEG clip of numbered pictures: the number stands in a comment, so that it is read without decoding."""
    noise = numpy.random.default_rng(1).integers(0, 256, (18, 32, 3), dtype=numpy.uint8)
    pictures = []
    for i in range(N_PICTURES):
        out = io.BytesIO()
        picture = Image.fromarray(numpy.roll(noise, i, axis=1)).resize((1280, 720))
        picture.save(out, "JPEG", quality=85, comment=b"number 000000")
        pictures.append(out.getvalue())
    clip = folder / "clip.mkv"
    ffmpeg = ["ffmpeg", "-v", "error", "-f", "mjpeg", "-framerate", str(FPS), "-i", "-", "-c", "copy", str(clip)]
    with subprocess.Popen(ffmpeg, stdin=subprocess.PIPE) as process:
        for i in range(n_frames):
            process.stdin.write(pictures[i % N_PICTURES].replace(b"number 000000", b"number %06d" % i, 1))
    assert process.returncode == 0
    return clip


def number_of(jpeg):
    return int(re.search(rb"number (\d{6})", jpeg[:4096]).group(1))


def make_sound(folder, n_buffers):
    """Sound whose samples are the numbers of their buffers."""
    path = folder / "sound.raw"
    numpy.repeat(numpy.arange(n_buffers, dtype="<i2"), SOUND).tofile(path)
    return path


def number_of_sound(pcm):
    samples = numpy.frombuffer(pcm, "<i2")
    assert len(samples) == SOUND and (samples == samples[0]).all(), "not as it was given"
    return int(samples[0])


class Count:
    """A viewer that keeps only numbers: which pictures and sounds came, how late, and how it ended."""

    def __init__(self, url):
        self.url = url
        self.pictures = []
        self.sounds = []
        self.delays = []
        self.close_code = None
        self.opened = asyncio.Event()

    async def run(self, session):
        async with session.ws_connect(self.url, max_msg_size=0, compress=0) as connection:
            self.opened.set()
            async for message in connection:
                self.take(message.data)
            self.close_code = connection.close_code

    def take(self, data):
        if isinstance(data, bytes):
            self.pictures.append(number_of(data))
        elif data.startswith("audio:"):
            self.sounds.append(number_of_sound(base64.b64decode(data[6:])))
        else:
            now = datetime.now(timezone.utc)
            fields = json.loads(data)
            if fields["type"] == "audio_frame":
                self.sounds.append(number_of_sound(base64.b64decode(fields["data"])))
                return
            self.pictures.append(number_of(base64.b64decode(fields["data"][:4096])))
            self.delays.append((now - datetime.fromisoformat(fields["timestamp"])).total_seconds() * 1000)


def missed(numbers, n_given):
    """How many are missing from the first one that came to the last one there is."""
    assert numbers == sorted(set(numbers)), "each once, in order"
    return n_given - numbers[0] - len(numbers)


def rss_mb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return int(re.search(r"^Rss:\s+(\d+)", rollup.read(), re.M).group(1)) / 1024


async def watch_under_load(sink, viewers, stalled_urls):
    """Until the stream has ended for all viewers: memory as it went, and the last figures of each that still watched."""
    rss, figures = [], []
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(viewer.run(session)) for viewer in viewers]
        await asyncio.wait_for(asyncio.gather(*(viewer.opened.wait() for viewer in viewers)), 30)
        stalled = [await asyncio.to_thread(StalledViewer, url) for url in stalled_urls]
        start = time.monotonic()
        everyone = asyncio.gather(*tasks)
        while not everyone.done():
            rss.append((time.monotonic() - start, rss_mb(sink.pid)))
            now = (await asyncio.to_thread(sink.get, "stats", "w"))["viewers"]
            figures = now if len(now) == len(viewers) + len(stalled) else figures
            await asyncio.wait([everyone], timeout=0.5)
        await everyone
        for viewer in stalled:
            viewer.close()
    return rss, figures


@pytest.mark.media
@pytest.mark.parametrize(
    "length", [pytest.param(15, id="short"), pytest.param(60, id="for-a-minute", marks=pytest.mark.soak)]
)
def test_50_viewers_miss_nothing_beside_5_stalled_ones(launcher, tmp_path, capsys, length):
    port = free_port()
    n_frames, n_sounds = length * FPS, length * 50
    clip, sound = make_clip(tmp_path, n_frames), make_sound(tmp_path, n_sounds)
    sink = launcher(
        f"havenwssink name=w port={port} sync=true "
        f"filesrc location={clip} ! matroskademux ! image/jpeg ! queue max-size-buffers=2 ! w.video "
        f"filesrc location={sound} ! rawaudioparse sample-rate=48000 num-channels=1 "
        f"! audiobuffersplit output-buffer-duration={SOUND}/48000 ! queue ! w.audio"
    )
    until_listening(sink, port)
    base = f"ws://127.0.0.1:{port}"
    viewers = [Count(f"{base}/stream/live" if i < 2 else f"{base}/ws/live/live") for i in range(N_VIEWERS)]
    stalled_urls = [f"{base}/ws/live/live?audio=0"] * N_STALLED
    rss, figures = asyncio.run(watch_under_load(sink, viewers, stalled_urls))
    assert not sink.errors(), sink.output

    settled = [mb for at, mb in rss if at > WARM_UP]
    growth = max(settled) - min(settled)
    pictures_missed = sum(missed(viewer.pictures, n_frames) for viewer in viewers)
    sounds_missed = sum(missed(viewer.sounds, n_sounds) for viewer in viewers)
    stalled = [v for v in figures if v["video-dropped"]]
    delays = numpy.array([d for viewer in viewers for d in viewer.delays])

    def ends(numbers):
        return f"{min(numbers)} {max(numbers)}"

    with capsys.disabled():
        print(
            f"\n\n{N_VIEWERS} viewers and {N_STALLED} stalled ones, {length} s of 720p{FPS}, {clip.stat().st_size / n_frames / 1000:.0f} kB a frame\n"
            f"  pictures and sounds given         {n_frames} {n_sounds}\n"
            f"  pictures got, fewest and most     {ends([len(v.pictures) for v in viewers])}\n"
            f"  sounds got, fewest and most       {ends([len(v.sounds) for v in viewers])}\n"
            f"  missed by all viewers together    {pictures_missed} {sounds_missed}\n"
            f"  a stalled viewer's pictures: sent {ends([v['video-sent'] for v in stalled])}\n"
            f"                            dropped {ends([v['video-dropped'] for v in stalled])}\n"
            f"  sink to viewer, ms, p50 and p99   {numpy.percentile(delays, 50):.1f} {numpy.percentile(delays, 99):.1f}\n"
            f"  resident memory, MB               {min(settled):.1f} to {max(settled):.1f} (grew {growth:.1f})\n"
            f"  close codes                       {dict(Counter(v.close_code for v in viewers))}"
        )
    assert growth <= MAX_GROWTH
    assert pictures_missed == 0 and sounds_missed == 0  # at the end neither
    assert all(viewer.close_code == 1000 for viewer in viewers)
    # All were there within a fraction of the stream.
    assert all(len(v.pictures) > n_frames / 2 and len(v.sounds) > n_sounds / 2 for v in viewers)
    assert len(figures) == N_VIEWERS + N_STALLED and len(stalled) == N_STALLED
    for viewer in stalled:  # it got what the kernel takes, holds two, and lost the rest
        assert viewer["video-sent"] <= 5 and viewer["video-queued"] <= 2, viewer
        assert viewer["video-dropped"] > n_frames / 2, viewer


def test_a_port_in_use_is_a_sentence(gst_launch):
    port = free_port()
    pipeline = f"videotestsrc is-live=true ! jpegenc ! havenwssink port={port}"
    first = gst_launch(pipeline)
    until_listening(first, port)
    second = gst_launch(pipeline)
    assert second.popen.wait(30) != 0
    assert f"Port {port} of 127.0.0.1 is already in use." in second.output


def test_pictures_alone_and_sound_alone(gst_launch):
    port = free_port()
    pictures = gst_launch(f"videotestsrc is-live=true ! jpegenc ! havenwssink port={port}")
    until_listening(pictures, port)
    with Viewer(f"ws://127.0.0.1:{port}/ws/live/live") as viewer:
        for message in viewer.wait("video", 5):
            Image.open(io.BytesIO(message.data)).load()
    port = free_port()
    sound = gst_launch(f"audiotestsrc is-live=true ! audioconvert ! audioresample ! havenwssink port={port}")
    until_listening(sound, port)
    with Viewer(f"ws://127.0.0.1:{port}/stream/live") as viewer:
        viewer.wait("audio", 10)
        assert numpy.abs(viewer.pcm()).max() > 10000


# -- the page ---------------------------------------------------------------------------------------------------------


async def look_at_page(browser, url, screenshot, restart):
    async with aiohttp.ClientSession() as session:
        await browser.open(session, url)
        await browser.until("window.haven?.player?.figures.shown > 10")
        seen = set()
        deadline = time.monotonic() + 60
        while len(seen) < 5:  # the canvas moves
            seen.add(await browser.evaluate(PIXELS))
            assert time.monotonic() < deadline, "the canvas stands still"
        await browser.evaluate("document.getElementById('sound').click()")
        await browser.until("window.haven.sound.level > 0.1")  # what the audio thread plays is not silent
        await browser.until("document.getElementById('state').textContent === 'Live'")
        await browser.screenshot(screenshot)
        assert browser.complaints == []

        await restart()
        shown = await browser.evaluate("window.haven.player.figures.shown")
        await browser.until(f"window.haven.player.figures.shown > {shown} + 10")  # it came back by itself
        assert await browser.evaluate("window.haven.player.figures.broken") == 0


def test_the_page_plays_picture_and_sound_and_reconnects(gst_launch, chromium, tmp_path):
    port = free_port()
    pipeline = (
        f"havenwssink name=w port={port} videotestsrc is-live=true ! video/x-raw,width=640,height=360 ! "
        "jpegenc ! w.video audiotestsrc is-live=true samplesperbuffer=960 ! audioconvert ! audioresample ! w.audio"
    )
    sinks = [gst_launch(pipeline)]
    until_listening(sinks[0], port)

    async def restart():
        await asyncio.to_thread(sinks[0].stop)
        sinks.append(gst_launch(pipeline))

    screenshot = tmp_path / "page.png"
    asyncio.run(look_at_page(Browser(chromium), f"http://127.0.0.1:{port}/", screenshot, restart))
    red, green, blue = numpy.moveaxis(numpy.asarray(Image.open(screenshot).convert("RGB"), dtype=int), 2, 0)
    yellow = (red > 200) & (green > 200) & (blue < 80)
    assert yellow.mean() > 0.03, screenshot  # one of the seven bars of the test picture


def test_the_page_plays_what_is_encoded(gst_launch, chromium):
    port = free_port()
    pipeline = (  # a key frame when one is asked for, and otherwise never
        f"havenwssink name=w port={port} videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240 ! "
        "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=100000 ! w.video "
        "audiotestsrc is-live=true samplesperbuffer=960 ! audioconvert ! opusenc ! w.audio"
    )
    sink = gst_launch(pipeline)
    until_listening(sink, port)
    with V1Viewer(f"ws://127.0.0.1:{port}/watch/live", {"video": "encoded", "audio": "none"}) as first:
        first.wait("video", 60)  # the key frame of the beginning is long gone

    async def visit(browser):
        async with aiohttp.ClientSession() as session:
            await browser.open(session, f"http://127.0.0.1:{port}/")
            await browser.until("window.haven?.player?.figures.shown > 10")
            await browser.evaluate("document.getElementById('sound').click()")
            await browser.until("window.haven.sound.level > 0.1")
            await browser.until("window.haven.player.figures.step !== null")
            assert await browser.evaluate("window.haven.player.figures.broken") == 0
            assert browser.complaints == []

    asyncio.run(visit(Browser(chromium)))
