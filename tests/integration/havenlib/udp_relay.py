"""A UDP relay before a server's media port that loses packets, as networks do."""

import random
import selectors
import socket
import threading

LARGEST = 65536
BUFFER = 1 << 20  # bytes: what is lost is lost on purpose


class UdpRelay:
    """Takes what comes to listen, (address, port), to target; each client has a socket of its own there.

    lose(percent)   from now on, so many of a hundred packets from the target, at random; 0: none
    """

    def __init__(self, listen, target, seed=1):
        self.target = target
        self.passed = self.lost = 0  # from the target
        self._percent, self._dice = 0, random.Random(seed)
        self._clients = {}  # address -> socket
        self._selector = selectors.DefaultSelector()
        self._front = self._open(self._from_client)
        self._front.bind(listen)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def lose(self, percent):
        self._percent = percent

    def close(self):
        self._wake.close()
        self._thread.join(5)
        for sock in (self._front, self._woken, *self._clients.values()):
            sock.close()
        self._selector.close()

    def _open(self, handle):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.setblocking(False)
        self._selector.register(sock, selectors.EVENT_READ, handle)
        return sock

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                try:
                    key.data(*key.fileobj.recvfrom(LARGEST))
                except OSError:  # nobody is there at present
                    pass

    def _from_client(self, packet, client):
        if client not in self._clients:
            self._clients[client] = self._open(lambda packet, _: self._from_target(packet, client))
        self._clients[client].sendto(packet, self.target)

    def _from_target(self, packet, client):
        if self._dice.random() * 100 < self._percent:
            self.lost += 1
        else:
            self.passed += 1
            self._front.sendto(packet, client)
