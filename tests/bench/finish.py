"""The end of a recording of many hours: finish.py MUXER HOURS FILE muxes so much, as fast as it can, and prints as JSON
how long its end takes.

There is nothing in the frames, but their number and size are those of a room of 640x360: 30 pictures and 50 packets of
sound a second. In Matroska, whose index knows key frames only, the pictures of a second are one, a key frame. The
settings of the muxer and the file are those of the session. What was written is synced before the end, as a session
does each second: what is measured is the end alone.
"""

import json
import os
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

H264 = "video/x-h264,stream-format=avc3,alignment=au,codec_data=(buffer)0142c01effe1000467640000010001ff"
MUXERS = {
    "matroska": ("matroskamux offset-to-zero=true", "video/x-vp8", 1),
    "mp4": ("mp4mux fragment-duration=1000 fragment-mode=first-moov-then-finalise", H264, 30),
}  # and how many pictures a second
SOUND = "audio/x-opus,rate=48000,channels=1,channel-mapping-family=0"
VIDEO, PACKETS, PACKET = 60000, 50, 80  # bytes a second; packets a second, and bytes of each
SOURCE = "fakesrc format=time filltype=nothing sizetype=fixed datarate={} sizemax={} num-buffers={}"


def pipeline(name, hours, path):
    muxer, video, rate = MUXERS[name]
    seconds = int(hours * 3600)
    pictures = SOURCE.format(VIDEO, VIDEO // rate, rate * seconds)
    packets = SOURCE.format(PACKETS * PACKET, PACKET, PACKETS * seconds)
    return Gst.parse_launch(
        f"{pictures} ! {video},width=640,height=360,framerate={rate}/1 ! queue ! identity name=last ! {muxer} name=muxer "
        f"! filesink buffer-mode=unbuffered location={path} {packets} ! {SOUND} ! queue ! muxer."
    )


def main(name, hours, path):
    Gst.init(None)
    running = pipeline(name, hours, path)
    at = {}

    def on_last(pad, info):
        if info.get_event().type == Gst.EventType.EOS:
            with open(path) as file:
                os.fsync(file.fileno())
            at["end"] = time.monotonic()
        return Gst.PadProbeReturn.OK

    running.get_by_name("last").get_static_pad("sink").add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, on_last)
    running.set_state(Gst.State.PLAYING)
    message = running.get_bus().timed_pop_filtered(
        Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR
    )
    if message.type == Gst.MessageType.ERROR:
        sys.exit(str(message.parse_error()))
    at["indexed"] = time.monotonic()
    running.set_state(Gst.State.NULL)
    with open(path) as file:
        os.fsync(file.fileno())
    at["synced"] = time.monotonic()
    print(json.dumps({"index": at["indexed"] - at["end"], "sync": at["synced"] - at["indexed"]}))


main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
