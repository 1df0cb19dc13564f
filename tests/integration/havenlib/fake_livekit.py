"""A LiveKit server that does what a test says, sense or not. It knows signalling, and has no media."""

import asyncio
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path

from aiohttp import WSMsgType, web
from google.protobuf import descriptor_pb2, message_factory

PROTO = Path(__file__).parents[3] / "plugins/livekit/livekit.proto"


@cache
def messages():
    """The message classes of our livekit.proto, by name; test_proto.py holds its numbers against the published ones."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            ["protoc-c", f"--descriptor_set_out={out.name}", f"-I{PROTO.parent}", PROTO.name], check=True
        )
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes()).file
    return {name.partition(".")[2]: message for name, message in message_factory.GetMessages(files).items()}


def response(**fields):
    """The bytes of a SignalResponse: response(join={…}), response(offer={"sdp": …})."""
    return messages()["SignalResponse"](**fields).SerializeToString()


def joined(**more):
    """The fields of a JOIN in which all is well."""
    return {
        "room": {"sid": "RM_fake", "name": "fake"},
        "participant": {"sid": "PA_self", "identity": "self", "permission": {"can_subscribe": True}},
        "subscriber_primary": True,
        "ping_interval": 5,
        "ping_timeout": 15,
        **more,
    }


def sdp(*media, ufrag="abcd", version=1):
    """An offer like the server's: media is "video", "audio" or "application", or (kind, mid, {"port": …})."""
    lines = ["v=0", f"o=- 1 {version} IN IP4 0.0.0.0", "s=-", "t=0 0", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)]
    sections, mids = [], []
    for number, item in enumerate(media):
        kind, mid, options = item if isinstance(item, tuple) else (item, str(number), {})
        mids.append(mid)
        port = options.get("port", 9)
        if kind == "application":
            sections += [f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel", "a=sctp-port:5000"]
        else:
            pt, codec = ("96", "VP8/90000") if kind == "video" else ("111", "opus/48000/2")
            sections += [
                f"m={kind} {port} UDP/TLS/RTP/SAVPF {pt}", f"a=rtpmap:{pt} {codec}", "a=rtcp-mux",
                f"a={options.get('direction', 'sendrecv')}", f"a=msid:PA_x|TR_{number} TR_{number}",
                f"a=ssrc:{1000 + number} cname:x",
            ]  # fmt: skip
        sections += [
            "c=IN IP4 0.0.0.0", "a=setup:actpass", f"a=mid:{mid}", f"a=ice-ufrag:{ufrag}", "a=ice-pwd:" + "p" * 24,
        ]  # fmt: skip
    return "\r\n".join([*lines, "a=group:BUNDLE " + " ".join(mids), *sections, ""])


class Session:
    """One client's WebSocket."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, **fields):
        await self.socket.send_bytes(response(**fields))

    async def offer(self, text, number=1, **more):
        await self.send(offer={"type": "offer", "sdp": text, "id": number, **more})

    async def request(self, kind):
        """The next SignalRequest of a kind; answers a leave as the server does."""
        async for message in self.socket:
            if message.type == WSMsgType.BINARY:
                request = messages()["SignalRequest"].FromString(message.data)
                if request.WhichOneof("message") == kind:
                    return getattr(request, kind)
                if request.WhichOneof("message") == "leave":
                    await self.send(leave={"reason": 1})
                    break
        raise ConnectionError(f"it left without {kind}")


class FakeLiveKit:
    """Runs script(session) for each client, then listens until it leaves.

    tell   of the script, by way of fake.said: whatever a test waits for
    raw    instead of a script: async raw(reader, writer) for each TCP connection
    """

    def __init__(self, script=None, raw=None):
        self.script, self.raw = script, raw
        self.joins = 0
        self.said = []
        self.failure = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._start())
        self.url = f"ws://127.0.0.1:{self.port}"
        self.env = {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _start(self):
        if self.raw:
            self._server = await asyncio.start_server(self._serve_raw, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            return
        application = web.Application()
        application.router.add_get("/rtc", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    async def _serve_raw(self, reader, writer):
        self.joins += 1
        try:
            await self.raw(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve(self, request):
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        self.joins += 1
        session = Session(socket)
        session.fake = self
        try:
            await self.script(session)
            await session.request(None)
        except (OSError, ConnectionError):
            pass
        except Exception as error:
            self.failure = error
        return socket

    def close(self):
        async def stop():
            if self.raw:
                self._server.close()
            else:
                await self._runner.cleanup()

        self._call(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
