"""Fail when a tracked file names a package registry's host, or a lock file holds any address.

The hosts stand here as SHA-256, so that this file does not name them either.
"""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

HOST = re.compile(r"\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b", re.IGNORECASE)
LOCK = re.compile(r"(\.lock|requirements[^/]*|package-lock\.json|\.npmrc|pip\.conf)$")
REGISTRY_HOSTS = frozenset(Path(__file__).with_name("registry_hosts.sha256").read_text().split())


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    return [Path(line) for line in listed.stdout.splitlines() if Path(line).is_file()]


def wrong(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    found = []
    if LOCK.search(str(path)) and re.search(r"https?://", text):
        found.append(f"{path}: a lock file holds an address")
    hashed = {hashlib.sha256(match.lower().encode()).hexdigest() for match in HOST.findall(text)}
    if hashed & REGISTRY_HOSTS:
        found.append(f"{path}: names a package registry's host")
    return found


def main() -> int:
    paths = tracked()
    found = [line for path in paths for line in wrong(path)]
    sys.stderr.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"addresses: {len(paths)} files looked at, {len(found)} wrong\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
