"""Ways to the room: TLS, relays, TCP, token endpoints, URIs; and servers that come late or never come back."""

import re
import time

import pytest
from havenlib import errors
from havenlib.livekit import LiveKit, RigCtl
from havenlib.proxy import Proxy, make_certificates
from havenlib.token_endpoint import TokenEndpoint

VIDEO = "livekitsrc name=s kinds=video room-name={room} {more} s. ! video/x-raw ! fakesink"


@pytest.fixture
def livekit(shared_livekit):
    return shared_livekit


@pytest.fixture
def noted(error_table):
    """noted(pipeline, "group", "what is wrong", "RESOURCE/…", "sentence") waits for an error and notes it."""

    def wait(pipeline, group, wrong, code, sentence, timeout=60):
        error = pipeline.wait_event("error", timeout=timeout)
        error_table.add(group, wrong, errors.name(error), error["message"])
        assert errors.name(error) == code, error
        assert re.search(sentence, error["message"]), error
        return error

    return wait


# --- TLS

TLS = "TLS"


def test_wss_with_a_private_ca(launcher, livekit, tls_proxy, publisher, room):
    publisher(room=room, video="vp8-180")
    env = {**livekit.env, "LIVEKIT_URL": tls_proxy.url}
    pipeline = launcher(VIDEO.format(room=room, more=f"ca-file={tls_proxy.ca_file}"), env=env)
    pipeline.wait_buffers("video_0", 10)
    assert tls_proxy.accepted == 1 and not pipeline.errors()


def test_wss_without_validation(launcher, livekit, tls_proxy, publisher, room):
    publisher(room=room, video="vp8-180")
    env = {**livekit.env, "LIVEKIT_URL": tls_proxy.url}
    pipeline = launcher(VIDEO.format(room=room, more="tls-validation=false"), env=env)
    pipeline.wait_buffers("video_0", 10)


def test_wss_that_nobody_vouches_for(launcher, livekit, tls_proxy, room, noted):
    env = {**livekit.env, "LIVEKIT_URL": tls_proxy.url}
    pipeline = launcher(VIDEO.format(room=room, more="connect-timeout=30"), env=env)
    noted(pipeline, TLS, "CA that we do not know", "RESOURCE/OPEN_READ", "certificate of localhost:.* is not trusted", 20)


def test_wss_for_another_name(launcher, livekit, started, tmp_path, room, noted):
    ca_file, context = make_certificates(tmp_path, names=("elsewhere.example",))
    proxy = started(Proxy(livekit.port, tls=context))
    pipeline = launcher(
        VIDEO.format(room=room, more=f"ca-file={ca_file}"), env={**livekit.env, "LIVEKIT_URL": proxy.url}
    )
    noted(pipeline, TLS, "certificate of another host", "RESOURCE/OPEN_READ", "certificate of localhost.* is not trusted: ", 20)


@pytest.mark.parametrize(
    "instead", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"], ids=["plain", "alert"]
)
def test_tls_that_fails_for_a_while_in_a_session_is_an_outage(launcher, livekit, tls_proxy, publisher, room, instead):
    """A proxy that restarts: media goes past it, and the session is resumed when it is back."""
    publisher(room=room, video="vp8-180")
    env = {**livekit.env, "LIVEKIT_URL": tls_proxy.url}
    pipeline = launcher(VIDEO.format(room=room, more=f"ca-file={tls_proxy.ca_file} identity=watcher"), env=env)
    pipeline.wait_buffers("video_0", 10)
    sid = next(p["sid"] for p in RigCtl(livekit).participants(room) if p["identity"] == "watcher")
    tls_proxy.babble(instead)
    seen = len(pipeline.events)
    pipeline.wait_until(lambda: tls_proxy.babbled >= 3, 60, "three tries")
    tls_proxy.accept()
    back = pipeline.wait_event("livekit-connection-state", state="connected", since=seen)["at"]
    pipeline.wait_buffers("video_0", 30, after=back)
    assert not pipeline.errors()
    assert sid in [p["sid"] for p in RigCtl(livekit).participants(room)], "resumed, not joined anew"


