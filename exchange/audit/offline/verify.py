#!/usr/bin/env python3
# fmt: off
# mypy: ignore-errors
"""Verify a Chasqui audit log, an evidence pack or a receipt: offline, with Python's standard library alone.

Usage:   python3 -I verify.py FILE [--keys KEYS.txt] [--seen NOTE]... [--processes 2]     Python 3.9 or newer
Exit:    0 verified (by keys that are those which the region published: compare them), 1 not verified, 2 cannot be read.
Spec:    RFC 8032; RFC 9162, 2.1; c2sp.org signed-note, tlog-checkpoint, tlog-cosignature; docs/audit.md, "The formats".
Leaves:  opening what is sealed: no key of the hub is needed here. One long file: it travels alone.
"""
import argparse, base64, bisect, json, multiprocessing, re, struct, sys, uuid, zipfile
from collections import deque
from datetime import datetime, timezone
from hashlib import sha256, sha512
from itertools import accumulate, islice

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
        table.append(list(accumulate([point] * 15, add, initial=(0, 1, 1, 0))))
        point = add(table[-1][-1], point)
    return table

GENERATOR = multiples(decoded(bytes.fromhex("58" + "66" * 31)))

def summed(point, table, scalar):
    """The point, and the scalar's multiple of the table's one."""
    for row in table:
        point = add(point, row[scalar & 15])
        scalar >>= 4
    return point

class Key:
    """A published key, NAME+NUMBER+BASE64: of a log (kind 1) or of a witness (kind 4)."""
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
        """Whether a signature holds: in its only form, by this key, of this message. Spec: RFC 8032, 5.1.7."""
        scalar = int.from_bytes(signature[32:], "little")
        if len(signature) != 64 or scalar >= L:
            return False
        challenge = int.from_bytes(sha512(signature[:32] + self.public + message).digest(), "little") % L
        point = summed(summed((0, 1, 1, 0), GENERATOR, scalar), self.table, challenge)
        x, y = (each * pow(point[2], P - 2, P) % P for each in point[:2])
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

def rooted(leaf, index, size, path):
    """The root that a leaf at its place and an inclusion proof give. Spec: RFC 9162, 2.1.3."""
    if size == 1 or not path:
        if size != 1 or path or index:
            raise Wrong("a proof has another length than its place needs")
        return leaf
    half = 1 << (size - 1).bit_length() - 1  # the largest power of two below the size: RFC 9162, 2.1.1
    if index < half:
        return node(rooted(leaf, index, half, path[:-1]), path[-1])
    return node(path[-1], rooted(leaf, index - half, size - half, path[:-1]))

def grown(old, size, path, old_root=None):
    """The roots of the old and of the new tree that a consistency proof gives. Spec: RFC 9162, 2.1.4."""
    if old == size or not path:
        if old != size or len(path) != (old_root is None):
            raise Wrong("a proof has another length than its heads need")
        return (old_root or path[0],) * 2
    half = 1 << (size - 1).bit_length() - 1  # the largest power of two below the size: RFC 9162, 2.1.1
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
            for key in (each for each in keys if (dash, name, raw[:4]) == ("\u2014", each.name, each.number)):
                self._take(key, raw[4:], body)

    def _take(self, key, signature, body):
        """Take a signature line. Spec: c2sp.org signed-note (an em dash); tlog-cosignature (what a witness signs)."""
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
    wrongs = 0
    def fact(self, text):
        print("        " + text)

    def wrong(self, text):
        self.wrongs += 1
        if self.wrongs <= MOST_SHOWN:
            print("WRONG   " + text)

# --- the whole log: docs/audit.md, "The formats"
HEADER = re.compile(r"chasqui-audit-log/v1\norigin ([^\n]+)\nleaves (\d{18})\nstrays (\d{18})\nheads (\d{18})\n\n")
RECORD = struct.Struct(">32s128s16sqqq16s32sB")
GONE, ERASED = 1, 2
MARKS = {4: "marked so that no search finds it", 8: "moved to another transaction", 16: "altered: it commits otherwise"}
CHUNK_LEAVES = 2**16

