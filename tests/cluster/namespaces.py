"""A network of this process' own, in which the services have addresses and names, and which ends with it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_REC, _MS_PRIVATE, _MS_BIND = 0x4000, 0x40000, 0x1000
_SUBNET = "10.231.0"
# Where the containers find what this process serves.
OUTSIDE = f"{_SUBNET}.1"
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, options: bytes | None = None) -> None:
    outcome = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options)
    _checked(outcome, f"mount {target}")


def ip(*arguments: str) -> None:
    """Run `ip`.

    :param arguments: of it.
    """
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def enter() -> None:
    """Give this process a network and mounts of its own, once and for good. Needs root."""
    if _entered.done:
        return
    _checked(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET), "unshare")
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    os.makedirs("/run/netns", exist_ok=True)
    _mount("tmpfs", "/run/netns", "tmpfs", 0)
    ip("link", "set", "lo", "up")
    ip("link", "add", "cluster", "type", "bridge")
    ip("address", "add", f"{OUTSIDE}/24", "dev", "cluster")
    ip("link", "set", "cluster", "up")
    _entered.done = True


class _Entered:
    done = False


_entered = _Entered()


def address_of(number: int) -> str:
    """Return the address of the container of a number.

    :param number: from 0.
    """
    return f"{_SUBNET}.{10 + number}"


def add_network(name: str, number: int) -> None:
    """Make the network of a container, and connect it with the others.

    :param name: of the container.
    :param number: of the container.
    """
    ip("netns", "add", name)
    ip("link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
    ip("link", "set", f"v{number}", "master", "cluster", "up")
    ip("-netns", name, "address", "add", f"{address_of(number)}/24", "dev", "eth0")
    ip("-netns", name, "link", "set", "eth0", "up")
    ip("-netns", name, "link", "set", "lo", "up")


def remove_network(name: str) -> None:
    """Remove the network of a container.

    :param name: of the container.
    """
    ip("netns", "delete", name)


def use_names(path: Path, names: Iterable[tuple[str, list[str]]]) -> None:
    """Let this process and its containers find each other by name.

    :param path: where the table is written.
    :param names: address and its names.
    """
    lines = ["127.0.0.1 localhost", *(f"{address} {' '.join(each)}" for address, each in names)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o644)
    _mount(str(path), "/etc/hosts", "", _MS_BIND)


def mount_memory(path: Path, size_mib: int) -> None:
    """Put a small file system of its own at a folder; any user of group 0 may write to it.

    :param path: the folder; made when it is not there.
    :param size_mib: its size.
    """
    path.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", str(path), "tmpfs", 0, f"size={size_mib}m,mode=0775,gid=0".encode())
