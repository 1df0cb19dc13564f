"""The page of the control server, as a person uses it: in a real browser, with a real room."""

import asyncio
import base64
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import aiohttp
import pattern
import pytest
from havenlib import analyse
from havenlib.browser import PIXELS, Browser
from havenlib.viewer import V1Viewer

WIDE, NARROW = (1920, 1080), (360, 740)
FITS = "document.documentElement.scrollWidth <= innerWidth"
BLACK = """(canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
  .every((value, i) => i % 4 === 3 || value === 0))(document.getElementById('picture'))"""
ENTER, ESCAPE, TAB = ("Enter", 13, "\r"), ("Escape", 27), ("Tab", 9)


def browse(chromium, url, visit, script=None):
    """Runs visit(browser) when the page is there."""

    async def run():
        async with aiohttp.ClientSession() as session:
            browser = Browser(chromium)
            await browser.open(session, url, script)
            await browser.until("window.haven")
            await visit(browser)

    asyncio.run(run())


def text_of(name):
    return f"document.getElementById('{name}').textContent"


async def click(browser, selector):
    await browser.until(f"(e => e && !e.disabled && (e.click(), true))(document.querySelector(`{selector}`))")


async def go(browser, view):
    await click(browser, f"nav a[href='#{view}']")
    await browser.until(f"!document.getElementById('{view}').hidden")


async def watch(browser, room):
    """With the keyboard alone."""
    await browser.until("document.getElementById('server').dataset.state === 'live'")
    for _ in range(20):
        if await browser.evaluate("document.activeElement.id === 'room'"):
            break
        await browser.press(*TAB)
    await browser.evaluate("document.activeElement.select()")
    await browser.write(room)
    await browser.press(*ENTER)


def assert_no_complaints(browser):
    assert not browser.complaints, [complaint.get("url") or complaint for complaint in browser.complaints]


async def choose_form(browser, form):
    await browser.evaluate(
        f"(f => {{ f.value = '{form}'; f.dispatchEvent(new Event('change')); }})(document.getElementById('form'))"
    )


async def assert_moves(browser):
    await browser.until("window.haven.player?.figures.shown > 10")
    seen = set()
    deadline = time.monotonic() + 60
    while len(seen) < 5:
        seen.add(await browser.evaluate(PIXELS))
        assert time.monotonic() < deadline, "the canvas stands still"


async def look(browser, folder, name):
    """Screenshots in both widths and colours; nothing may stand out at the side."""
    for width, height in (NARROW, WIDE):
        await browser.resize(width, height)
        for scheme in ("dark", "light"):
            await browser.color_scheme(scheme)
            assert await browser.evaluate(FITS), (name, width)
            await browser.screenshot(folder / f"{name}-{width}-{scheme}.png")


def add_to_library(haven, paths, seconds):
    """A recording with chat, of these files."""
    with sqlite3.connect(haven.state / "haven-live.db") as db:
        db.execute("INSERT INTO sessions VALUES (1, 'demo', 'demo', 'ended', NULL, 1, 2, 0, 1, 2, NULL, 0, 0)")
        db.execute(
            "INSERT INTO recordings (id, session_id, mint_id, room_name, format, video_quality, audio_quality, state, start_time,"
            " end_time, updated_at, chat) VALUES ('r1', 1, 'demo', 'demo', 'webm', '', '', 'completed', 1, 2, 2, 1)"
        )
        for number, path in enumerate(paths, 1):
            row = "r1", number, str(path), seconds, path.stat().st_size
            db.execute("INSERT INTO parts (recording_id, number, path, duration, size, complete) VALUES (?, ?, ?, ?, ?, 1)", row)


