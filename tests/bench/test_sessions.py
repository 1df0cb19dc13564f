"""What fifty sessions at once cost, each in its process, while nobody watches and nothing is recorded."""

import os
import statistics
import threading
import time
from pathlib import Path

from havenlib.process import eventually
from havenlib.token_endpoint import TokenEndpoint
from measure import cpu_seconds

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "50"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "15"))


def memory(pid):
    """(resident, of it for this process alone) in MB."""
    fields = dict(
        line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:] if ":" in line
    )
    own = sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
    return int(fields["Rss"].split()[0]) / 1024, own / 1024


def start_all(haven):
    """Starts them together; returns the seconds that each took."""
    took, threads = {}, []

    def start(number):
        began = time.monotonic()
        reply = haven.post("/api/live-sessions/start", {"mint_id": f"coin-{number}"}, timeout=150)
        took[number] = time.monotonic() - began if reply.status == 200 else reply

    for number in range(SESSIONS):
        threads.append(threading.Thread(target=start, args=(number,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(160)
    failed = [v for v in took.values() if not isinstance(v, float)]
    assert len(took) == SESSIONS and not failed, failed[:3]
    return list(took.values())


def test_many_sessions_at_once(livekit, rigctl, publisher, haven_factory, started, tmp_path, capsys):
    """Fifty coins, whose streams are one and the same room: what is measured is ours, not LiveKit's."""
    publisher(room="bench", video="vp8-180")
    # Hidden, so that LiveKit does not tell each of the fifty of all others.
    coins = ["first", *(f"coin-{n}" for n in range(SESSIONS))]
    tokens = {coin: rigctl.token("bench", f"watcher-{coin}", hidden=True) for coin in coins}
    endpoint = started(TokenEndpoint(lambda r: (200, {"token": tokens[r["mintId"]], "livekit_url": livekit.url})))
    settings = tmp_path / "haven-live.conf"
    settings.write_text("[session]\nconnect-timeout=60\nstreamer-timeout=60\n")  # LiveKit is on the same processors
    haven = haven_factory(livekit, args=["--config", settings], env={"LIVEKIT_TOKEN_ENDPOINT": endpoint.url})
    one_began = time.monotonic()
    assert haven.post("/api/live-sessions/start", {"mint_id": "first"}).status == 200
    alone = time.monotonic() - one_began
    assert haven.post("/api/live-sessions/stop", {"mint_id": "first"}).status == 200
    eventually(lambda: not haven.session_pids(), 10, "the first ends")

    took = start_all(haven)
    pids = haven.session_pids()
    assert len(pids) == SESSIONS
    before, began = [cpu_seconds(p) for p in pids], time.monotonic()
    control = haven.process.cpu_seconds()
    time.sleep(SECONDS)  # this is the measurement
    seconds = time.monotonic() - began
    shares = [(cpu_seconds(p) - b) / seconds * 100 for p, b in zip(pids, before)]
    control = (haven.process.cpu_seconds() - control) / seconds * 100
    resident, own = zip(*(memory(p) for p in pids))
    assert haven.session_pids() == pids, "all live through it"
    with capsys.disabled():
        print(f"\n{SESSIONS} sessions, 180p30 VP8 and Opus, encoded, nobody watches; {os.cpu_count()} processors, {SECONDS} s")
        print("| | median | most |")
        print("|---|---|---|")
        print(f"| memory of a session, resident | {statistics.median(resident):.0f} MB | {max(resident):.0f} MB |")
        print(f"| of it its own | {statistics.median(own):.1f} MB | {max(own):.1f} MB |")
        print(f"| processor time of a session | {statistics.median(shares):.2f} % | {max(shares):.2f} % |")
        print(f"| until it is started, all at once | {statistics.median(took):.1f} s | {max(took):.1f} s |")
        print(f"| until it is started, alone | {alone:.2f} s | |")
        print(f"| control server: processor time, memory | {control:.2f} %, {haven.process.rss() / 1e6:.0f} MB | |")
    began = time.monotonic()
    status, _ = haven.terminate(30)
    with capsys.disabled():
        print(f"| all ended in order after SIGTERM | {time.monotonic() - began:.1f} s | |")
    assert status == 0 and not haven.session_pids()
