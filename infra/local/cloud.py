"""The local cloud: starts the emulators, deploys the stack to them with the real `sam deploy`, and stops them again.

Usage (see the Makefile): cloud.py [--name NAME] up | down | deploy NAME=VALUE... | token PERSON | logs FUNCTION | run -- COMMAND...

Everything that belongs to one cloud is in .local/<name>/: state.json (process ids and ports), outputs.json (what the stack says of
itself), the emulators' logs, their temporary files. Several clouds can run side by side under different names and ports.
"""

import argparse
import fcntl
import signal
import subprocess
import sys
import time

import sample
import testbed
import users
from emulators import Emulators, free_ports
from ground import NOT_RUNNING, ROOT, STACK, Failure, client, say, shown
from stack import Stack


class Cloud:
    def __init__(self, name, ports, webhooks=""):
        self.name = name
        self.folder = ROOT / ".local" / name
        self.emulators = Emulators(self.folder, ports, webhooks)
        self.stack = Stack(self.folder)

    def running(self):
        """The state of the emulators, which must be running."""
        state = self.emulators.running()
        if not state:
            raise Failure(NOT_RUNNING)
        return state

    def up(self, seed):
        self.folder.mkdir(parents=True, exist_ok=True)
        if not sys.platform.startswith("linux"):
            raise Failure("The local cloud runs the functions as Linux programs: it needs a Linux machine.")
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Failure(f"Another `make up` is at work in {shown(self.folder)}.") from None
            state = self.emulators.running()
            if state:
                say(f"MiniStack, moto and the pulse are running (ports {', '.join(map(str, state['ports']))}).")
            else:
                # What a build that takes minutes would be in vain for is said before it.
                self.down(quiet=True)
                self.emulators.ports()
            self.stack.build()
            state = state or self.emulators.start()
            self.stack.deploy(state)
            if seed:
                sample.seed(self, state)
            return state

    def down(self, quiet=False):
        stopped = self.emulators.stop()
        self.stack.forget()
        if not quiet:
            say("Stopped." if stopped else "Nothing was running.")


def follow(cloud, function, once):
    """Prints the log of a function, and what comes to it."""
    if not function:
        raise Failure("Whose log? make logs F=act (or api, collect, drift, notify, poll)")
    logs = client("logs", cloud.running()["ports"][0])
    group = f"/aws/lambda/{STACK}-{function}"
    seen = set()  # streams: MiniStack writes one for each invocation, when it is over
    while True:
        try:
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            events = [event for page in pages for event in page["events"] if event["logStreamName"] not in seen]
        except logs.exceptions.ResourceNotFoundException:
            raise Failure(f"There is no function '{function}' here; there are act, api, collect, drift, notify, poll.") from None
        for event in sorted(events, key=lambda event: event["timestamp"]):
            seen.add(event["logStreamName"])
            say(event["message"].rstrip())
        if once:
            return
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="cloud", help="which local cloud (default: cloud)")
    parser.add_argument("--ports", default="4566", help="the first of three ports that follow each other, or `free`")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start, build, deploy, seed")
    commands.add_parser("down", help="stop")
    deploy = commands.add_parser("deploy", help="deploy the same build to the running cloud again, with other parameters")
    deploy.add_argument("parameters", nargs="+", metavar="NAME=VALUE")
    token = commands.add_parser("token", help="log somebody in and print the token")
    token.add_argument("person")
    logs = commands.add_parser("logs", help="follow the log of one function")
    logs.add_argument("function")
    logs.add_argument("--once", action="store_true")
    run = commands.add_parser("run", help="run a command against a fresh cloud, which is stopped afterwards")
    run.add_argument("--sample", action="store_true", help="with the small fleet that `up` starts")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    # The command that a cloud is made for listens here, if it wants to hear of its workers.
    webhooks = ",".join(f"http://127.0.0.1:{port}/webhook" for port in free_ports(2)) if args.command == "run" else ""
    cloud = Cloud(args.name, args.ports, webhooks)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if args.command == "up":
            sample.greet(cloud, cloud.up(seed=True))
        elif args.command == "down":
            cloud.down()
        elif args.command == "deploy":
            cloud.stack.deploy(cloud.running(), args.parameters)
        elif args.command == "token":
            say(users.token(cloud.running(), args.person))
        elif args.command == "logs":
            follow(cloud, args.function, args.once)
        else:
            argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
            cloud.down(quiet=True)
            try:
                state = cloud.up(seed=args.sample)
                return subprocess.run(argv, cwd=ROOT, env={**testbed.variables(cloud, state), **testbed.laws(cloud, state)}).returncode
            finally:
                cloud.down()
    except Failure as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
