#!/usr/bin/python3
"""Runs under the system's Python, which has gi: speaks D-Bus with haven-session as the control server would.

    bridge.py SOCKET

Commands and answers are lines of JSON on stdin and stdout, as launched.py has them. It also listens on a TCP port:
GET /FORM?width=…&fps=…&quality=…&audio=0 is answered with a handshake and handed over by AddViewer.
"""

import base64
import hashlib
import json
import os
import socket
import sys
import threading
import time
from urllib.parse import parse_qsl, urlsplit

from gi.repository import Gio, GLib

PATH, INTERFACE = "/org/haven/Session", "org.haven.Session1"
TYPES = {
    "session_id": "x", "recording_reserve": "t", "audio": "b",
    **dict.fromkeys(
        ["streamer_timeout", "connect_timeout", "reconnect_timeout", "idle_timeout", "max_viewers", "width", "fps", "quality",
         "segment_minutes", "segment_mb"],
        "u",
    ),
}  # fmt: skip
lock = threading.Lock()


def say(**message):
    with lock:
        print(json.dumps(message), flush=True)


def vardict(values):
    return GLib.Variant("a{sv}", {k: GLib.Variant(TYPES.get(k, "s"), v) for k, v in values.items()})


def call(method, parameters=None, fds=None, timeout=120):
    """Calls block the thread that they are made in."""
    result, _ = connection.call_with_unix_fd_list_sync(
        None, PATH, INTERFACE, method, parameters, None, Gio.DBusCallFlags.NONE, timeout * 1000, fds, None
    )
    return result.unpack()


def with_settings(method, **settings):
    return {"result": call(method, GLib.Variant.new_tuple(vardict(settings)))}


def start(**settings):
    return {"result": with_settings("Start", **settings)["result"][0]}


def start_recording(**settings):
    return {"result": with_settings("StartRecording", **settings)["result"][0]}


def stop_recording():
    return {"result": call("StopRecording")[0]}


def get_recording():
    return {"result": call("GetRecording")[0]}


def get_stats():
    return {"result": call("GetStats")[0]}


def stop(code=1000, reason="stopped"):
    call("Stop", GLib.Variant("(qs)", (code, reason)))
    return {}


def snapshot(file, **options):
    data = bytes(call("Snapshot", GLib.Variant.new_tuple(vardict(options)))[0])
    with open(file, "wb") as out:
        out.write(data)
    return {"size": len(data)}


def properties():
    result, _ = connection.call_with_unix_fd_list_sync(
        None, PATH, "org.freedesktop.DBus.Properties", "GetAll", GLib.Variant("(s)", (INTERFACE,)), None,
        Gio.DBusCallFlags.NONE, 10000, None, None,
    )  # fmt: skip
    return {"result": result.unpack()[0]}


commands = {
    f.__name__: f
    for f in (start, stop, start_recording, stop_recording, get_recording, get_stats, snapshot, properties)
}


def obey(request):
    number = request.pop("number")
    began = time.monotonic_ns()
    try:
        answer = commands[request.pop("command")](**request)
        say(answer=number, ok=True, ns=time.monotonic_ns() - began, **answer)
    except Exception as error:
        name = Gio.DBusError.get_remote_error(error) if isinstance(error, GLib.Error) else type(error).__name__
        text = error.message if isinstance(error, GLib.Error) else str(error)
        say(answer=number, ok=False, ns=time.monotonic_ns() - began, error=name, message=text)


def on_signal(connection, sender, path, interface, name, parameters):
    values = parameters.unpack()
    if name == "Ended":
        say(event="Ended", reason=values[0], detail=values[1])
    elif name in ("RecordingChanged", "TrackChanged"):
        say(event=name, info=values[0])


# --- viewers


def handshake(client):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = client.recv(1)
        if not data:
            raise OSError("it left")
        head += data
    lines = head.decode().split("\r\n")
    fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
    target = urlsplit(lines[0].split()[1])
    form = target.path.strip("/")
    if form == "mjpeg":
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=haven\r\n\r\n")
    else:
        accept = hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
        )
    return form, dict(parse_qsl(target.query))


def add_viewer(client):
    try:
        form, query = handshake(client)
        options = {k: (v != "0") if k == "audio" else int(v) for k, v in query.items()}
        fds = Gio.UnixFDList.new()
        handle = fds.append(client.fileno())
        parameters = GLib.Variant.new_tuple(GLib.Variant("h", handle), GLib.Variant("s", form), vardict(options))
        say(event="viewer", viewer=call("AddViewer", parameters, fds)[0])
    except (OSError, GLib.Error) as error:
        say(event="viewer-refused", error=str(error))
    client.close()


def listen():
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    say(event="ready", port=server.getsockname()[1])
    while True:
        client, _ = server.accept()
        threading.Thread(target=add_viewer, args=(client,), daemon=True).start()


def read_commands():
    for line in sys.stdin:
        threading.Thread(target=obey, args=(json.loads(line),), daemon=True).start()
    GLib.idle_add(loop.quit)


loop = GLib.MainLoop()
connection = Gio.DBusConnection.new_for_address_sync(
    "unix:path=" + sys.argv[1], Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None
)
connection.connect("closed", lambda *args: say(event="closed"))
connection.signal_subscribe(None, INTERFACE, None, PATH, None, Gio.DBusSignalFlags.NONE, on_signal)
threading.Thread(target=listen, daemon=True).start()
threading.Thread(target=read_commands, daemon=True).start()
loop.run()
os._exit(0)
