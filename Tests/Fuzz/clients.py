#!/usr/bin/env python3
"""Many clients at once, a quarter of them hostile, and every picture compared with the one made alone: `make soak`.

A picture is wrong where more than one value in a thousand is off by more than 2 of 255: batches of other sizes round in
other ways. Prints the memory by time, answers and times, and ends with code 1 where a picture is wrong, an answer is 500,
memory grows or `/health` takes more than 200 ms in the 99th percentile. Clients run at the lowest priority, as on other
machines; a process of its own asks for `/health`, which would else wait for them.
"""

import argparse
import http.client
import io
import json
import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter, defaultdict

from PIL import Image, ImageChops

from facet import SAMPLE, Server, quantile, reset

ATTRIBUTES = ["Smiling", "Young", "Eyeglasses", "Blond_Hair", "Male", "Mustache", "Pale_Skin", "Bangs"]
STRENGTHS = [-1, -0.5, 0.5, 1]


class Load:
    def __init__(self, server: Server):
        self.server = server
        self.lock = threading.Lock()
        self.answers, self.times, self.wrong, self.faults = Counter(), defaultdict(list), 0, []
        self.compared, self.until = 0, 0.0
        self.alone: dict[tuple, Image.Image] = {}

    def picture(self, key: tuple, photo: str, connection) -> bytes | None:
        attribute, strength, size = key
        body = {"edits": [{"attribute": attribute, "strength": strength}], "size": size}
        start = time.monotonic()
        status, headers, data = self.server.send("POST", f"/api/photos/{photo}/preview", body, connection=connection)
        with self.lock:
            self.answers[status] += 1
            self.times["preview"].append(time.monotonic() - start)
            if status == 503 and "Retry-After" not in headers:
                self.faults.append("503 without Retry-After")
            if status >= 500 and status != 503:
                self.faults.append(f"preview: {status}")
        if status == 503:
            time.sleep(0.2)
        return data if status == 200 else None

    def good(self, photo: str, seed: int) -> None:
        """Moves sliders, and looks at what comes."""
        chance = random.Random(seed)
        connection = self.server.connection(120)
        while time.monotonic() < self.until:
            key = chance.choice(list(self.alone))
            try:
                data = self.picture(key, photo, connection)
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.answers[type(error).__name__] += 1
                connection.close()
                connection = self.server.connection(120)
                continue
            if data is None:
                continue
            off = ImageChops.difference(Image.open(io.BytesIO(data)).convert("RGB"), self.alone[key])
            counts = [sum(band) for band in zip(*(off.getchannel(c).histogram() for c in range(3)))]
            with self.lock:
                self.compared += 1
                if sum(counts[3:]) > sum(counts) / 1000:
                    self.wrong += 1

    def hostile(self, seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < self.until:
            try:
                kind = chance.randrange(6)
                if kind == 0:  # half an upload, then nothing for a while, then gone
                    connection = self.server.socket()
                    connection.sendall(b"POST /api/photos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n")
                    for _ in range(chance.randrange(20)):
                        connection.sendall(b"x")
                        time.sleep(0.2)
                    reset(connection)
                elif kind == 1:  # an answer that nobody reads
                    connection = self.server.socket()
                    connection.sendall(b"GET /main.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40)
                    time.sleep(chance.random() * 3)
                    reset(connection)
                elif kind == 2:  # garbage
                    connection = self.server.socket()
                    connection.sendall(bytes(chance.randrange(256) for _ in range(500)))
                    connection.close()
                elif kind == 3:  # a photo that is none
                    self.server.send("POST", "/api/photos", SAMPLE.read_bytes()[: chance.randrange(50_000)])
                elif kind == 4:  # a request that cannot be
                    self.server.send("POST", "/api/photos/x/preview", {"edits": [{"attribute": "x" * 5000}] * 60})
                else:  # a photo that goes again
                    status, _, body = self.server.send("POST", "/api/photos/random", {"seed": seed})
                    if status == 201:
                        self.server.send("DELETE", f"/api/photos/{json.loads(body)['id']}")
                with self.lock:
                    self.answers["hostile"] += 1
            except (OSError, http.client.HTTPException, ValueError):
                with self.lock:
                    self.answers["hostile, refused"] += 1
                time.sleep(0.05)

    def health(self, times) -> None:
        while time.monotonic() < self.until:
            seconds = self.server.health(timeout=30)
            times.put(30.0 if seconds is None else seconds)
            time.sleep(0.2)
        times.put(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--token", action="store_true", help="with a token, which hostile clients do not know")
    options = parser.parse_args()
    server = Server("--photos", "1000")
    load = Load(server)
    _, _, body = server.send("POST", "/api/photos", SAMPLE.read_bytes())
    photo = json.loads(body)["id"]
    for attribute in ATTRIBUTES:
        for strength in STRENGTHS:
            key = (attribute, strength, 256)
            load.alone[key] = Image.open(io.BytesIO(load.picture(key, photo, None))).convert("RGB")
    load.answers.clear()
    load.times.clear()
    load.until = time.monotonic() + options.minutes * 60
    process = multiprocessing.get_context("fork")
    health = process.Queue()
    process.Process(target=load.health, args=(health,)).start()
    # The server keeps its priority.
    os.nice(19 - os.nice(0))
    hostile = options.clients // 4
    threads = [threading.Thread(target=load.good, args=(photo, i)) for i in range(options.clients - hostile)]
    threads += [threading.Thread(target=load.hostile, args=(i,)) for i in range(hostile)]
    for thread in threads:
        thread.start()
    memory = []
    while time.monotonic() < load.until:
        time.sleep(min(10, options.minutes * 6))
        memory.append(server.megabytes())
    for thread in threads:
        thread.join()
    load.times["health"] = list(iter(health.get, None))
    peak, runs = server.megabytes("VmHWM"), server.is_running()
    code = server.stop()
    early, late = memory[len(memory) // 4 : len(memory) // 2] or memory, memory[-len(memory) // 4 :]
    grows = max(late) > 1.25 * max(early) + 50
    slow = quantile(load.times["health"], 0.99)
    print(f"{options.clients} clients, {hostile} hostile, {options.minutes} minutes: {dict(load.answers)}")
    print(f"{load.compared} pictures compared, {load.wrong} wrong; faults: {Counter(load.faults) or 'none'}")
    for name, times in load.times.items():
        print(f"{name}: p50 {quantile(times, 0.5):.3f} s, p95 {quantile(times, 0.95):.3f} s, p99 {quantile(times, 0.99):.3f} s")
    print(f"memory: {' '.join(f'{m:.0f}' for m in memory)} MB, peak {peak:.0f}; server {'ran' if runs else 'was gone'}, code {code}")
    failures = [
        text
        for text, is_so in [
            ("a picture was wrong", load.wrong), ("nothing was compared", not load.compared), ("an answer was a fault", load.faults),
            ("memory grows", grows), ("health took over 200 ms", slow > 0.2), ("the server was gone", not runs or code),
        ]
        if is_so
    ]
    print("; ".join(failures) or "all as it should be")
    sys.exit(bool(failures))


main()
