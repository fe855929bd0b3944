"""Keycloak as an outside issuer: fetched once, checked against the sha256 below, on a port of its own."""

import asyncio
import json
import os
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from sandbox.stack.cache import cache_dir, sha256_of
from sandbox.stack.once import run_once
from sandbox.stack.ports import HOST
from sandbox.stack.process import Process

VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
START_TIMEOUT_S = 240.0
FETCH_TIMEOUT_S = 600.0
# In a process of its own, as Kafka's jars are: the library keeps its state in the interpreter.
FETCH_PROGRAM = """\
import jgo.maven, pathlib, sys
project = jgo.maven.MavenContext(repo_cache=pathlib.Path(sys.argv[1])).project("org.keycloak", "keycloak-quarkus-dist")
print(project.at_version(sys.argv[2]).artifact(packaging="zip").resolve())
"""
FLAGS = "-Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
SECRET = "shh"
PASSWORD = "a password at Keycloak"


async def distribution() -> Path:
    """The zip, checked."""
    command = [sys.executable, "-c", FETCH_PROGRAM, str(cache_dir("keycloak")), VERSION]
    output = await run_once(command, purpose=f"fetching Keycloak {VERSION}", timeout_s=FETCH_TIMEOUT_S)
    path = Path(output.splitlines()[-1])
    assert await asyncio.to_thread(sha256_of, path) == SHA256, f"{path} is not the Keycloak {VERSION} that is known"
    return path


def realm(*, redirect_uri: str) -> dict[str, Any]:
    """A realm with one client, which must bring PKCE, and one person whose address is verified."""
    person = {
        "username": "ada",
        "enabled": True,
        "email": "ada@keycloak.example.com",
        "emailVerified": True,
        "firstName": "Ada",
        "lastName": "Lovelace",
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
    }
    client = {
        "clientId": "faregate",
        "secret": SECRET,
        "publicClient": False,
        "standardFlowEnabled": True,
        "directAccessGrantsEnabled": True,
        "redirectUris": [redirect_uri],
        "attributes": {"pkce.code.challenge.method": "S256"},
    }
    return {"realm": "acme", "enabled": True, "sslRequired": "none", "clients": [client], "users": [person]}


@asynccontextmanager
async def running_keycloak(folder: Path, *, java: Path, port: int, redirect_uri: str) -> AsyncIterator[str]:
    """The issuer's address."""
    await asyncio.to_thread(_unpack, await distribution(), folder)
    home = folder / f"keycloak-{VERSION}"
    (home / "data" / "import").mkdir(parents=True)
    (home / "data" / "import" / "acme.json").write_text(json.dumps(realm(redirect_uri=redirect_uri)))
    arguments = ["start-dev", "--import-realm", "--db=dev-mem", f"--http-host={HOST}", f"--http-port={port}"]
    server = Process(
        name="Keycloak",
        command=["sh", str(home / "bin" / "kc.sh"), *arguments],
        log_path=folder / "keycloak.log",
        env={"PATH": os.environ["PATH"], "JAVA": str(java), "JAVA_OPTS": FLAGS, "LC_ALL": "C.UTF-8"},
        cwd=home,
    )
    issuer = f"http://{HOST}:{port}/realms/acme"
    server.start()
    try:
        async with httpx2.AsyncClient(trust_env=False) as http:
            await server.wait_until(lambda: _answers(http, issuer), timeout_s=START_TIMEOUT_S)
        yield issuer
    finally:
        await server.stop()


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)


async def _answers(http: httpx2.AsyncClient, issuer: str) -> bool:
    try:
        return (await http.get(f"{issuer}/.well-known/openid-configuration")).status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False
