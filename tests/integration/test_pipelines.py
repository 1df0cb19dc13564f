"""The scripts in pipelines/, each run as a person runs it."""

import itertools
import subprocess
import time
import urllib.request

import numpy as np
import pattern
import pytest
from havenlib import BUILD, REPO, analyse
from havenlib.ports import free_port
from havenlib.process import eventually
from havenlib.viewer import Viewer

PIPELINES = REPO / "pipelines"


@pytest.fixture
def run(livekit, launch, tmp_path):
    """run("record-av1", "ROOM", SETTING=…) -> its Process, with .output_file"""

    def make(script, *args, directory=PIPELINES, **settings):
        output = tmp_path / settings.pop("OUTPUT", f"{script}.out")
        process = launch(
            directory / script,
            *args,
            env={**livekit.env, "OUTPUT": str(output), **{name: str(value) for name, value in settings.items()}},
        )
        process.output_file = output
        return process

    return make


def grown(process, size):
    """Waits until what the process writes is that large."""

    def large():
        assert process.running, process.output
        return process.output_file.exists() and process.output_file.stat().st_size >= size

    eventually(large, 60, f"{process.output_file} of {size} bytes")


def finish(*processes):
    """Ctrl-C, and all went well."""
    for process in processes:
        process.interrupt()
        assert process.wait(20) == 0, process.output
        assert "ERROR" not in process.output and "WARNING" not in process.output, process.output


def listening(process, port):
    def answers():
        assert process.running, process.output
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).status == 200
        except OSError:
            return False

    eventually(answers, 60, "the page")


def assert_in_order(counters):
    """At least 99 % of the pictures, none twice, none late."""
    sequence = analyse.sequence(counters)
    assert sequence.received > 30 and sequence.share >= 0.99, sequence
    assert not sequence.out_of_order and not sequence.duplicates and not sequence.unreadable, sequence


def lines_of_picture(path, width, height):
    """How bright the rows of a video's last picture are."""
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-sseof", "-0.5", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width)[-1].mean(axis=1)


def test_watch(run, publisher):
    publisher()
    port = free_port()
    watch = run("watch", PORT=port)
    listening(watch, port)
    with Viewer(f"ws://127.0.0.1:{port}/ws/live/live") as viewer:
        viewer.wait("video", 90)
        viewer.wait("audio", 100)
        assert_in_order([counter for counter, _ in viewer.counters()])
        assert analyse.size_of_jpeg(viewer.of("video")[-1].data) == (1280, 720)
        assert np.abs(viewer.pcm()).max() > 10000
    finish(watch)


@pytest.mark.alone
def test_record_av1_keeps_its_canvas_when_the_streamer_changes_size(run, publisher):
    streamer = publisher()
    record = run("record-av1", "demo", ROOM="not-this-one", OUTPUT="a.mkv", WIDTH=480, HEIGHT=480, BITRATE=400)
    grown(record, 200_000)
    streamer.command("switch video vp8-180")
    grown(record, record.output_file.stat().st_size + 200_000)
    finish(record)

    probe = analyse.probe(record.output_file)
    assert (probe["video"]["codec_name"], probe["audio"]["codec_name"]) == ("av1", "opus")
    assert (probe["video"]["width"], probe["video"]["height"]) == (480, 480)
    rows = lines_of_picture(record.output_file, 480, 480)  # 270 of picture between 105 of black
    assert rows[:100].max() < 24 and rows[-100:].max() < 24 and rows[115:365].min() > 30
    frames = analyse.read_video(record.output_file)
    assert max(b.pts - a.pts for a, b in zip(frames, frames[1:])) < 1.5  # the key frame of the new size


@pytest.mark.alone
def test_watch_and_record_without_sound(run, publisher):
    publisher(audio=None)
    port = free_port()
    both = run("watch-and-record", OUTPUT="silent.mkv", AUDIO="", PORT=port)
    listening(both, port)
    with Viewer(f"ws://127.0.0.1:{port}/ws/live/live") as viewer:
        viewer.wait("video", 60)
    grown(both, 100_000)
    finish(both)
    probe = analyse.probe(both.output_file)
    assert probe["video"]["codec_name"] == "av1" and probe["audio"] is None


