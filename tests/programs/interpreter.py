#!/usr/bin/python3
"""Threads, processes, pipes, ctypes, asyncio, mappings and signals of CPython."""
import asyncio
import concurrent.futures
import ctypes
import hashlib
import json
import mmap
import multiprocessing
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading


def threads():
    work, done = queue.Queue(), []
    lock = threading.Lock()

    def worker():
        while (item := work.get()) is not None:
            digest = hashlib.sha256(b"%d" % item * 10000).hexdigest()
            with lock:
                done.append(digest)

    workers = [threading.Thread(target=worker) for _ in range(4)]
    for thread in workers:
        thread.start()
    for item in range(100):
        work.put(item)
    for _ in workers:
        work.put(None)
    for thread in workers:
        thread.join()
    return len(set(done))


def children():
    text = subprocess.run(["/bin/sh", "-c", "read line; echo got $line; exit 3"],
                          input="this\n", capture_output=True, text=True)
    return text.stdout.strip(), text.returncode


def square(number):
    return number * number


def pool():
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return sum(workers.map(square, range(100)))


def foreign():
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
    libc.qsort(numbers, 5, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    return list(numbers)


async def events():
    async def waits(ms):
        await asyncio.sleep(ms / 1000)
        return ms

    process = await asyncio.create_subprocess_shell(
        "echo echoed", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor() as executor:
        blocking = await loop.run_in_executor(executor, square, 12)
    return await asyncio.gather(waits(30), waits(10), waits(20)), output.decode().strip(), blocking


def mappings():
    with tempfile.TemporaryFile() as file:
        file.truncate(8192)
        with mmap.mmap(file.fileno(), 8192) as shared:
            shared[4096:4100] = b"kept"
        file.seek(4096)
        return file.read(4).decode()


def signals():
    seen = []
    signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not seen:
        signal.pause()
    return signal.Signals(seen[0]).name


def database():
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(folder + "/numbers.db")
        with connection:
            connection.execute("create table numbers (n integer primary key, square integer)")
            connection.executemany("insert into numbers values (?, ?)",
                                   ((n, n * n) for n in range(1000)))
        return connection.execute("select sum(square) from numbers where n % 2").fetchone()[0]


print("threads", threads())
print("children", *children())
print("pool", pool())
print("foreign", foreign())
print("events", *asyncio.run(events()))
print("mappings", mappings())
print("signals", signals())
print("database", database())
print("json", json.dumps({"cpus": os.cpu_count()}))
sys.exit(2)
