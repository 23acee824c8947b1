#!/usr/bin/env python3
# fmt: off
# mypy: ignore-errors
"""Verify a Chasqui audit log, an evidence pack or a receipt: offline, with Python's standard library alone.

Usage:   python3 -I verify.py FILE [--keys KEYS.txt] [--seen NOTE]... [--processes 2]
Exit:    0 verified, 1 not verified, 2 the file cannot be read.
Spec:    RFC 8032 (Ed25519); RFC 9162, 2.1 (Merkle trees); c2sp.org signed-note, tlog-checkpoint, tlog-cosignature;
         docs/audit.md, "The formats".
Leaves:  opening what is sealed: no key of the hub is needed here, and none would help.

The keys decide what "verified" means: compare them with those that the region published. Runs on Python 3.9 or newer.
"""
import argparse
import base64
import json
import multiprocessing
import re
import struct
import sys
import zipfile
from collections import deque
from datetime import datetime, timezone
from hashlib import sha256, sha512
from heapq import merge
from itertools import islice

MARGIN_SECONDS = 900
MOST_NOTE, MOST_MEMBER, MOST_PACK, MOST_MEMBERS, MOST_SHOWN = 65_536, 64 * 2**20, 512 * 2**20, 400_000, 50

class Wrong(Exception):
    """Something does not verify: the text says what, and where."""

class Unreadable(Exception):
    """The input is not in the form that this program reads."""

# --- Ed25519 after RFC 8032, 5.1: verification alone
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def add(a, b):
    """The sum of two points, in extended coordinates. Spec: RFC 8032, 5.1.4."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return i * j % P, k * m % P, j * k % P, i * m % P

def decoded(data):
    """A point from its 32 bytes. Raises: Wrong - not canonical, or not on the curve. Spec: RFC 8032, 5.1.3."""
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square or (x == 0 and sign):
        raise Wrong("a public key is no point of the curve")
    x = x if x % 2 == sign else P - x
    return x, y, 1, x * y % P

def is_small(point):
    """Whether eight times a point is nothing: a key of this kind would verify anything."""
    for _ in range(3):
        point = add(point, point)
    return point[0] == 0 and point[1] == point[2]

def multiples(point):
    """A table of j * 16^i * point, so that multiplying is 64 additions."""
    table = []
    for _ in range(64):
        row = [(0, 1, 1, 0)]
        for _ in range(15):
            row.append(add(row[-1], point))
        table.append(row)
        point = add(row[-1], point)
    return table

def summed(point, table, scalar):
    """The point, and the scalar's multiple of the table's one."""
    for row in table:
        point = add(point, row[scalar & 15])
        scalar >>= 4
    return point

class Key:
    """A published key, NAME+NUMBER+BASE64: of a log (kind 1) or of a witness (kind 4)."""
    generator = []

    def __init__(self, text):
        try:
            self.name, number, encoded = text.split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise Unreadable("a key is not written as NAME+NUMBER+KEY: %.60r" % text) from None
        self.text, self.kind, self.public = text, raw[0] if raw else 0, raw[1:]
        self.number = sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        if self.kind not in (1, 4) or len(self.public) != 32 or self.number.hex() != number:
            raise Unreadable("a key is of another kind, or bears another's number: %.60r" % text)
        point = decoded(self.public)
        if is_small(point):
            raise Wrong("the key %s would verify anything" % self.name)
        self.table = multiples((P - point[0], point[1], 1, P - point[3]))

    def verifies(self, message, signature):
        """Whether a signature holds: (1) in its only form, (2) by this key, of this message. Spec: RFC 8032, 5.1.7."""
        # 1.
        scalar = int.from_bytes(signature[32:], "little")
        if len(signature) != 64 or scalar >= L:
            return False
        # 2.
        Key.generator = Key.generator or multiples(decoded(bytes.fromhex("58" + "66" * 31)))
        challenge = int.from_bytes(sha512(signature[:32] + self.public + message).digest(), "little") % L
        point = summed(summed((0, 1, 1, 0), Key.generator, scalar), self.table, challenge)
        inverse = pow(point[2], P - 2, P)
        x, y = point[0] * inverse % P, point[1] * inverse % P
        return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32] and not is_small(point)

# --- the Merkle tree after RFC 9162, 2.1
def node(left, right):
    """The hash over two subtrees."""
    return sha256(b"\x01" + left + right).digest()

def joined(roots):
    """The root over subtrees that lie beside each other, the largest first."""
    found = roots[-1]
    for left in roots[-2::-1]:
        found = node(left, found)
    return found

def pushed(roots, number, leaf):
    """Add a leaf, or a subtree of one size, to the roots of the `number` before it."""
    while number & 1:
        leaf, number = node(roots.pop(), leaf), number >> 1
    roots.append(leaf)

def split(count):
    """The largest power of two below a count of two or more: where RFC 9162 divides a tree."""
    return 1 << (count - 1).bit_length() - 1

def rooted(leaf, index, size, path):
    """The root that a leaf at its place and an inclusion proof give. Spec: RFC 9162, 2.1.3."""
    if size == 1 or not path:
        if size != 1 or path or index:
            raise Wrong("a proof has another length than its place needs")
        return leaf
    half = split(size)
    if index < half:
        return node(rooted(leaf, index, half, path[:-1]), path[-1])
    return node(path[-1], rooted(leaf, index - half, size - half, path[:-1]))

def grown(old, size, path, old_root=None):
    """The roots of the old and of the new tree that a consistency proof gives. Spec: RFC 9162, 2.1.4."""
    if old == size or not path:
        if old != size or len(path) != (old_root is None):
            raise Wrong("a proof has another length than its heads need")
        return (old_root or path[0],) * 2
    half = split(size)
    if old <= half:
        first, second = grown(old, half, path[:-1], old_root)
        return first, node(second, path[-1])
    first, second = grown(old - half, size - half, path[:-1])
    return node(path[-1], first), node(path[-1], second)

# --- signed heads
def when(seconds):
    """An instant to read."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ") if 0 <= seconds < 2**36 else "?"

