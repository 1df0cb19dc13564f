"""haven.v1 on the real server: what viewers get is complete, in order, in time, and the room's own where asked for."""

import ctypes
import json
import re
import struct
import time

import aiohttp
import numpy as np
import pattern
import pytest
from havenlib import CACHE, analyse
from havenlib.viewer import CONFIG, DISCONTINUITY, KEY, V1Viewer, Viewer

START, STOP, DEMO = "/api/live-sessions/start", "/api/live-sessions/stop", {"mint_id": "demo"}
WATCH = "/api/live-sessions/watch/demo"
IN_STEP = 40  # ms between a flash and its beep


@pytest.fixture
def watch(haven, started):
    """watch(ask) -> a V1Viewer of room demo, whose session runs"""

    def make(ask):
        assert haven.post(START, DEMO).status == 200
        return started(V1Viewer(haven.ws(WATCH), ask))

    return make


def session_stats(haven):
    return haven.get("/api/live-sessions/demo").body["stats"]


def assert_steps_by_one(messages):
    sequence = [m.sequence for m in messages]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


def samples_of_pcm(messages):
    """Placed by their times: (time of the first in s, samples)."""
    return analyse.lay_out([(m.time / 1e6, analyse.pcm_s16(m.data)) for m in messages])


def samples_of_opus(messages):
    opus = ctypes.CDLL("libopus.so.0")
    opus.opus_decoder_create.restype = ctypes.c_void_p
    error = ctypes.c_int()
    decoder = ctypes.c_void_p(opus.opus_decoder_create(48000, 1, ctypes.byref(error)))
    assert error.value == 0
    blocks = []
    for m in messages:
        out = np.zeros(5760, np.int16)
        n = opus.opus_decode(decoder, m.data, len(m.data), out.ctypes.data_as(ctypes.c_void_p), len(out), 0)
        assert n > 0, f"Opus error {n}"
        blocks.append((m.time / 1e6, out[:n]))
    opus.opus_decoder_destroy(decoder)
    return analyse.lay_out(blocks)


def assert_in_step(frames, start, samples):
    offsets = analyse.av_offsets(analyse.flash_onsets(frames), analyse.beep_onsets(samples, start))
    print("beep after flash, ms:", [round(ms, 1) for _, ms in offsets])
    assert len(offsets) >= 4 and all(abs(ms) < IN_STEP for _, ms in offsets)


def test_pictures_and_sound_have_the_times_of_flash_and_beep(haven, watch, publisher):
    publisher(video="vp8-360")
    viewer = watch({})
    pictures = viewer.wait("video", 180)
    sound = viewer.of("audio")
    configs = {m.codec: json.loads(m.data) for m in viewer.of("config")}
    assert configs == {"jpeg": {"codec": "jpeg"}, "pcm": {"codec": "pcm-s16le", "sample_rate": 48000, "channels": 1}}
    assert all(m.flags & KEY and m.codec == "jpeg" for m in pictures)

    counters = [analyse.counter_of_jpeg(m.data) for m in pictures]
    report = analyse.sequence(counters)
    print(report)
    assert report.share == 1 and not report.out_of_order and not report.duplicates
    assert_steps_by_one(pictures), assert_steps_by_one(sound)
    assert all(b.time > a.time for a, b in zip(pictures, pictures[1:]))
    steps = np.diff([m.time for m in sound])
    lengths = [len(m.data) / 2 / 48000 * 1e6 for m in sound[:-1]]
    assert np.abs(steps - lengths).max() < 2000, "the sound has holes"

    levels = [pattern.flash_level(analyse.gray_of_jpeg(m.data)) for m in pictures]
    frames = [analyse.Frame(m.time / 1e6, c, level > 128) for m, c, level in zip(pictures, counters, levels)]
    assert_in_step(frames, *samples_of_pcm(sound))

    offset = time.time_ns() - time.monotonic_ns()
    ages = [(m.monotonic_ns + offset) / 1e3 - m.time for m in pictures]
    print(f"age on arrival, ms: {min(ages) / 1e3:.0f} to {max(ages) / 1e3:.0f}")
    assert min(ages) > -5e4 and np.median(ages) < 2e6, "the times are not those of this day's clock"