def test_what_was_said_is_shown_with_the_part_that_is_played(haven_factory, chromium):
    """Both parts are of one process, which wrote one file of chat: line b comes a second into the second."""
    haven = haven_factory()
    haven.terminate()
    paths = [haven.recordings / name for name in ("demo.webm", "demo-2.webm")]
    haven.recordings.mkdir(exist_ok=True)
    film = "num-buffers=150 ! video/x-raw,width=160,height=90,framerate=30/1 ! vp8enc deadline=1 ! webmmux"
    for path, what in ((paths[0], film), (paths[1], film), (paths[0].with_suffix(".jpg"), "num-buffers=1 ! jpegenc")):
        pipeline = f"videotestsrc {what} ! filesink location={path}"
        subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], check=True, timeout=60)
    cues = "WEBVTT\n\n00:00:02.000 --> 00:00:07.000\n<v ann>a\n\n00:00:06.000 --> 00:00:11.000\n<v ann>b\n"
    (haven.recordings / "demo.vtt").write_text(cues)
    (haven.recordings / "demo.jsonl").write_text("{}\n")
    add_to_library(haven, paths, 5.0)
    haven.start()

    async def visit(browser):
        shown = "document.getElementById('chat').track"
        await go(browser, "recordings")
        for part, starts in ((1, "2,6"), (2, "-3,1")):
            await click(browser, f"#library li button[aria-label='Play part {part}: demo']")
            await browser.until(f"[...({shown}.cues ?? [])].map(cue => cue.startTime).join() === '{starts}'")
            await browser.until(f"{shown}.activeCues[0]?.getCueAsHTML().textContent === '{'ab'[part - 1]}'")
        hrefs = "[...document.querySelectorAll('#library a')].map(a => a.pathname.split('/').pop() + a.search).join()"
        assert await browser.evaluate(hrefs) == "file?part=1,chat.jsonl?part=1,chat.vtt?part=1,file?part=2"
        assert_no_complaints(browser)

    browse(chromium, haven.url, visit)


def test_a_room_is_watched_recorded_and_played_again(haven, publisher, chromium, tmp_path):
    publisher()

    async def visit(browser):
        await watch(browser, "demo")
        await assert_moves(browser)
        await click(browser, "#sound")
        await browser.until("window.haven.sound.level > 0.1")  # what the audio thread plays is not silent
        assert await browser.evaluate(text_of("state")) == "Live"
        await browser.until(f"{text_of('viewers')} === '1' && parseFloat({text_of('fps')}) > 15")

        await click(browser, "#record")
        await browser.until(f"{text_of('recording')}.match(/00:0[3-9]|00:[1-5]/)")
        await look(browser, tmp_path, "watch")
        await click(browser, "#record")
        await browser.until(f"{text_of('record')} === 'Record'")
        assert haven.get("/api/recording/active").body["recordings"] == {}

        for form in ("stream", "ws/live", "jpeg"):
            await choose_form(browser, form)
            await assert_moves(browser)
            if form != "ws/live":  # the others tell the time of a picture
                await browser.until(f"parseInt({text_of('delay')}) >= 0")
            await browser.until("window.haven.sound.level > 0.1")
            assert await browser.evaluate("window.haven.player.figures.broken") == 0

        await go(browser, "recordings")
        await click(browser, "#library li button[aria-label^=Play]")
        await browser.until("document.getElementById('video').currentTime > 1")
        assert await browser.evaluate("document.getElementById('video').videoWidth") > 0
        assert await browser.evaluate(text_of("video-error")) == ""
        await browser.until("document.querySelector('#library img')?.naturalWidth > 0")
        await look(browser, tmp_path, "recordings")

        (row,) = haven.get("/api/recordings").body["recordings"]
        href = await browser.evaluate("document.querySelector('#library a[download]').href")
        assert href == f"{haven.url}/api/recordings/{row['recording_id']}/file?part=1"
        await click(browser, "#library button.danger")
        await browser.until("document.getElementById('confirm').open")
        await browser.press(*ESCAPE)
        await browser.until("!document.getElementById('confirm').open")
        assert Path(row["output_path"]).exists()
        await click(browser, "#library button.danger")
        await click(browser, "#confirm button[value=yes]")
        await browser.until("document.querySelectorAll('#library li').length === 0")
        assert not Path(row["output_path"]).exists()

        await go(browser, "watch")
        await click(browser, "#session")
        await browser.until(f"{text_of('session')} === 'Start session'")
        await browser.until(f"{text_of('state')} === 'Ended'")
        assert haven.get("/api/live-sessions/active").body["count"] == 0
        await asyncio.to_thread(haven.post, "/api/live-sessions/start", {"mint_id": "demo"})
        await browser.until(f"{text_of('state')} === 'Live'")  # by itself
        assert_no_complaints(browser)

    browse(chromium, f"{haven.url}/", visit)


