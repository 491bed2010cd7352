"""Looks for inputs that break a parser: `make fuzz`. For a bounded time, other inputs each time.

First the properties of the tests, which hypothesis tries with its profile `long`; then, where atheris can be installed,
the targets of `tests/fuzz/targets.py`, by what of the code each input reaches. An input that breaks one is printed, and
written to `.local/fuzz`; it belongs into `tests/unit/test_fuzz_targets.py` or an `@example`. If there was one, the exit
status is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FOUND = PROJECT / ".local" / "fuzz"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(str(PROJECT / name) for name in ("plugins", "include", "."))}
# An input may take so long, and so much memory, before it counts as one that breaks a parser.
LONGEST_SECONDS, MOST_MEGABYTES = 10, 1024


def try_properties(seconds: float) -> bool:
    """Try the properties until the time is over; whether one was broken.

    :param seconds: how long.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "hypothesis", "--hypothesis-profile", "long"]
    command += ["--hypothesis-seed", str(time.time_ns()), "--no-header", "tests/unit"]
    try:
        done = subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    # 5: there was none.
    return done.returncode not in {0, 5}


def try_target(name: str, seconds: float) -> bool:
    """Give a target to atheris, in a process of its own; whether an input broke it.

    :param name: of the target.
    :param seconds: how long.
    """
    command = [sys.executable, __file__, "--target", name, "--seconds", str(int(seconds))]
    return subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, check=False).returncode != 0


def run_target(name: str, seconds: int) -> None:
    """Run a target in this process.

    :param name: of the target.
    :param seconds: how long.
    """
    import atheris

    with atheris.instrument_imports(include=["talent_dmf"]):
        from tests.fuzz.targets import TARGETS
    (target,) = [each for each in TARGETS if each.__name__ == name]
    corpus = FOUND / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-timeout={LONGEST_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}"]
    options += ["-max_len=4096", "-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={FOUND}/{name}-"]
    atheris.Setup([name, *options, str(corpus)], target)
    atheris.Fuzz()


def main() -> int:
    """Try the properties and the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=480, help="how long in all (default: 480)")
    parser.add_argument("--target", help="only this target, in this process")
    options = parser.parse_args()
    FOUND.mkdir(parents=True, exist_ok=True)
    if options.target:
        run_target(options.target, options.seconds)
        return 0
    with_atheris = importlib.util.find_spec("atheris") is not None
    broken = try_properties(options.seconds / 2 if with_atheris else options.seconds)
    print(f"properties: {'BROKEN' if broken else 'none was broken'}", flush=True)
    if not with_atheris:
        print("atheris is not installed: the targets were tried with the inputs of the properties only")
        return int(broken)
    sys.path[:0] = ENVIRONMENT["PYTHONPATH"].split(os.pathsep)
    from tests.fuzz.targets import TARGETS

    names = [target.__name__ for target in TARGETS]
    failed = [name for name in names if try_target(name, max(2.0, options.seconds / 2 / len(names)))]
    print(f"targets: {'BROKEN: ' + ', '.join(failed) if failed else 'none was broken'}")
    return int(broken or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