def wrong_in(row, low, high):
    """What is wrong with a record: it is (1) there, (2) unmarked, (3) as its leaf says, (4) in the time of its place."""
    stored, digests, place, index, _, instant, event, rest, state = row
    where = f"leaf {index}, event {uuid.UUID(bytes=event)}, {when(instant // 10**6)}: "
    if state & GONE:
        yield f"leaf {index}, event {uuid.UUID(bytes=event)}: the event was deleted"
        return
    yield from (where + text for mark, text in MARKS.items() if state & mark)
    if sha256(b"\0" + sha256(digests).digest() + place).digest() != stored:
        yield where + "altered: its digests do not give its leaf"
    if sha256(f"{uuid.UUID(bytes=event)}|{instant}|{rest.hex()}".encode()).digest() != digests[64:96]:
        yield where + "altered: its leaf commits to another id or instant, or to another way to find it"
    if not low - MARGIN_SECONDS <= instant // 10**6 <= high + MARGIN_SECONDS:
        yield where + f"dated outside of its place, between heads of {when(low)} and {when(high)}"

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
            found.append(f"leaf {first + number + shift}: not in its place: leaf {row[3]} stands there")
            shift = row[3] - first - number
        found += wrong_in(row, low, heads[0][1] if heads else 2**35)
        erased += bool(row[8] & ERASED)
        if row[2][0] < 128 and any(row[2][:8]):
            numbers += row[2] + struct.pack(">q", row[3])
        pushed(roots, number, row[0])
        while heads and heads[0][0] == first + number + 1:
            low = heads.popleft()[1]
            at_heads.append(list(roots))
    return found, roots, at_heads, bytes(numbers), erased

def check_notes(task):
    """Check the signatures of notes: of each, size, time, root, kind, number of cosignatures, and what is wrong."""
    notes, keys, origin = task
    keys, found = [Key(each) for each in keys], []
    for note in notes:
        try:
            head = signed_head(note, keys)
            wrong = "" if head.origin == origin else f"{head}: of another log"
            found.append((head.size, head.seconds, head.root, "signed", len(head.cosigned), wrong))
        except Wrong as wrong:
            found.append((0, 0, b"", "", 0, str(wrong)))
    return found

def in_order(pool, work, tasks):
    """The results of tasks in their order, with few of them under way at a time."""
    waiting = deque()
    for task in tasks:
        waiting.append(pool.apply_async(work, (task,)))
        if len(waiting) > 8:
            yield waiting.popleft().get()
    yield from (each.get() for each in waiting)

def notes_of(path, start, count):
    """The heads' notes of an exported log, one by one."""
    with open(path, "rb") as file:
        file.seek(start)
        for _ in range(count):
            length = int.from_bytes(file.read(4), "big")
            note = file.read(min(length, MOST_NOTE))
            if not note or len(note) != length:
                raise Unreadable("the exported log is cut off: export it anew")
            yield note.decode("utf-8", "replace")

def runs_of(path, start, leaves, heads):
    """Runs of leaves, each with the heads inside, the time of the head before and that of the one behind."""
    sizes, at = [each[0] for each in heads], 0
    for first in range(0, leaves, CHUNK_LEAVES):
        count, begun, low = min(CHUNK_LEAVES, leaves - first), at, heads[at - 1][1] if at else 0
        at = bisect.bisect_right(sizes, first + count)
        yield path, start + first * RECORD.size, first, count, low, [each[:2] for each in heads[begun:at + 1]]

