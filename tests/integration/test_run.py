"""./run: from a clone to moving pictures in a browser, sound, and a recording."""

import asyncio
import re
import socket
import time
from pathlib import Path

import aiohttp
from havenlib import BUILD, REPO, analyse
from havenlib.browser import PIXELS, Browser
from havenlib.ports import free_block, free_port
from havenlib.process import eventually


async def look(browser, url, room, screenshot):
    """The page shows the room: its picture changes, its sound is not silent, and no message is broken."""
    async with aiohttp.ClientSession() as session:
        await browser.open(session, url)
        await browser.until("document.getElementById('server')?.dataset.state === 'live'")
        await browser.evaluate(f"document.getElementById('room').value = '{room}'")
        await browser.evaluate("document.querySelector('#open button').click()")
        await browser.until("window.haven.player?.figures.shown > 30")
        await browser.evaluate("document.getElementById('sound').click()")
        await browser.until("window.haven.sound.level > 0.1")
        seen = set()
        deadline = time.monotonic() + 60
        while len(seen) < 10:
            seen.add(await browser.evaluate(PIXELS))
            assert time.monotonic() < deadline, "the picture stands still"
        await browser.until("document.getElementById('state').textContent === 'Live'")
        await browser.until("document.getElementById('recording').textContent.match(/00:0[3-9]|00:[1-5]/)")
        await browser.screenshot(screenshot)
        assert await browser.evaluate("window.haven.player.figures.broken") == 0
        assert browser.complaints == []


def start_on_free_ports(launch, tmp_path, **settings):
    """Returns the process, the page's address, and what is said of the recording."""
    port, livekit_port = free_port(), free_block(3)
    env = {
        "LIVEKIT_URL": "",
        "PORT": str(port),
        "LIVEKIT_PORT": str(livekit_port),
        "RECORDINGS": str(tmp_path / "recordings"),
        "HAVEN_BUILD": str(BUILD),
        "GST_PLUGIN_PATH": "",
        **settings,
    }
    process = launch(REPO / "run", env=env, cwd=REPO)
    recording = process.wait_for("^Recording: *(.*)", timeout=300).group(1)
    assert f"Watch:      http://127.0.0.1:{port}/" in process.output
    return process, f"http://127.0.0.1:{port}/", recording


def growing(path, more=50_000):
    """Waits until a recording grows by so many bytes, and returns its path."""
    part = Path(f"{path}.part")
    eventually(lambda: part.exists() and part.stat().st_size > 50_000, 60, "a recording")
    size = part.stat().st_size
    eventually(lambda: part.stat().st_size > size + more, 60, "a recording that grows")
    return Path(path)


def end(run):
    run.interrupt()
    assert run.wait(60) == 0, run.output


def test_run_shows_the_room_and_records_it(launch, chromium, tmp_path):
    run, page, said = start_on_free_ports(launch, tmp_path)
    recording = growing(said)
    assert recording.parent == tmp_path / "recordings" and re.fullmatch(r"demo_\d{8}_\d{6}\.mkv", recording.name)
    screenshot = tmp_path / "page.png"
    asyncio.run(look(Browser(chromium), page, "demo", screenshot))
    assert analyse.size_of_jpeg(screenshot.read_bytes())[0] >= 1000

    chromium.stop()  # it takes what the encoder needs: let that catch up, so that the last picture is in the file
    growing(said, 500_000)
    end(run)
    assert [p.name for p in recording.parent.iterdir() if p.suffix not in (".json", ".jpg")] == [recording.name]
    result = analyse.recording(recording)
    assert (result.probe["video"]["codec_name"], result.probe["audio"]["codec_name"]) == ("av1", "opus")
    assert abs(result.probe["duration"] - result.frames[-1].pts) < 0.3
    assert result.sequence.received > 60 and not result.sequence.out_of_order


def test_run_with_a_server_of_ones_own(launch, livekit, publisher, tmp_path):
    publisher(room="studio", video="h264-360")
    run, _, said = start_on_free_ports(launch, tmp_path, ROOM="studio", **livekit.env)
    recording = growing(said)
    end(run)
    assert analyse.probe(recording)["duration"] > 1


def test_a_room_without_sound_is_recorded(launch, livekit, publisher, tmp_path):
    publisher(video="vp8-360", audio=None)
    run, _, said = start_on_free_ports(launch, tmp_path, **livekit.env)
    recording = growing(said)
    end(run)
    assert analyse.probe(recording)["audio"] is None and analyse.probe(recording)["duration"] > 1


def test_a_room_that_cannot_be_recorded_leaves_the_page(launch, livekit, tmp_path):
    run, page, said = start_on_free_ports(launch, tmp_path, **{**livekit.env, "LIVEKIT_API_SECRET": "wrong" * 8})
    assert said.startswith("none. ") and len(said) > 15
    with socket.create_connection(("127.0.0.1", int(page.split(":")[2].strip("/"))), 10):
        pass
    end(run)


def test_a_port_in_use_is_named(launch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = launch(REPO / "run", env={"LIVEKIT_URL": "", "PORT": str(port), "HAVEN_BUILD": str(BUILD)}, cwd=REPO)
        assert run.wait(60) == 1, run.output
        assert f"port {port} is in use" in run.output
