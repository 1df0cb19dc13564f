"""Whatever can be wrong before a room is joined: an error that names it, in time, and no secret in any log."""

import json
import re
import socket
import time

import jwt
import pytest
from havenlib import errors
from havenlib.livekit import API_KEY, API_SECRET, RigCtl
from havenlib.ports import free_port
from havenlib.token_endpoint import TokenEndpoint


@pytest.fixture
def livekit(shared_livekit):
    return shared_livekit


@pytest.fixture
def failing(launcher, error_table):
    """failing("group", "what is wrong", properties={…}, env={…}) -> the error, noted in the table"""

    def run(group, wrong, properties=None, env=None, expect=None, timeout=40):
        pipeline = launcher(env=env)
        pipeline.command("launch", pipeline="livekitsrc name=s ! fakesink", state="null")
        for name, value in (properties or {}).items():
            pipeline.set_value("s", name, value)
        before = time.monotonic()
        pipeline.set_state("playing")
        error = pipeline.wait_event("error", timeout=timeout)
        error["after"] = time.monotonic() - before
        error["name"] = errors.name(error)
        pipeline.end()
        assert len(pipeline.errors()) == 1, "one mistake is one error"
        error_table.add(group, wrong, error["name"], error["message"])
        if expect:
            code, sentence = expect
            assert error["name"] == code, error
            assert re.search(sentence, error["message"]), error
        return error

    return run


# --- settings

SETTINGS = "Settings of livekitsrc"


@pytest.mark.parametrize(
    "wrong, properties, sentence",
    [
        ("no server", {"auth-token": "a.b.c"}, "address of the server is missing"),
        ("no server, no credentials", {}, "token.*is missing"),
        ("no room", {"ws-url": "ws://127.0.0.1:1", "api-key": "k", "secret-key": "s" * 32}, "name of the room is missing"),
        ("no secret", {"ws-url": "ws://127.0.0.1:1", "api-key": "k", "room-name": "r"}, "API secret is missing"),
        ("no key", {"ws-url": "ws://127.0.0.1:1", "secret-key": "s" * 32, "room-name": "r"}, "API key is missing"),
        ("no credentials", {"ws-url": "ws://127.0.0.1:1", "room-name": "r"}, "token.*API key.*token endpoint.*missing"),
        (
            "empty room",
            {"ws-url": "ws://127.0.0.1:1", "api-key": "k", "secret-key": "s" * 32, "room-name": ""},
            "name of the room is missing",
        ),
        ("address without host", {"ws-url": "ws://", "auth-token": "a.b.c"}, "must be a URL"),
        ("address of another scheme", {"ws-url": "ftp://127.0.0.1", "auth-token": "a.b.c"}, "must begin with ws://"),
        ("address that is no URL", {"ws-url": "127.0.0.1:7880", "auth-token": "a.b.c"}, "must be a URL|must begin with"),
        ("token that is none", {"ws-url": "ws://127.0.0.1:1", "auth-token": "not a token"}, "token is missing or malformed"),
        (
            "token endpoint that is no URL",
            {"ws-url": "ws://127.0.0.1:1", "token-endpoint": "localhost/token", "room-name": "r"},
            "must be a URL that begins with http",
        ),
        (
            "token endpoint without room",
            {"ws-url": "ws://127.0.0.1:1", "token-endpoint": "http://127.0.0.1:1/"},
            "name of the room is missing",
        ),
        (
            "CA file that does not exist",
            {"ws-url": "wss://127.0.0.1:1", "auth-token": "a.b.c", "ca-file": "/nowhere.pem"},
            "Could not read the CA file “/nowhere.pem”",
        ),
        (
            "CA file that holds none",
            {"ws-url": "wss://127.0.0.1:1", "auth-token": "a.b.c", "ca-file": "/etc/hostname"},
            "CA file “/etc/hostname”",
        ),
    ],
)
def test_missing_or_bad_settings_are_named(failing, wrong, properties, sentence):
    error = failing(SETTINGS, wrong, properties, expect=("RESOURCE/SETTINGS", sentence))
    assert error["after"] < 5


def test_a_wrong_turn_server_is_named(failing, livekit, room):
    failing(
        SETTINGS,
        "TURN server that is no turn:// URL",
        {"turn-servers": "stun://127.0.0.1:1", "room-name": room},
        env=livekit.env,
        expect=("RESOURCE/SETTINGS", "TURN"),
    )


# --- tokens

TOKENS = "Access tokens"


def signed(grants, secret=API_SECRET, **claims):
    now = int(time.time())
    claims = {"iss": API_KEY, "sub": "viewer", "nbf": now - 10, "exp": now + 600, "video": grants, **claims}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm="HS256")


