"""An HTTP server that keeps what is POSTed to it."""

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .process import eventually


class Webhook:
    """answers: statuses in turn, then 200. requests: [(headers, body)] of all that came."""

    def __init__(self, answers=()):
        self.answers, self.requests = list(answers), []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.answers.pop(0) if hook.answers else 200
                hook.requests.append((self.headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def of(self, event):
        return [json.loads(body) for headers, body in list(self.requests) if headers["Haven-Event"] == event]

    def wait_for(self, event, count=1, timeout=60):
        return eventually(lambda: len(found := self.of(event)) >= count and found, timeout, event)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def is_signed(headers, body, secret):
    """As a receiver would check it."""
    fields = dict(field.split("=", 1) for field in headers["Haven-Signature"].split(","))
    digest = hmac.new(secret.encode(), fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(digest, fields["v1"])
