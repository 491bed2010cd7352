"""Writes `.env` for docker-compose.yaml with keys that nobody else has: `make env`.

With `--secrets FOLDER` the keys go into files of that folder instead, as docker-compose.secrets.yaml mounts them.
Needs Python's standard library only.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import secrets
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
_EMPTY = re.compile(r"^(?P<name>[A-Z_]+)=$", re.MULTILINE)


def fresh_keys() -> dict[str, str]:
    """Return a value for each empty line of `.env.example`."""
    names = ("JWT_SECRET", "API_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD")
    keys = {name: secrets.token_hex(32) for name in names}
    keys["FERNET_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    keys["ADMIN_PASSWORD"] = secrets.token_urlsafe(15)
    return keys


def secret_files(keys: dict[str, str]) -> dict[str, str]:
    """Return the content of each file that docker-compose.secrets.yaml mounts.

    :param keys: from `fresh_keys`.
    """
    files = {name.lower(): value for name, value in keys.items()}
    database = f"postgresql+psycopg2://airflow:{keys['POSTGRES_PASSWORD']}@postgres/airflow"
    files |= {"database_url": database, "result_backend_url": f"db+{database}"}
    files["broker_url"] = f"redis://:{keys['REDIS_PASSWORD']}@redis:6379/0"
    return files


def write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that was not there.

    :param path: where to.
    :param text: what.
    :param mode: permissions.
    :raises FileExistsError: when it is there.
    """
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    path.chmod(mode)


def write(output: Path, secrets_folder: Path | None) -> None:
    """Write `.env`, and the files of secrets.

    :param output: where `.env` goes.
    :param secrets_folder: where the secrets go, if not into `.env`.
    :raises FileExistsError: when one of them is there already.
    """
    keys = fresh_keys()
    template = (PROJECT / ".env.example").read_text(encoding="utf-8")
    values = keys if secrets_folder is None else dict.fromkeys(keys, "in-a-file")
    text = _EMPTY.sub(lambda match: f"{match['name']}={values[match['name']]}", template)
    # A file on Linux belongs to a number: with one's own, what the containers write can be read by oneself.
    if os.getuid() != 0:
        text = text.replace("#AIRFLOW_UID=50000", f"AIRFLOW_UID={os.getuid()}")
    if secrets_folder is not None:
        relative = os.path.relpath(secrets_folder, output.parent)
        text += f"\nSECRETS_DIR=./{relative}\nCOMPOSE_FILE=docker-compose.yaml:docker-compose.secrets.yaml\n"
        # Nobody else can enter the folder; in the containers any user id has to be able to read the files.
        secrets_folder.mkdir(mode=0o700)
        for name, value in secret_files(keys).items():
            write_new(secrets_folder / name, value, 0o444)
    write_new(output, text, 0o600)


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PROJECT / ".env", help="the file to write (default: .env)")
    parser.add_argument("--secrets", type=Path, metavar="FOLDER", help="write the keys into files of this folder")
    options = parser.parse_args()
    for path in filter(None, (options.output, options.secrets)):
        if path.exists():
            print(
                f"{path} is there already and stays as it is: its keys open a database. Move it away to get new ones.",
                file=sys.stderr,
            )
            return 1
    write(options.output, options.secrets)
    print(f"{options.output} is written; the administrator's password stands in it as ADMIN_PASSWORD."
          if options.secrets is None else
          f"{options.output} and {options.secrets} are written; the administrator's password is in "
          f"{options.secrets / 'admin_password'}.")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
