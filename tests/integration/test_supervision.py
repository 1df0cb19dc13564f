"""What is killed, and what is left: sessions, the control server and LiveKit, while five watch and a recording runs."""

import json
import os
import re
import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from havenlib import analyse
from havenlib.haven import PROGRAM, assert_failure
from havenlib.process import Process, eventually
from havenlib.token_endpoint import TokenEndpoint
from havenlib.viewer import Viewer
from havenlib.watcher import Watcher

PATHS = {
    "gen 1, a": "/api/live-sessions/ws/live/demo",
    "gen 1, b": "/api/live-sessions/ws/live/demo",
    "gen 1, small": "/api/live-sessions/ws/live/demo?width=160&audio=0",
    "gen 2, a": "/api/live-sessions/stream/demo",
    "gen 2, b": "/api/live-sessions/stream/demo?audio=0",
}


@pytest.fixture
def configured(tmp_path, livekit, haven_factory):
    """configured("idle-timeout=2", …) -> a Haven with these settings of [session]"""

    def make(*settings):
        file = tmp_path / "haven-live.conf"
        file.write_text("[session]\n" + "\n".join(settings) + "\n")
        return haven_factory(livekit, args=["--config", str(file)])

    return make


class Evening:
    """A room that is recorded, and those who watch it."""

    def __init__(self, haven, publisher, started, paths=PATHS, **order):
        self.haven, self.streamer = haven, publisher(video="vp8-360")
        assert (reply := haven.post("/api/live-sessions/start", {"mint_id": "demo"})).status == 200, reply
        self.watchers = [started(Watcher(name, haven.ws(path))) for name, path in paths.items()]
        reply = haven.post("/api/recording/start", {"mint_id": "demo", "output_format": "source", **order})
        assert reply.status == 200, reply
        self.recording_id = reply.body["recording_id"]
        self.all_see(45)

    def all_see(self, count):
        """Waits until each has seen so many pictures more; returns the time from which on that is."""
        now = time.monotonic_ns()
        for watcher in self.watchers:
            watcher.wait_pictures(count, after=now)
        return now

    def row(self):
        return self.haven.get(f"/api/recordings/{self.recording_id}").body

    def stop_recording(self):
        reply = self.haven.post("/api/recording/stop", {"mint_id": "demo"})
        assert reply.status == 200, reply
        return reply.body

    def files(self):
        """[(part of the row, analysed file)], checked: what the library says is what is on disk.

        Parts that were cut off are finished by then.
        """

        def finished():
            parts = self.row()["parts"]
            return all(part["complete"] for part in parts) and parts

        parts = eventually(finished, 30, "recovery of all parts")
        on_disk = {str(p) for p in self.haven.recordings.iterdir() if p.suffix not in (".json", ".jpg")}
        assert on_disk == {p["path"] for p in parts}
        found = []
        for part in parts:
            assert Path(part["path"]).stat().st_size == part["file_size_bytes"], part
            assert not part["path"].endswith(".part")
            file = analyse.recording(part["path"])
            times = [f.pts for f in file.frames]
            end = max(times[-1], analyse.read_audio(part["path"])[-1][0])  # sound goes on without a picture
            assert abs(end - part["duration_seconds"]) < 1.5, (part, end)
            assert all(a < b for a, b in zip(times, times[1:]))
            assert not file.sequence.out_of_order and not file.sequence.duplicates and not file.sequence.unreadable
            assert all(abs(ms) < 40 for _, ms in file.offsets)
            found.append((part, file))
        return found

    def table(self, what, since, files):
        print(f"\n{what}")
        print("| who | pictures before | after | longest gap | connections closed |")
        print("|---|---|---|---|---|")
        for w in self.watchers:
            after = len(w.pictures(since))
            print(f"| {w.name} | {len(w.pictures()) - after} | {after} | {w.longest_gap():.1f} s | {w.closes or '-'} |")
        for part, file in files:
            s = file.sequence
            print(
                f"| {'file, cut off' if part['recovered'] else 'file'} | {s.received} of {s.expected} "
                f"in {part['duration_seconds']:.1f} s | | | |"
            )


