"""The command line of haven-live: what each command does, says, and ends with."""

import asyncio
import base64
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pattern
import pytest
from havenlib import BUILD, analyse
from havenlib.haven import PROGRAM, Haven
from havenlib.process import Process, eventually
from havenlib.session import PROGRAM as SESSION
from havenlib.token_endpoint import TokenEndpoint
from havenlib.viewer import Viewer
from livekit import rtc

# A helper that scans plugins could not load those that were built with a sanitizer.
IN_PROCESS = {"GST_REGISTRY_FORK": "no"}
WRONG = "wrong-wrong-wrong-wrong-wrong-wrong-wrong"


@pytest.fixture
def environment(gst_env, tmp_path):
    """Of a user of whom nothing is known."""
    known = {k: v for k, v in gst_env.items() if not k.startswith(("LIVEKIT_", "HAVEN_", "XDG_"))}
    with tempfile.TemporaryDirectory() as runtime:  # a socket's address is short
        yield {**known, **IN_PROCESS, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": runtime}


@pytest.fixture
def cli(environment):
    """cli("token", "demo", env={…}, input="…") -> the ended process"""

    def run(*args, env=None, input="", timeout=60):
        return subprocess.run(
            [PROGRAM, *map(str, args)], env={**environment, **(env or {})}, input=input, text=True,
            capture_output=True, timeout=timeout,
        )  # fmt: skip

    return run


@pytest.fixture
def start(environment, started):
    """start("record", …, env={…}) -> a Process"""
    return lambda *args, env=None: started(Process([PROGRAM, *args], env={**environment, **(env or {})}))


def refused(result, code, pattern):
    assert result.returncode == code, result
    assert re.search(pattern, result.stderr) and result.stderr.startswith("haven-live: "), result
    assert result.stderr.count("\n") == 1 and result.stdout == ""


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


# -- in general


def test_help_and_version(cli):
    version = cli("--version")
    assert version.returncode == 0 and re.fullmatch(r"haven-live \d+\.\d+\.\d+\n", version.stdout)
    assert json.loads(cli("--version", "--json").stdout)["version"] == version.stdout.split()[1]
    overview = cli("--help")
    assert overview.returncode == 0
    for command in "serve", "record", "recover", "token", "doctor":
        assert command in overview.stdout
        assert cli(command, "--help").returncode == 0
    assert cli().returncode == 2 and cli("dance").returncode == 2


def test_the_control_server_links_no_gstreamer():
    def libraries(program):
        return subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout

    # what parses media that was cut off is in it too, and is our own
    assert "libgst" not in libraries(PROGRAM) and "libsoup" in libraries(PROGRAM)
    assert "libgstreamer" in libraries(SESSION)


def test_wrong_arguments_end_with_2(cli, tmp_path):
    refused(cli("serve", "--colour"), 2, "--colour")
    refused(cli("serve", "here"), 2, "serve takes no “here”")
    refused(cli("token"), 2, "token wants a ROOM")
    refused(cli("token", "one", "two"), 2, "“two”")
    refused(cli("serve", "--config", tmp_path / "none.conf"), 2, "none.conf")
    (tmp_path / "odd.conf").write_text("[server]\ncolour=red\n")
    refused(cli("token", "demo", "--config", tmp_path / "odd.conf"), 2, "odd.conf.*no setting “colour”")
    refused(cli("doctor", env={"LIVEKIT_URL": "http://x"}), 2, "LIVEKIT_URL: .*ws://")
    refused(cli("record", "demo"), 2, "--output")
    refused(cli("record", "demo", "-o", tmp_path / "a.xyz"), 2, "--format")
    refused(cli("record", "demo", "-o", tmp_path / "a.mkv", "-f", "gif"), 2, "no format “gif”")
    refused(cli("record", "demo", "-o", tmp_path / "a.mkv", "-q", "best", env={"LIVEKIT_URL": "ws://x"}), 2, "key")


def test_errors_are_json_too(cli):
    for words in ("serve", "--colour"), ("token", "demo"), ("token",), ("record", "demo"):
        result = cli(*words, "--json")
        answer = json.loads(result.stdout)
        assert answer["success"] is False and answer["error"] and answer["exit_code"] == result.returncode == 2
        assert result.stderr == ""


# -- settings and secrets


def test_a_token_opens_its_room_and_no_more(cli):
    key = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s3cret"}
    plain = cli("token", "demo", env=key)
    assert plain.returncode == 0 and plain.stderr == ""
    said = claims(plain.stdout.strip())
    assert said["iss"] == "key" and 3500 < said["exp"] - time.time() <= 3600
    assert said["video"]["room"] == "demo" and said["video"]["roomJoin"] is True
    assert said["video"]["canPublish"] is False and said["video"]["canSubscribe"] is True

    answer = json.loads(cli("token", "demo", "--json", env={**key, "LIVEKIT_URL": "ws://here:7880"}).stdout)
    assert answer["room_name"] == "demo" and answer["livekit_url"] == "ws://here:7880"
    assert claims(answer["token"])["sub"] == answer["identity"]
    refused(cli("token", "demo"), 2, "key")


def signed_with(token, secret):
    import hashlib
    import hmac

    head, _, signature = token.strip().rpartition(".")
    expected = base64.urlsafe_b64encode(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())
    return expected.rstrip(b"=").decode() == signature


def test_a_secret_comes_from_where_it_was_said_last(cli, tmp_path):
    (tmp_path / "conf").write_text(f"[livekit]\napi-key=key\napi-secret=of-conf\n")
    (tmp_path / "secret").write_text("of-file\nsecond line\n")
    conf = ("--config", tmp_path / "conf")
    by_file = {"LIVEKIT_API_SECRET_FILE": str(tmp_path / "secret")}
    cases = [
        ("of-conf", (), {}, ""),
        ("of-file", (), by_file, ""),
        ("of-env", (), {"LIVEKIT_API_SECRET": "of-env", **by_file}, ""),
        ("of-file", ("--api-secret-file", tmp_path / "secret"), {"LIVEKIT_API_SECRET": "of-env"}, ""),
        ("of-input", ("--api-secret-file", "-"), {"LIVEKIT_API_SECRET": "of-env"}, "of-input\r\nrest\n"),
        ("of-input", (), {"LIVEKIT_API_SECRET_FILE": "-"}, "of-input"),
    ]
    for secret, options, env, given in cases:
        result = cli("token", "demo", *conf, *options, env=env, input=given)
        assert result.returncode == 0, result
        assert signed_with(result.stdout, secret), (secret, options, env)

    refused(cli("token", "demo", *conf, "--api-secret-file", "-"), 2, "Standard input holds no secret")
    refused(cli("token", "demo", *conf, "--api-secret-file", tmp_path / "none"), 2, "none: No such file")
    refused(cli("token", "demo", *conf, "--api-secret-file", "/dev/zero"), 2, "holds no secret")
    refused(cli("token", "demo", *conf, "--api-secret-file", tmp_path), 2, "Is a directory")


def test_check_config_says_what_serve_would(cli, tmp_path):
    def check(*words, **options):
        return cli("serve", "--check-config", *words, **options)

    good = check()
    assert good.returncode == 0 and "valid" in good.stdout
    assert json.loads(check("--json").stdout) == {"success": True, "file": None}
    assert list(tmp_path.iterdir()) == [], "it makes nothing"

    refused(check("--listen", "0.0.0.0:8000"), 2, "API token")
    refused(check("--listen", "[::]:8000"), 2, "API token")
    assert check("--listen", "0.0.0.0:8000", "--insecure").returncode == 0
    assert check("--listen", "0.0.0.0:8000", "--api-token-file", "-", input="open sesame\n").returncode == 0
    refused(check("--listen", "0.0.0.0:8000", "--api-token-file", "-", input="\n"), 2, "Standard input")
    refused(check("--recordings", "/dev/null/recordings"), 2, "/dev/null is no directory")
    refused(check("--state-dir", "/dev/null"), 2, "/dev/null is no directory")
    refused(check(env={"HAVEN_RUNTIME_DIRECTORY": "/run/" + "x" * 90}), 2, "too long a name")
    refused(check(env={"HAVEN_SESSION_BINARY": str(tmp_path / "none")}), 2, "none cannot be run")
    wrong = check("--json", "--listen", "here")
    assert wrong.returncode == 2 and "ADDRESS:PORT" in json.loads(wrong.stdout)["error"]


def test_check_config_reads_what_the_api_has_set_beside_a_running_server(cli, haven_factory):
    haven = haven_factory()
    check = ("serve", "--check-config", "--state-dir", haven.state)
    assert haven.put("/api/config", {"livekit_url": "ws://livekit.example:7880"}).status == 200
    assert cli(*check).returncode == 0
    haven.terminate()
    with sqlite3.connect(haven.state / "haven-live.db") as db:
        db.execute("UPDATE settings SET value = 'gopher://x' WHERE name = 'livekit_url'")
    refused(cli(*check), 2, "API: “url” must begin with ws://")


# -- doctor


def findings(result):
    answer = json.loads(result.stdout)
    assert answer["success"] is (result.returncode == 0), result
    for check in answer["checks"]:
        assert check["found"] and check["ok"] is (check["advice"] is None)
    return {check["check"]: check for check in answer["checks"]}


def assert_only_wrong(result, name, found, advice):
    """That check alone complains, and says what to do."""
    assert result.returncode == 1, result
    checks = findings(result)
    assert [n for n, check in checks.items() if not check["ok"]] == [name], checks
    assert re.search(found, checks[name]["found"]) and re.search(advice, checks[name]["advice"]), checks[name]


def test_doctor_finds_nothing_where_all_is_well(cli, shared_livekit):
    result = cli("doctor", "--json", env=shared_livekit.env)
    assert result.returncode == 0, result
    checks = findings(result)
    assert {"tokens", "livekit", "clock", "key", "udp", "codecs", "disk", "state"} == set(checks)
    assert re.search(r"route, by 127\.0\.0\.1; .* was not tried", checks["udp"]["found"])
    assert "av1" in checks["codecs"]["found"] and "nothing" not in checks["codecs"]["found"]
    people = cli("doctor", env=shared_livekit.env)
    assert people.returncode == 0 and people.stdout.count("✓") == len(checks)
    assert shared_livekit.api_secret not in result.stdout + people.stdout


def test_doctor_says_what_to_do(cli, shared_livekit, tmp_path, started):
    good = shared_livekit.env

    def doctor(*words, **env):
        return cli("doctor", "--json", *words, env={**good, **env})

    assert_only_wrong(doctor(LIVEKIT_API_SECRET=WRONG), "key", "refuses", "belong together")
    assert_only_wrong(doctor(LIVEKIT_API_KEY="other"), "key", "refuses a token of API key other", "LIVEKIT_API_KEY")
    assert_only_wrong(doctor(LIVEKIT_URL="ws://127.0.0.1:9"), "livekit", "does not answer", "server up")
    assert_only_wrong(doctor(LIVEKIT_API_SECRET=""), "tokens", "not set", "LIVEKIT_API_SECRET")
    assert_only_wrong(
        doctor("--api-secret-file", tmp_path / "none"), "tokens", "No such file", "right to read it"
    )
    assert_only_wrong(doctor("--recordings", "/dev/null/x"), "disk", "no directory", "another directory")
    assert_only_wrong(doctor("--state-dir", "/dev/null/x"), "state", "no directory", "another directory")
    (tmp_path / "full.conf").write_text("[recording]\nreserve-megabytes=4000000\n")
    assert_only_wrong(doctor("--config", tmp_path / "full.conf"), "disk", "GB free", "Make room")
    assert_only_wrong(
        doctor(HAVEN_SESSION_BINARY=str(tmp_path / "none")), "codecs", "cannot tell", "installed whole"
    )
    bare = {"GST_PLUGIN_PATH": str(tmp_path), "GST_REGISTRY": str(tmp_path / "registry")}
    assert_only_wrong(doctor(**bare), "codecs", r"nothing; not as.* av1 \(no livekitsrc\)", "Install")
    endpoint = started(TokenEndpoint((201, {"token": "x"})))
    assert doctor(LIVEKIT_TOKEN_ENDPOINT=endpoint.url).returncode == 0
    endpoint.close()
    assert_only_wrong(doctor(LIVEKIT_TOKEN_ENDPOINT=endpoint.url), "tokens", "does not answer", "service up")


def test_doctor_sees_a_wrong_clock(cli, started):
    """LiveKit refuses tokens of another time; its answers say which time it has."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Yesterday(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp=None):
            return super().date_time_string(time.time() - 86400)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Yesterday)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"ws://127.0.0.1:{server.server_port}"
        env = {"LIVEKIT_URL": url, "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
        assert_only_wrong(cli("doctor", "--json", env=env), "clock", r"\+864\d\d s", "Set this machine's clock")
    finally:
        server.shutdown()
        server.server_close()


# -- serve: start and end


def test_a_taken_port_has_a_code_of_its_own(cli, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = cli("serve", "--listen", f"127.0.0.1:{other.getsockname()[1]}", "--state-dir", tmp_path / "s")
        assert result.returncode == 9 and "listen-failed" in result.stderr, result


def test_a_second_server_on_one_state_directory_refuses(cli, haven_factory):
    haven = haven_factory()
    second = cli("serve", "--listen", "127.0.0.1:0", "--state-dir", haven.state)
    assert second.returncode == 8, second
    assert f"process {haven.process.pid}" in second.stderr and "--state-dir" in second.stderr
    assert haven.get("/health").status == 200


@pytest.mark.parametrize("kind", ["newer", "corrupt"])
def test_a_database_that_is_not_ours_is_left_alone(cli, haven_factory, kind):
    haven = haven_factory()
    haven.terminate()
    path = haven.state / "haven-live.db"
    if kind == "newer":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("PRAGMA user_version = 1000")
        said = "newer haven-live"
    else:
        path.write_bytes(b"This is no database." * 500)
        said = "haven-live.db.*(damaged|not a database)"
    before = path.read_bytes()
    result = cli("serve", "--listen", "127.0.0.1:0", "--state-dir", haven.state)
    assert result.returncode == 2 and re.search(said, result.stderr), result
    refused(cli("serve", "--check-config", "--state-dir", haven.state), 2, said)
    assert path.read_bytes() == before


@pytest.mark.parametrize("size", ["8k", "20k", "60k"])
def test_a_full_state_directory_has_a_code_of_its_own(environment, tmp_path, size):
    """The disk is full when the database is made, when it is shared, and when its tables are made."""
    mounted = f'mount -t tmpfs -o size={size} none "$1" && exec "$2" serve --listen 127.0.0.1:0 --state-dir "$1"'
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted, "sh", tmp_path, PROGRAM],
        env=environment, text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 6 and "The disk is full" in result.stderr, result


def test_stored_settings_that_are_no_longer_valid_do_not_hide_the_others(haven_factory):
    haven = haven_factory()
    wanted = {"livekit_url": "ws://livekit.example:7880", "livekit_api_key": "key", "token_endpoint": "http://t.example"}
    assert haven.put("/api/config", wanted).status == 200
    haven.terminate()
    with sqlite3.connect(haven.state / "haven-live.db") as db:
        db.execute("UPDATE settings SET value = 'gopher://x' WHERE name = 'livekit_url'")
    haven.start()
    said = haven.get("/api/config").body
    assert said["livekit_url"] is None
    assert said["livekit_api_key"] == "key" and said["token_endpoint"] == "http://t.example"
    assert "stored-setting-invalid" in haven.log


# -- serve: SIGHUP


def status(haven, token=None):
    return haven.get("/api/config", headers={"Authorization": f"Bearer {token}"} if token else {}).status


def reload(haven, event):
    seen = len(haven.process.lines)
    haven.process.send_signal(signal.SIGHUP)
    haven.process.wait_for(f'"event":"{event}"', since=seen)


def test_a_secret_that_cannot_be_read_prevents_the_start(cli, tmp_path):
    token = tmp_path / "token"
    result = cli("serve", "--listen", "127.0.0.1:0", "--state-dir", tmp_path / "s", "--api-token-file", token)
    refused(result, 2, "token: No such file")
    token.write_text("\n")
    refused(cli("serve", "--listen", "127.0.0.1:0", "--api-token-file", token), 2, "holds no secret")
    refused(cli("serve", "--listen", "127.0.0.1:0", env={"HAVEN_API_TOKEN_FILE": str(token)}), 2, "holds no secret")


def test_sighup_takes_a_new_token_and_keeps_the_old_one_where_there_is_none(haven_factory, tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n")
    haven = haven_factory(listen="0.0.0.0", args=["--api-token-file", token])
    assert (status(haven), status(haven, "first")) == (401, 200)
    token.write_text("second\n")
    assert status(haven, "first") == 200, "not before it is told"
    reload(haven, "reloaded")
    assert (status(haven), status(haven, "first"), status(haven, "second")) == (401, 401, 200)
    token.unlink()
    reload(haven, "reload-failed")
    assert (status(haven), status(haven, "second")) == (401, 200)


def test_sighup_cannot_open_the_server(haven_factory, tmp_path):
    config = tmp_path / "haven.conf"
    guarded = f"[server]\napi-token-file={tmp_path / 'token'}\n"
    (tmp_path / "token").write_text("sesame\n")
    config.write_text(guarded)
    haven = haven_factory(listen="0.0.0.0", args=["--config", config])
    for attempt in "[server]\n", "[server]\nlisten=127.0.0.1:0\n", "[server]\nlog-level=loud\n", "no file of settings":
        config.write_text(attempt)
        reload(haven, "reload-failed")
        assert (status(haven), status(haven, "sesame")) == (401, 200), attempt
    config.unlink()
    reload(haven, "reload-failed")
    assert (status(haven), status(haven, "sesame")) == (401, 200)
    config.write_text("[server]\ninsecure=true\n")  # said in so many words
    reload(haven, "reloaded")
    assert status(haven) == 200


def test_the_address_of_the_file_counts_for_a_reload_as_it_was_at_the_start(haven_factory, tmp_path):
    """Listening where others reach it, it keeps its token, whatever address the file names now."""
    config = tmp_path / "haven.conf"
    config.write_text(f"[server]\nlisten=0.0.0.0:0\napi-token-file={tmp_path / 'token'}\n")
    (tmp_path / "token").write_text("sesame\n")
    haven = haven_factory(listen=None, args=["--config", config])
    assert (status(haven), status(haven, "sesame")) == (401, 200)
    config.write_text("[server]\nlisten=127.0.0.1:0\n")
    reload(haven, "reload-failed")
    assert (status(haven), status(haven, "sesame")) == (401, 200)


def test_a_token_from_a_pipe_is_read_once_and_outlives_sighup(haven_factory, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("sesame\n",), daemon=True)
    writer.start()
    haven = haven_factory(listen="0.0.0.0", args=["--api-token-file", pipe])
    writer.join(10)
    assert (status(haven), status(haven, "sesame")) == (401, 200)
    reload(haven, "reloaded")
    assert (status(haven), status(haven, "sesame")) == (401, 200)


# -- record


def test_record_until_interrupted(livekit, publisher, start, tmp_path):
    publisher(video="vp8-360")
    path, picture = tmp_path / "alone.mkv", tmp_path / "alone.jpg"
    recorder = start("record", "demo", "-o", path, "--format", "source", "--json", env=livekit.env)
    part = tmp_path / "alone.mkv.part"
    eventually(lambda: part.exists() and part.stat().st_size > 300_000, 60, "some recording")
    eventually(picture.exists, 30, "its first picture")
    recorder.interrupt()
    assert recorder.wait(10) == 0, recorder.output
    result = json.loads(recorder.lines[-1][1])
    assert result["success"] is True and result["final_path"] == str(path) and result["error"] == ""
    assert analyse.recording(path).sequence.share == 1
    assert analyse.size_of_jpeg(picture.read_bytes()) == (320, 180)
    again = start("record", "demo", "-o", path, "--format", "source", env=livekit.env)
    assert again.wait(30) == 2 and "haven-live: " in again.output and "is there already" in again.output


def test_record_leaves_what_is_of_another_alone(livekit, publisher, start, tmp_path):
    """Whatever it would write, or its recovery: a file, one that is not finished, and what lies beside one."""
    publisher(video="vp8-360")
    names = ["film.mkv", "film.mkv.part", "film.json", "film.jpg", "film.jsonl", "film.vtt"]
    targets = [tmp_path / name / "film.mkv" for name in names]
    for target, name in zip(targets, names):
        target.parent.mkdir()
        target.with_name(name).write_text("an archivist's")
    recorders = [start("record", "demo", "-o", target, "-f", "source", "-d", "1", env=livekit.env) for target in targets]
    for recorder, target, name in zip(recorders, targets, names):
        assert recorder.wait(60) == 2 and f"{name}” is there already" in recorder.output, (name, recorder.output)
        assert [file.name for file in target.parent.iterdir()] == [name]
        assert target.with_name(name).read_text() == "an archivist's"


def test_two_recordings_of_one_name_have_a_manifest_each(livekit, publisher, start, tmp_path):
    """They begin before either has one."""
    publisher(video="vp8-360")
    paths = [tmp_path / "both.mkv", tmp_path / "both.opus"]
    recorders = [start("record", "demo", "-o", path, env=livekit.env) for path in paths]
    for path in paths:
        part = path.with_name(path.name + ".part")
        eventually(lambda: part.exists() and part.stat().st_size > 10_000, 60, "some recording")
    for recorder in recorders:
        recorder.interrupt()
    for recorder in recorders:
        assert recorder.wait(30) == 0, recorder.output
    manifests = [json.loads((tmp_path / name).read_text()) for name in ("both.json", "both-1.json")]
    assert {part["file"] for manifest in manifests for part in manifest["parts"]} == {"both.mkv", "both.opus"}
    # What computes the checksums afterwards replaces a manifest, by way of a draft.
    eventually(lambda: not list(tmp_path.glob("both*.json.*")), 60, "no draft of a manifest")


def test_record_writes_what_is_said(livekit, rigctl, publisher, start, tmp_path):
    publisher(video="vp8-360")
    path = tmp_path / "said.mkv"
    recorder = start("record", "demo", "-o", path, "--format", "source", "--chat", env=livekit.env)
    part = tmp_path / "said.mkv.part"
    eventually(lambda: part.exists() and part.stat().st_size > 100_000, 60, "some recording")

    async def talk():
        someone = rtc.Room()
        await someone.connect(livekit.url, rigctl.token("demo", "ann"))
        await someone.local_participant.send_text("hello", topic="lk.chat")
        await asyncio.to_thread(eventually, path.with_suffix(".jsonl").exists, 30, "what was said")
        await someone.disconnect()

    asyncio.run(talk())
    recorder.interrupt()
    assert recorder.wait(10) == 0, recorder.output
    (line,) = path.with_suffix(".jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "hello" and json.loads(line)["participant"] == "ann"
    assert "<v ann>hello\n" in path.with_suffix(".vtt").read_text()


class Terminal:
    """A command on a terminal of its own; screen() is what it has written there."""

    def __init__(self, args, env):
        self.out, far = pty.openpty()
        self.popen = subprocess.Popen(args, env=env, stdin=far, stdout=far, stderr=far, start_new_session=True)
        os.close(far)
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            while chunk := os.read(self.out, 4096):
                self._written += chunk
        except OSError:  # the far end is closed
            pass

    def screen(self):
        return self._written.decode(errors="replace")

    def wait(self, timeout):
        code = self.popen.wait(timeout)
        self._reader.join(5)
        return code

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        os.close(self.out)


def test_record_shows_its_progress_on_a_terminal(livekit, publisher, environment, started, tmp_path):
    publisher(video="vp8-360")
    path = tmp_path / "shown.mkv"
    words = [PROGRAM, "record", "demo", "-o", str(path), "-f", "source", "--duration", "4"]
    terminal = started(Terminal(words, {**environment, **livekit.env}))
    assert terminal.wait(60) == 0, terminal.screen()
    lines = re.findall(r"\r(\d\d):(\d\d):(\d\d)  ([\d.]+) MB  ([\d.]+) fps  (\d+) dropped", terminal.screen())
    print(terminal.screen())
    seconds = [int(h) * 3600 + int(m) * 60 + int(s) for h, m, s, *_ in lines]
    sizes = [float(line[3]) for line in lines]
    assert len(lines) >= 5 and seconds == sorted(seconds) and 2 <= seconds[-1] <= 5
    assert sizes == sorted(sizes) and sizes[-1] > 0.1
    assert any(25 < float(line[4]) < 35 for line in lines[1:]), lines
    assert terminal.screen().rstrip().endswith(str(path)), "the file's name is its last word"
    assert 3 < analyse.probe(path)["duration"] < 6


RECORDINGS = [("mkv", "av1"), ("mp4", "h264"), ("webm", "vp9")]


@pytest.mark.parametrize("extension, codec", RECORDINGS, ids=[e for e, _ in RECORDINGS])
def test_the_end_of_the_name_tells_the_format(livekit, publisher, cli, tmp_path, extension, codec):
    publisher(video="vp8-360")
    path = tmp_path / f"named.{extension}"
    result = cli("record", "demo", "-o", path, "--duration", "3", "--quality", "low", env=livekit.env)
    assert result.returncode == 0, result
    assert result.stdout.endswith(f"{path}\n") and "fps" not in result.stderr, "no progress where nobody looks"
    assert analyse.probe(path)["video"]["codec_name"] == codec and analyse.probe(path)["duration"] > 2


def test_record_takes_its_settings_from_where_serve_does(livekit, publisher, cli, rigctl, tmp_path, started):
    publisher(video="vp8-360")
    conf = tmp_path / "haven.conf"
    conf.write_text(f"[livekit]\nurl={livekit.url}\napi-key={livekit.api_key}\n")

    def record(name, *words, **options):
        path = tmp_path / f"{name}.mkv"
        result = cli("record", "demo", "-o", path, "-f", "source", "-d", "1", *words, **options)
        assert result.returncode == 0, result
        assert analyse.probe(path)["duration"] > 0.5

    record("input", "--config", conf, "--api-secret-file", "-", input=livekit.api_secret + "\n")
    (tmp_path / "secret").write_text(livekit.api_secret + "\n")
    record("file", "--config", conf, env={"LIVEKIT_API_SECRET_FILE": str(tmp_path / "secret")})
    token = rigctl.token("demo", "somebody")
    record("token", env={"LIVEKIT_URL": livekit.url, "LIVEKIT_TOKEN": token, "LIVEKIT_API_KEY": "x"})
    endpoint = started(TokenEndpoint((200, {"token": token, "livekit_url": livekit.url})))
    record("endpoint", env={"LIVEKIT_TOKEN_ENDPOINT": endpoint.url})
    assert endpoint.requests[0] == {"mintId": "demo", "role": "viewer"}


def test_a_recording_that_cannot_keep_up_is_complete(livekit, publisher, environment, started, tmp_path):
    """All on one processor with others who want it: pictures are left out, and the file has its length and index."""
    publisher(video="vp8-720")
    one = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    for _ in range(3):
        started(Process([*one, "sh", "-c", "while :; do :; done"]))
    path = tmp_path / "slow.mkv"
    words = ["record", "demo", "-o", path, "-q", "high", "-d", "8", "--json"]
    recorder = started(Process([*one, PROGRAM, *words], env={**environment, **livekit.env}))
    assert recorder.wait(120) == 0, recorder.output
    result, found = json.loads(recorder.lines[-1][1]), analyse.recording(path)
    [part] = json.loads(path.with_suffix(".json").read_text())["parts"]
    print(result, found.sequence, part["drops"])
    # What waited at the stop is left out for the file to be whole in time, and is told.
    without_pictures = found.probe["duration"] - found.frames[-1].pts
    assert found.probe["duration"] > 1 and -1 < without_pictures - part["drops"]["stopping"] / pattern.FPS < 1
    assert result["video_frames"] == len(found.frames) and not found.sequence.out_of_order


def test_why_nothing_was_recorded(livekit, cli, start, rigctl, tmp_path):
    target = tmp_path / "none.mkv"
    conf = tmp_path / "hasty.conf"
    conf.write_text("[session]\nstreamer-timeout=2\nconnect-timeout=2\n")

    def record(**env):
        return cli("record", "empty", "-o", target, "--config", conf, env={**livekit.env, **env})

    refused(record(), 3, "Nobody published")
    refused(record(LIVEKIT_API_SECRET=WRONG), 4, "")
    refused(record(LIVEKIT_URL="ws://127.0.0.1:9"), 5, "")
    failed = cli("record", "empty", "-o", target, "--config", conf, "--json", env=livekit.env)
    answer = json.loads(failed.stdout)
    assert failed.returncode == 3 == answer["exit_code"] and answer["success"] is False and "Nobody published" in answer["error"]

    waiting = start("record", "waiting", "-o", target, env=livekit.env)
    eventually(lambda: rigctl.participants("waiting"), 30, "the one who waits in the room")
    waiting.interrupt()
    assert waiting.wait(15) == 1 and "haven-live: Nothing was recorded" in waiting.output
    assert not list(tmp_path.glob("none*"))


def test_a_recording_that_gets_nothing_ends_with_the_code_of_that(livekit, publisher, start, tmp_path):
    """It begins two seconds after the first pictures, so long is sound waited for; by then there are no more."""
    streamer = publisher(video="vp8-360", audio=None)
    target = tmp_path / "nothing.mkv"
    recorder = start("record", "demo", "-o", target, "-f", "source", env={**livekit.env, "GST_DEBUG": "livekitsrc:INFO"})
    recorder.wait_for("new branch for")
    since = time.monotonic_ns()
    # One of the clip's key frames, which are a second apart: the pictures flow.
    eventually(lambda: any(s.monotonic_ns > since and s.counter % 30 == 0 for s in streamer.sent()), 10, "a key frame")
    streamer.command("mute video")
    assert recorder.wait(60) == 5 and "haven-live: Nothing came in 10 seconds" in recorder.output, recorder.output
    assert not list(tmp_path.glob("nothing*"))


def test_a_full_disk_and_a_lost_room(livekit, publisher, cli, environment, started, tmp_path):
    publisher(video="vp8-360")
    conf = tmp_path / "full.conf"
    conf.write_text("[recording]\nreserve-megabytes=4000000\n")
    full = cli("record", "demo", "-o", tmp_path / "full.mkv", "--config", conf, env=livekit.env)
    refused(full, 6, "(?i)space|disk|free")

    conf.write_text("[session]\nreconnect-timeout=2\n")
    path = tmp_path / "short.mkv"
    words = [PROGRAM, "record", "demo", "-o", str(path), "-f", "source", "--config", str(conf)]
    terminal = started(Terminal(words, {**environment, **livekit.env}))
    part = tmp_path / "short.mkv.part"
    eventually(lambda: part.exists() and part.stat().st_size > 300_000, 60, "some recording")
    livekit.kill()
    assert terminal.wait(60) == 7, terminal.screen()
    assert "dropped  reconnecting" in terminal.screen()
    assert re.search(rf"{re.escape(str(path))}\r\nhaven-live: .+\r\n$", terminal.screen()), terminal.screen()
    assert analyse.probe(path)["duration"] > 1


# -- secrets


def command_lines():
    """Of the processes of this build: the rig's publisher has the secret on its own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(BUILD) in line and "/publisher " not in line:
                yield line


def test_secrets_stay_where_they_are(livekit, publisher, haven_factory, start, tmp_path):
    """Nothing that anybody may read shows the API secret, the API token or a token for the room."""
    publisher(video="vp8-360")
    api_token = "the-token-of-callers-0815"
    haven = haven_factory(
        livekit,
        env={"HAVEN_API_TOKEN": api_token, "G_MESSAGES_DEBUG": "all", **IN_PROCESS},
        args=["--log-level", "debug"],
    )
    known = {"Authorization": f"Bearer {api_token}"}
    assert haven.post("/api/live-sessions/start", {"mint_id": "demo"}, headers=known).status == 200
    viewer = Viewer(haven.ws(f"/api/live-sessions/ws/live/demo?access_token={api_token}"))
    viewer.wait("video", 5)
    assert haven.post("/api/recording/start", {"mint_id": "demo", "output_format": "source"}, headers=known).status == 200
    alone = start("record", "demo", "-o", tmp_path / "alone.mkv", "-f", "source", env=livekit.env)
    eventually(lambda: (tmp_path / "alone.mkv.part").exists(), 60, "a recording")

    connection = haven.get("/api/live/connection/demo", headers=known).body
    issued = connection.pop("token")
    haven.get(f"/api/live/connection/demo?access_token={api_token}")
    haven.get("/nowhere?access_token=" + api_token)
    haven.get("/api/config", headers={"Authorization": f"Bearer not-{api_token}"})
    haven.put("/api/config", {"livekit_api_secret": livekit.api_secret, "livekit_url": livekit.url}, headers=known)
    answers = [connection]
    for path in (
        "/", "/health", "/ready", "/metrics", "/openapi.json", "/api/config", "/api/live-sessions/active",
        "/api/live-sessions/demo", "/api/recording/status/demo", "/api/recording/active", "/api/recording/formats",
        "/api/recording/output-directory", "/api/recordings",
    ):  # fmt: skip
        reply = haven.get(path, headers=known)
        assert reply.status == 200, (path, reply)
        answers.append(reply.body if isinstance(reply.body, dict) else reply.body.decode())
    lines = list(command_lines())
    assert any("haven-session --socket" in line for line in lines)
    assert any("haven-session --record" in line for line in lines)

    haven.post("/api/recording/stop", {"mint_id": "demo"}, headers=known)
    alone.interrupt()
    assert alone.wait(30) == 0
    haven.terminate()
    viewer.close()
    written = {
        "command lines": "\n".join(lines),
        "answers": json.dumps(answers),
        "log": haven.log,
        "output of record": alone.output,
        "manifests": "".join(p.read_text() for p in [*haven.recordings.glob("*.json"), *tmp_path.glob("*.json")]),
    }
    assert "session" in written["log"] and "demo" in written["manifests"] + written["answers"]
    for where, text in written.items():
        assert livekit.api_secret not in text, where
        assert api_token not in text, where
        assert issued not in text and not re.search(r"\beyJ[\w-]{20,}\.[\w-]{20,}", text), f"a token in {where}"
    assert (haven.state / "haven-live.db").stat().st_mode & 0o077 == 0
