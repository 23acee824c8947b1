"""A hospital's system on the other side of MLLP, that can be told to misbehave; and certificates for it."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.hl7v2.framing import Deframer, frame

GARBAGE = (b"\r\n", b"\x00\x00", b"GET / HTTP/1.0\r\n", b"\x1c\r", b"\x1c", b"    ")


def an_adt(control_id: str, patient: str = "1", *, commit: str = "", application: str = "") -> bytes:
    """An admission that the adapter takes."""
    head = f"MSH|^~\\&|SIGH|H|C|G|20260315101500-0500||ADT^A04|{control_id}|P|2.5.1|||{commit}|{application}"
    visit = "PV1|1|O" + "|" * 17 + f"V{control_id}" + "|" * 25 + "20260315100000-0500"
    lines = (head.rstrip("|"), "EVN|A04|20260315101500-0500", f"PID|1||HC{patient}^^^^HC||QUISPE^ROSA", visit)
    return "\r".join(lines).encode() + b"\r"


def told(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2 of an answer."""
    fields = next(line for line in answer.split(b"\r") if line.startswith(b"MSA")).split(b"|")
    return fields[1].decode(), fields[2].decode()


class Line:
    """One connection: what is sent, and the answers that come back."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None, timeout_seconds: float = 10) -> None:
        connection = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self.socket = context.wrap_socket(connection, server_hostname="localhost") if context else connection
        self._deframer = Deframer(10_000_000)
        self._heard: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.socket.sendall(data)

    def answers(self, count: int) -> list[bytes]:
        """The next answers; EOFError where the other side leaves first."""
        while len(self._heard) < count:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self._heard += [item.content for item in self._deframer.feed(chunk)]
        taken, self._heard = self._heard[:count], self._heard[count:]
        return taken

    def ask(self, message: bytes, count: int = 1) -> list[bytes]:
        """Send a message; its answers."""
        self.send(frame(message))
        return self.answers(count)


@dataclass
class Tally:
    """What one peer did, and what it was told."""

    sent: int = 0
    resent: int = 0
    acknowledged: set[str] = field(default_factory=set)
    for_another: int = 0
    did: Counter[str] = field(default_factory=Counter)


class Peer:
    """Sends messages and behaves badly, each message again and again until it is acknowledged."""

    def __init__(self, port: int, number: int, seed: int) -> None:
        self.port = port
        self.number = number
        self.chance = random.Random(seed)
        self.tally = Tally()
        self._count = 0
        self._unanswered: list[tuple[str, bytes, int]] = []

    def work(self, until: float) -> None:
        """Misbehave until then, and after that see to it that everything was acknowledged."""
        while time.monotonic() < until:
            name = self.chance.choice(
                (
                    "plain",
                    "plain",
                    "chunks",
                    "several",
                    "drop",
                    "half",
                    "garbage",
                    "no_return",
                    "bad",
                    "enhanced",
                )
            )
            self.tally.did[name] += 1
            try:
                with Line(self.port) as line:
                    self._send_again(line)
                    for _ in range(self.chance.randint(1, 5)):
                        getattr(self, f"_{name}")(line)
            except (OSError, EOFError):
                self.tally.did["cut"] += 1
        for _ in range(100):
            if not self._unanswered:
                return
            try:
                with Line(self.port) as line:
                    self._send_again(line)
            except (OSError, EOFError):
                time.sleep(0.05)

    def _new(self, **more: str) -> bytes:
        self._count += 1
        self.tally.sent += 1
        control_id = f"P{self.number}N{self._count}"
        message = an_adt(control_id, f"{self.number}-{self._count % 5}", **more)
        self._unanswered.append((control_id, message, 2 if more else 1))
        return message

    def _expect(self, line: Line, waiting: list[tuple[str, bytes, int]]) -> None:
        """The answers to messages, in their order: every one must name its own."""
        for item in waiting:
            control_id, _, count = item
            for answer in line.answers(count):
                code, named = told(answer)
                if named != control_id or code not in {"AA", "CA"}:
                    self.tally.for_another += 1
            self.tally.acknowledged.add(control_id)
            self._unanswered.remove(item)

    def _send_again(self, line: Line) -> None:
        waiting = list(self._unanswered)
        self.tally.resent += len(waiting)
        for _, message, _ in waiting:
            line.send(frame(message))
        self._expect(line, waiting)

    def _send_and_expect(self, line: Line, data: bytes) -> None:
        line.send(data)
        self._expect(line, list(self._unanswered))

    def _plain(self, line: Line) -> None:
        self._send_and_expect(line, frame(self._new()))

    def _enhanced(self, line: Line) -> None:
        self._send_and_expect(line, frame(self._new(commit="AL", application="AL")))

    def _chunks(self, line: Line) -> None:
        data = frame(self._new()) + frame(self._new())
        while data:
            size = self.chance.randint(1, 90)
            line.send(data[:size])
            data = data[size:]
            if self.chance.random() < 0.1:
                time.sleep(0.002)
        self._expect(line, list(self._unanswered))

    def _several(self, line: Line) -> None:
        self._send_and_expect(line, b"".join(frame(self._new()) for _ in range(self.chance.randint(2, 8))))

    def _drop(self, line: Line) -> None:
        """Send, and be gone before the answer."""
        line.send(frame(self._new()))
        line.socket.close()
        raise EOFError

    def _half(self, line: Line) -> None:
        """Send a part, and be gone; or begin another instead."""
        data = frame(self._new())
        cut = self.chance.randint(1, len(data) - 3)
        if self.chance.random() < 0.5:
            line.send(data[:cut])
            raise EOFError
        # What was given up is sent again, behind the next.
        held = self._unanswered.pop()
        line.send(data[:cut] + frame(self._new()))
        self._expect(line, list(self._unanswered))
        self._unanswered.append(held)
        self._send_again(line)

    def _garbage(self, line: Line) -> None:
        self._send_and_expect(
            line, self.chance.choice(GARBAGE) + frame(self._new()) + self.chance.choice(GARBAGE)
        )

    def _no_return(self, line: Line) -> None:
        self._send_and_expect(line, frame(self._new()).removesuffix(b"\r"))

    def _bad(self, line: Line) -> None:
        """A message that is refused among others: answered by its own number, holding up none."""
        name = f"BAD{self.number}N{self.chance.randint(1, 10**9)}"
        bad = f"MSH|^~\\&|SIGH|H|C|G|20260315||ADT^A04|{name}|P|2.5.1\rEVN|A04\r".encode()
        line.send(frame(self._new()) + frame(bad) + frame(self._new()))
        first, last = self._unanswered[-2:]
        before = self._unanswered[:-2]
        self._expect(line, [*before, first])
        (answer,) = line.answers(1)
        self.tally.for_another += told(answer) != ("AE", name)
        self._expect(line, [last])


@dataclass(frozen=True)
class Authority:
    """Who signs certificates, and where they lie."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path, name: str = "authority") -> Authority:
        """A new authority."""
        folder.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key, 1)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        made = cls(folder, key, certificate)
        made.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def path(self) -> Path:
        """Its own certificate."""
        return self.folder / "authority.pem"

    def issue(self, file: str, *names: str, days: int = 1, common_name: str = "x") -> tuple[Path, Path]:
        """A certificate for names, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _builder(subject, self.certificate.subject, key, days)
        if names:
            alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        paths = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
    )


def client_context(authority: Authority, *own: Path) -> ssl.SSLContext:
    """What a peer trusts, and what it shows of itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path)
    if own:
        context.load_cert_chain(*own)
    return context