def verify_log(path, keys, seen, processes, report):
    """An exported log: (1) its heads, (2) its leaves, the tree, the numbers, (3) its end, (4) what has no leaf."""
    with open(path, "rb") as file:
        found = HEADER.match(file.read(4096).decode("utf-8", "replace"))
        if not found:
            raise Unreadable("this is no exported audit log")
        leaves, strays, count = map(int, found.groups()[1:])
        start = len(found[0].encode())
        end = start + (leaves + strays) * RECORD.size
        if end > file.seek(0, 2):
            raise Unreadable("the exported log is cut off: export it anew")
    heads, cosigned, notes = [], 0, notes_of(path, end, count)
    with multiprocessing.Pool(processes) as pool:
        batches = iter(lambda: list(islice(notes, 500)), [])  # 1.
        tasks = ((batch, [key.text for key in keys], found[1]) for batch in batches)
        for each in (each for batch in in_order(pool, check_notes, tasks) for each in batch):
            last = heads[-1] if heads else (0, 0)
            if each[5] or each[0] <= last[0] or each[1] < last[1]:
                after = f"follows one of {last[0]}, {when(last[1])}"
                report.wrong(each[5] or f"head of {each[0]} events, {when(each[1])}: {after}")
                continue
            cosigned += each[4]
            heads.append(each[:4])
        kept = sorted((each.size, each.seconds, each.root, "kept") for each in seen)  # 2.
        check_tree(pool, path, start, leaves, sorted(heads + kept), report)
    newest = heads[-1] if heads else (0, 0)  # 3.
    report.fact(f"{leaves} events; {len(heads)} signed heads, the newest of {when(newest[1])}; {cosigned} cosignatures")
    if newest[0] != leaves:
        report.wrong(f"the newest signed head speaks of {newest[0]} events, the log holds {leaves}")
    for size, seconds, _, _ in (each for each in kept if each[0] > leaves):
        report.wrong(f"head of {size} events, {when(seconds)}, that was kept: the log holds {leaves}: "
                     "its end was cut off, or a backup restored")
    with open(path, "rb") as file:  # 4.
        file.seek(end - strays * RECORD.size)
        for row in (RECORD.unpack(file.read(RECORD.size)) for _ in range(strays)):
            event = f"{uuid.UUID(bytes=row[6])}, {when(row[5] // 10**6)}"
            report.wrong(f"event {event}: inserted: it has no leaf, though later ones have")

def check_tree(pool, path, start, leaves, heads, report):
    """Every leaf, the tree at every head, and that each record's events are numbered from 1 without a gap."""
    roots, numbered, coming, agreed, wrong, erased = [], {}, iter(heads), 0, 0, 0
    for run, part in enumerate(in_order(pool, check_leaves, runs_of(path, start, leaves, heads))):
        for each in part[0]:
            report.wrong(each)
        for partial in part[2]:
            size, seconds, root, kind = next(coming)
            is_wrong = joined(roots + partial) != root
            wrong += is_wrong
            agreed = agreed if wrong else size
            if is_wrong and (wrong == 1 or kind == "kept"):
                report.wrong(f"head of {size} events, {when(seconds)}, that was {kind}: the log has another root; "
                             f"the last head that agrees has {agreed} events")
        if len(part[1]) == 1:
            pushed(roots, run, part[1][0])
        for record, number, leaf in struct.iter_unpack(">qqq", part[3]):
            if number != numbered.get(record, 0) + 1:
                before = numbered.get(record, 0)
                report.wrong(f"leaf {leaf}: event {number} of record {record} stands after its event {before}")
            numbered[record] = number
        erased += part[4]
    report.fact(f"{len(numbered)} records have events; {erased} events are of erased records; {wrong} wrong heads")

# --- evidence packs and receipts: docs/audit.md, "The formats"
class Pack:
    """The members of a pack, read one by one and never unpacked to disk."""
    def __init__(self, path):
        try:
            self.zip, self.left = zipfile.ZipFile(path), MOST_PACK
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            raise Unreadable("this is no evidence pack") from None
        names = self.zip.namelist()
        if len(names) != len(set(names)) or len(names) > MOST_MEMBERS:
            raise Unreadable("the pack has too many members, or one of them twice")
        for each in names:
            if not re.fullmatch(r"((events|manifests)/)?[A-Za-z0-9-]+\.(json|note|txt|py)", each):
                raise Unreadable(f"the pack has a member that packs do not have: {each:.60}")

    def read(self, name):
        """A member's bytes, bounded whatever its header says. Raises: Unreadable."""
        try:
            with self.zip.open(name) as file:
                data = file.read(min(MOST_MEMBER, self.left) + 1)
        except Exception:  # noqa: BLE001 - whatever a broken member does
            raise Unreadable(f"the pack has no readable {name:.60}") from None
        self.left -= len(data)
        if len(data) > MOST_MEMBER or self.left < 0:
            raise Unreadable(f"the pack is larger than packs are, at {name:.60}")
        return data

