"""Free ports, and the address by which this machine knows itself."""

import contextlib
import random
import socket

_given = set()  # so that two servers of one test run do not get the same one
_dice = random.SystemRandom()  # other runs beside this one throw another


def is_free(port):
    """For TCP and UDP."""
    with contextlib.ExitStack() as stack:
        try:
            for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


# Both give ports below those that the system gives away itself, to any client meanwhile.


def free_port():
    """A port that is free for TCP and UDP."""
    while True:
        port = _dice.randrange(10000, 20000)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


def free_block(count):
    """The first of so many ports in a row."""
    for first in _dice.sample(range(20000, 30000, count), 100):
        if all(is_free(port) for port in range(first, first + count)):
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