class Head:
    """A head of the log: its number of events, their root, when it was signed, who signed and cosigned it."""
    form = re.compile(r"([^\n+]+)\n([1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\ntime (0|[1-9][0-9]{0,10})\n")

    def __init__(self, note, keys):
        """Read a note strictly; every line by a known key has to hold, whoever else signed."""
        body, _, lines = note.partition("\n\n")
        body = body.rstrip("\n") + "\n"
        found = self.form.fullmatch(body)
        if not found or len(note) > MOST_NOTE:
            raise Wrong("a head is not written as heads are: %.60r" % note)
        self.origin, self.size, self.seconds = found[1], int(found[2]), int(found[4])
        self.root, self.signers, self.cosigned = base64.b64decode(found[3]), [], []
        for line in lines.splitlines():
            try:
                dash, name, encoded = line.split(" ")
                raw = base64.b64decode(encoded, validate=True)
            except ValueError:
                raise Wrong("%s: a signature line is broken" % self) from None
            for key in keys:
                if (dash, name, raw[:4]) == ("\u2014", key.name, key.number):
                    self._take(key, raw[4:], body)

    def _take(self, key, signature, body):
        seconds = int.from_bytes(signature[:8], "big")
        if key.kind == 4:
            body, signature = "cosignature/v1\ntime %d\n%s" % (seconds, body), signature[8:]
            self.cosigned.append((key.name, seconds))
        elif key.name == self.origin:
            self.signers.append(key)
        if not key.verifies(body.encode(), signature):
            raise Wrong("%s: the signature of %s does not hold" % (self, key.name))
        if key.kind == 4 and seconds < self.seconds - MARGIN_SECONDS:
            raise Wrong("%s: the witness %s signed it at %s, before that" % (self, key.name, when(seconds)))

    def __str__(self):
        return "head of %d events, %s" % (self.size, when(self.seconds))

def signed_head(note, keys):
    """A head that the log signed. Raises: Wrong."""
    head = Head(note, keys)
    if not head.signers:
        raise Wrong("%s: not signed by a key that was given" % head)
    return head

class Report:
    """What was found: facts, and what is wrong; of that the first lines are shown, the rest counted."""
    def __init__(self):
        self.wrongs = 0

    def fact(self, text):
        print("        " + text)

    def wrong(self, text):
        self.wrongs += 1
        if self.wrongs <= MOST_SHOWN:
            print("WRONG   " + text)

# --- the whole log: docs/audit.md, "The formats"
RECORD = struct.Struct(">32s128s16sqqq16s32sB")
GONE, ERASED = 1, 2
MARKS = {4: "marked so that no search finds it", 8: "moved to another transaction", 16: "altered: its commitment is another"}
CHUNK_LEAVES = 2**16

def named(raw):
    """An event's id as it is written."""
    return re.sub("^(.{8})(.{4})(.{4})(.{4})", r"\1-\2-\3-\4-", raw.hex())

