"""Fixtures of the integration tests; docs/test-rig.md describes them."""

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from havenlib import BUILD, RIG, browser  # noqa: E402
from havenlib.errors import ErrorTable  # noqa: E402
from havenlib.haven import Haven  # noqa: E402
from havenlib.launcher import Launcher  # noqa: E402
from havenlib.livekit import LiveKit, RigCtl  # noqa: E402
from havenlib.process import Process  # noqa: E402
from havenlib.proxy import Proxy, make_certificates  # noqa: E402
from havenlib.publisher import Publisher  # noqa: E402
from havenlib.turn import Turn  # noqa: E402


_errors = ErrorTable()
_room_numbers = itertools.count()


# Where tests run in several processes, each hands its rows to the one that prints.


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["errors"] = _errors.rows


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    _errors.merge(getattr(node, "workeroutput", {}).get("errors", {}))


def pytest_terminal_summary(terminalreporter):
    if _errors.rows:
        terminalreporter.section("errors that users see")
        for line in _errors.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def error_table():
    """Collects what users are told; printed when the run ends."""
    return _errors


# Their subject is media in real time; see docs/contributing.md, "A second run".
MEDIA_MODULES = {
    "test_around", "test_faults", "test_haven_v1", "test_lifecycle", "test_livekitsrc", "test_network", "test_page",
    "test_pipelines", "test_recording_scenarios", "test_rig", "test_run", "test_scenarios_media",
    "test_scenarios_recovery", "test_session", "test_smoke", "test_soak", "test_supervision", "test_watch_record",
}  # fmt: skip
# Of these, what encodes, shows a page, or starts and stops without a pause: a core is not enough for it.
ALONE_MODULES = {
    "test_lifecycle", "test_page", "test_recording_scenarios", "test_smoke", "test_watch_record",
}  # fmt: skip
# Where a module has tests of both kinds, those that take one of these as their form or script. Others are marked.
ENCODED = {"av1", "h264", "vp9", "webm", "mp4", "record-av1", "watch-and-record"}


def encodes(item):
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return not ENCODED.isdisjoint({parameters.get("form"), parameters.get("script")})


def pytest_configure(config):
    for marker in (
        "smoke: also run with the sanitizers",
        "soak: takes minutes; only in the suite of that name",
        "media: its subject is media in real time: a failure is tried once more, and that is reported",
        "alone: nothing else of media runs beside it",
    ):
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(items):
    """What --reruns says holds for media alone: all else must pass at once."""
    for item in items:
        if item.module.__name__ in MEDIA_MODULES and "publisher" in item.fixturenames:
            item.add_marker("media")
        if item.module.__name__ in ALONE_MODULES or encodes(item):
            item.add_marker("alone")
        if not item.get_closest_marker("media"):
            item.add_marker(pytest.mark.flaky(reruns=0))


@pytest.fixture(scope="session", autouse=True)
def rig():
    subprocess.run([RIG / "setup.sh"], check=True)


@pytest.fixture
def started():
    """Takes whatever has a close() or stop(), and ends it, newest first, when the test is over."""
    things = []
    yield lambda thing: things.append(thing) or thing
    for thing in reversed(things):
        (getattr(thing, "close", None) or thing.stop)()
        if hasattr(thing, "tail"):
            print(thing.tail())  # pytest shows it where the test failed


@pytest.fixture
def livekit_factory(tmp_path, started):
    """livekit_factory(tcp_only=True, turn=…, rtc={…}, config={…}) -> a started LiveKit"""

    def make(**options):
        server = started(LiveKit(tmp_path, **options))
        return server.start()

    return make


@pytest.fixture
def livekit(livekit_factory):
    return livekit_factory()


@pytest.fixture(scope="session")
def shared_livekit(tmp_path_factory):
    """One server for the tests that do it no harm; each takes a room of its own."""
    server = LiveKit(tmp_path_factory.mktemp("livekit"))
    yield server.start()
    server.close()


@pytest.fixture
def room(request):
    """The name of a room that no other test uses."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-") + f"-{next(_room_numbers)}"


@pytest.fixture
def rigctl(livekit):
    return RigCtl(livekit)


@pytest.fixture
def publisher(request, tmp_path, started):
    """publisher(room="demo", video="vp8-720", audio="beep", …, server=livekit) -> Publisher, publishing"""

    def make(server=None, **options):
        server = server or request.getfixturevalue("livekit")
        return started(Publisher(server, tmp_path, **options))

    return make


@pytest.fixture
def turn(tmp_path, started):
    return started(Turn(tmp_path))


@pytest.fixture
def fault_proxy_of(started):
    """fault_proxy_of(livekit) -> a Proxy before its signalling port; media goes past it."""
    return lambda livekit: started(Proxy(livekit.port))


@pytest.fixture
def fault_proxy(livekit, fault_proxy_of):
    return fault_proxy_of(livekit)


@pytest.fixture
def tls_proxy(livekit, started, tmp_path):
    """A Proxy that ends TLS before livekit; its ca_file is the private CA to trust."""
    ca_file, context = make_certificates(tmp_path)
    proxy = started(Proxy(livekit.port, tls=context))
    proxy.ca_file = ca_file
    return proxy


@pytest.fixture(scope="session")
def gst_env():
    """An environment in which GStreamer finds the plugins of this build, and a registry of its own."""
    return {
        **os.environ,
        "GST_PLUGIN_PATH": str(BUILD / "plugins"),
        "GST_REGISTRY": str(BUILD / "integration-registry.bin"),
        "GST_DEBUG_NO_COLOR": "1",
        "GIO_USE_PROXY_RESOLVER": "dummy",
    }


@pytest.fixture
def launch(gst_env, started):
    """launch("program", "arg", …, env={…}) -> Process, in the environment of gst_env"""

    def make(*args, env=None, **options):
        return started(Process(args, env={**gst_env, **(env or {})}, **options))

    return make


@pytest.fixture
def gst_launch(launch):
    """gst_launch("livekitsrc … ! …", "-v", env={…}) -> Process of gst-launch-1.0 -e"""

    def make(pipeline, *flags, env=None, **options):
        return launch("gst-launch-1.0", "-e", *flags, *shlex.split(pipeline), env=env, **options)

    return make


@pytest.fixture
def launcher(gst_env, started):
    """launcher("livekitsrc name=s … ! …", env=livekit.env) -> Launcher: a pipeline to command and listen to"""

    def make(pipeline=None, env=None, **options):
        return started(Launcher(pipeline, env={**gst_env, **(env or {})}, **options))

    return make


@pytest.fixture
def chromium(launch, tmp_path):
    """A headless chromium with a profile of its own, for a browser.Browser."""
    return launch(*browser.ARGUMENTS, f"--user-data-dir={tmp_path}/profile", "about:blank")


@pytest.fixture
def haven_factory(tmp_path, gst_env, started):
    """haven_factory(livekit, env={…}, args=[…]) -> a Haven: haven-live serve, started"""

    def make(server=None, directory=tmp_path, **options):
        return started(Haven(directory, server, gst_env=gst_env, **options))

    return make


@pytest.fixture
def haven(livekit, haven_factory):
    return haven_factory(livekit)
