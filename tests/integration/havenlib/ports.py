"""Free ports, and the address by which this machine knows itself."""

import contextlib
import random
import socket

_given = set()  # so that two servers of one test run do not get the same one
_dice = random.SystemRandom()  # other runs beside this one throw another


def free_port():
    """A port that is free for TCP and UDP, below those that the system gives away itself, to any client meanwhile."""
    while True:
        port = _dice.randrange(10000, 20000)
        with contextlib.ExitStack() as stack:
            try:
                for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("0.0.0.0", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port


def free_block(count):
    """The first of so many ports in a row, below those that the system gives away itself."""
    for first in random.sample(range(20000, 30000, count), 100):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                        stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("0.0.0.0", port))
            except OSError:
                continue
            return first
    raise OSError(f"no {count} free ports in a row")


def lan_address():
    """This machine's own address that is not loopback, or 127.0.0.1 where it has none. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
