"""What happens in and to a room while it is recorded: one recording, with the gaps that it tells of.

The elements meet the same scenarios in test_scenarios_*.py, test_hostile_server.py and test_errors.py.
"""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Callable

import pattern
import pytest
import test_hostile_server as hostile
from havenlib import analyse
from havenlib.fake_livekit import FakeLiveKit
from havenlib.haven import assert_failure
from havenlib.livekit import RigCtl
from havenlib.process import eventually
from havenlib.take import Take
from havenlib.token_endpoint import TokenEndpoint
from havenlib.udp_relay import UdpRelay
from havenlib.viewer import V1Viewer, Viewer
from livekit import rtc
from test_errors import token_defects

OURS = "haven-player"  # our identity in the room


@pytest.fixture(scope="module")
def table():
    """table.append((number, scenario, format, outcome, gaps, A/V)); printed when all are done."""
    rows = []
    yield rows
    print("\n\n| | Scenario | Format | Outcome | Gaps | A/V, worst |\n|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: row[0]):
        print("|", " | ".join(map(str, row)), "|")


# --- what is done; take records meanwhile, at has the rest


def nothing(take, at):
    take.more(90, 150)


def screen_share(take, at):
    take.streamer.command("publish screen h264-screen-720")
    take.more(90, 150)
    take.streamer.command("unpublish screen")
    take.more(30, 50)


def mutes(take, at):
    for kind in ("video", "audio"):
        with take.disturbed(kind):
            take.streamer.command(f"mute {kind}")
            take.more(90 * (kind == "audio"), 150 * (kind == "video"))  # three seconds of the other
            take.streamer.command(f"unmute {kind}")


OTHERS = "h264-360 vp9-360 av1-360 vp8-360 h264-360 vp8-720 av1-720 vp9-360 vp8-360 vp8-360".split()


def republish(take, at):
    for clip in OTHERS:
        with take.disturbed():
            take.streamer.command("unpublish video")
            take.streamer.command(f"publish video {clip}")


def streamer_leaves_and_returns(take, at):
    with take.disturbed():
        take.streamer.command("leave")
        time.sleep(5)  # the scenario's own length of absence
        take.streamer.command("return")


def viewers_of_other_sizes(take, at):
    for width in (160, 640):
        with Viewer(take.haven.ws(f"/api/live-sessions/ws/live/{take.room}?width={width}")) as viewer:
            viewer.wait("video", 30)
    take.more(30, 50)


def key_frames_are_asked_for(take, at):
    for _ in range(3):
        with V1Viewer(take.haven.ws(f"/api/live-sessions/watch/{take.room}"), {"video": "encoded"}) as viewer:
            viewer.wait("video", 30)
    take.more(30, 50)


def signalling_is_cut(take, at):
    for _ in range(2):  # an ICE restart after an ICE restart
        accepted = at.proxy.accepted
        with take.disturbed():
            at.proxy.cut()
            eventually(lambda: at.proxy.accepted > accepted, 30, "the connection anew")
        take.more(60, 100)


def wait_reconnecting(take):
    path = f"/api/live-sessions/{take.room}"
    eventually(lambda: take.haven.get(path).body["state"] == "reconnecting", 60, "notice")


def server_is_killed(take, at):
    with take.disturbed():
        at.livekit.kill()
        wait_reconnecting(take)
        time.sleep(4)  # the scenario's own length of absence
        at.livekit.start()


def server_is_stopped(take, at):
    with take.disturbed():
        at.livekit.stop()
        wait_reconnecting(take)
        time.sleep(2)
        at.livekit.start()


def server_falls_silent(take, at):
    with take.disturbed():
        at.livekit.pause()
        time.sleep(20)  # the scenario's own length of silence
        at.livekit.resume()
    take.more(150, 250)


def another_takes_our_identity(take, at):
    async def join():
        other = rtc.Room()
        await other.connect(at.livekit.url, at.rigctl.token(take.room, OURS))
        await asyncio.to_thread(take.wait_end)
        await other.disconnect()

    asyncio.run(join())


def we_are_removed(take, at):
    at.rigctl.remove(take.room, OURS)
    take.wait_end()


def room_is_deleted(take, at):
    at.rigctl.delete(take.room)
    take.wait_end()


def we_may_not_subscribe_for_a_while(take, at):
    with take.disturbed():
        at.rigctl.permit(take.room, OURS, subscribe=False, publish=False)
        wait_no_more(take)
        at.rigctl.permit(take.room, OURS, subscribe=True, publish=False)


def streamer_restricts_its_tracks_for_a_while(take, at):
    with take.disturbed():
        take.streamer.command("permission restrict")
        wait_no_more(take)
        take.streamer.command("permission allow")


def wait_no_more(take, seconds=2):
    """Until nothing has been recorded for so long."""
    latest, since = take.frames(), time.monotonic()

    def still():
        nonlocal latest, since
        if (now := take.frames()) != latest:
            latest, since = now, time.monotonic()
        return time.monotonic() - since > seconds

    eventually(still, 60, "silence")


def stopped_while_the_server_is_away(take, at):
    begin = time.monotonic_ns()
    at.livekit.kill()
    wait_reconnecting(take)
    take.stop()
    take.windows.append((("video", "audio"), begin, time.monotonic_ns()))


def signalling_is_cut_in_ten_minutes(take, at):
    take.more(9000, 15000, timeout=600)
    signalling_is_cut(take, at)
    take.more(8500, 14000, timeout=600)


@dataclass
class Scenario:
    number: int
    name: str
    act: Callable = nothing
    publish: dict = field(default_factory=lambda: {"video": "vp8-360"})
    server: dict = field(default_factory=dict)  # options of livekit_factory
    check: dict = field(default_factory=dict)  # arguments of Take.check
    source: dict = field(default_factory=dict)  # more of them, where the format is that

    def __str__(self):
        return self.name.replace(",", "").replace(" ", "-")


def both(reason):
    return {("video", reason), ("audio", reason)}


# It does not capture picture and sound at one instant, and makes key frames when it is asked, at most one a second.
LIBWEBRTC = dict(exact=False, modulo=65536, offset_ms=None, maybe={("video", "lost")})
CODECS = ["vp8"] + [c for c in (clip.split("-")[0] for clip in OTHERS)]
SETTLING = 4  # s, until a sender report comes and 40 ms are made up for

SCENARIOS = [
    *[Scenario(1, f"a room of {c.upper()}", publish={"video": f"{c}-360"}, source={"codecs": [c]})
      for c in ("vp8", "h264", "vp9", "av1")],
    Scenario(2, "a screen is shared beside the camera", screen_share),
    Scenario(3, "the picture is muted for 3 s, then the sound", mutes,
             check={"gaps": {("video", "muted"), ("audio", "muted")}}),
    Scenario(4, "the picture is published anew ten times, in other codecs", republish,
             check={"maybe": {("video", "unpublished")}},
             source={"codecs": [c for a, c in zip([None, *CODECS], CODECS) if a != c]}),
    Scenario(5, "the streamer leaves for 5 s", streamer_leaves_and_returns, check={"gaps": both("streamer-gone")}),
    Scenario(6, "simulcast; viewers of other sizes come and go", viewers_of_other_sizes,
             publish={"video": "vp8-720", "simulcast": True}, check={"simulcast": True}),
    Scenario(7, "viewers who ask for key frames come and go", key_frames_are_asked_for,
             publish={"video": "vp8-360", "webrtc": True}, check=LIBWEBRTC),
    Scenario(9, "the signalling connection is cut, twice", signalling_is_cut, check={"maybe": both("reconnecting")}),
    Scenario(10, "LiveKit is killed, and back after 4 s", server_is_killed, check={"gaps": both("reconnecting")}),
    Scenario(11, "LiveKit is stopped, and started again", server_is_stopped, check={"gaps": both("reconnecting")}),
    Scenario(12, "media over TCP alone", publish={"video": "vp8-360", "webrtc": True}, server={"tcp_only": True},
             check=LIBWEBRTC),
    Scenario(13, "another client takes our identity", another_takes_our_identity,
             check={"flashes": 2, "error": "Another client joined"}),
    Scenario(13, "we are removed from the room", we_are_removed,
             check={"flashes": 2, "error": "removed from the room"}),
    Scenario(13, "the room is deleted", room_is_deleted,
             check={"flashes": 2, "error": "the room was deleted"}),
    Scenario(15, "subscribing is forbidden for a while", we_may_not_subscribe_for_a_while,
             check={"gaps": both("forbidden")}),
    Scenario(15, "the streamer restricts its tracks for a while", streamer_restricts_its_tracks_for_a_while,
             check={"gaps": both("forbidden")}),
    Scenario(20, "stopped while LiveKit is away", stopped_while_the_server_is_away,
             check={"flashes": 2, "maybe": both("reconnecting")}),
    Scenario(21, "ten minutes, with two cuts of the signalling", signalling_is_cut_in_ten_minutes,
             check={"flashes": 550, "maybe": both("reconnecting")}),
    # What it gives of the first seconds when it goes on is where it was sent; before that nobody knew yet what was wrong.
    Scenario(22, "LiveKit is silent for 20 s", server_falls_silent,
             check={"gaps": both("reconnecting"), "maybe": both("lost"), "settling": SETTLING}),
]  # fmt: skip

# The rest is for ./test --suite soak.
BY_DEFAULT = {(mutes, "av1"), (streamer_leaves_and_returns, "av1"), (server_is_killed, "source"), (room_is_deleted, "av1")}


def in_form(scenario, form):
    marks = [] if (scenario.act, form) in BY_DEFAULT else [pytest.mark.soak]
    return pytest.param(scenario, form, id=f"{scenario.number}-{scenario}-{form}", marks=marks)


@pytest.mark.parametrize("scenario, form", [in_form(s, form) for s in SCENARIOS for form in ("av1", "source")])
def test_what_happens_in_a_room_is_one_recording(
    livekit_factory, fault_proxy_of, publisher, haven_factory, table, scenario, form
):
    livekit = livekit_factory(**scenario.server)
    proxy = fault_proxy_of(livekit)
    haven = haven_factory(livekit, env={"LIVEKIT_URL": proxy.url})
    take = Take(haven, publisher(server=livekit, **scenario.publish), form).start()
    scenario.act(take, SimpleNamespace(livekit=livekit, proxy=proxy, rigctl=RigCtl(livekit)))
    if take.row()["state"] == "recording":
        take.more(60, 100)
        take.stop()
    wanted = {**scenario.check, **(scenario.source if form == "source" else {})}
    table.append((scenario.number, scenario.name, f"`{form}`", *take.check(**wanted)))


# --- what is another arrangement


FORMS = pytest.mark.parametrize("form", ["av1", "source"])


def wait_joined(rigctl, room="demo"):
    def identities():
        try:
            return [p["identity"] for p in rigctl.participants(room)]
        except RuntimeError:  # no such room yet
            return []

    eventually(lambda: OURS in identities(), 30, "our join")


@pytest.mark.soak
@FORMS
def test_16_what_is_ordered_before_somebody_streams(livekit, rigctl, publisher, haven, table, form):
    take = Take(haven, None, form)
    with ThreadPoolExecutor() as pool:
        order = pool.submit(take.order)
        wait_joined(rigctl)
        take.streamer = publisher(video="vp8-360")
        assert order.result().status == 200
    take.begun()
    take.stop()
    table.append((16, "ordered before somebody streams", f"`{form}`", *take.check(flashes=2)))


@pytest.mark.soak
@FORMS
def test_17_one_of_four_who_join_at_once(livekit, rigctl, publisher, haven, table, form):
    wish = {"mint_id": "demo", "participant_identity": "streamer-2"}
    with ThreadPoolExecutor() as pool:
        session = pool.submit(haven.post, "/api/live-sessions/start", wish)
        wait_joined(rigctl)
        streamers = [publisher(identity=f"streamer-{n}", video="vp8-360", wait=False) for n in range(4)]
        assert session.result().status == 200
    for streamer in streamers:
        streamer.wait_event("publishing")
    take = Take(haven, streamers[2], form).start()
    take.more(60, 100)
    take.stop()
    assert take.row()["participant_sid"] == streamers[2].sid
    table.append((17, "four streamers join at once, one is asked for", f"`{form}`", *take.check()))


@pytest.mark.soak
@FORMS
def test_19_the_room_closes_around_a_recorder(livekit_factory, publisher, haven_factory, started, table, form):
    livekit = livekit_factory(config={"room": {"departure_timeout": 2}})  # 20 s by default
    rigctl = RigCtl(livekit)
    endpoint = started(
        TokenEndpoint(lambda asked: (200, {"token": rigctl.token("demo", OURS, recorder=True, hidden=True)}))
    )
    haven = haven_factory(env={"LIVEKIT_URL": livekit.url, "LIVEKIT_TOKEN_ENDPOINT": endpoint.url})
    take = Take(haven, publisher(server=livekit, video="vp8-360"), form).start()
    take.streamer.command("leave")
    take.wait_end()
    outcome = take.check(flashes=2, maybe=both("streamer-gone"), error="the room was closed")
    table.append((19, "a recorder is left alone in the room", f"`{form}`", *outcome))


@pytest.mark.soak
@FORMS
def test_8_packets_are_lost(livekit_factory, publisher, haven_factory, started, table, form):
    """Five of a hundred on their way to us, for half a minute. They are asked for again; for what does not come in time
    the picture waits for a key frame."""
    livekit = livekit_factory(rtc={"ips": {"includes": ["127.0.0.1/32"]}, "enable_loopback_candidate": True})
    relay = started(UdpRelay((livekit.address, livekit.udp_port), ("127.0.0.1", livekit.udp_port)))
    take = Take(haven_factory(livekit), publisher(server=livekit, video="vp8-360"), form).start()
    with take.disturbed():
        before = len(take.streamer.sent()), *take.frames()
        relay.lose(5)
        take.more(sound=1450)
        after = len(take.streamer.sent()), *take.frames()
        relay.lose(0)
    take.more(60, 100)
    take.stop()
    sent, pictures, sound = (b - a for a, b in zip(before, after))
    print(f"{relay.lost} packets lost, {relay.passed} not: {pictures} of {sent} pictures, and {sound} packets of sound")
    assert relay.lost > 100 and pictures > 0.8 * sent and sound > 0.98 * sent / pattern.FPS * 50
    outcome = take.check(maybe={("video", "lost")})
    table.append((8, "5 % of the packets are lost for half a minute", f"`{form}`", *outcome))


def leftovers(haven):
    """What a session's process holds: (threads, descriptors)."""
    (pid,) = haven.session_pids()
    return len(list(Path(f"/proc/{pid}/task").iterdir())), len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.soak
@FORMS
def test_20_fifty_starts_and_stops(livekit, publisher, haven, table, form):
    streamer = publisher(video="vp8-360")
    held, longest = [], 0
    for _ in range(50):
        take = Take(haven, streamer, form)
        assert take.order().status == 200
        take.id = take.reply.body["recording_id"]
        take.more(1)
        began = time.monotonic()
        take.stop()
        longest = max(longest, time.monotonic() - began)
        assert take.wait_end()["state"] == "completed"
        assert analyse.probe(take.row()["output_path"])["video"]
        held.append(leftovers(haven))
    print(f"the longest stop took {longest:.2f} s; threads and descriptors {held}")
    for counts in zip(*held):  # some end a moment later than the recording
        assert min(counts[-10:]) <= max(counts[:10]), f"it grows: {counts}"
    table.append((20, "started and stopped 50 times", f"`{form}`", "50 files", "", ""))


@pytest.mark.soak
@FORMS
def test_20_stopped_while_it_starts(livekit, publisher, haven, table, form):
    """At any moment of the join; whoever ordered it is answered, and nothing goes on."""
    streamer = publisher(video="vp8-360")
    dice, answers = random.Random(form), []
    with ThreadPoolExecutor() as pool:
        for _ in range(20):
            take = Take(haven, streamer, form)
            order = pool.submit(take.order)
            time.sleep(dice.uniform(0, 1))  # a join takes half of that
            haven.post("/api/live-sessions/stop", {"mint_id": "demo"})
            reply = order.result(30)
            answers.append(reply.status)
            if reply.status == 200:  # it had begun
                take.id = reply.body["recording_id"]
                assert take.wait_end()["state"] in ("completed", "failed")  # failed: no picture had come
            else:
                assert reply.body["code"] and reply.body["detail"]
            eventually(lambda: not haven.session_pids(), 15, "the session's end")
    print("answers", answers)
    assert not list(haven.recordings.glob("*.part"))
    began = answers.count(200)
    table.append((20, "stopped 20 times while it starts", f"`{form}`", f"{began} had begun, {20 - began} refused", "", ""))


@pytest.mark.soak
def test_24_two_rooms_at_once(livekit, publisher, haven, table):
    takes = [
        Take(haven, publisher(room=room, identity=f"streamer-{room}", video="vp8-360"), form, room).start()
        for room, form in (("one", "av1"), ("two", "source"))
    ]
    streamer_leaves_and_returns(takes[0], None)
    for take in takes:
        take.more(30, 50)
        take.stop()
    names = ("of two rooms the one whose streamer leaves for 5 s", "of two rooms the other")
    for take, name, gaps in zip(takes, names, (both("streamer-gone"), ())):
        table.append((24, name, f"`{take.form}`", *take.check(gaps=gaps)))


# --- rooms that never come up


def refuse(haven, table, number, what, code, room="demo"):
    """A recording is ordered, in vain: the answer says why, and nothing is left."""
    reply = haven.post("/api/recording/start", {"mint_id": room}, timeout=120)
    print(f"{what}: {reply.status} {reply.body}")
    assert_failure(reply, reply.status, code)
    eventually(lambda: not haven.session_pids(), 20, "the end of its process")
    assert haven.get("/api/recording/active").body["recordings"] == {}
    assert not any(path.is_file() for path in haven.recordings.glob("*"))
    table.append((number, what, "any", f"{reply.status} `{code}`: “{reply.body['detail']}”", "", ""))


@pytest.mark.soak
def test_14_defective_tokens(shared_livekit, haven_factory, publisher, room, started, table):
    publisher(server=shared_livekit, room=room, video="vp8-180")
    endpoint = started(TokenEndpoint(None))
    haven = haven_factory(env={"LIVEKIT_URL": shared_livekit.url, "LIVEKIT_TOKEN_ENDPOINT": endpoint.url})
    for defect, (token, _) in token_defects(room).items():
        endpoint.answer = (200, {"token": token})
        lacks = defect in ("no room in the token", "no identity")
        refuse(haven, table, 14, f"token: {defect}", "not_configured" if lacks else "livekit_refused", room)
        assert token not in haven.log


@pytest.mark.soak
def test_15_a_token_that_may_not_subscribe(shared_livekit, haven_factory, publisher, room, started, table):
    publisher(server=shared_livekit, room=room, video="vp8-180")
    token = RigCtl(shared_livekit).token(room, OURS, no_subscribe=True)
    endpoint = started(TokenEndpoint((200, {"token": token})))
    haven = haven_factory(
        env={"LIVEKIT_URL": shared_livekit.url, "LIVEKIT_TOKEN_ENDPOINT": endpoint.url},
        config={"session": {"streamer-timeout": 3}},
    )
    refuse(haven, table, 15, "a token that may not subscribe", "not_permitted", room)


@pytest.mark.soak
def test_16_nobody_streams(shared_livekit, haven_factory, room, table):
    haven = haven_factory(shared_livekit, config={"session": {"streamer-timeout": 2}})
    refuse(haven, table, 16, "nobody streams", "no_streamer", room)


HOSTILE = [
    ("half a handshake", {"raw": hostile.half_a_handshake}, "livekit_protocol"),
    ("nothing after the handshake", {"script": hostile.silence}, "livekit_timeout"),
    ("garbage", {"script": hostile.garbage}, "livekit_protocol"),
    ("a LEAVE at once", {"script": hostile.leave_first}, "livekit_closed"),
    ("the end after the join", {"script": hostile.hang_up_after_the_join}, "livekit_closed"),
    ("offers that are none", {"script": hostile.in_session(hostile.offers("hello"), hostile.answers)}, "livekit_protocol"),
]  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("what, fake, code", HOSTILE, ids=[what.replace(" ", "-") for what, _, _ in HOSTILE])
def test_18_servers_that_break_the_protocol(haven_factory, started, table, what, fake, code):
    server = started(FakeLiveKit(**fake))
    haven = haven_factory(server, config={"session": {"connect-timeout": 2}})
    refuse(haven, table, 18, f"LiveKit says {what}", code)


@pytest.mark.soak
def test_23_all_is_encrypted(shared_livekit, haven_factory, publisher, room, table):
    publisher(server=shared_livekit, room=room, video="vp8-180", encrypted=True)
    haven = haven_factory(shared_livekit, config={"session": {"streamer-timeout": 3}})
    refuse(haven, table, 23, "picture and sound are encrypted", "room_encrypted", room)


@pytest.mark.soak
@FORMS
def test_23_the_picture_is_encrypted(livekit, publisher, haven, table, form):
    """The sound is recorded."""
    streamer = publisher(video=None)
    streamer.command("publish video vp8-180 encrypted")
    take = Take(haven, streamer, form)
    assert take.order().status == 200, take.reply
    take.id = take.reply.body["recording_id"]
    take.more(0, 150)
    take.stop()
    row, (part,) = take.finished()
    assert not part.pictures and len(part.sound) >= 150 and row["error"] is None and part.told["video_codec"] is None
    assert all(b - a < 0.045 for a, b in zip(part.sound, part.sound[1:]))
    seconds = part.told["duration_seconds"]
    table.append((23, "the picture is encrypted, the sound is not", f"`{form}`", f"one file, {seconds:.0f} s of sound", "none", ""))
