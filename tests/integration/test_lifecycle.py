"""Scenario 20: livekitsrc is started and stopped, at any moment and many times, and leaves nothing behind."""

import json
import re

import pytest
from havenlib import BUILD
from havenlib.ports import free_port

PROGRAM = BUILD / "tests/plugins/livekit/start-stop"

# The limit that is asked of a stop. Nothing is added for a machine that is busy: a stop takes a tenth of it.
LONGEST_MS = 1000
# The DTLS plugin makes its certificate once and keeps it.
FOR_EVER = ("GstDtlsAgent", "GstDtlsCertificate")


@pytest.fixture
def livekit(shared_livekit):
    return shared_livekit


@pytest.fixture
def start_stop(launch, tmp_path):
    """start_stop(room, "moment:count", …, env={…}) -> a list of what each moment cost, when nothing was left behind"""

    def make(room, *moments, env, cuts=0, cut=None):
        log = tmp_path / "leaks.log"
        seen = 0
        program = launch(
            PROGRAM,
            room,
            *moments,
            env={
                **env,
                "GST_TRACERS": "leaks",
                "GST_DEBUG": "GST_TRACER:7",
                "GST_DEBUG_FILE": str(log),
                "G_DEBUG": "fatal-criticals",
            },
        )
        for _ in range(cuts):
            program.wait_for("^cut$", since=seen)
            seen = len(program.lines)
            cut()
        assert program.wait(600) == 0, program.output[-3000:]
        results = [json.loads(line) for _, line in program.lines if line.startswith("{")]
        for result in results:
            print(result)
            first, others = result["longest_ms"]
            assert others < LONGEST_MS, result
            # The very first waits for OpenSSL to make a key, for which a busy machine has no limit.
            assert first < LONGEST_MS or result is results[0], result
            assert result["ours"] == [0, 0], f"threads of the element outlive it: {result}"
            for what in ("threads", "files"):
                first, most = result[what]
                assert most <= first, f"{what}: {result}"
        written = log.read_text(errors="replace")
        alive = re.findall(r"object-alive, type-name=\(string\)(\w+), .*", written)
        assert "object-alive" in written, "the tracer was on"
        assert not [kind for kind in alive if kind not in FOR_EVER], alive
        assert len(alive) == len(set(alive)), alive
        return results

    return make


# How often at each moment: a hundred times in all.
MOMENTS = {
    "at-once": 20, "ready": 10, "connecting": 20, "joined": 15, "negotiating": 15, "connected": 20, "playing": 15,
    "blocked": 4,
}  # fmt: skip
short_and_long = pytest.mark.parametrize(
    "times", [pytest.param(1, id="short"), pytest.param(2, id="long", marks=pytest.mark.soak)]
)


@short_and_long
def test_20_a_hundred_times_in_one_process(start_stop, livekit, publisher, room, times):
    publisher(room=room, video="vp8-180", audio=None)
    results = start_stop(room, *[f"{moment}:{n * times}" for moment, n in MOMENTS.items()], env=livekit.env)
    assert sum(result["count"] for result in results) >= 100 * times


@short_and_long
def test_20_stopped_during_a_resume(start_stop, livekit, fault_proxy, publisher, room, times):
    publisher(room=room, video="vp8-180", audio=None)
    env = {**livekit.env, "LIVEKIT_URL": fault_proxy.url}
    count = 6 * times  # and once before they are counted
    start_stop(room, f"reconnecting:{count}", env=env, cuts=count + 1, cut=fault_proxy.cut)


@short_and_long
def test_20_stopped_during_the_back_off(start_stop, livekit, room, times):
    env = {**livekit.env, "LIVEKIT_URL": f"ws://127.0.0.1:{free_port()}"}
    start_stop(room, f"back-off:{6 * times}", env=env)
