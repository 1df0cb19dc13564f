"""A listener of /api/events."""

import json
import threading
import urllib.request

from .process import eventually


class Events:
    """Keeps [(id, type, data)] of what it hears."""

    def __init__(self, haven, last_id=None):
        headers = {"Last-Event-ID": last_id} if last_id else {}
        self._answer = urllib.request.urlopen(urllib.request.Request(haven.url + "/api/events", headers=headers))
        self.content_type, self.seen = self._answer.headers["Content-Type"], []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        fields = {}
        for line in self._answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                self.seen.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
                fields = {}

    def of(self, kind):
        return [data for _, type, data in list(self.seen) if type == kind]

    def wait_for(self, kind, fits, timeout=60):
        """The first event of that kind that fits(its data)."""
        return eventually(lambda: next(filter(fits, self.of(kind)), None), timeout, f"event {kind}")

    def close(self):
        self._answer.fp.raw._sock.shutdown(2)
        self._thread.join(10)