def kill_sessions(haven):
    """SIGKILL; returns the numbers of the processes that were."""
    pids = haven.session_pids()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids


def session_state(haven):
    return haven.get("/api/live-sessions/demo").body.get("state")


def test_a_killed_session_comes_back_and_its_recording_goes_on(haven, publisher, started):
    evening = Evening(haven, publisher, started)
    since = time.monotonic_ns()
    (pid,) = kill_sessions(haven)
    evening.all_see(45)
    assert session_state(haven) == "active" and haven.session_pids() != [pid]
    assert haven.get("/api/live-sessions/demo").body["restarts"] == 1, haven.log
    stopped = evening.stop_recording()
    files = evening.files()
    evening.table("kill -9 of a session", since, files)
    assert all(len(w.closes) == 1 for w in evening.watchers), "each was closed once, and came back"
    for watcher in evening.watchers:
        assert not any(s.out_of_order for s in watcher.sequences())
    row = evening.row()
    assert [p["recovered"] for p in row["parts"]] == [True, False] and row["state"] == "interrupted" and row["error"]
    assert stopped["final_path"] == row["parts"][1]["path"]
    assert stopped["file_size_bytes"] == sum(p["file_size_bytes"] for p in row["parts"])
    assert all(file.sequence.share == 1 for _, file in files), "what came while a session ran is in the files"

    assert haven.delete(f"/api/recordings/{evening.recording_id}").status == 200
    assert not list(haven.recordings.iterdir()), "all parts are deleted, finished or not"


def test_nobody_notices_that_the_control_server_is_killed(haven, publisher, started):
    evening = Evening(haven, publisher, started)
    before = haven.session_pids()
    socket = next(haven.runtime.glob("session-*.sock"))
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600 and stat.S_IMODE(haven.runtime.stat().st_mode) == 0o700
    since = time.monotonic_ns()
    haven.kill()
    evening.all_see(45)
    haven.start()
    assert haven.session_pids() == before and session_state(haven) == "active"
    status = haven.get("/api/recording/status/demo").body
    assert status["is_recording"] and status["recording_id"] == evening.recording_id
    evening.all_see(30)
    evening.stop_recording()
    files = evening.files()
    evening.table("kill -9 of the control server", since, files)
    assert all(not w.closes for w in evening.watchers)
    for watcher in evening.watchers:
        (seen,) = watcher.sequences()
        assert seen.share > 0.9 and not seen.out_of_order and not seen.duplicates
    ((part, file),) = files
    assert not part["recovered"] and file.sequence.share == 1 and evening.row()["state"] == "completed"
    for watcher in evening.watchers:
        watcher.close()
    assert haven.post("/api/live-sessions/stop", {"mint_id": "demo"}).status == 200
    eventually(lambda: not haven.session_pids(), 10, "the adopted process ends")


def test_everyone_stays_while_livekit_is_killed(livekit, haven, publisher, started):
    evening = Evening(haven, publisher, started)
    before = haven.session_pids()
    since = time.monotonic_ns()
    livekit.kill()
    eventually(lambda: session_state(haven) == "reconnecting", 60, "notice")
    livekit.start()
    evening.all_see(45)
    assert haven.session_pids() == before and session_state(haven) == "active"
    evening.stop_recording()
    files = evening.files()
    evening.table("kill -9 of LiveKit", since, files)
    assert all(not w.closes for w in evening.watchers)
    ((part, _),) = files
    assert not part["recovered"] and evening.row()["state"] == "completed"


def test_sigterm_ends_all_in_order(haven, publisher, started):
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[1:4]))
    status, seconds = haven.terminate()
    assert status == 0 and seconds < 10
    assert not haven.session_pids()
    for watcher in evening.watchers:
        eventually(lambda w=watcher: w.closes, 10, "the goodbye")
        assert watcher.closes[0] == 1001
        watcher.close()
    haven.start()
    ((part, file),) = evening.files()
    assert not part["recovered"] and file.sequence.share == 1 and evening.row()["state"] == "completed"
    assert not haven.session_pids(), "what was stopped stays so"

    lines = [json.loads(line) for line in haven.log.splitlines()]  # all of it is JSON, the sessions' too
    own = [line for line in lines if line["event"] == "message"]
    assert own and all(line["session"] == "1" for line in own), haven.log