def read_ivf(data):
    at = struct.unpack_from("<H", data, 6)[0]
    while at + 12 <= len(data):
        size = struct.unpack_from("<I", data, at)[0]
        yield data[at + 12 : at + 12 + size]
        at += 12 + size


def nal_units(data):
    return [n.rstrip(b"\0") for n in re.split(rb"\x00\x00\x01", data) if n.rstrip(b"\0")]


def pictures_of_h264(data):
    """A tuple of the slices of each access unit; one slice each, as our clips have them."""
    return [(n,) for n in nal_units(data) if n[0] & 0x1F in (1, 5)]


def without_delimiter(unit):
    return unit[2:] if unit[:2] == b"\x12\x00" else unit


def same_pictures(codec, data):
    """What is to be equal in a frame and in the clip: all of it, but for what RTP does not carry."""
    if codec == "h264":
        return tuple(n for n in nal_units(data) if n[0] & 0x1F in (1, 5))
    return without_delimiter(data) if codec == "av1" else data


def clip_pictures(codec):
    if codec == "h264":
        return pictures_of_h264((CACHE / "clips" / "h264-360.h264").read_bytes())
    return [same_pictures(codec, f) for f in read_ivf((CACHE / "clips" / f"{codec}-360.ivf").read_bytes())]


def write_video(path, codec, messages):
    """A file that ffmpeg reads."""
    if codec == "h264":
        path.write_bytes(b"".join(m.data for m in messages))
        return path
    fourcc = {"vp8": b"VP80", "vp9": b"VP90", "av1": b"AV01"}[codec]
    with path.open("wb") as out:
        out.write(struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, fourcc, 640, 360, 1000000, 1, len(messages), 0))
        for m in messages:
            out.write(struct.pack("<IQ", len(m.data), m.time - messages[0].time) + m.data)
    return path


NAMES = {"vp8": r"vp8", "vp9": r"vp09\.00\.10\.08", "h264": r"avc1\.[0-9a-f]{6}", "av1": r"av01\.0\.08M\.08"}


@pytest.mark.parametrize("codec", NAMES)
def test_encoded_video_is_what_the_streamer_sent(haven, watch, publisher, tmp_path, codec):
    publisher(video=f"{codec}-360")
    viewer = watch({"video": "encoded", "audio": "opus"})
    pictures = viewer.wait("video", 180)
    sound = viewer.of("audio")
    stats = session_stats(haven)
    assert stats["decoders"] == 0 and stats["encoders"] == 0, "it is decoded"

    (video,) = [m for m in viewer.of("config") if m.codec == codec]
    (audio,) = [m for m in viewer.of("config") if m.codec == "opus"]
    assert re.fullmatch(NAMES[codec], json.loads(video.data)["codec"])
    assert viewer.messages.index(video) < viewer.messages.index(pictures[0])
    assert json.loads(audio.data)["codec"] == "opus"
    assert pictures[0].flags & KEY and {m.codec for m in pictures} == {codec}
    keys = [i for i, m in enumerate(pictures) if m.flags & KEY]
    assert np.diff(keys).max() <= 30 and len(keys) < 20, "the clips have one a second, VP9 two"
    assert_steps_by_one(pictures), assert_steps_by_one(sound)

    clip = clip_pictures(codec)
    places = {picture: i for i, picture in enumerate(clip)}
    found = [places.get(same_pictures(codec, m.data)) for m in pictures]
    assert None not in found, "a frame is not the streamer's, to the bit"
    assert found == [(found[0] + i) % len(clip) for i in range(len(found))]

    decoded = analyse.read_video(write_video(tmp_path / "v", codec, pictures))
    assert len(decoded) == len(pictures) and all(f.counter is not None for f in decoded)
    frames = [f._replace(pts=m.time / 1e6) for f, m in zip(decoded, pictures)]
    assert_in_step(frames, *samples_of_opus(sound))


def test_who_comes_gets_a_key_frame_at_once(haven, watch, publisher):
    publisher(video="vp8-360", webrtc=True)  # libvpx makes key frames when asked, and hardly ever otherwise
    first = watch({"video": "encoded", "audio": "none"})
    pictures = first.wait("video", 150)  # five seconds
    assert pictures[0].flags & KEY
    second = watch({"video": "encoded", "audio": "none"})
    (key, *_) = second.wait("video", 1, timeout=15)
    assert key.flags & KEY
    second.wait("video", 30)
    assert_steps_by_one(second.of("video")), assert_steps_by_one(first.of("video"))
    assert sum(m.flags & KEY for m in first.of("video")) < 6