@pytest.mark.alone
def test_an_encoder_that_is_too_slow_disturbs_neither_the_page_nor_memory(run, publisher):
    publisher(video="vp8-360")
    port = free_port()
    both = run("watch-and-record", OUTPUT="slow.mkv", PORT=port, WIDTH=3840, HEIGHT=2160, SPEED=5)
    listening(both, port)
    with Viewer(f"ws://127.0.0.1:{port}/ws/live/live") as viewer:
        viewer.wait("video", 240)
        memory = both.rss()
    # The queues before the encoder are full by now: 15 pictures as they came, 200 MB of the canvas (the limit of
    # 90 pictures alone would let 1.1 GB wait), and what the encoder keeps, 570 MB in all.
    assert memory < 900e6, f"{memory / 1e6:.0f} MB"
    assert_in_order([counter for counter, _ in viewer.counters()])
    both.interrupt()
    assert both.wait(120) == 0, both.output  # it still encodes what waits
    recording = analyse.recording(both.output_file)
    assert not recording.sequence.out_of_order and not recording.sequence.duplicates
    assert recording.sequence.missing, "the encoder was not too slow"


@pytest.mark.parametrize("video", ["vp8-360", "h264-360"])
def test_record_source_and_restream(run, publisher, tmp_path, video):
    publisher(video=video)
    record = run("record-source", OUTPUT="source.mkv")
    restream = run("restream", "demo", "filesink", f"location={tmp_path}/live.mkv")
    restream.output_file = tmp_path / "live.mkv"
    grown(record, 300_000)
    grown(restream, 300_000)
    finish(record, restream)
    for process in record, restream:
        recording = analyse.recording(process.output_file)
        assert recording.probe["video"]["codec_name"] == video.split("-")[0]
        assert recording.probe["audio"]["codec_name"] == "opus"
        assert_in_order([frame.counter for frame in recording.frames])
        assert recording.offsets and max(abs(ms) for _, ms in recording.offsets) < 40
    assert analyse.probe(record.output_file)["duration"] > 2


@pytest.mark.parametrize("codec", ["vp8", "h264", "vp9", "av1"])
def test_record_source_goes_on_over_another_size(run, publisher, codec):
    streamer = publisher(video=f"{codec}-360")
    record = run("record-source", OUTPUT="sizes.mkv")
    grown(record, 300_000)
    for size in ("180", "360"):
        streamer.command(f"switch video {codec}-{size}")
        grown(record, record.output_file.stat().st_size + 200_000)
    finish(record)

    decoded = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", record.output_file, "-f", "null", "-"], capture_output=True, text=True
    )
    assert decoded.returncode == 0 and not decoded.stderr, "it does not play through: " + decoded.stderr
    heights = [height for height, _ in itertools.groupby(analyse.heights(record.output_file))]
    assert heights == [360, 180, 360]


@pytest.mark.parametrize("script", ["record-source", "record-av1", "watch-and-record", "restream"])
def test_ctrl_c_completes_the_file_of_a_room_without_sound(run, publisher, script):
    publisher(video="vp8-360", audio=None)
    record = run(script, OUTPUT="silent.mkv", PORT=free_port())
    record.wait_for("Delayed linking failed")
    time.sleep(5)  # of pictures
    assert record.output_file.stat().st_size == 0, "what it waits for did not come"
    record.interrupt()
    assert record.wait(20) == 0, record.output
    frames = analyse.read_video(record.output_file)
    assert_in_order([frame.counter for frame in frames])
    assert frames[-1].pts - frames[0].pts > 3


@pytest.mark.parametrize("script", ["record-source", "record-av1"])
def test_sound_that_begins_late_costs_no_picture(run, publisher, script):
    streamer = publisher(video="vp8-360", audio=None)
    record = run(script, OUTPUT="late.mkv")
    record.wait_for("Delayed linking failed")
    time.sleep(15)  # that long the streamer says nothing
    assert record.output_file.stat().st_size == 0
    streamer.command("publish audio beep")
    grown(record, 500_000)
    record.interrupt()
    assert record.wait(20) == 0, record.output
    recording = analyse.recording(record.output_file)
    assert_in_order([frame.counter for frame in recording.frames])
    assert recording.frames[-1].pts - recording.frames[0].pts > 13  # the first picture takes a moment to come


