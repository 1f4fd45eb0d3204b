"""What the parts of the local cloud share: where it lies, what is in it, and how its emulators are spoken with."""

import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = Path(sys.prefix)
REGION = "us-east-1"
REGIONS = f"{REGION},us-west-2"
STACK = "cml-fleet"
ARCH = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())  # as Lambda calls it
NOT_RUNNING = "The local cloud is not running: make up"


class Failure(Exception):
    """Something a person can understand and mend: one sentence, no traceback."""


def say(text):
    print(text, flush=True)


def shown(path):
    return os.path.relpath(path, ROOT)


def client(service, port):
    """A client of the emulator that listens on this port."""
    import boto3  # here, because it takes long and not every command needs it

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION, **keys)


def environment_of(port):
    """What AWS tools need to know to speak with the emulator, and nothing of the user's own account."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAM_"))}
    return {
        **clean,
        **({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"} if port else {}),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_CHECK_NEWER_VERSION": "0",
    }