def token_defects(room):
    now = int(time.time())
    good = {"room": room, "roomJoin": True}
    return {
        "bad signature": (signed(good, secret="x" * 32), "invalid token: .*signature is invalid"),
        "expired 90 s ago": (signed(good, exp=now - 90), "expired"),
        "not valid for 90 s": (signed(good, nbf=now + 90), "not valid yet"),
        "unknown API key": (signed(good, iss="nobody"), "invalid API key"),
        "no roomJoin": (signed({"room": room}), "permissions denied"),
        "no video grant": (signed(None), "no permissions to access the room"),
        "no room in the token": (signed({"roomJoin": True}), "no room name"),
        "no identity": (signed(good, sub=None), "identity"),
        "three words, no token": ("aaaa.bbbb.cccc", "invalid authorization token"),
        "a word, no token": ("swordfish", "invalid authorization token"),
    }


@pytest.mark.parametrize("defect", token_defects("x"))
def test_a_refused_token_is_an_error_with_the_servers_reason(failing, livekit, room, defect):
    token, sentence = token_defects(room)[defect]
    configuration = defect in ("no room in the token", "no identity")
    error = failing(
        TOKENS,
        defect,
        {"ws-url": livekit.url, "auth-token": token},
        expect=("RESOURCE/SETTINGS" if configuration else "RESOURCE/NOT_AUTHORIZED", sentence),
    )
    assert error["after"] < 10
    assert token not in json.dumps(error) and token.split(".")[-1] not in json.dumps(error)


def test_a_wrong_secret_is_refused(failing, livekit, room):
    env = {**livekit.env, "LIVEKIT_API_SECRET": "wrong" * 8, }
    failing(TOKENS, "wrong API secret", {"room-name": room}, env, expect=("RESOURCE/NOT_AUTHORIZED", "refused the access token"))
    env = {**livekit.env, "LIVEKIT_API_KEY": "nobody"}
    failing(TOKENS, "wrong API key", {"room-name": room}, env, expect=("RESOURCE/NOT_AUTHORIZED", "invalid API key"))


def test_a_room_that_is_not_there_is_named(failing, livekit_factory):
    server = livekit_factory(config={"room": {"auto_create": False}})
    error = failing(
        TOKENS,
        "room that does not exist",
        {"room-name": "nowhere", "connect-timeout": 4},
        server.env,
        expect=("RESOURCE/NOT_FOUND", "(?i)no such room"),
    )
    assert error["after"] < 15


PIPELINE = "livekitsrc name=s kinds=audio output=rtp ! fakesink"


def test_no_secret_in_any_log(launcher, publisher, livekit, room, tmp_path):
    """A good join, a refused one, a resume's refresh tokens: at *:6 nothing of them is written."""
    publisher(room=room, video="vp8-180")
    log = tmp_path / "debug.log"
    token = RigCtl(livekit).token(room, "watcher")
    bad = signed({"room": room, "roomJoin": True}, secret="x" * 32)
    env = {
        **livekit.env,
        "GST_DEBUG": "*:6",
        "GST_DEBUG_FILE": str(log),
        "G_MESSAGES_DEBUG": "all",
        "LIVEKIT_API_SECRET": API_SECRET,
    }
    pipeline = launcher(env=env)
    for name, properties, event in (
        ("given", {"auth-token": token, "ws-url": livekit.url}, "pad-added"),
        ("made", {"room-name": room}, "pad-added"),
        ("refused", {"auth-token": bad, "ws-url": livekit.url}, "error"),
    ):
        since = len(pipeline.events)
        pipeline.launch(PIPELINE, name=name, state="null")
        for property, value in properties.items():
            pipeline.set_value("s", property, value)
        pipeline.set_state("playing", name)
        pipeline.wait_event(event, since=since)
        if event == "pad-added":
            pipeline.wait_event("pad-event", since=since, type="caps")
        pipeline.end(name)
    command_line = open(f"/proc/{pipeline.pid}/cmdline").read()
    pipeline.stop()
    written = log.read_text(errors="replace") + pipeline.output
    assert "livekitsrc" in written and len(written) > 100_000, "the log was on"
    assert "joining at" in written, "GLib's log was on"
    # The claims and the signature of any token of ours or the server's, and the secret itself.
    for secret in (API_SECRET, *token.split(".")[1:], *bad.split(".")[1:]):
        for where, text in (("log", written), ("command line", command_line)):
            found = text.find(secret)
            assert found < 0, f"in the {where}: …{text[max(0, found - 200) : found + 20]}…"
    found = re.search(r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}", written)
    assert not found, f"a token: {written[max(0, found.start() - 200) : found.start() + 20]}"