def catches_sigterm(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"SigCgt:\s*([0-9a-f]+)", status).group(1), 16) & 1 << (signal.SIGTERM - 1)


def test_sigterm_ends_also_what_is_only_being_looked_for(haven, publisher, started):
    Evening(haven, publisher, started, {})
    (pid,) = haven.session_pids()
    haven.kill()
    os.kill(pid, signal.SIGSTOP)  # the next server waits for its answer before it listens
    killed = haven.process
    with ThreadPoolExecutor() as pool:
        start = pool.submit(haven.start)
        eventually(lambda: haven.process is not killed and catches_sigterm(haven.process), 10, "the next server")
        status, seconds = haven.terminate()
        with pytest.raises(AssertionError, match="it ended"):
            start.result(30)
    assert status == 0 and seconds < 10 and not haven.session_pids()


def test_a_recording_can_be_stopped_while_its_session_is_restarted(haven, publisher, started):
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[:1]))
    kill_sessions(haven)
    eventually(lambda: session_state(haven) == "reconnecting", 10, "notice")
    stopped = evening.stop_recording()
    evening.all_see(30)
    assert haven.get("/api/recording/status/demo").status == 404, "it does not go on"
    ((part, _),) = evening.files()
    assert stopped["final_path"] in (part["path"], part["path"] + ".part")  # its recovery may have been done by then
    assert part["recovered"] and evening.row()["state"] == "interrupted"


def test_a_session_that_dies_three_times_is_given_up_and_the_reason_kept(haven, publisher, started):
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[:1]))
    killed = []
    for _ in range(3):
        eventually(lambda: set(haven.session_pids()) - set(killed), 30, "another process")
        killed += kill_sessions(haven)

    def gone():
        reply = haven.get("/api/live-sessions/demo")
        return reply if reply.status == 404 else None

    def reason(reply):
        return "three times within a minute" in reply.body["detail"] and "signal 9" in reply.body["detail"]

    assert reason(eventually(gone, 30, "giving up"))
    assert not haven.session_pids() and haven.get("/api/live-sessions/active").body["count"] == 0
    row = evening.row()
    assert row["state"] == "interrupted" and "three times within a minute" in row["error"] and evening.files()
    metrics = haven.get("/metrics").body.decode()
    assert "haven_session_failures_total 1\n" in metrics and "haven_session_restarts_total 2\n" in metrics
    now = dict(re.findall(r'^haven_sessions\{state="(\w+)"\} (\d+)$', metrics, re.M))
    assert now and set(now.values()) == {"0"}, "the gauge is of what there is now"
    evening.watchers[0].close()
    haven.terminate()
    haven.start()
    assert reason(gone()), "it is kept over a restart of the server too"


def test_a_session_that_dies_while_it_starts_is_started_again(haven, publisher):
    with ThreadPoolExecutor() as pool:
        start = pool.submit(haven.post, "/api/live-sessions/start", {"mint_id": "demo"})
        eventually(haven.session_pids, 20, "its process")
        kill_sessions(haven)  # nobody streams yet: it waits
        publisher(video="vp8-360")
        assert start.result(60).status == 200
    assert session_state(haven) == "active"


def test_a_session_that_hangs_is_killed_and_comes_back(configured, publisher, started):
    haven = configured("answer-timeout=1")
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[:1]))
    (pid,) = haven.session_pids()
    os.kill(pid, signal.SIGSTOP)
    haven.get("/api/live-sessions/demo")  # is answered, in whatever way
    eventually(lambda: pid not in haven.session_pids(), 30, "the end of what hangs")
    evening.all_see(30)

    (pid,) = haven.session_pids()
    haven.kill()
    os.kill(pid, signal.SIGSTOP)
    haven.start()  # it listens though one does not answer
    eventually(lambda: pid not in haven.session_pids(), 30, "the end of what hangs")
    evening.all_see(30)
    evening.stop_recording()
    files = evening.files()
    assert [part["recovered"] for part, _ in files] == [True, True, False]
    assert all(file.sequence.share == 1 for _, file in files)


