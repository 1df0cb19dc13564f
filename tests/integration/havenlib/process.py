"""Child processes: each in a group of its own, its output kept, ended by that group's number and no other."""

import os
import re
import signal
import subprocess
import threading
import time


def eventually(predicate, timeout=30, what="what was waited for"):
    """Returns the first true value of predicate(), for what can only be asked for again and again."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.05)
    return value


class Process:
    """A running command whose output lines are kept as (monotonic_ns, text)."""

    def __init__(self, args, env=None, cwd=None, stdin=False, log=None):
        self.args = [str(a) for a in args]
        self.lines = []
        self._log = open(log, "a") if log else None
        self._changed = threading.Condition()
        self.popen = subprocess.Popen(
            self.args,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.pid = self.popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.popen.stdout:
            self.on_line(line.rstrip("\n"))
            if self._log:
                self._log.write(line)
                self._log.flush()
        with self._changed:
            self._changed.notify_all()

    def on_line(self, line):
        with self._changed:
            self.lines.append((time.monotonic_ns(), line))
            self._changed.notify_all()

    @property
    def output(self):
        return "\n".join(line for _, line in list(self.lines))

    @property
    def running(self):
        return self.popen.poll() is None

    @property
    def returncode(self):
        return self.popen.poll()

    def tail(self):
        """What it was and how it ended, for a person who asks why a test failed."""
        return f"{' '.join(self.args)}\nexit status {self.returncode}; its last lines:\n" + "\n".join(
            line for _, line in self.lines[-120:]
        )

    def wait_until(self, predicate, timeout=60, what="what was waited for"):
        """Returns the first true value of predicate(), which is asked again after each line of output."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                ended = not self._reader.is_alive()
                value = predicate()
                if value:
                    return value
                left = deadline - time.monotonic()
                if ended or left <= 0:
                    raise AssertionError(
                        f"{what}: {'it ended' if ended else f'not within {timeout} s'}: {self.tail()}"
                    )
                self._changed.wait(min(left, 0.5))

    def wait_for(self, pattern, timeout=60, since=0):
        """Waits for an output line that the regular expression is found in; since counts lines to skip."""
        regex = re.compile(pattern)
        seen = since

        def find():
            nonlocal seen
            while seen < len(self.lines):
                match = regex.search(self.lines[seen][1])
                seen += 1
                if match:
                    return match
            return None

        return self.wait_until(find, timeout, f"/{pattern}/")

    def send_signal(self, number):
        if self.running:
            os.killpg(self.pid, number)

    def interrupt(self):
        self.send_signal(signal.SIGINT)

    def wait(self, timeout=60):
        """Waits for the end and returns the exit status."""
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s: {self.tail()}") from None
        self._reader.join(5)
        return self.popen.returncode

    def kill(self):
        self.send_signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self, timeout=10):
        """Ends it: politely, then not."""
        self.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(5)
        if self.popen.stdin:
            try:
                self.popen.stdin.close()
            except OSError:
                pass
        if self._log:
            self._log.close()
            self._log = None
        return self.popen.returncode

    # What it costs, from /proc.

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