def test_settings_errors_and_reconnects(livekit, haven_factory, publisher, chromium, tmp_path):
    publisher()
    haven = haven_factory(livekit, env={"HAVEN_API_TOKEN": "let-me-in"})
    headers = {"Authorization": "Bearer let-me-in"}

    async def visit(browser):
        await browser.until("document.activeElement.id === 'token'")  # it asks for the token
        await browser.write("let-me-in")
        await browser.press(*ENTER)
        await watch(browser, "demo")
        await assert_moves(browser)

        (pid,) = haven.session_pids()
        os.kill(pid, signal.SIGKILL)
        await browser.until(f"{text_of('state')} !== 'Live'")
        shown = await browser.evaluate("window.haven.player.figures.shown")
        await browser.until(f"window.haven.player.figures.shown > {shown} + 10")

        await asyncio.to_thread(haven.kill)
        await browser.until(f"{text_of('server')} === 'Server lost'")
        await asyncio.to_thread(haven.start)
        await browser.until(f"{text_of('server')} === 'Connected'")
        await assert_moves(browser)

        await go(browser, "settings")
        await browser.until("document.querySelector('[name=livekit_url]').value")
        assert "(set" in await browser.evaluate(text_of("secret-set"))
        await look(browser, tmp_path, "settings")
        set_url = "document.querySelector('[name=livekit_url]').value = "
        await browser.evaluate(f"{set_url}'http://127.0.0.1:1'")
        await click(browser, "#config button")
        await browser.until("document.querySelector('#error:not([hidden])')?.textContent.includes('ws://')")
        await browser.evaluate(f"{set_url}'ws://127.0.0.1:1'")
        await click(browser, "#config button")
        await browser.until(f"{text_of('saved')} === 'Saved.'")
        config = haven.get("/api/config", headers=headers).body
        assert config["livekit_url"] == "ws://127.0.0.1:1" and config["livekit_api_secret_set"] is True

        await go(browser, "watch")
        await watch(browser, "elsewhere")
        detail = await browser.until("document.querySelector('#error:not([hidden]) p')?.textContent")
        assert "127.0.0.1:1" in detail or "reach" in detail, detail
        assert await browser.evaluate(text_of("state")) == "Nothing is watched"
        assert await browser.evaluate(BLACK)  # not the last picture of the other room
        await look(browser, tmp_path, "error")

    browse(chromium, f"{haven.url}/", visit)


# When a flash is on the canvas, and when its beep is in what goes to the loudspeaker: both in ms of performance.now().
LEFT, TOP, RIGHT, BOTTOM = pattern.FLASH_BOX
PROBE = f"""window.probe = (() => {{
  const canvas = document.getElementById('picture'), context = canvas.getContext('2d');
  const audio = haven.sound.node.context, analyser = audio.createAnalyser();
  const samples = new Float32Array(analyser.fftSize = 8192);
  const found = {{flashes: [], beeps: [], steps: []}};
  let bright = true, loud = audio.currentTime;
  haven.sound.node.connect(analyser);
  haven.player.addEventListener('picture', () => found.steps.push(haven.player.figures.step));
  function look() {{
    const unit = canvas.width / {pattern.UNITS};
    const [red] = context.getImageData({(LEFT + RIGHT) / 2} * unit, {(TOP + BOTTOM) / 2} * unit, 1, 1).data;
    if (red > 128 && !bright)
      found.flashes.push(performance.now());
    bright = red > 128;
    analyser.getFloatTimeDomainData(samples);
    const end = audio.currentTime, {{contextTime, performanceTime}} = audio.getOutputTimestamp();
    for (let i = 0; i < samples.length; i++) {{
      if (Math.abs(samples[i]) < 0.1)
        continue;
      const at = end - (samples.length - i) / audio.sampleRate;
      if (at > loud + 0.3 && i > 0) // silence before it was seen too
        found.beeps.push(performanceTime + (at - contextTime) * 1000);
      loud = Math.max(loud, at);
    }}
    requestAnimationFrame(look);
  }}
  requestAnimationFrame(look);
  return found;
}})(), true"""
SEEN_TOGETHER = 80  # ms: two frames of the screen, a block of the sound, and what a loaded machine adds