# --- the server

SERVER = "Reaching the server"


@pytest.fixture
def black_hole():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        yield hole.getsockname()[1]


def given(port, **more):
    return {"ws-url": f"ws://127.0.0.1:{port}", "api-key": "k", "secret-key": "s" * 32, "room-name": "r", **more}


def test_nobody_listens(failing):
    error = failing(
        SERVER,
        "port where nobody listens",
        given(free_port(), **{"connect-timeout": 3}),
        expect=("RESOURCE/OPEN_READ", "Could not reach 127.0.0.1.*refused"),
    )
    assert 2.9 < error["after"] < 10, "it is tried until connect-timeout: servers restart"


def test_a_port_that_never_answers(failing, black_hole):
    error = failing(
        SERVER,
        "port that never answers",
        given(black_hole, **{"connect-timeout": 2}),
        expect=("RESOURCE/OPEN_READ", "The server does not answer"),
    )
    assert 1.9 < error["after"] < 9


def test_a_name_that_nobody_has(failing):
    failing(
        SERVER,
        "name that nobody has",
        {**given(1, **{"connect-timeout": 2}), "ws-url": "ws://no-such-host.invalid"},
        expect=("RESOURCE/OPEN_READ", "no-such-host.invalid"),
    )


def test_a_web_server_that_is_no_livekit(failing, started):
    other = started(TokenEndpoint((200, {})))
    failing(
        SERVER,
        "web server that is no LiveKit",
        given(other.port, **{"connect-timeout": 2}),
        expect=("RESOURCE/OPEN_READ", "127.0.0.1"),
    )


# --- the streamer

STREAMER = "The streamer"


def test_nobody_publishes(failing, livekit, room):
    error = failing(
        STREAMER,
        "nobody publishes",
        {"room-name": room, "participant-timeout": 2},
        livekit.env,
        expect=("RESOURCE/NOT_FOUND", f"Nobody published in room “{room}” in 2 s"),
    )
    assert error["after"] > 2


def test_who_gives_up_leaves_the_room(launcher, livekit, room):
    more = f"room-name={room} identity=watcher participant-timeout=1"
    pipeline = launcher(f"livekitsrc name=s {more} ! fakesink", env=livekit.env)
    error = pipeline.wait_event("error")
    pipeline.wait_until(lambda: not RigCtl(livekit).participants(room), 5, "an empty room")
    assert pipeline.running and "Nobody published" in error["message"]


def test_the_wanted_participant_does_not_come(failing, livekit, room, publisher):
    publisher(room=room, video="vp8-180", audio=None)
    failing(
        STREAMER,
        "participant who is not there",
        {"room-name": room, "participant-timeout": 2, "participant": "PA_bogus"},
        livekit.env,
        expect=("RESOURCE/NOT_FOUND", "Participant “PA_bogus” published nothing in 2 s"),
    )


def test_the_streamer_is_encrypted(failing, livekit, room, publisher):
    publisher(room=room, video="vp8-180", encrypted=True)
    error = failing(
        STREAMER,
        "end-to-end encrypted media only",
        {"room-name": room, "participant-timeout": 3},
        livekit.env,
        expect=("STREAM/DECRYPT_NOKEY", "“streamer” is end-to-end encrypted"),
    )
    assert error["after"] < 10


def test_the_token_does_not_allow_to_subscribe(failing, livekit, room):
    token = RigCtl(livekit).token(room, "watcher", no_subscribe=True)
    failing(
        STREAMER,
        "token without canSubscribe",
        {"auth-token": token, "ws-url": livekit.url, "participant-timeout": 2},
        expect=("RESOURCE/NOT_AUTHORIZED", "canSubscribe"),
    )


# --- what the user does


def test_ctrl_c_before_any_media_ends_with_a_word(gst_launch, livekit, room, error_table):
    pipeline = gst_launch(f"livekitsrc room-name={room} ! fakesink", "-m", env=livekit.env)
    pipeline.wait_for("livekit-connection-state.*connected")
    at = time.monotonic()
    pipeline.interrupt()
    status = pipeline.wait(20)
    assert time.monotonic() - at < 10
    said = re.search(r"ERROR: from element .*: (Ended before any media came.*)", pipeline.output)
    assert said, pipeline.output
    assert status != 0
    error_table.add(STREAMER, "Ctrl-C (gst-launch-1.0 -e) before any media", "RESOURCE/NOT_FOUND", said.group(1))