def test_a_session_that_died_with_the_server_is_resumed(haven, publisher, started):
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[:1]))
    haven.kill()
    kill_sessions(haven)
    haven.start()
    evening.all_see(30)
    body = haven.get("/api/live-sessions/demo").body
    assert body["state"] == "active" and body["recording_id"] == evening.recording_id and body["id"] == 1
    evening.stop_recording()
    assert [part["recovered"] for part, _ in evening.files()] == [True, False]


def test_what_goes_on_after_a_crash_is_divided_as_it_was_ordered(haven, publisher, started):
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[:1]), segment_mb=1)
    haven.kill()
    kill_sessions(haven)
    haven.start()

    def divided():
        return [part for part in evening.row()["parts"] if part["complete"] and not part["recovered"]]

    eventually(divided, 60, "a part that is full")
    evening.stop_recording()
    (before, _), *after = evening.files()
    assert before["recovered"] and len(after) >= 2 and not any(part["recovered"] for part, _ in after)
    assert all(file.sequence.share == 1 for _, file in after)


def test_what_ended_while_the_server_was_down_is_known(haven, rigctl, publisher, started):
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[:1]))
    haven.kill()
    rigctl.delete("demo")
    eventually(lambda: not haven.session_pids(), 20, "the end of the session")
    evening.watchers[0].close()
    haven.start()
    assert haven.get("/api/live-sessions/active").body["count"] == 0 and not haven.session_pids()
    assert not list(haven.runtime.iterdir())
    ((part, file),) = evening.files()
    assert not part["recovered"] and file.sequence.share == 1 and evening.row()["state"] == "completed"


def test_each_file_of_a_recording_is_in_the_library(haven, publisher, started):
    evening = Evening(haven, publisher, started, dict(list(PATHS.items())[:1]))
    evening.streamer.command("unpublish video")
    evening.streamer.command("publish video h264-360")
    evening.all_see(45)
    polled = haven.get("/api/recording/status/demo").body
    stopped = evening.stop_recording()
    files = evening.files()
    assert [file.probe["video"]["codec_name"] for _, file in files] == ["vp8", "h264"]
    assert not any(part["recovered"] for part, _ in files) and evening.row()["state"] == "completed"
    assert 80 < polled["stats"]["video_frames"] <= stopped["stats"]["video_frames"]
    assert stopped["stats"]["video_frames"] == sum(len(file.frames) for _, file in files)
    for part, _ in files:
        served = haven.get(f"/api/recordings/{evening.recording_id}/file?part={part['part']}")
        assert served.body == Path(part["path"]).read_bytes()
    assert haven.delete(f"/api/recordings/{evening.recording_id}").status == 200
    assert not list(haven.recordings.iterdir())


