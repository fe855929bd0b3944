"""The jars of Kafka: fetched once, checked against committed hashes on every start."""

import asyncio
import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path

from sandbox.stack.cache import cache_dir, sha256_of
from sandbox.stack.errors import StackError
from sandbox.stack.once import run_once

KAFKA_VERSION = "4.3.1"
# Kafka logs through SLF4J, and its published dependencies name no backend: without the second it says nothing.
# Resolved one by one: together, log4j's own list of versions would choose other Kafka jars.
ENDPOINTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
FETCH_TIMEOUT_S = 600
# In a process of its own: resolving is seconds of CPU work, and the library keeps its state in the interpreter.
FETCH_PROGRAM = """\
import jgo, sys
for endpoint in sys.argv[2:]:
    for jar in jgo.build(endpoint, cache_dir=sys.argv[1]).all_jars:
        print(jar)
"""


async def kafka_jars() -> list[Path]:
    """Every jar that Kafka needs, each of them checked."""
    folder = cache_dir("kafka") / KAFKA_VERSION
    hashes = committed_hashes()
    missing = [name for name in hashes if not (folder / name).exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        fetched = await _fetch()
        for name in missing:
            _take(fetched, name, digest=hashes[name], folder=folder)
    await asyncio.to_thread(_check, folder, hashes)
    return [folder / name for name in hashes]


def jars_are_cached() -> bool:
    """Whether nothing would be downloaded (contents are checked later)."""
    folder = cache_dir("kafka") / KAFKA_VERSION
    return all((folder / name).exists() for name in committed_hashes())


def committed_hashes() -> dict[str, str]:
    """File name to sha256 of every jar that Kafka is started with."""
    text = files("sandbox.stack").joinpath("kafka-jars.sha256").read_text()
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


async def _fetch() -> dict[str, Path]:
    command = [sys.executable, "-c", FETCH_PROGRAM, str(cache_dir("kafka") / "jgo"), *ENDPOINTS]
    output = await run_once(command, purpose=f"fetching the jars of Kafka {KAFKA_VERSION}", timeout_s=FETCH_TIMEOUT_S)
    return {Path(line).name: Path(line) for line in output.splitlines() if line.endswith(".jar")}


def _take(fetched: dict[str, Path], name: str, *, digest: str, folder: Path) -> None:
    source = fetched.get(name)
    if source is None or not source.exists():
        raise StackError(f"Kafka's jar {name} is not among those resolved for {' and '.join(ENDPOINTS)}")
    partial = folder / f"{name}.{os.getpid()}.part"
    shutil.copyfile(source, partial)
    if sha256_of(partial) != digest:
        partial.unlink()
        raise StackError(f"Kafka's jar {name} as fetched does not have the committed sha256 {digest}; it is not used")
    partial.replace(folder / name)


def _check(folder: Path, hashes: dict[str, str]) -> None:
    for name, digest in hashes.items():
        if sha256_of(folder / name) != digest:
            raise StackError(
                f"Kafka's jar {folder / name} does not have the committed sha256 {digest}; delete it and try again"
            )