def test_restream_to_a_socket(run, publisher, tmp_path):
    publisher(video="vp8-360")
    port = free_port()
    restream = run("restream", "demo", "tcpserversink", f"port={port}", "host=127.0.0.1")

    def connected():
        assert restream.running, restream.output
        copy = tmp_path / "received.mkv"
        result = subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", f"tcp://127.0.0.1:{port}", "-t", "2", "-c", "copy", copy]
        )
        return result.returncode == 0 and copy

    received = analyse.probe(eventually(connected, 60, "a stream from the socket"))
    assert (received["video"]["codec_name"], received["audio"]["codec_name"]) == ("vp8", "opus")
    finish(restream)


def test_record_wav_and_ogg_through_a_mute(run, publisher):
    streamer = publisher(video=None)
    wav, ogg = run("record-wav", OUTPUT="a.wav"), run("record-ogg", OUTPUT="a.ogg")
    grown(wav, 700_000)  # more than three seconds
    streamer.command("mute audio")
    grown(wav, wav.output_file.stat().st_size + 300_000)  # silence
    streamer.command("unmute audio")
    grown(wav, wav.output_file.stat().st_size + 700_000)
    finish(wav, ogg)

    written = analyse.probe(wav.output_file)
    assert written["audio"]["codec_name"] == "pcm_s16le"
    assert 44 <= wav.output_file.stat().st_size - round(written["duration"] * pattern.SAMPLE_RATE) * 4 < 200  # its header
    assert analyse.probe(ogg.output_file)["audio"]["codec_name"] == "opus"
    for process in wav, ogg:
        start, samples = analyse.lay_out(analyse.read_audio(process.output_file))
        beeps = analyse.beep_onsets(samples, start)
        steps = np.diff(beeps)
        # One a second on the clock of the streamer, before the silence and after it, which so is in the file. The first
        # after it may be the rest of a beep that the mute cut.
        assert len(beeps) >= 5 and steps.max() > 1.5, beeps
        off = np.abs(steps - steps.round())
        assert np.sort(off)[:-2].max() < 0.04 and off.max() < 0.12, beeps


def test_snapshot_takes_one_picture_and_ends(run, publisher):
    publisher()
    snapshot = run("snapshot")
    assert snapshot.wait(30) == 0, snapshot.output
    picture = snapshot.output_file.read_bytes()
    assert analyse.size_of_jpeg(picture) == (1280, 720)
    assert analyse.counter_of_jpeg(picture) is not None
    assert picture.count(b"\xff\xd8\xff") == 1


def test_installed_scripts_find_the_installed_plugins(run, publisher, gst_env, tmp_path):
    subprocess.run(
        ["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", tmp_path / "root"], check=True
    )
    scripts = list((tmp_path / "root").rglob("haven-live/pipelines"))
    publisher(audio=None)
    settings = {"GST_PLUGIN_PATH": "", "GST_REGISTRY": tmp_path / "registry.bin"}
    snapshot = run("snapshot", directory=scripts[0], **settings)
    assert snapshot.wait(60) == 0, snapshot.output
    assert analyse.counter_of_jpeg(snapshot.output_file.read_bytes()) is not None


@pytest.mark.smoke
def test_a_missing_server_is_a_sentence_and_no_crash(launch, tmp_path):
    """The pipeline ends while livekitsrc still makes its DTLS key."""
    nothing = dict.fromkeys(("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"), "")
    processes = [
        launch(PIPELINES / "record-av1", env={**nothing, "OUTPUT": str(tmp_path / f"{i}.mkv")}) for i in range(10)
    ]
    for process in processes:
        assert process.wait(60) == 1, process.output
        assert "is missing" in process.output and "SIGSEGV" not in process.output, process.output