def test_the_same_ask_shares_an_encoder_with_all_forms(haven, watch, publisher, started):
    publisher(video="vp8-360")
    viewers = [watch({}), watch({"audio": "none"}), watch({"quality": 85})]
    old = started(Viewer(haven.ws("/api/live-sessions/ws/live/demo")))
    small = watch({"width": 160, "fps": 10})
    for viewer in [*viewers, old, small]:
        viewer.wait("video", 10)
    stats = session_stats(haven)
    assert stats["encoders"] == 2 and stats["decoders"] == 1
    assert sorted(v["form"] for v in stats["viewers"]) == ["binary"] + 4 * ["haven.v1"]
    assert {analyse.size_of_jpeg(m.data) for m in small.of("video")} == {(160, 90)}
    times = [m.time / 1e6 for m in small.wait("video", 40)]
    assert 8 < (len(times) - 1) / (times[-1] - times[0]) < 12
    assert not viewers[1].of("audio")


def test_encoded_and_decoded_viewers_are_on_one_clock(haven, watch, publisher):
    publisher(video="vp8-360")
    encoded, jpeg = watch({"video": "encoded", "audio": "none"}), watch({"audio": "none"})
    encoded.wait("video", 60), jpeg.wait("video", 60)
    clip = {picture: i for i, picture in enumerate(clip_pictures("vp8"))}
    of_encoded = {clip[m.data]: m.time for m in encoded.of("video")}
    both = [(of_encoded[c], m.time) for m in jpeg.of("video") if (c := analyse.counter_of_jpeg(m.data)) in of_encoded]
    assert len(both) > 30 and all(abs(a - b) < 5000 for a, b in both)


def test_the_camera_may_change_its_codec(haven, watch, publisher):
    streamer = publisher(video="vp8-360")
    viewer = watch({"video": "encoded", "audio": "none"})
    viewer.wait("video", 30)
    streamer.command("unpublish video")
    streamer.command("publish video h264-360")
    viewer._wait(lambda: sum(m.codec == "h264" for m in viewer.of("video")) > 30, 60, "pictures in H.264")
    seen = [m for m in viewer.messages if m.kind in ("video", "config")]
    at = next(i for i, m in enumerate(seen) if m.codec == "h264")
    assert seen[at].kind == "config" and seen[at].flags & DISCONTINUITY
    assert seen[at + 1].flags & KEY and not seen[at + 1].flags & CONFIG
    assert all(m.codec == "h264" for m in seen[at:])
    times = [m.time for m in seen if m.kind == "video"]
    assert all(b > a for a, b in zip(times, times[1:]))


def test_a_viewer_may_ask_before_the_session_runs(haven, publisher, started):
    publisher(video="vp8-360")
    viewer = started(V1Viewer(haven.ws(WATCH), {"audio": "none"}))
    assert haven.post(START, DEMO).status == 200
    viewer.wait("video", 10)
    assert haven.post(STOP, DEMO).status == 200
    assert viewer.wait_closed() == 1000


def test_asks_that_make_no_sense_are_told_so(haven, watch, publisher, started):
    publisher(video="vp8-360")
    assert watch({"video": "film"}).wait_closed(15) == 4400
    assert watch({"width": 3}).wait_closed(15) == 4400
    silent = watch(None)
    assert silent.wait_closed(30) == 4408
    late = watch(None)
    assert haven.post(STOP, DEMO).status == 200
    assert late.wait_closed(15) == 1000  # also who has not asked is told of the end


def test_the_subprotocol_belongs_to_its_address(haven, publisher, started):
    publisher(video="vp8-360")
    for path, protocols in [(WATCH, ()), (WATCH, ("haven.v2",)), ("/api/live-sessions/stream/demo", ("haven.v1",))]:
        viewer_class = type("Asking", (Viewer,), {"_protocols": protocols})
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            viewer_class(haven.ws(path))
        assert refused.value.status == 400, "as havenwssink answers it"