def test_wss_to_a_server_that_speaks_plain(launcher, livekit, room, noted):
    env = {**livekit.env, "LIVEKIT_URL": f"wss://127.0.0.1:{livekit.port}"}
    pipeline = launcher(VIDEO.format(room=room, more="connect-timeout=5"), env=env)
    noted(pipeline, TLS, "wss:// to a ws:// server", "RESOURCE/OPEN_READ", "127.0.0.1", 20)


# --- relays, and TCP


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_media_through_a_relay_of_our_own(launcher, livekit, turn, publisher, room, transport):
    publisher(room=room, video="vp8-180")
    pipeline = launcher(env=livekit.env)
    pipeline.launch(VIDEO.format(room=room, more="ice-transport-policy=relay"), state="null")
    pipeline.set_value("s", "turn-servers", turn.url(transport))
    pipeline.set_state("playing")
    pipeline.wait_buffers("video_0", 30)
    assert turn.allocations() > 0 and not pipeline.errors()


def test_media_through_the_servers_relay(launcher, livekit_factory, turn, publisher, room):
    server = livekit_factory(turn=turn)
    publisher(server=server, room=room, video="vp8-180")
    before = turn.allocations()
    pipeline = launcher(VIDEO.format(room=room, more="ice-transport-policy=relay"), env=server.env)
    pipeline.wait_buffers("video_0", 30)
    assert turn.allocations() > before and not pipeline.errors()


def test_no_relay_where_only_relays_are_allowed(launcher, livekit, publisher, room, noted):
    publisher(room=room, video="vp8-180")
    pipeline = launcher(VIDEO.format(room=room, more="ice-transport-policy=relay connect-timeout=4"), env=livekit.env)
    noted(
        pipeline, "Reaching the server", "relay demanded, none given", "RESOURCE/OPEN_READ",
        "joined, but no media connection came up in 4 s",
    )  # fmt: skip


# --- token endpoints

ENDPOINT = "Token endpoint"


@pytest.fixture
def endpoint(started):
    return lambda answer: started(TokenEndpoint(answer))


def fetching(room, endpoint, more=""):
    return VIDEO.format(room=room, more=f"token-endpoint={endpoint.url} {more}")


def test_a_token_endpoint_gives_token_and_server(launcher, livekit, rigctl, publisher, room, endpoint):
    publisher(room=room, video="vp8-180")
    gives = endpoint((201, {"token": rigctl.token(room, "watcher"), "livekit_url": livekit.url, "room_name": room}))
    pipeline = launcher(fetching(room, gives))
    pipeline.wait_buffers("video_0", 10)
    assert gives.requests == [{"mintId": room, "role": "viewer"}]


def test_a_token_endpoint_is_asked_again_for_a_full_reconnect(launcher, livekit_factory, publisher, room, endpoint):
    server = livekit_factory()
    publisher(server=server, room=room, video="vp8-180")
    rigctl = RigCtl(server)
    gives = endpoint(lambda request: (200, {"token": rigctl.token(request["mintId"], "watcher")}))
    pipeline = launcher(fetching(room, gives, f"ws-url={server.url}"))
    pipeline.wait_buffers("video_0", 10)
    assert len(gives.requests) == 1
    server.kill()
    pipeline.wait_event("livekit-connection-state", state="reconnecting")
    seen = len(pipeline.events)
    server.start()
    pipeline.wait_event("livekit-connection-state", since=seen, state="connected")
    pipeline.wait_buffers("video_0", 10, since=pipeline.count("video_0"))
    assert len(gives.requests) >= 2
    assert pipeline.pads() == ["video_0"] and not pipeline.errors()


