"""A TCP proxy on loopback that can end TLS, and can do to its connections what networks do."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import struct
import threading

from .ports import free_port


class Proxy:
    """Splices connections to a port of 127.0.0.1.

    cut()       every connection ends now, by RST; new ones are welcome
    refuse()    as cut, and new ones are refused until accept()
    stall()     connections stay, and nothing passes, until unstall()
    babble(b)   as cut, and new ones get these bytes, without TLS, until accept()
    inject()    says something to the server in the name of the newest client

    requests are the first lines that came, of HTTP as it is.
    """

    def __init__(self, target_port, tls=None):
        self.target_port, self.tls = target_port, tls
        self.port = free_port()
        self.url = f"{'wss' if tls else 'ws'}://{'localhost' if tls else '127.0.0.1'}:{self.port}"
        self.accepted = self.babbled = 0
        self.requests = []
        self._newest = None  # writer to the server
        self._writers = set()
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = None
        self._babbling = False
        self._call(self._make_gate())
        self.accept()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _make_gate(self):
        self._gate = asyncio.Event()
        self._gate.set()

    @property
    def connections(self):
        return len(self._writers) // 2

    def accept(self):
        self._call(self._accept())

    def cut(self):
        self._call(self._cut())

    def refuse(self):
        self._call(self._refuse())

    def babble(self, data):
        self._call(self._babble(data))

    def stall(self):
        self._loop.call_soon_threadsafe(self._gate.clear)

    def unstall(self):
        self._loop.call_soon_threadsafe(self._gate.set)

    def inject(self, payload):
        """A binary WebSocket message of at most 125 bytes. Between frames of the client's: none of them may be under way."""
        frame = bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload  # masked with zeros
        self._loop.call_soon_threadsafe(self._newest.write, frame)

    def close(self):
        self._call(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _accept(self):
        if self._babbling:
            await self._refuse()
        if not self._server:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)

    async def _babble(self, data):
        async def serve(reader, writer):
            self.babbled += 1
            writer.write(data)
            writer.close()

        await self._refuse()
        self._babbling = True
        self._server = await asyncio.start_server(serve, "127.0.0.1", self.port)

    async def _cut(self):
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _refuse(self):
        self._babbling = False
        if self._server:
            self._server.close()
            self._server = None
        await self._cut()

    async def _serve(self, reader, writer):
        self.accepted += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        writers = [writer]
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            writers.append(far_writer)
            self._writers.add(far_writer)
            self._newest = far_writer
            head = await reader.read(65536)
            self.requests.append(head.partition(b"\r\n")[0].decode(errors="replace"))
            await self._gate.wait()
            far_writer.write(head)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for w in writers:
                self._writers.discard(w)
                w.close()

    async def _pump(self, reader, writer):
        while data := await reader.read(65536):
            await self._gate.wait()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()


def make_certificates(directory, names=("localhost", "127.0.0.1")):
    """A private CA and a server certificate of it: (CA file, SSL context of the server)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(subject, key, issuer, issuer_key, *extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256())

    def name(common):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = name("Haven Live test CA")
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = certificate(
        ca_name, ca_key, ca_name, ca_key, (x509.BasicConstraints(True, None), True), (ca_id, False), (usage, True)
    )
    alternatives = [
        x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names
    ]
    leaf = certificate(
        name(names[0]), key, ca_name, ca_key,
        (x509.SubjectAlternativeName(alternatives), False),
        (x509.BasicConstraints(False, None), True),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id), False),
    )  # fmt: skip
    ca_file, leaf_file = directory / "ca.pem", directory / "server.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    leaf_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf_file)
    return ca_file, context