def wrong_in(row, low, high):
    """What is wrong with a record: it is (1) there, (2) unmarked, (3) as its leaf says, (4) in the time of its place."""
    stored, digests, place, index, _, instant, event, rest, state = row
    where = "leaf %d, event %s, %s: " % (index, named(event), when(instant // 10**6))
    if state & GONE:
        yield "leaf %d, event %s: the event was deleted" % (index, named(event))
        return
    yield from (where + text for mark, text in MARKS.items() if state & mark)
    if sha256(b"\0" + sha256(digests).digest() + place).digest() != stored:
        yield where + "altered: its digests do not give its leaf"
    if state & ERASED:
        return
    if sha256(("%s|%d|%s" % (named(event), instant, rest.hex())).encode()).digest() != digests[64:96]:
        yield where + "altered: its leaf commits to another id or instant, or to another way to find it"
    if not low - MARGIN_SECONDS <= instant // 10**6 <= high + MARGIN_SECONDS:
        yield where + "dated outside of its place, between heads of %s and %s" % (when(low), when(high))

def check_leaves(task):
    """Check a run of leaves: what is wrong, the roots over them, those at each head, the records' numbers, the erased."""
    path, offset, first, count, low, heads = task
    found, roots, at_heads, numbers, erased, shift = [], [], [], bytearray(), 0, 0
    heads = deque(heads)
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(count * RECORD.size)
    for number, row in enumerate(RECORD.iter_unpack(data)):
        if row[3] != first + number + shift:
            found.append("leaf %d: not in its place: leaf %d stands there" % (first + number + shift, row[3]))
            shift = row[3] - first - number
        found += wrong_in(row, low, heads[0][1] if heads else 2**35)
        erased += bool(row[8] & ERASED)
        if row[2][0] < 128 and any(row[2][:8]):
            numbers += row[2] + struct.pack(">q", row[3])
        pushed(roots, number, row[0])
        while heads and heads[0][0] == first + number + 1:
            low = heads.popleft()[1]
            at_heads.append(list(roots))
    return found[:MOST_SHOWN], len(found), roots, at_heads, bytes(numbers), erased

def check_notes(task):
    """Check the signatures of notes: of each, size, time, root, cosignatures, and what is wrong."""
    keys, found = [Key(each) for each in task[1]], []
    for note in task[0]:
        try:
            head = signed_head(note, keys)
            found.append((head.size, head.seconds, head.root, len(head.cosigned), "" if head.origin == task[2] else "%s: of the log %.60r" % (head, head.origin)))
        except Wrong as wrong:
            found.append((0, 0, b"", 0, str(wrong)))
    return found

def in_order(pool, work, tasks):
    """The results of tasks in their order, with few of them under way at a time."""
    waiting = deque()
    for task in tasks:
        if pool is None:
            yield work(task)
            continue
        waiting.append(pool.apply_async(work, (task,)))
        if len(waiting) > 8:
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()

class Log:
    """An exported log: a header in text, records of one size, heads."""
    form = re.compile(r"chasqui-audit-log/v1\norigin ([^\n]+)\nleaves (\d{18})\nstrays (\d{18})\nheads (\d{18})\n\n")

    def __init__(self, path, keys, report):
        self.path, self.keys, self.report = path, keys, report
        with open(path, "rb") as file:
            found = self.form.match(file.read(4096).decode("utf-8", "replace"))
            if not found:
                raise Unreadable("this is no exported audit log")
            self.origin, (self.leaves, self.strays, self.heads) = found[1], map(int, found.groups()[1:])
            self.start = len(found[0].encode())
            self.notes_start = self.start + (self.leaves + self.strays) * RECORD.size
            if self.notes_start > file.seek(0, 2):
                raise Unreadable("the exported log is cut off: export it anew")

    def notes(self):
        """The heads' notes, one by one."""
        with open(self.path, "rb") as file:
            file.seek(self.notes_start)
            for _ in range(self.heads):
                length = int.from_bytes(file.read(4), "big")
                note = file.read(length) if length <= MOST_NOTE else b""
                if not note or len(note) != length:
                    raise Unreadable("the exported log is cut off: export it anew")
                yield note.decode("utf-8", "replace")

    def signed(self, pool):
        """The heads that the log signed; their sizes and times have to rise. And how often they are cosigned."""
        notes, texts, heads, cosigned = self.notes(), [key.text for key in self.keys], [], 0
        tasks = ((batch, texts, self.origin) for batch in iter(lambda: list(islice(notes, 500)), []))
        for size, seconds, root, count, wrong in (each for found in in_order(pool, check_notes, tasks) for each in found):
            last = heads[-1] if heads else (0, 0)
            if wrong or size <= last[0] or seconds < last[1]:
                self.report.wrong(wrong or "head of %d events, %s: follows one of %d, %s" % (size, when(seconds), last[0], when(last[1])))
                continue
            cosigned += count
            heads.append((size, seconds, root, "signed"))
        return heads, cosigned

    def verify(self, seen, processes):
        """(1) The heads' signatures. (2) Every leaf, the tree at every head, every record's numbers. (3) The end. (4) What has no leaf."""
        pool = multiprocessing.Pool(processes) if processes > 1 else None
        try:
            # 1.
            heads, cosigned = self.signed(pool)
            kept = sorted((each.size, each.seconds, each.root, "kept") for each in seen)
            # 2.
            self._leaves(list(merge(heads, kept)), pool)
        finally:
            if pool is not None:
                pool.terminate()
        # 3.
        newest = heads[-1][:2] if heads else (0, 0)
        self.report.fact("%d events; %d signed heads, the newest of %s; %d cosignatures" % (self.leaves, len(heads), when(newest[1]), cosigned))
        if newest[0] != self.leaves:
            self.report.wrong("the newest signed head speaks of %d events, the log holds %d" % (newest[0], self.leaves))
        for size, seconds, _, _ in kept:
            if size > self.leaves:
                self.report.wrong("head of %d events, %s, that was kept: the log holds %d: its end was cut off, or a backup restored" % (size, when(seconds), self.leaves))
        # 4.
        with open(self.path, "rb") as file:
            file.seek(self.start + self.leaves * RECORD.size)
            for _ in range(self.strays):
                row = RECORD.unpack(file.read(RECORD.size))
                self.report.wrong("event %s, %s: inserted: it has no leaf, though later ones have" % (named(row[6]), when(row[5] // 10**6)))

    def _tasks(self, heads):
        """Runs of leaves, each with the heads inside, the time of the head before and that of the one behind."""
        at, low = 0, 0
        for first in range(0, self.leaves, CHUNK_LEAVES):
            count = min(CHUNK_LEAVES, self.leaves - first)
            begun, before = at, low
            while at < len(heads) and heads[at][0] <= first + count:
                low, at = heads[at][1], at + 1
            around = [each[:2] for each in heads[begun:at + 1]]
            yield self.path, self.start + first * RECORD.size, first, count, before, around

    def _leaves(self, heads, pool):
        roots, numbered, at, agreed, wrong, erased = [], {}, 0, 0, 0, 0
        for run, (found, total, part, at_heads, numbers, count) in enumerate(in_order(pool, check_leaves, self._tasks(heads))):
            for each in found:
                self.report.wrong(each)
            self.report.wrongs += total - len(found)
            erased += count
            for partial in at_heads:
                size, seconds, root, kind = heads[at]
                at += 1
                if joined(roots + partial) == root:
                    agreed = agreed if wrong else size
                    continue
                wrong += 1
                if wrong == 1 or kind == "kept":
                    self.report.wrong("head of %d events, %s, that was %s: the log has another root; the last head that agrees has %d events" % (size, when(seconds), kind, agreed))
            if len(part) == 1:
                pushed(roots, run, part[0])
            for record, number, leaf in struct.iter_unpack(">qqq", numbers):
                if number != numbered.get(record, 0) + 1:
                    self.report.wrong("leaf %d: event %d of record %d stands after its event %d" % (leaf, number, record, numbered.get(record, 0)))
                numbered[record] = number
        self.report.fact("%d records have events; %d events are of erased records" % (len(numbered), erased))
        if wrong:
            self.report.fact("%d heads have another root" % wrong)

# --- evidence packs and receipts: docs/audit.md, "The formats"
def plain_json(data):
    """A JSON object in which no name stands twice. Raises: Unreadable."""
    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)
    try:
        found = json.loads(data, object_pairs_hook=once)
        if isinstance(found, dict):
            return found
    except (ValueError, RecursionError):
        pass
    raise Unreadable("a file is no JSON object, or too deep")

class Pack:
    """The members of a pack, read one by one and never unpacked to disk."""
    def __init__(self, path):
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            raise Unreadable("this is no evidence pack") from None
        names, self.left = self.zip.namelist(), MOST_PACK
        if len(names) != len(set(names)) or len(names) > MOST_MEMBERS:
            raise Unreadable("the pack has too many members, or one of them twice")
        for each in names:
            if not re.fullmatch(r"((events|manifests)/)?[A-Za-z0-9-]+\.(json|note|txt|py)", each):
                raise Unreadable("the pack has a member that packs do not have: %.60r" % each)

    def read(self, name):
        """A member's bytes, bounded whatever its header says. Raises: Unreadable."""
        try:
            with self.zip.open(name) as file:
                data = file.read(min(MOST_MEMBER, self.left) + 1)
        except Exception:  # noqa: BLE001 - whatever a broken member does
            raise Unreadable("the pack has no readable %s" % name) from None
        self.left -= len(data)
        if len(data) > MOST_MEMBER or self.left < 0:
            raise Unreadable("the pack is larger than packs are, at %s" % name)
        return data

class Events:
    """The events of a receipt or a pack: `listed` names each, `text` gives one as it was written."""
    def __init__(self, head, hashes, text, manifest, report):
        self.head, self.hashes, self.text, self.manifest, self.report = head, [bytes.fromhex(each) for each in hashes], text, manifest, report
        self.newest = 0

    def check(self, listed, record, patient):
        """One event: (1) its digests give its leaf, (2) the leaf lies under the head, (3) its text is of this record, in its time."""
        leaf, number = int(listed["leaf"]), int(listed["sequence"])
        where, event = "event %d of the record, leaf %d" % (number, leaf), None
        # 1.
        committed = bytes.fromhex(listed["commitment"])
        if "digests" in listed:
            digests = [bytes.fromhex(each) for each in listed["digests"]]
            text = self.text(listed)
            if text is not None:
                event = plain_json(text)
                where += ", " + str(event.get("recorded"))
                if sha256(text).digest() != digests[1]:
                    self.report.wrong(where + ": altered: the text is not the one that the log commits to")
            if sha256(b"".join(digests)).digest() != committed or {len(each) for each in digests} != {32}:
                self.report.wrong(where + ": altered: its digests do not give its commitment")
        hashed = sha256(b"\0" + committed + struct.pack(">qq", record, number)).digest()
        # 2.
        if not 0 <= leaf < self.head.size or rooted(hashed, leaf, self.head.size, [self.hashes[each] for each in listed["path"]]) != self.head.root:
            self.report.wrong(where + ": does not lie at its place under the head")
        # 3.
        if event is not None:
            self._open(event, where, patient, listed)
        return event

    def _open(self, event, where, patient, listed):
        named = {str(each.get("what", {}).get("reference")) for each in event.get("entity", ())}
        if patient and "Patient/" + patient not in named:
            self.report.wrong(where + ": is not about Patient/" + patient)
        moment = datetime.strptime(event["recorded"].replace("Z", "+0000"), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        if not self.newest - MARGIN_SECONDS <= moment <= self.head.seconds + MARGIN_SECONDS:
            self.report.wrong(where + ": dated outside of its place")
        self.newest = max(self.newest, moment)
        shown = self.manifest(listed)
        if shown is not None and sha256(shown).hexdigest() not in [each.get("valueString") for each in event.get("extension", ()) if each.get("url") == "urn:chasqui:manifest-sha256"]:
            self.report.wrong(where + ": altered: the list of what it showed is not the one that it names")

def told(head, report):
    """Say whose head it is."""
    report.fact("%s, of %s" % (head, head.origin))
    for name, seconds in head.cosigned:
        report.fact("cosigned by the witness %s at %s" % (name, when(seconds)))
    if not head.cosigned:
        report.fact("NOT cosigned by any witness whose key was given")

def verify_receipt(found, keys, seen, report):
    """A receipt: one event under a head."""
    head = signed_head(found["note"], keys)
    told(head, report)
    text = found["event"].get("text")
    events = Events(head, found["hashes"], lambda _: None if text is None else text.encode(), lambda _: None, report)
    event = events.check(found["event"], int(found["record"]), "")
    report.fact("event %s of the record, leaf %s%s" % (found["event"]["sequence"], found["event"]["leaf"], ", recorded " + event["recorded"] if event else ", not shown"))
    compare(head, seen, None, [], report)

def verify_pack(path, keys, seen, report):
    """A pack: (1) the head, (2) a head that somebody kept, (3) every event, (4) none missing from 1 to the request itself."""
    pack = Pack(path)
    found = plain_json(pack.read("proof.json"))
    # 1.
    head = signed_head(pack.read("head.note").decode(), keys)
    told(head, report)
    # 2.
    before = Head(pack.read("seen.note").decode(), keys) if found.get("seen") is not None else None
    events = Events(head, found["hashes"], lambda each: pack.read(each["text"]) if "text" in each else None,
                    lambda each: pack.read(each["manifest"]) if "manifest" in each else None, report)
    compare(head, seen, before, [events.hashes[each] for each in found.get("seen") or ()], report)
    # 3.
    opened, event = 0, None
    for place, each in enumerate(found["events"], 1):
        # 4.
        if int(each["sequence"]) != place:
            report.wrong("event %d of the record is missing: event %s stands there" % (place, each["sequence"]))
        event = events.check(each, int(found["record"]), found["patient"])
        opened += event is not None
    queries = [base64.b64decode(each["query"]).decode() for each in (event or {}).get("entity", ()) if "query" in each]
    if not any(("--case " + found["case"]) in each for each in queries):
        report.wrong("the last event is not the request for this pack, case %.60r: events may be missing at the end" % found["case"])
    report.fact("record of Patient/%s: events 1 to %d, the last one being the request for this pack, case %s" % (found["patient"], len(found["events"]), found["case"]))
    report.fact("%d shown, %d as digests alone" % (opened, len(found["events"]) - opened))

def compare(head, seen, before, path, report):
    """Hold the head against those that somebody kept."""
    for kept in [*seen, *([before] if before else [])]:
        if kept.size > head.size:
            report.wrong("%s, that was kept: it is newer than this proof's, of %d: the end was cut off, a backup restored, or the proof is old" % (kept, head.size))
        elif kept.size == head.size and kept.root != head.root:
            report.wrong("%s, that was kept: another root: the log was forked" % kept)
        elif kept.size < head.size and (before is None or (before.size, before.root) != (kept.size, kept.root)):
            report.wrong("%s, that was kept: nothing here proves that the log grew out of it: ask for a pack with --from-note" % kept)
        elif kept.size < head.size and grown(kept.size, head.size, path, kept.root if kept.size & kept.size - 1 == 0 else None) != (kept.root, head.root):
            report.wrong("%s, that was kept: the log did not grow out of it: it was forked" % kept)
        else:
            report.fact("the log grew out of the %s, that was kept" % kept)

def main():
    """Verify a file of whichever kind."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("file")
    asked.add_argument("--keys", help="verifier keys that the region published, one a line")
    asked.add_argument("--seen", action="append", default=[], help="a head that somebody kept: a witness, a newspaper, an auditor")
    asked.add_argument("--processes", type=int, default=1)
    asked = asked.parse_args()
    report = Report()
    try:
        with open(asked.file, "rb") as file:
            start = file.read(20)
        is_pack = start.startswith(b"PK")
        if not asked.keys and not is_pack:
            raise Unreadable("--keys is needed: the keys that the region published")
        with open(__file__, "rb") as file:
            report.fact("this program: SHA-256 " + sha256(file.read()).hexdigest())
        raw = open(asked.keys, "rb").read(2**20) if asked.keys else Pack(asked.file).read("keys.txt")
        keys = [Key(each) for each in raw.decode().splitlines() if each and not each.startswith("#")]
        for key in keys:
            report.fact("key of a %s: %s" % ("witness" if key.kind == 4 else "log", key.text))
        seen = [Head(open(each, encoding="utf-8", newline="\n").read(MOST_NOTE + 1), keys) for each in asked.seen]
        if is_pack:
            verify_pack(asked.file, keys, seen, report)
        elif start.startswith(b"chasqui-audit-log"):
            Log(asked.file, keys, report).verify(seen, max(1, min(asked.processes, 64)))
        else:
            with open(asked.file, "rb") as file:
                verify_receipt(plain_json(file.read(MOST_MEMBER)), keys, seen, report)
    except Wrong as wrong:
        report.wrong(str(wrong))
    except (Unreadable, OSError, UnicodeDecodeError, KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, struct.error) as failed:
        print("CANNOT READ   %s" % (failed if isinstance(failed, (Unreadable, OSError)) else "the file is not as docs/audit.md says: " + type(failed).__name__))
        return 2
    if report.wrongs:
        print("NOT VERIFIED: %d findings" % report.wrongs)
        return 1
    print("VERIFIED" + ("" if asked.keys else ", by the keys that came with the pack: compare them with those that the region published"))
    return 0

if __name__ == "__main__":
    sys.exit(main())