@pytest.mark.parametrize(
    "wrong, answer, code, sentence",
    [
        ("says 403", (403, {"detail": "Not your stream."}), "RESOURCE/NOT_AUTHORIZED", "Not your stream."),
        ("says 404", (404, {"detail": "No such coin."}), "RESOURCE/NOT_FOUND", "No such coin."),
        ("says 422", (422, {"detail": "mintId is not an address"}), "RESOURCE/SETTINGS", "mintId is not an address"),
        ("says 500", (500, b"boom"), "RESOURCE/OPEN_READ", "HTTP 500.*boom"),
        ("says nothing", None, "RESOURCE/OPEN_READ", "[Tt]oken endpoint.*(does|did) not answer"),
        ("gives garbage", (200, b"\x00\xff{{"), "RESOURCE/FAILED", "without a token"),
        ("gives no token", (200, {"token": ""}), "RESOURCE/FAILED", "without a token"),
        ("gives a malformed token", (200, {"token": "a b"}), "RESOURCE/FAILED", "malformed token"),
        ("gives a token that is refused", (200, {"token": "a.b.c"}), "RESOURCE/NOT_AUTHORIZED", "refused the access token"),
        ("gives 100 KiB", (200, {"token": "x" * 100_000}), "RESOURCE/FAILED", "without a token|malformed"),
    ],
)
def test_a_token_endpoint_that_fails_is_named(launcher, livekit, room, endpoint, noted, wrong, answer, code, sentence):
    fails = endpoint(answer)
    pipeline = launcher(fetching(room, fails, f"ws-url={livekit.url} connect-timeout=2"))
    error = noted(pipeline, ENDPOINT, wrong, code, sentence)
    assert fails.requests
    if "refused" not in wrong:
        assert "oken endpoint" in error["message"], "it is not the LiveKit server that is to blame"


def test_no_token_endpoint_is_there(launcher, livekit, room, endpoint, noted):
    gone = endpoint(None)
    gone.close()
    pipeline = launcher(fetching(room, gone, f"ws-url={livekit.url} connect-timeout=2"))
    noted(pipeline, ENDPOINT, "nobody listens there", "RESOURCE/OPEN_READ", "Token endpoint: Could not reach 127.0.0.1")


# --- URIs


@pytest.mark.parametrize(
    "pipeline",
    [
        "uridecodebin3 uri={uri} ! video/x-raw ! identity silent=false ! fakesink",
        "uridecodebin uri={uri} ! video/x-raw ! identity silent=false ! fakesink",
        "playbin uri={uri} video-sink='identity silent=false ! fakesink' audio-sink=fakesink",
    ],
    ids=["uridecodebin3", "uridecodebin", "playbin"],
)
def test_a_uri_plays(gst_launch, livekit, publisher, room, pipeline):
    publisher(room=room, video="vp8-180")
    uri = f"livekit://127.0.0.1:{livekit.port}/{room}"
    playing = gst_launch(pipeline.format(uri=uri), "-v", env=livekit.env)
    playing.wait_for(r"chain.*pts: 0:00:0[1-9]")
    playing.interrupt()
    assert playing.wait(20) == 0, playing.output[-2000:]


# --- servers that come and go


def test_a_server_that_comes_up_within_connect_timeout(launcher, tmp_path, started, publisher, room):
    server = started(LiveKit(tmp_path))
    pipeline = launcher(VIDEO.format(room=room, more="connect-timeout=60"), env=server.env)
    pipeline.wait_event("livekit-connection-state", state="connecting")
    server.start()
    publisher(server=server, room=room, video="vp8-180")
    pipeline.wait_buffers("video_0", 10)
    assert not pipeline.errors()


def test_a_server_that_is_gone_for_good(launcher, livekit_factory, publisher, room, noted):
    server = livekit_factory()
    publisher(server=server, room=room, video="vp8-180")
    pipeline = launcher(VIDEO.format(room=room, more="reconnect-timeout=3"), env=server.env)
    pipeline.wait_buffers("video_0", 10)
    server.kill()
    lost = pipeline.wait_event("livekit-connection-state", state="reconnecting")
    error = noted(
        pipeline, "While it runs", "the server is gone for reconnect-timeout", "RESOURCE/READ",
        "connection to the room was lost for 3 s: Could not reach 127.0.0.1.*refused",
    )  # fmt: skip
    after = (error["at"] - lost["at"]) / 1e9
    assert 2.9 < after < 8, f"{after:.1f} s"
    assert pipeline.find_events("livekit-connection-state")[-1]["state"] == "failed"
    assert pipeline.end()["ns"] < 1e9