# How many bitmaps and object URLs are there that nobody has given back.
COUNT_BITMAPS = """(() => {
  const make = createImageBitmap, close = ImageBitmap.prototype.close;
  window.bitmaps = {open: 0, most: 0, urls: 0};
  window.createImageBitmap = async (...from) => {
    const bitmap = await make(...from);
    bitmaps.most = Math.max(bitmaps.most, ++bitmaps.open);
    return bitmap;
  };
  ImageBitmap.prototype.close = function () {
    bitmaps.open--;
    close.call(this);
  };
  const url = URL.createObjectURL;
  URL.createObjectURL = what => (bitmaps.urls++, url.call(URL, what));
})()"""


@pytest.mark.parametrize("form", ["jpeg", "encoded"])
def test_the_flash_is_on_the_canvas_when_the_beep_is_heard(haven, publisher, chromium, form):
    publisher(video="vp8-360")

    async def visit(browser):
        await choose_form(browser, form)
        await watch(browser, "demo")
        await assert_moves(browser)
        await click(browser, "#sound")
        await browser.until("window.haven.sound.level > 0.1")
        await browser.until("window.haven.player.figures.step !== null")
        # sound waits for pictures that come late: until that has settled
        await browser.until("(s => s >= 300)(window.haven.player.figures.shown)")
        assert await browser.evaluate(PROBE)
        await browser.until("Math.min(probe.flashes.length, probe.beeps.length) >= 6")
        found = await browser.evaluate("probe")
        pairs = [(f, min(found["beeps"], key=lambda b: abs(b - f))) for f in found["flashes"]]
        offsets = [beep - flash for flash, beep in pairs if abs(beep - flash) < 500]
        print(f"{form}: beep after flash, ms: {[round(ms) for ms in offsets]}")
        steps = sorted(step for step in found["steps"] if step is not None)
        print(f"picture behind sound, by their times, ms: {[round(steps[i * (len(steps) - 1) // 4]) for i in range(5)]}")
        assert len(offsets) >= 5
        assert abs(sorted(offsets)[len(offsets) // 2]) < SEEN_TOGETHER
        assert await browser.evaluate("window.haven.player.figures.broken") == 0
        await browser.until(f"parseInt({text_of('delay')}) > 0 && parseInt({text_of('delay')}) < 3000")
        (stats,) = [haven.get("/api/live-sessions/demo").body["stats"]]
        assert stats["decoders"] == (form == "jpeg"), "what is shown is not what was asked for"
        assert_no_complaints(browser)  # no Content-Security-Policy was violated either

    browse(chromium, f"{haven.url}/", visit)


@pytest.mark.parametrize("codec", ["vp9", "h264", "av1"])
def test_each_codec_is_shown_as_the_room_sends_it(haven, publisher, chromium, codec):
    publisher(video=f"{codec}-360")

    async def visit(browser):
        await choose_form(browser, "encoded")
        await watch(browser, "demo")
        await assert_moves(browser)
        seen = set()
        deadline = time.monotonic() + 60
        while len(seen) < 5:
            url = await browser.evaluate("document.getElementById('picture').toDataURL('image/jpeg', 0.95)")
            seen.add(analyse.counter_of_jpeg(base64.b64decode(url.partition(",")[2])))
            assert None not in seen and time.monotonic() < deadline, f"{seen}: not the streamer's pictures"
        assert await browser.evaluate("window.haven.player.figures.broken") == 0
        assert await browser.evaluate(text_of("state")) == "Live"
        assert haven.get("/api/live-sessions/demo").body["stats"]["decoders"] == 0
        assert_no_complaints(browser)

    browse(chromium, f"{haven.url}/", visit)


def test_bitmaps_are_given_back(haven, publisher, chromium):
    publisher(video="vp8-360")

    async def visit(browser):
        await watch(browser, "demo")
        await assert_moves(browser)
        await click(browser, "#sound")
        await browser.until("window.haven.sound.level > 0.1")
        for form in ("jpeg", "encoded", "ws/live", "stream", "jpeg"):
            await choose_form(browser, form)
            await browser.until("window.haven.player.figures.shown >= 100")
            open_now = await browser.evaluate("bitmaps.open")
            assert open_now <= 30, f"{form}: {open_now} bitmaps are open"
        await click(browser, "#session")
        await browser.until(f"{text_of('state')} === 'Ended'")
        await browser.until("bitmaps.open === 0")
        assert await browser.evaluate("bitmaps.most") <= 30 and await browser.evaluate("bitmaps.urls") == 0
        assert_no_complaints(browser)

    browse(chromium, f"{haven.url}/", visit, COUNT_BITMAPS)


# Answers that list the sessions come four seconds late: they say what was, not what is.
LATE_LISTS = """(() => {
  const real = fetch;
  window.fetch = async (...request) => {
    const answer = await real(...request);
    if (String(request[0]).endsWith('live-sessions/active'))
      await new Promise(resolve => setTimeout(resolve, 4000));
    return answer;
  };
})()"""


def test_a_session_that_was_stopped_is_not_watched_again(haven, publisher, chromium):
    publisher()

    async def visit(browser):
        await watch(browser, "demo")
        await assert_moves(browser)
        await browser.until(f"{text_of('session')} === 'Stop session'")
        await browser.evaluate("window.list = haven.watch.refresh(), true")  # in which the session still runs
        await click(browser, "#session")
        await browser.until(f"{text_of('state')} === 'Ended'")
        await browser.evaluate("window.list")
        assert await browser.evaluate(text_of("state")) == "Ended"
        await browser.until("!document.getElementById('no-sessions').hidden")
        assert await browser.evaluate(text_of("state")) == "Ended"
        await asyncio.to_thread(haven.post, "/api/live-sessions/start", {"mint_id": "demo"})
        await browser.until(f"{text_of('state')} === 'Live'")  # another session of that room is

    browse(chromium, f"{haven.url}/", visit, LATE_LISTS)


ERROR = "(e => e.hidden ? '' : e.innerText)(document.getElementById('error'))"


def test_what_is_full_or_refused_is_told_apart(livekit, haven_factory, publisher, chromium, started, tmp_path):
    publisher()
    config = tmp_path / "haven.conf"
    config.write_text("[session]\nmax-sessions=1\nmax-viewers=1\n[recording]\nreserve-megabytes=4000000\n")
    haven = haven_factory(livekit, args=["--config", config])
    assert haven.post("/api/live-sessions/start", {"mint_id": "demo"}).status == 200
    other = started(V1Viewer(haven.ws("/api/live-sessions/watch/demo"), {}))
    other.wait("video", 1)

    async def visit(browser):
        await watch(browser, "demo")
        await browser.until(f"/places|viewers/.test({text_of('notice')})")
        assert await browser.evaluate(text_of("state")) == "Connection lost"
        other.close()
        await assert_moves(browser)  # by itself

        await click(browser, "#record")
        text = await browser.until(ERROR)
        assert text.startswith("The disk is full") and "MB are free" in text, text
        await look(browser, tmp_path, "full")
        await browser.evaluate("document.querySelector('#error button').click()")

        await watch(browser, "another")
        text = await browser.until(ERROR)
        assert text.startswith("No room for more"), text
        await click(browser, "#sessions button")  # back to the one that runs
        await assert_moves(browser)

        await asyncio.to_thread(haven.put, "/api/config", {"livekit_api_secret": 40 * "wrong"})
        await click(browser, "#session")
        await browser.until(f"{text_of('session')} === 'Start session'")
        await watch(browser, "demo")
        text = await browser.until(ERROR)
        assert text.startswith("LiveKit refuses"), text
        await look(browser, tmp_path, "refused")

    browse(chromium, f"{haven.url}/", visit)


def test_rooms_to_be_recorded_are_listed(haven, chromium, tmp_path):
    """Nobody streams in them."""
    assert haven.put("/api/auto-record/other", {}).status == 200

    async def visit(browser):
        await go(browser, "settings")
        await browser.until("!!document.querySelector('#auto li[data-id=other]')")
        await browser.evaluate("document.getElementById('auto-add').elements.room.value = 'a/b <c>'")
        await click(browser, "#auto-add button")
        await browser.until("document.querySelectorAll('#auto li').length === 2")
        assert haven.get("/api/auto-record/a/b%20%3Cc%3E").body["state"] == "waiting"
        await look(browser, tmp_path, "auto-record")
        await click(browser, "#auto li[data-id=other] button")
        await browser.until("document.querySelectorAll('#auto li').length === 1")
        assert [r["mint_id"] for r in haven.get("/api/auto-record").body["rooms"]] == ["a/b <c>"]
        assert_no_complaints(browser)

    browse(chromium, f"{haven.url}/", visit)