def check_event(listed, record, head, hashes, text, report):
    """One event: its digests give its commitment, its leaf lies under the head. Gives its open form, if shown."""
    leaf, number, event = int(listed["leaf"]), int(listed["sequence"]), None
    where, committed = f"event {number} of the record, leaf {leaf}", bytes.fromhex(listed["commitment"])
    if "digests" in listed:
        digests = [bytes.fromhex(each) for each in listed["digests"]]
        if text is not None:
            event = json.loads(text)
            where += f", {event.get('recorded')}"
            if sha256(text).digest() != digests[1]:
                report.wrong(where + ": altered: the text is not the one that the log commits to")
        if sha256(b"".join(digests)).digest() != committed or [len(each) for each in digests] != [32] * 4:
            report.wrong(where + ": altered: its digests do not give its commitment")
    hashed = sha256(b"\0" + committed + struct.pack(">qq", record, number)).digest()
    path = [hashes[each] for each in listed["path"]]
    if not 0 <= leaf < head.size or rooted(hashed, leaf, head.size, path) != head.root:
        report.wrong(where + ": does not lie at its place under the head")
    return event, where

def compare(head, seen, path, report):
    """Say whose head it is; hold it against those that somebody kept: `path` proves that it grew out of the last one."""
    witnesses = [f"cosigned by the witness {name} at {when(seconds)}" for name, seconds in head.cosigned]
    for each in [f"{head}, of {head.origin}"] + (witnesses or ["NOT cosigned by any witness whose key was given"]):
        report.fact(each)
    for kept in seen:
        if kept.size > head.size:
            wrong = f"it is newer than this head of {head.size}: the log was cut or restored, or this is an old proof"
        elif kept.size == head.size:
            wrong = "" if kept.root == head.root else "another root: the log was forked"
        elif path is None or (kept.size, kept.root) != (seen[-1].size, seen[-1].root):
            wrong = "nothing here proves that the log grew out of it: ask for a pack with --from-note"
        else:
            roots = grown(kept.size, head.size, path, None if kept.size & kept.size - 1 else kept.root)
            wrong = "" if roots == (kept.root, head.root) else "the log did not grow out of it: it was forked"
        say = report.wrong if wrong else report.fact
        say(f"{kept}, that was kept: {wrong}" if wrong else f"the log grew out of the {kept}, that was kept")

def verify_receipt(found, keys, seen, report):
    """A receipt: one event under a head."""
    head = signed_head(found["note"], keys)
    compare(head, seen, None, report)
    text, hashes = found["event"].get("text"), [bytes.fromhex(each) for each in found["hashes"]]
    _, where = check_event(found["event"], int(found["record"]), head, hashes, text and text.encode(), report)
    report.fact(where + ("" if text else ", not shown"))

