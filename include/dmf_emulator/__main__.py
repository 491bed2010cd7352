"""`python -m dmf_emulator` and the command `dmf-emulator`: run the emulator until it is stopped."""

from __future__ import annotations

import sys

_LIBRARIES = {"cryptography": "cryptography", "jwt": "PyJWT", "yaml": "PyYAML"}


def command() -> int:
    """Run the command `dmf-emulator`, whose ports are the same at each start unless they are chosen.

    :returns: its exit status.
    """
    return _run("dmf-emulator", fixed_ports=True)


def _run(program: str, *, fixed_ports: bool) -> int:
    try:
        # Not at the top: without a library people get a sentence, not a traceback.
        from dmf_emulator.command_line import main
    except ModuleNotFoundError as error:
        package = _LIBRARIES.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        print(f"{program}: the library {package} is missing; install it with `pip install {package}`", file=sys.stderr)
        return 2
    return main(program=program, fixed_ports=fixed_ports)


if __name__ == "__main__":
    sys.exit(_run("python -m dmf_emulator", fixed_ports=False))
