#!/usr/bin/env python3
"""Mutated photos, mutated bundles, fuzzed requests and broken TCP exchanges, one after the other: `make fuzz`.

The same seed gives the same inputs. What crashes, takes more than 10 s or takes more than 1.5 GB is kept in the
folder that is printed, and the code is 1. Needs Python with Pillow (Scripts/test-python); the program is FACET_PROGRAM,
or .build/release/facet.
"""

import argparse
import http.client
import io
import json
import random
import shutil
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

import facet
from facet import MEGABYTES, MODEL, PARSER, SAMPLE, SECONDS, Server, run


class Findings:
    """What went wrong, and the figures of what did not."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.faults: list[str] = []
        self.rows: list[tuple] = []

    def fault(self, text: str, data: bytes | Path | None = None) -> None:
        number = len(self.faults)
        if isinstance(data, bytes):
            (self.folder / f"{number}.bin").write_bytes(data)
        elif data is not None:
            shutil.copytree(data, self.folder / str(number), symlinks=True)
        self.faults.append(text)
        print(f"FAULT {number}: {text}", flush=True)

    def row(self, what: str, tried: int, slowest: float, megabytes: float, answers: Counter) -> None:
        self.rows.append((what, tried, slowest, megabytes, answers))
        print(f"{what}: {tried} tried, slowest {slowest:.1f} s, {megabytes:.0f} MB, {dict(answers)}", flush=True)


# --- Bytes that are changed by chance ---------------------------------------------------------------------------------


def mutate(data: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """Some of what goes wrong with files, and what is done to them."""
    bytes_ = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        if not bytes_:
            break
        place = chance.randrange(len(bytes_)) if chance.random() < 0.5 else chance.randrange(min(len(bytes_), 512))
        kind = chance.randrange(9)
        if kind == 0:
            bytes_[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            bytes_[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del bytes_[place:]
        elif kind == 3:
            del bytes_[place : place + chance.choice([1, 2, 4, 64, 4096])]
        elif kind == 4:
            run_ = bytes_[place : place + chance.choice([1, 4, 64, 4096])]
            bytes_[place:place] = run_ * chance.choice([1, 2, 50])
        elif kind == 5:
            value = chance.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, chance.getrandbits(32)])
            bytes_[place : place + 4] = struct.pack(chance.choice("<>") + "I", value)
        elif kind == 6:
            bytes_[place:place] = bytes(chance.randrange(256) for _ in range(chance.choice([1, 3, 40])))
        elif kind == 7 and other:
            start = chance.randrange(len(other))
            bytes_[place : place + 200] = other[start : start + chance.choice([4, 200, 5000])]
        else:
            bytes_[place : place + 32] = bytes(32)
        if len(bytes_) > 4 << 20:
            del bytes_[4 << 20 :]
    return bytes(bytes_)


def seeds() -> dict[str, bytes]:
    """The sample in the formats that people and programs send."""
    picture = Image.open(SAMPLE).convert("RGB").resize((256, 256))
    result = {"astronaut.jpg": SAMPLE.read_bytes()}

    def add(name, image, **options):
        buffer = io.BytesIO()
        try:
            image.save(buffer, **options)
        except (OSError, KeyError, ValueError):
            return  # this Pillow does not write it
        result[name] = buffer.getvalue()

    exif = picture.getexif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    grey, alpha, cmyk = picture.convert("L"), picture.convert("RGBA"), picture.convert("CMYK")
    add("progressive.jpg", picture, format="JPEG", progressive=True, exif=exif.tobytes(), comment=b"words")
    add("grey.jpg", grey, format="JPEG")
    add("cmyk.jpg", cmyk, format="JPEG")
    add("plain.png", picture, format="PNG")
    add("alpha.png", alpha, format="PNG")
    add("palette.png", picture.convert("P"), format="PNG")
    wide = Image.frombytes("I;16", grey.size, bytes(byte for value in grey.tobytes() for byte in (value, value)))
    add("wide.png", wide, format="PNG")
    add("lossy.webp", picture, format="WEBP", exif=exif.tobytes())
    add("lossless.webp", alpha, format="WEBP", lossless=True)
    add("animated.webp", picture, format="WEBP", save_all=True, append_images=[grey.convert("RGB")])
    for compression in (None, "tiff_deflate", "tiff_lzw", "jpeg", "group4", "packbits"):
        add(f"{compression}.tif", picture.convert("1") if compression == "group4" else picture, format="TIFF",
            compression=compression)
    add("wide.tif", wide, format="TIFF")
    add("float.tif", grey.convert("F").point(lambda value: value * (1 / 255) + 0), format="TIFF")
    add("a.avif", picture, format="AVIF")
    add("a.gif", picture, format="GIF")
    add("a.bmp", picture, format="BMP")
    add("a.ppm", picture, format="PPM")
    add("a.jp2", picture, format="JPEG2000")
    # Writers of HEIC are few: the program itself is one.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.heic")
        if run(["edit", SAMPLE, "--attribute", "Smiling=0.5", "-o", path]).status == 0:
            result["a.heic"] = path.read_bytes()
    return result


# --- Photos -----------------------------------------------------------------------------------------------------------


def photos(count: int, chance: random.Random, findings: Findings, workers: int) -> None:
    """Each by HTTP, with a render of what is taken; then all by the command line, forty a process."""
    originals = seeds()
    names = sorted(originals)
    server = Server("--photos", "10000", "--memory", "600")
    answers, slowest, batches = Counter(), 0.0, []
    folder = Path(tempfile.mkdtemp(prefix="facet-fuzz-photos-"))
    connection = server.connection(120)
    try:
        for number in range(count):
            name = names[number % len(names)]
            data = mutate(originals[name], chance, originals[chance.choice(names)])
            if number % 40 == 0:
                batches.append(folder / str(number // 40))
                batches[-1].mkdir()
            # Their endings say nothing: bytes do.
            (batches[-1] / f"{number}.{chance.choice(['jpg', 'png', 'webp', 'tif', 'heic', 'avif'])}").write_bytes(data)
            clock = server.clock()
            try:
                status, _, body = server.send("POST", "/api/photos", data, connection=connection)
                if status == 201:
                    path = f"/api/photos/{json.loads(body)['id']}"
                    edits = {"edits": [{"attribute": "Smiling", "strength": 1}]}
                    rendered, _, _ = server.send("POST", path + "/render", edits, connection=connection)
                    answers[f"render {rendered}"] += 1
                    server.send("DELETE", path, connection=connection)
                answers[str(status)] += 1
                if status >= 500 and status != 503:
                    findings.fault(f"photo of {name}: answered {status}", data)
            except (OSError, http.client.HTTPException) as error:
                findings.fault(f"photo of {name}: {error!r}; the server {'runs' if server.is_running() else 'is gone'}", data)
                if not server.is_running():
                    clock.ended.set()
                    server = Server("--photos", "10000", "--memory", "600")
                    clock = server.clock()
                connection = server.connection(120)
            seconds = clock.seconds()
            slowest = max(slowest, seconds)
            if seconds > SECONDS:
                findings.fault(f"photo of {name}: {seconds:.1f} s", data)
        if count >= 40 and not answers["201"]:
            findings.fault("no photo at all was taken: what lies behind the decoders was not tried")
        peak = server.megabytes("VmHWM")
        if peak > MEGABYTES:
            findings.fault(f"photos: the server took {peak:.0f} MB")
        findings.row("photos by HTTP", count, slowest, peak, answers)
    finally:
        if (code := server.stop()) != 0:
            findings.fault(f"the server of the photos ended with {code}")

    def edit(batch: Path):
        return batch, run(
            ["edit", batch, "--attribute", "Young=-1", "-o", str(batch) + ".out/", "--skip", "--threads", "1"],
            timeout=SECONDS * 40)

    answers, slowest, peak = Counter(), 0.0, 0.0
    with ThreadPoolExecutor(workers) as pool:
        for batch, ended in pool.map(edit, batches):
            files = len(list(batch.iterdir()))
            slowest, peak = max(slowest, ended.seconds / files), max(peak, ended.megabytes)
            answers[f"code {ended.status}"] += 1
            if ended.has_crashed or ended.megabytes > MEGABYTES:
                findings.fault(f"edit of {files} photos: {ended}", batch)
            if left := [f for f in Path(str(batch) + ".out").glob(".*")] if Path(str(batch) + ".out").exists() else []:
                findings.fault(f"edit left {left}")
    findings.row("photos by `facet edit`, 40 a process", count, slowest, peak, answers)
    shutil.rmtree(folder)


# --- Bundles ----------------------------------------------------------------------------------------------------------


def mutate_safetensors(data: bytes, chance: random.Random) -> bytes:
    """Its header as JSON, or its bytes."""
    if chance.random() < 0.4:
        return mutate(data, chance)
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    name = chance.choice(list(header))
    entry = header[name]
    kind = chance.randrange(8)
    if name == "__metadata__" and kind < 6:
        key = chance.choice(list(entry))
        entry[key] = chance.choice(["", "[]", "{}", "null", "-1", "1e999", "x" * 100_000, "\u0000\u001b[2J", entry[key][:-1]])
    elif kind == 0 and isinstance(entry, dict):
        entry["shape"] = chance.choice([[], [0], [-1], [1 << 40], [1] * 70, [2**63 - 1, 2], [1, 2, 3]])
    elif kind == 1 and isinstance(entry, dict):
        entry["data_offsets"] = chance.choice([[0, 0], [10, 2], [0, 1 << 62], [1, 5], []])
    elif kind == 2 and isinstance(entry, dict):
        entry["dtype"] = chance.choice(["F64", "F32", "I8", "BOOL", "Q4", ""])
    elif kind == 3:
        del header[name]
    elif kind == 4:
        header["x" * chance.choice([1, 5000])] = header.pop(name)
    else:
        # Numbers of another kind among the weights.
        start = 8 + length
        body = bytearray(data[start:])
        value = chance.choice([b"\x00\x7e", b"\x00\x7c", b"\xff\x7b", b"\x00\x00\xc0\x7f", b"\xff\xff\x7f\x7f"])
        for _ in range(chance.choice([1, 1000])):
            place = chance.randrange(0, len(body) - 4) & ~3
            body[place : place + len(value)] = value
        return data[:start] + bytes(body)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def mutate_json(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.4:
        return mutate(data, chance)
    value = json.loads(data)
    key = chance.choice(list(value))
    value[key] = chance.choice(
        [None, [], {}, "", -1, 0, 1, 2**31, 2**63, 1e308, "x" * 10_000, True, 10**30, [[]] * 100, "compact", "article"])
    return json.dumps(value).encode()


def bundles(count: int, chance: random.Random, findings: Findings, workers: int) -> None:
    """One file of a bundle or a parser each, looked at and edited with."""
    folder = Path(tempfile.mkdtemp(prefix="facet-fuzz-bundles-"))

    def fingerprint(data: bytes) -> str:
        """As the program has it: files of other weights are refused by it alone (Checksum.swift)."""
        words = len(data) & ~7
        value = 0xCBF29CE484222325
        for part in (*struct.unpack(f"<{words // 8}Q", data[:words]), *data[words:]):
            value = ((value ^ part) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        return f"{value:x}"

    original = f'"{fingerprint((MODEL / "model.safetensors").read_bytes())}"'.encode()

    def prepare(number: int):
        source = PARSER if number % 6 == 5 else MODEL
        target = folder / str(number)
        shutil.copytree(source, target)
        for file in target.iterdir():
            file.chmod(0o644)
        file = chance.choice(sorted(f for f in target.iterdir() if f.name != "card.md"))
        data = file.read_bytes()
        file.write_bytes(mutate_json(data, chance) if file.suffix == ".json" else mutate_safetensors(data, chance))
        if source == MODEL and file.name == "model.safetensors":
            bound = target / "attributes.safetensors"
            other = f'"{fingerprint(file.read_bytes())}"'.encode().ljust(len(original))
            bound.write_bytes(bound.read_bytes().replace(original, other))
        return source, target, file.name

    def attempt(made):
        source, target, name = made
        output = str(target) + ".png"
        if source == PARSER:
            commands = [["parse", SAMPLE, "--parser", target, "-o", str(target) + ".maps"]]
        else:
            commands = [["info", target], ["edit", SAMPLE, "--model", target, "--attribute", "Eyeglasses=1", "-o", output]]
        return made, [run([*command, *(["--threads", "1"] if command[0] != "info" else [])]) for command in commands]

    answers, slowest, peak = Counter(), 0.0, 0.0
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, 40):
            made = [prepare(number) for number in range(start, min(count, start + 40))]
            for (source, target, name), ended in pool.map(attempt, made):
                for end in ended:
                    slowest, peak = max(slowest, end.seconds), max(peak, end.megabytes)
                    answers[f"code {end.status}"] += 1
                    if end.has_crashed or end.seconds > SECONDS * workers or end.megabytes > MEGABYTES:
                        findings.fault(f"bundle with another {name}: {end}", target)
                shutil.rmtree(target)
    if count >= 40 and not answers["code 0"]:
        findings.fault("no bundle at all was taken: what lies behind the first check was not tried")
    findings.row("bundles and parsers", count, slowest, peak, answers)
    shutil.rmtree(folder)


# --- Requests ---------------------------------------------------------------------------------------------------------

ATTRIBUTES = ["Smiling", "Young", "Male", "Blond_Hair", "Eyeglasses", "Mustache", "nothing", "", "x" * 300, "\u0000"]
STRENGTHS = [0, 1, -1, 3, -3, 0.5, -0.0, 3.01, 1e308, "1", None, True, []]


def mostly(right: list, count: int, chance: random.Random):
    """One of the first, which are right; now and then any: a request has many parts, and one wrong part ends it."""
    return chance.choice(right if chance.random() < 0.05 else right[:count])


def value(chance: random.Random, depth: int = 0):
    """Anything that JSON can say."""
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return chance.choice([None, True, False])
    if kind == 1:
        return chance.choice([0, 1, -1, 31, 32, 2048, 2049, 2**31, 2**63, -(2**63), 10**30])
    if kind == 2:
        return chance.choice([0.5, 1e308, -1e-308, 3.0000001])
    if kind <= 5:
        return chance.choice(["", "jpeg", "webp", "png", "heic", "0", "\u0000", "é\u202e", "x" * chance.choice([1, 70, 5000])])
    if kind <= 7:
        return [value(chance, depth + 1) for _ in range(chance.choice([0, 1, 2, 70]))]
    return {chance.choice(["edits", "face", "x", ""]): value(chance, depth + 1) for _ in range(chance.randrange(4))}


def edit(chance: random.Random) -> dict:
    result = {"attribute": mostly(ATTRIBUTES, 6, chance)}
    # One of the two says how far.
    if chance.random() < 0.8:
        result["strength"] = mostly(STRENGTHS, 7, chance)
    if "strength" not in result or chance.random() < 0.05:
        result["probability"] = mostly([0, 1, 0.5, 1.5, -1, "x"], 3, chance)
    if chance.random() < 0.3:
        result["face"] = mostly([0, 1, -1, 2**40, "0"], 1, chance)
    return result


def request(chance: random.Random, ids: list[str]):
    """A request that is mostly right."""
    photo = mostly(ids + ["AAAAAAAAAAAAAAAAAAAAAA", "x", "%2e%2e", ""], len(ids), chance)
    size, format_ = mostly([64, 256, 31, "x", 2048], 2, chance), mostly(["jpeg", "webp", "x"], 2, chance)
    words = mostly(["older,%20glasses", "no%20beard", "%00", "%ff", "", "a" * 5000, ",;" * 100], 2, chance)
    # What a path takes; what it needs comes first.
    path, needed, others = chance.choice(
        [
            (f"/api/photos/{photo}/preview", "", "edits keep size format region stream sequence"),
            (f"/api/photos/{photo}/render", "", "edits keep size format quality keepLocation"),
            (f"/api/photos/{photo}/spectrum", "attribute", "face edits keep strengths size format"),
            (f"/api/photos/{photo}/tiles", "tiles", "face keep size format"),
            (f"/api/photos/{photo}/inspect", "", "face edits keep"),
            (f"/api/photos/{photo}/animation", "", "edits keep size frames milliseconds format"),
            ("/api/morph", "from to", "frames milliseconds thereAndBack size format"),
            ("/api/photos/random", "", "seed"),
            (f"/api/edit?{mostly(ATTRIBUTES[:6], 6, chance)}={mostly([1, -1, 4, 'x'], 2, chance)}&size={size}", "photo", ""),
            (f"/api/photos/{photo}/picture?size={size}&format={format_}", "", ""),
            (f"/api/photos/{photo}", "", ""),
            (f"/api/understand?text={words}", "", ""),
        ]
    )
    good = {
        "size": lambda: chance.choice([32, 64, 256]), "format": lambda: mostly(["jpeg", "webp", "png", "gif"], 2, chance),
        "region": lambda: {"x": chance.randrange(400), "y": 0, "width": mostly([1, 64, 600], 2, chance), "height": 64},
        "stream": lambda: "s", "sequence": lambda: chance.randrange(1_000_000),
        "quality": lambda: mostly([1, 80, 100, 101], 3, chance), "keepLocation": lambda: True,
        "attribute": lambda: mostly(ATTRIBUTES, 6, chance), "seed": lambda: mostly([0, 7, -1], 2, chance),
        "strengths": lambda: [mostly(STRENGTHS, 7, chance) for _ in range(mostly([1, 3, 0, 14], 2, chance))],
        "face": lambda: mostly([0, 1, -1], 1, chance), "frames": lambda: mostly([2, 3, 61], 2, chance),
        "milliseconds": lambda: mostly([10, 1000, 1001], 2, chance), "thereAndBack": lambda: False,
        "from": lambda: {"photo": chance.choice(ids), "edits": [edit(chance)]},
        "to": lambda: {"photo": chance.choice(ids), "face": mostly([0, 9], 1, chance)},
        "edits": lambda: [edit(chance) for _ in range(mostly([0, 1, 2, 300], 3, chance))],
        "keep": lambda: [mostly(ATTRIBUTES, 6, chance) for _ in range(mostly([0, 2, 41], 2, chance))],
        "tiles": lambda: [
            [{"attribute": mostly(ATTRIBUTES, 6, chance), "strength": mostly(STRENGTHS, 7, chance)}]
            for _ in range(mostly([1, 3, 0, 25], 2, chance))
        ],
    }
    body = {}
    if needed == "photo":
        return "POST", path, mutate(SAMPLE.read_bytes(), chance) if chance.random() < 0.5 else SAMPLE.read_bytes(), {}
    for name in needed.split() + [name for name in others.split() if chance.random() < 0.5]:
        body[name] = good[name]() if chance.random() < 0.97 else value(chance)
    if chance.random() < 0.03:
        body[chance.choice(["x", "Edits", ""])] = value(chance)
    text = json.dumps(body).encode()
    if chance.random() < 0.1:
        text = mutate(text, chance)
    method = "POST" if needed or others else "GET"
    if chance.random() < 0.05:
        method = chance.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "FOO"])
    headers = {"Content-Type": "application/json" if chance.random() < 0.95 else "text/plain"}
    if chance.random() < 0.05:
        headers[chance.choice(["Origin", "Sec-Fetch-Site", "Authorization", "Range", "Expect", "Cookie"])] = chance.choice(
            ["null", "x" * 4000, "cross-site", "100-continue", "bytes=0-1"])
    return method, path, None if method in ("GET", "HEAD") else text, headers


def requests(count: int, chance: random.Random, findings: Findings) -> None:
    server = Server()
    answers, slowest = Counter(), 0.0
    try:
        _, _, body = server.send("POST", "/api/photos/sample")
        ids = [json.loads(body)["id"], json.loads(server.send("POST", "/api/photos/random", {"seed": 3})[2])["id"]]
        connection = server.connection(120)
        for number in range(count):
            method, path, body, headers = request(chance, ids)
            clock = server.clock()
            try:
                status, _, answer = server.send(method, path, body, headers, connection=connection)
                answers[str(status)] += 1
                if status >= 500 and status not in (503, 501):
                    findings.fault(f"{method} {path[:80]}: {status} {answer[:200]!r}", body or b"")
            except (OSError, http.client.HTTPException, ValueError) as error:
                answers[type(error).__name__] += 1
                connection.close()
                connection = server.connection(120)
                if not server.is_running():
                    findings.fault(f"{method} {path[:80]}: the server is gone", body or b"")
                    return
            if status == 201:
                server.send("DELETE", f"/api/photos/{json.loads(answer)['id']}")
            if status == 204 or number % 100 == 99:
                # What was deleted is made again.
                _, _, answer = server.send("POST", "/api/photos/sample")
                if b'"id"' in answer:
                    ids[0] = json.loads(answer)["id"]
            seconds = clock.seconds()
            slowest = max(slowest, seconds)
            if seconds > SECONDS:
                findings.fault(f"{method} {path[:80]}: {seconds:.1f} s", body or b"")
        peak = server.megabytes("VmHWM")
        if peak > MEGABYTES:
            findings.fault(f"requests: the server took {peak:.0f} MB")
        findings.row("requests", count, slowest, peak, answers)
    finally:
        if (code := server.stop()) != 0:
            findings.fault(f"the server of the requests ended with {code}")


# --- Broken exchanges -------------------------------------------------------------------------------------------------

HOST = b"Host: localhost\r\n"
BROKEN = [
    b"", b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET", b"GET /",
    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % i for i in range(2000)) + b"\r\n",
    b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /%ff%fe HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade\r\n\r\n",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\n",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nhalf",
    b"POST /nothing HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nhalf",
    b"POST /api/photos HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    (b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n") * 200,
    b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n" + b"\xff" * 5000,
]


def exchanges(count: int, chance: random.Random, findings: Findings) -> None:
    """Each is sent in one of some ways and broken off in one of some; somebody else is answered meanwhile."""
    server = Server()
    answers, slowest, left = Counter(), 0.0, []
    try:
        for number in range(count):
            text = BROKEN[number % len(BROKEN)]
            if number >= len(BROKEN):
                text = mutate(text, chance)
            connection = server.socket()
            way, end = chance.choice(["whole", "bytes"]), chance.choice(["reset", "close", "half", "open"])
            try:
                if way == "bytes" and len(text) < 300:
                    for byte in text:
                        connection.sendall(bytes([byte]))
                else:
                    connection.sendall(text)
            except OSError:
                pass  # the server has had enough
            if end == "reset":
                facet.reset(connection)
            elif end == "close":
                connection.close()
            elif end == "half":
                try:
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(1)
                    answer = connection.recv(100)
                    answers[answer[9:12].decode(errors="replace") or "closed"] += 1
                except OSError:
                    answers["nothing"] += 1
                connection.close()
            else:
                left.append(connection)
            answers[end] += 1
            seconds = server.health()
            if seconds is None or not server.is_running():
                findings.fault(f"exchange {number} ({way}, {end}): nobody else was answered", text)
                return
            slowest = max(slowest, seconds)
            if seconds > SECONDS:
                findings.fault(f"exchange {number}: somebody else waited {seconds:.1f} s", text)
        for connection in left:
            connection.close()
        peak = server.megabytes("VmHWM")
        if peak > MEGABYTES:
            findings.fault(f"exchanges: the server took {peak:.0f} MB")
        findings.row("broken exchanges", count, slowest, peak, answers)
    finally:
        if (code := server.stop()) != 0:
            findings.fault(f"the server of the exchanges ended with {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("photos", 2000), ("bundles", 600), ("requests", 2000), ("exchanges", 60)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"how many (default {default})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="commands at once")
    options = parser.parse_args()
    findings = Findings(Path(tempfile.mkdtemp(prefix="facet-fuzz-")))
    chance = random.Random(options.seed)
    if options.photos:
        photos(options.photos, chance, findings, options.workers)
    if options.bundles:
        bundles(options.bundles, chance, findings, options.workers)
    if options.requests:
        requests(options.requests, chance, findings)
    if options.exchanges:
        exchanges(options.exchanges, chance, findings)
    print("\n| what | tried | slowest | memory |\n|---|---|---|---|")
    for what, tried, slowest, megabytes, _ in findings.rows:
        print(f"| {what} | {tried} | {slowest:.1f} s | {megabytes:.0f} MB |")
    print(f"\n{len(findings.faults)} faults" + (f", their inputs in {findings.folder}" if findings.faults else ""))
    sys.exit(bool(findings.faults))


main()