def verify_pack(pack, keys, seen, report):
    """A pack: (1) the head, (2) those that were kept, (3) each event, (4) none is missing up to the request itself."""
    found = json.loads(pack.read("proof.json"))
    patient, case, newest, shown, event = found["patient"], found["case"], 0, 0, {}
    head = signed_head(pack.read("head.note").decode(), keys)  # 1.
    hashes = [bytes.fromhex(each) for each in found["hashes"]]
    if "seen" in found:  # 2.
        before = Head(pack.read("seen.note").decode(), keys)
        seen = [each for each in seen if (each.size, each.root) != (before.size, before.root)] + [before]
    compare(head, seen, [hashes[each] for each in found["seen"]] if "seen" in found else None, report)
    for place, listed in enumerate(found["events"], 1):
        text = pack.read(listed["text"]) if "text" in listed else None  # 3.
        event, where = check_event(listed, int(found["record"]), head, hashes, text, report)
        if int(listed["sequence"]) != place:  # 4.
            report.wrong(f"event {place} of the record is missing: event {listed['sequence']} stands there")
        if event is None:
            continue
        shown += 1
        if f"Patient/{patient}" not in [each.get("what", {}).get("reference") for each in event.get("entity", ())]:
            report.wrong(f"{where}: is not about Patient/{patient}")
        moment = datetime.strptime(event["recorded"].replace("Z", "+0000"), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        if not newest - MARGIN_SECONDS <= moment <= head.seconds + MARGIN_SECONDS:
            report.wrong(where + ": dated outside of its place")
        newest = max(newest, moment)
        manifest = sha256(pack.read(listed["manifest"])).hexdigest() if "manifest" in listed else None
        if manifest and manifest not in [each.get("valueString") for each in event.get("extension", ())]:
            report.wrong(where + ": altered: the list of what it showed is not the one that it names")
    queries = [base64.b64decode(each["query"]).decode() for each in (event or {}).get("entity", ()) if "query" in each]
    if not any(each.endswith(f"--patient {patient} --case {case}") for each in queries):
        report.wrong(f"the last event is not the request for this pack, case {case}: events may be missing at the end")
    count = len(found["events"])
    report.fact(f"record of Patient/{patient}: events 1 to {count}, "
                f"the last one being the request for this pack, case {case}")
    report.fact(f"{shown} shown, {count - shown} as digests alone")

def verify(asked, report):
    """Verify a file of whichever kind."""
    with open(asked.file, "rb") as file, open(__file__, "rb") as program:
        start = file.read(20)
        report.fact("this program: SHA-256 " + sha256(program.read()).hexdigest())
    pack = Pack(asked.file) if start.startswith(b"PK") else None
    if not asked.keys and not pack:
        raise Unreadable("--keys is needed: the keys that the region published")
    raw = open(asked.keys, "rb").read(2**20) if asked.keys else pack.read("keys.txt")
    keys = [Key(each) for each in raw.decode().splitlines() if each and not each.startswith("#")]
    for key in keys:
        report.fact(f"key of a {'witness' if key.kind == 4 else 'log'}: {key.text}")
    seen = [Head(open(each, encoding="utf-8", newline="\n").read(MOST_NOTE + 1), keys) for each in asked.seen]
    if pack:
        verify_pack(pack, keys, seen, report)
    elif start.startswith(b"chasqui-audit-log"):
        verify_log(asked.file, keys, seen, max(1, min(asked.processes, 64)), report)
    else:
        verify_receipt(json.loads(open(asked.file, "rb").read(MOST_MEMBER)), keys, seen, report)

def main():
    """Verify, and say so by the exit code."""
    asked, report = argparse.ArgumentParser(description=__doc__.splitlines()[0]), Report()
    asked.add_argument("file")
    asked.add_argument("--keys", help="verifier keys that the region published, one a line")
    asked.add_argument("--seen", action="append", default=[], help="a head that a witness, a newspaper, an auditor kept")
    asked.add_argument("--processes", type=int, default=1)
    asked = asked.parse_args()
    try:
        verify(asked, report)
    except Wrong as wrong:
        report.wrong(str(wrong))
    except (Unreadable, OSError) as failed:
        print(f"CANNOT READ   {failed}")
        return 2
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, struct.error) as failed:
        print(f"CANNOT READ   the file is not as docs/audit.md says: {type(failed).__name__}")
        return 2
    own = "" if asked.keys else ", by the pack's own keys: compare them with those that the region published"
    print(f"NOT VERIFIED: {report.wrongs} findings" if report.wrongs else "VERIFIED" + own)
    return 1 if report.wrongs else 0

if __name__ == "__main__":
    sys.exit(main())
