#!/usr/bin/env python3
"""A publisher on libwebrtc: a real encoder with real simulcast and congestion control, which costs real CPU.

It draws the pictures of the clips (pattern.py) as they are sent, with a counter that does not begin again
before 65536, and speaks as the looping publisher does: JSON lines on stdout, commands on stdin.

    mute|unmute video|audio      unpublish video|audio      publish video|audio [CODEC[-HEIGHT]]
    leave, return                stats, status              quit
"""

import argparse
import asyncio
import json
import os
import sys
import threading
import time

import jwt
import pattern
from livekit import rtc

SOURCES = {"video": rtc.TrackSource.SOURCE_CAMERA, "audio": rtc.TrackSource.SOURCE_MICROPHONE}
AUDIO_BLOCK = pattern.SAMPLE_RATE // 100
MAX_LATE = 0.5  # seconds after which a picture is not worth drawing


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="ws://127.0.0.1:7880")
    parser.add_argument("--api-key", default=os.environ.get("LIVEKIT_API_KEY"))
    parser.add_argument("--api-secret", default=os.environ.get("LIVEKIT_API_SECRET"))
    parser.add_argument("--room", default="demo")
    parser.add_argument("--identity", default="streamer")
    parser.add_argument("--video", help="CODEC or CODEC-HEIGHT: vp8, vp9, h264, av1; 720, 360, 180")
    parser.add_argument("--audio", help="anything: beeps")
    parser.add_argument("--simulcast", action="store_true")
    parser.add_argument("--dtx", action="store_true")
    parser.add_argument("--control", help="- for stdin")
    parser.add_argument("--log", help="file for a line 'counter monotonic_ns pts_ns' a picture sent")
    return parser.parse_args()