def test_a_second_server_on_one_state_directory_refuses(haven):
    second = Process(
        [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--state-dir", haven.state, "--recordings", haven.recordings],
        env=haven.env,
    )
    assert second.wait(15) == 8
    assert f"process {haven.process.pid}" in second.output and str(haven.state) in second.output
    assert haven.get("/health").status == 200


def test_an_addresss_viewers_count_while_sessions_have_them(livekit, publisher, haven_factory, started):
    haven = haven_factory(livekit, config={"server": {"max-streams-per-address": 2}})
    publisher(video="vp8-360")
    assert haven.post("/api/live-sessions/start", {"mint_id": "demo"}).status == 200

    def watch():
        """The status of a handshake that is refused, or a Viewer."""
        try:
            return started(Viewer(haven.ws(PATHS["gen 2, a"])))
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status

    first, second = watch(), watch()
    first.wait("video")
    second.wait("video")
    eventually(lambda: haven.get("/api/live-sessions/demo").body["viewers"] == 2, 10, "what the session tells")
    assert watch() == 503
    haven.kill()
    haven.start()
    assert watch() == 503, "they outlived the server"
    first.close()
    eventually(lambda: watch() != 503, 10, "the place that is free again")


def test_a_session_for_viewers_ends_after_the_last(configured, publisher, started):
    haven = configured("start-for-viewers=true", "idle-timeout=2")
    publisher(video="vp8-360")

    def count():
        return haven.get("/api/live-sessions/active").body["count"]

    first = started(Watcher("first", haven.ws(PATHS["gen 1, a"])))
    first.wait_pictures(30)
    assert count() == 1
    first.close()
    eventually(lambda: count() == 0 and not haven.session_pids(), 20, "the end of what nobody watches")

    second = started(Watcher("second", haven.ws(PATHS["gen 2, a"])))
    second.wait_pictures(5)
    assert haven.post("/api/live-sessions/start", {"mint_id": "demo"}).status == 200
    second.close()
    time.sleep(4)  # twice as long as it would have been left alone
    assert count() == 1, "what was started by name stays"


def test_more_viewers_than_may_be_are_refused(configured, publisher, started):
    haven = configured("max-viewers-total=1", "max-pictures=1")
    publisher(video="vp8-360")
    haven.post("/api/live-sessions/start", {"mint_id": "demo"})
    first = started(Watcher("first", haven.ws(PATHS["gen 1, a"])))
    first.wait_pictures(5)
    eventually(lambda: haven.get("/api/live-sessions/demo").body["viewers"] == 1, 10, "its viewer is counted")
    reply = haven.get(
        PATHS["gen 2, a"],
        headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        },
    )  # fmt: skip
    assert reply.status == 503 and reply.body["code"] == "limit_reached" and "Retry-After" in reply.headers


def test_a_busy_machine_starts_no_further_session(livekit, publisher, haven_factory, started):
    haven = haven_factory(livekit, env={"HAVEN_MAX_CPU_PERCENT": "1"})  # this test alone is more
    publisher(video="vp8-360")
    assert haven.post("/api/live-sessions/start", {"mint_id": "demo"}).status == 200, "the first is always let in"
    started(Watcher("first", haven.ws(PATHS["gen 1, a"]))).wait_pictures(120)  # four seconds: twice a look at the load
    reply = haven.post("/api/live-sessions/start", {"mint_id": "another"})
    assert_failure(reply, 503, "limit_reached")
    assert re.match(r"The processors are \d+ % busy", reply.body["detail"]) and "Retry-After" in reply.headers
    assert haven.post("/api/live-sessions/start", {"mint_id": "demo"}).status == 200, "what runs is not touched"


def test_a_token_endpoint_says_which_room_it_is_and_what_is_to_be_known_of_it(
    livekit, rigctl, publisher, haven_factory, started
):
    publisher(room="another", video="vp8-360")
    said = {"title": "„Söng“", "likes": 3, "tags": ["a", None], "state": {"theirs": True}}

    def answer(request):
        assert request == {"mintId": "coin", "role": "viewer"}
        token = rigctl.token("another", "haven-player")
        return 200, {"token": token, "livekit_url": livekit.url, "stream_info": said}

    endpoint = started(TokenEndpoint(answer))
    haven = haven_factory(env={"LIVEKIT_TOKEN_ENDPOINT": endpoint.url, "LIVEKIT_URL": livekit.url})
    reply = haven.post("/api/live-sessions/start", {"mint_id": "coin"})
    assert reply.status == 200, reply
    assert reply.body["mint_id"] == "coin" and reply.body["room_name"] == "another"
    known = {"room_name": "another", "participant_sid": reply.body["participant_sid"], "participant_identity": "streamer"}
    assert reply.body["stream_info"] == {**said, **known}, "theirs as it is, and ours where they say nothing"
    assert haven.get("/api/live/connection/coin").body["stream_data"] == {**said, **known}
    assert haven.get("/api/live-sessions/another").body["mint_id"] == "coin", "it is found by both names"
    haven.kill()
    haven.start()
    assert haven.get("/api/live-sessions/coin").body["room_name"] == "another"
    assert haven.get("/api/live-sessions/active").body["sessions"]["coin"]["stream_data"] == {**said, **known}
    said = "live from Oslo"
    assert haven.get("/api/live/connection/coin").body["stream_data"] == said, "the newest, and a word is a word"
