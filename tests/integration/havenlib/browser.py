"""A headless chromium, to see what a person would see."""

import asyncio
import base64
import re
import time

ARGUMENTS = [
    "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required", "--window-size=1100,900",
]  # fmt: skip

# A number that changes with the picture on the stage of a page.
PIXELS = """(() => {
  const canvas = document.getElementById('picture');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let hash = 0;
  for (let i = 0; i < data.length; i += 41)
    hash = (hash * 31 + data[i]) | 0;
  return hash;
})()"""


class Browser:
    """One page of a headless chromium, driven over its DevTools socket."""

    def __init__(self, process):
        self._process = process
        self._next = 0
        self.complaints = []

    async def open(self, session, url, script=None):
        """script runs before those of the page."""
        found = await asyncio.to_thread(
            self._process.wait_until, self._devtools, 60, "DevTools address"
        )
        async with session.get(f"http://{found}/json") as answer:
            pages = [page for page in await answer.json() if page["type"] == "page"]
        self._socket = await session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        for domain in ("Runtime", "Log", "Page"):
            await self.command(f"{domain}.enable")
        if script:
            await self.command("Page.addScriptToEvaluateOnNewDocument", source=script)
        await self.command("Page.navigate", url=url)

    def _devtools(self):
        match = re.search(r"DevTools listening on ws://([^/]+)/", self._process.output)
        return match and match.group(1)

    async def command(self, method, **params):
        self._next += 1
        await self._socket.send_json({"id": self._next, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json()
            if message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(message["params"]["exceptionDetails"])
            elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"])
            elif message.get("id") == self._next:
                assert "error" not in message, message
                return message["result"]

    async def evaluate(self, expression):
        result = await self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression, timeout=60):
        deadline = time.monotonic() + timeout
        while not (value := await self.evaluate(expression)):
            assert time.monotonic() < deadline, f"{expression}: {await self.evaluate('document.body.innerText')}"
            await asyncio.sleep(0.1)
        return value

    async def resize(self, width, height):
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def color_scheme(self, name):
        feature = {"name": "prefers-color-scheme", "value": name}
        await self.command("Emulation.setEmulatedMedia", features=[feature])

    async def write(self, text):
        """Into what has the focus."""
        await self.command("Input.insertText", text=text)

    async def press(self, key, code, text=None):
        """A key of the keyboard, on what has the focus."""
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        await self.command("Input.dispatchKeyEvent", type="keyDown", **event)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **event)

    async def screenshot(self, path):
        shot = await self.command("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(shot["data"]))