class Pictures:
    """Two seconds of pictures drawn ahead; only the counter and the flash are drawn each time."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        painter = pattern.Painter(width, height)
        step = pattern.CLIP_FRAMES // 60
        self.drawn = [painter.planes(n * step) for n in range(60)]

    def frame(self, counter):
        luma, u, v = self.drawn[counter % len(self.drawn)]
        luma = luma.copy()
        pattern.draw_counter(luma, counter)
        pattern.draw_flash(luma, counter)
        data = b"".join(plane.tobytes() for plane in (luma, u, v))
        return rtc.VideoFrame(self.width, self.height, rtc.VideoBufferType.I420, data)


class Publisher:
    def __init__(self, options):
        self.options = options
        self.wanted = {n: v for n in SOURCES if (v := getattr(options, n))}
        self.log = open(options.log, "w", buffering=1) if options.log else None
        self.start = None  # of the common clock, in ns of CLOCK_MONOTONIC
        self.room = None
        self.tracks = {}  # name -> (publication, task)
        self.muted = set()
        self.stats = {}

    def say(self, **fields):
        print(json.dumps(fields), flush=True)

    async def join(self):
        if self.room:
            raise RuntimeError("already in the room")
        claims = {
            "iss": self.options.api_key,
            "sub": self.options.identity,
            "exp": int(time.time()) + 6 * 3600,
            "video": {"roomJoin": True, "room": self.options.room},
        }
        token = jwt.encode(claims, self.options.api_secret, "HS256")
        room = rtc.Room()
        room.on("reconnecting", lambda: self.say(event="reconnecting"))
        room.on("reconnected", lambda: self.say(event="reconnected"))
        room.on("disconnected", lambda reason: self.lost(room, reason))
        await room.connect(self.options.url, token, rtc.RoomOptions(auto_subscribe=False))
        self.room = room
        for name in list(self.wanted):
            await self.publish(name)
        self.say(event="publishing", **self.describe())

    def lost(self, room, reason):
        if self.room is room:
            self.say(event="disconnected", reason=rtc.DisconnectReason.Name(reason))
            asyncio.ensure_future(self.leave())

    async def leave(self):
        room, self.room = self.room, None
        for _, task in self.tasks():
            task.cancel()
        self.tracks.clear()
        self.muted.clear()
        if room:
            await room.disconnect()

    def tasks(self):
        return list(self.tracks.values())

    async def publish(self, name):
        options = rtc.TrackPublishOptions(source=SOURCES[name])
        if name == "video":
            codec, _, height = self.wanted[name].partition("-")
            height = int(height or 720)
            pictures = Pictures(height * 16 // 9, height)
            source = rtc.VideoSource(pictures.width, pictures.height)
            track = rtc.LocalVideoTrack.create_video_track(name, source)
            options.video_codec = rtc.VideoCodec.Value(codec.upper())
            options.simulcast = self.options.simulcast
            options.video_encoding.max_bitrate = {720: 2_000_000, 360: 700_000}.get(height, 200_000)
            options.video_encoding.max_framerate = pattern.FPS
            play = self.play_video(source, pictures)
        else:
            source = rtc.AudioSource(pattern.SAMPLE_RATE, 1, queue_size_ms=100)
            track = rtc.LocalAudioTrack.create_audio_track(name, source)
            options.dtx = self.options.dtx
            play = self.play_audio(source)
        publication = await self.room.local_participant.publish_track(track, options)
        if self.start is None:
            self.start = time.monotonic_ns() + 50_000_000
        self.tracks[name] = publication, asyncio.create_task(play)

    async def until(self, due_ns):
        await asyncio.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)

    def position(self, rate):
        return max(0, (time.monotonic_ns() - self.start) * rate // 1_000_000_000)

    async def play_video(self, source, pictures):
        stats = self.stats.setdefault("video", {"frames": 0, "first": 0, "last": 0})
        n = self.position(pattern.FPS)
        while True:
            pts = n * 1_000_000_000 // pattern.FPS
            await self.until(self.start + pts)
            if time.monotonic_ns() - self.start - pts > MAX_LATE * 1e9:
                n = self.position(pattern.FPS)
                continue
            if "video" not in self.muted:
                frame = pictures.frame(n)
                now = time.monotonic_ns()
                source.capture_frame(frame, timestamp_us=(self.start + pts) // 1000)
                if not stats["frames"]:
                    stats["first"] = n
                stats["frames"] += 1
                stats["last"] = n
                if self.log:
                    self.log.write(f"{n & 0xFFFF} {now} {pts}\n")
            n += 1

    async def play_audio(self, source):
        stats = self.stats.setdefault("audio", {"frames": 0, "first": 0, "last": 0})
        n = self.position(pattern.SAMPLE_RATE // AUDIO_BLOCK)
        while True:
            await self.until(self.start + n * 10_000_000)
            samples = pattern.beeps(n * AUDIO_BLOCK, AUDIO_BLOCK)
            data = (samples * 32767).astype("<i2").tobytes()
            await source.capture_frame(rtc.AudioFrame(data, pattern.SAMPLE_RATE, 1, AUDIO_BLOCK))
            stats["frames"] += 1
            stats["last"] = n
            n += 1

    def describe(self):
        return {
            "identity": self.options.identity,
            "clock_monotonic_ns": self.start,
            "sid": self.room.local_participant.sid if self.room else None,
            "tracks": {
                name: {"sid": publication.sid, "mime": publication.mime_type, "muted": name in self.muted}
                for name, (publication, _) in self.tracks.items()
            },
        }

    async def command(self, line):
        word, *rest = line.split()
        if word == "stats":
            return {"stats": self.stats, "clock_monotonic_ns": self.start}
        if word == "status":
            return self.describe()
        if word in ("leave", "quit"):
            await self.leave()
            return {}
        if word == "return":
            await self.join()
            return self.describe()
        if word == "publish":
            name = rest[0]
            if name in self.tracks or name not in SOURCES:
                raise RuntimeError(f"{name} is published already, or is no track")
            self.wanted[name] = rest[1] if len(rest) > 1 else "vp8"
            await self.publish(name)
            return self.describe()
        publication, task = self.tracks[rest[0]]
        if word == "mute":
            self.muted.add(rest[0])
            publication.track.mute()
        elif word == "unmute":
            publication.track.unmute()
            self.muted.discard(rest[0])
        elif word == "unpublish":
            task.cancel()
            del self.tracks[rest[0]], self.wanted[rest[0]]
            self.muted.discard(rest[0])
            await self.room.local_participant.unpublish_track(publication.sid)
        else:
            raise RuntimeError(f"unknown command {word}")
        return {}


async def main():
    publisher = Publisher(parse_arguments())
    await publisher.join()
    if publisher.options.control != "-":
        await asyncio.Event().wait()
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read_stdin():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "quit")  # nobody is there to say it

    threading.Thread(target=read_stdin, daemon=True).start()
    while True:
        line = (await lines.get()).strip()
        try:
            publisher.say(**{"ok": True, **await publisher.command(line)})
        except Exception as error:
            publisher.say(ok=False, error=f"{type(error).__name__}: {error}")
        if line == "quit":
            return


asyncio.run(main())
