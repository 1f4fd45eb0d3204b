"""The processes of one local cloud: MiniStack, and moto with the pulse."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from ground import HERE, REGION, REGIONS, STACK, Failure, environment_of, say, shown


class Emulators:
    """What is known of them is in state.json: process ids, ports, and the webhooks that the stack is to tell."""

    def __init__(self, folder, ports, webhooks):
        self.folder = folder
        self.ports_wanted = ports
        self.webhooks = webhooks
        self.state_file = folder / "state.json"

    def state(self):
        try:
            return json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return None

    def running(self):
        """The state of a cloud all of whose processes live and answer, or None."""
        state = self.state()
        if not state or not all(is_ours(pid, script) for script, pid in state["pids"].items()):
            return None
        urls = [f"http://127.0.0.1:{state['ports'][0]}/_ministack/health", f"http://127.0.0.1:{state['ports'][2]}/"]
        return state if all(answers(url, 5) for url in urls) else None

    def ports(self):
        if self.ports_wanted == "free":
            return free_ports(3)
        first = int(self.ports_wanted)
        for port, what in zip(range(first, first + 3), ("MiniStack", "moto", "the pulse")):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    raise Failure(
                        f"Port {port}, which {what} needs, is in use. Free it, or choose three others that follow each other: make up PORT=14566"
                    ) from None
        return [first, first + 1, first + 2]

    def start(self):
        ministack, moto, pulse = ports = self.ports()
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        state = {"ports": ports, "pids": {}, "webhooks": self.webhooks}
        environment = {
            **os.environ,
            **environment_of(ministack),
            # What MiniStack hands on to the functions: everything is MiniStack's, but for EC2.
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ministack}",
            "AWS_ENDPOINT_URL_EC2": f"http://127.0.0.1:{moto}",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(ministack),
            # Listeners of its own that nobody here wants, on fixed ports and every interface.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "MINISTACK_REGION": REGION,
            "LOG_LEVEL": "INFO",
            "TMPDIR": str(self.folder / "tmp"),
            "STATE_DIR": str(self.folder / "tmp" / "state"),
            "S3_DATA_DIR": str(self.folder / "tmp" / "s3"),
            "PYTHONUNBUFFERED": "1",
        }
        commands = {
            "emulate_aws.py": [],
            "pulse.py": [
                "--moto-port", str(moto), "--port", str(pulse), "--ministack", f"http://127.0.0.1:{ministack}",
                "--stack", STACK, "--stack-region", REGION, "--regions", REGIONS,
            ],
        }  # fmt: skip
        say(f"Starting MiniStack (port {ministack}), moto (port {moto}) and the pulse (port {pulse}) ...")
        started = {}
        for script, arguments in commands.items():
            with open(self.folder / f"{Path(script).stem}.log", "wb") as log:
                started[script] = subprocess.Popen(
                    [sys.executable, str(HERE / script), *arguments],
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            state["pids"][script] = started[script].pid
            self.state_file.write_text(json.dumps(state))
        for script, url in (
            ("emulate_aws.py", f"http://127.0.0.1:{ministack}/_ministack/health"),
            ("pulse.py", f"http://127.0.0.1:{pulse}/"),
        ):
            deadline = time.time() + 60
            while not answers(url, 1):
                # Not by its command line: a busy machine may not have given it one yet.
                if started[script].poll() is not None or time.time() > deadline:
                    log = self.folder / f"{Path(script).stem}.log"
                    raise Failure(f"{script} did not start; its last words: {last_line(log)} (all of them: {shown(log)})")
                time.sleep(0.1)
        return state

    def stop(self):
        """Stops what runs and clears up; whether there was anything to stop."""
        state = self.state()
        pids = [pid for script, pid in (state or {"pids": {}})["pids"].items() if is_ours(pid, script)]
        # Each leads a process group of its own, which the functions' processes belong to. The leader is asked first: it ends its own.
        for wait, send, sign in ((3, os.kill, signal.SIGTERM), (2, os.killpg, signal.SIGTERM), (5, os.killpg, signal.SIGKILL)):
            for pid in pids:
                try:
                    send(pid, sign)
                except ProcessLookupError:
                    pass
            deadline = time.time() + wait
            while any(group_alive(pid) for pid in pids) and time.time() < deadline:
                time.sleep(0.05)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        self.state_file.unlink(missing_ok=True)
        return bool(pids)


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def answers(url, timeout):
    try:
        with urllib.request.urlopen(url, timeout=timeout):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def is_ours(pid, script):
    """Whether the process is the one that we started: numbers are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return str(HERE / script).encode() in command and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def group_alive(pgid):
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except (OSError, ValueError):
            continue
        if int(group) == pgid and state != "Z":
            return True
    return False


def last_line(file):
    lines = [line for line in file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "none"
