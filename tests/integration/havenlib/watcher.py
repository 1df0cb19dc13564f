"""One who watches through whatever happens, as a frontend does: a connection that ends is made again."""

import threading
import time

from . import analyse
from .viewer import Viewer


class Watcher:
    """viewers: one for each connection, in order; closes: the close codes of those that ended before close()."""

    def __init__(self, name, url):
        self.name, self.url = name, url
        self.viewers, self.closes = [], []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._closing.is_set():
            try:
                viewer = Viewer(self.url)
            except Exception:  # the server is away, or refuses: a frontend asks again too
                self._closing.wait(0.2)
                continue
            self.viewers.append(viewer)
            while not viewer._ended and not self._closing.wait(0.05):
                pass
            if viewer._ended and not self._closing.is_set():
                self.closes.append(viewer.close_code)

    def pictures(self, after=0):
        return [m for v in list(self.viewers) for m in v.of("video") if m.monotonic_ns > after]

    def wait_pictures(self, count, after=0, timeout=90):
        deadline = time.monotonic() + timeout
        while len(found := self.pictures(after)) < count:
            assert time.monotonic() < deadline, f"{self.name}: {len(found)} of {count} pictures in {timeout} s"
            time.sleep(0.05)
        return found

    def longest_gap(self):
        """Seconds between two pictures."""
        times = [m.monotonic_ns for m in self.pictures()]
        return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e9

    def sequences(self):
        """What each connection saw."""
        return [analyse.sequence([c for c, _ in v.counters()]) for v in self.viewers]

    def close(self):
        self._closing.set()
        self._thread.join(10)
        for viewer in self.viewers:
            viewer.close()
