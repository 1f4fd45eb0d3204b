"""The local cloud: starts the emulators, deploys the stack to them with the real `sam deploy`, and stops them again.

Usage (see the Makefile): cloud.py [--name NAME] up | down | deploy NAME=VALUE... | logs FUNCTION | run -- COMMAND...

Everything that belongs to one cloud is in .local/<name>/: state.json (process ids and ports), outputs.json (what the stack says of
itself), the emulators' logs, their temporary files. Several clouds can run side by side under different names and ports.
"""

import argparse
import fcntl
import json
import os
import platform
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = Path(sys.prefix)
REGION = "us-east-1"
REGIONS = f"{REGION},us-west-2"
STACK = "cml-fleet"
ACCOUNT = "000000000000"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
BUCKET = "cml-fleet-artifacts"


class Failure(Exception):
    """Something a person can understand and mend: one sentence, no traceback."""


def say(text):
    print(text, flush=True)


class Cloud:
    def __init__(self, name, ports, webhooks=""):
        self.name = name
        self.webhooks = webhooks
        self.ports_wanted = ports
        self.folder = ROOT / ".local" / name
        self.state_file = self.folder / "state.json"
        self.outputs_file = self.folder / "outputs.json"

    # ------------------------------------------------------------------------------------------------------- processes

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
        self.down(quiet=True)
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
        for script, arguments in commands.items():
            with open(self.folder / f"{Path(script).stem}.log", "wb") as log:
                process = subprocess.Popen(
                    [sys.executable, str(HERE / script), *arguments],
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            state["pids"][script] = process.pid
            self.state_file.write_text(json.dumps(state))
        for script, url in (
            ("emulate_aws.py", f"http://127.0.0.1:{ministack}/_ministack/health"),
            ("pulse.py", f"http://127.0.0.1:{pulse}/"),
        ):
            deadline = time.time() + 60
            while not answers(url, 1):
                if not is_ours(state["pids"][script], script) or time.time() > deadline:
                    log = self.folder / f"{Path(script).stem}.log"
                    raise Failure(f"{script} did not start; its last words: {last_line(log)} (all of them: {shown(log)})")
                time.sleep(0.1)
        return state

    def down(self, quiet=False):
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
        for file in (self.state_file, self.outputs_file):
            file.unlink(missing_ok=True)
        if not quiet:
            say("Stopped." if pids else "Nothing was running.")

    # -------------------------------------------------------------------------------------------------------- the stack

    def up(self, seed):
        self.folder.mkdir(parents=True, exist_ok=True)
        if not sys.platform.startswith("linux"):
            raise Failure("The local cloud runs the functions as Linux programs: it needs a Linux machine.")
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Failure(f"Another `make up` is at work in {shown(self.folder)}.") from None
            state = self.running()
            if state:
                say(f"MiniStack, moto and the pulse are running (ports {', '.join(map(str, state['ports']))}).")
            self.build()
            state = state or self.start()
            self.deploy(state)
            if seed:
                self.seed(state)
            return state

    def build(self):
        say("Building the functions (the first time takes about 12 minutes, most of it for the AWS SDKs) ...")
        log = self.folder / "build.log"
        arch = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        # First what takes long, in full view; then SAM, which only copies.
        if subprocess.run(["make", "build"], cwd=ROOT).returncode:
            raise Failure("The functions do not compile; the errors are above.")
        command = [VENV / "bin" / "sam", "build", "--build-dir", self.folder / "build"]
        quietly(command, {**environment_of(0), "ARCH": arch}, log, "`sam build` failed")

    def deploy(self, state, changes=()):
        import boto3

        port = state["ports"][0]
        say("Deploying template.yaml with `sam deploy` ...")
        parameters = {
            "Architecture": {"aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "Regions": REGIONS,
            "AllowPrivateWebhooks": "true",
            **({"NotificationWebhooks": state["webhooks"]} if state["webhooks"] else {}),
            "MetricsPollIntervalSeconds": "60",
            "MetricPeriodSeconds": "60",
            **dict(item.split("=", 1) for item in [*os.environ.get("PARAMETERS", "").split(), *changes]),
        }
        s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION, **CREDENTIALS)
        s3.create_bucket(Bucket=BUCKET)
        # samconfig.toml is for AWS: it asks for confirmation and makes a bucket there.
        config = self.folder / "samconfig.toml"
        config.write_text("version = 0.1\n")
        command = [
            VENV / "bin" / "sam", "deploy", "--template-file", self.folder / "build" / "template.yaml",
            "--config-file", config, "--stack-name", STACK, "--region", REGION, "--s3-bucket", BUCKET,
            "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
            "--parameter-overrides", *[f"{key}={value}" for key, value in parameters.items()],
        ]  # fmt: skip
        quietly(command, environment_of(port), self.folder / "deploy.log", "`sam deploy` failed")
        cloudformation = boto3.client(
            "cloudformation", endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION, **CREDENTIALS
        )
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.outputs_file.write_text(json.dumps(outputs, indent=2))

    def outputs(self):
        try:
            return json.loads(self.outputs_file.read_text())
        except (OSError, ValueError):
            raise Failure("The local cloud is not running: make up") from None

    def variables(self, state):
        """What a test or a person needs to find this cloud."""
        urls = dict(zip(("MINISTACK_URL", "MOTO_URL", "PULSE_URL"), (f"http://127.0.0.1:{port}" for port in state["ports"])))
        return {
            **environment_of(0),
            **urls,
            "API_URL": api_url(self.outputs(), state),
            "STACK_NAME": STACK,
            "REGION": REGION,
            "ACCOUNT_ID": ACCOUNT,
            "OUTPUTS": str(self.outputs_file),
            "NOTIFICATION_WEBHOOKS": self.webhooks,
            # For a test that changes a parameter of the stack it runs against; the parameters come after it.
            "DEPLOY": shlex.join([sys.executable, str(HERE / "cloud.py"), "--name", self.name, "deploy"]),
        }

    def laws(self, state):
        """What the contract laws are tried on: empty copies of both tables, a topic and an image, which no function knows of."""
        import boto3

        def client(service, port):
            return boto3.client(service, endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION, **CREDENTIALS)

        ministack, moto, _ = state["ports"]
        outputs, dynamodb = self.outputs(), client("dynamodb", ministack)
        for name, copy in (("FleetTableName", "laws-fleet"), ("JournalTableName", "laws-journal")):
            table = dynamodb.describe_table(TableName=outputs[name])["Table"]
            indexes = [{key: index[key] for key in ("IndexName", "KeySchema", "Projection")} for index in table["GlobalSecondaryIndexes"]]
            dynamodb.create_table(
                TableName=copy,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=table["AttributeDefinitions"],
                KeySchema=table["KeySchema"],
                GlobalSecondaryIndexes=indexes,
            )
        root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 32, "VolumeType": "gp3"}}
        image = client("ec2", moto).register_image(Name="laws", RootDeviceName="/dev/sda1", BlockDeviceMappings=[root])
        return {
            "LAWS_FLEET_TABLE": "laws-fleet",
            "LAWS_JOURNAL_TABLE": "laws-journal",
            "LAWS_TOPIC_ARN": client("sns", ministack).create_topic(Name="laws")["TopicArn"],
            "LAWS_IMAGE_ID": image["ImageId"],
        }

    # --------------------------------------------------------------------------------------------------------- the fleet

    def seed(self, state):
        """Three instances in EC2, as an account would have them; one of them becomes a worker through the API."""
        import boto3

        ec2 = boto3.client("ec2", endpoint_url=f"http://127.0.0.1:{state['ports'][1]}", region_name=REGION, **CREDENTIALS)
        mine = [{"Name": "tag:sample", "Values": ["cml"]}]
        found = [i for r in ec2.describe_instances(Filters=mine)["Reservations"] for i in r["Instances"]]
        if not found:
            say("Starting three sample instances in the emulated EC2 ...")
            root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 32, "VolumeType": "gp3"}}
            image = ec2.register_image(Name="cml-2.9.0-sample", RootDeviceName="/dev/sda1", BlockDeviceMappings=[root])["ImageId"]
            for name in ("cml-lab-1", "cml-lab-2", "cml-lab-3"):
                tags = [{"Key": "Name", "Value": name}, {"Key": "sample", "Value": "cml"}]
                found += ec2.run_instances(
                    ImageId=image,
                    InstanceType="m5zn.metal" if name == "cml-lab-3" else "c5.2xlarge",
                    MinCount=1,
                    MaxCount=1,
                    TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
                )["Instances"]
        ids = [instance["InstanceId"] for instance in found]
        say(f"Importing {ids[0]} through the API ...")
        body = {"region": REGION, "instance_id": ids[0]}
        status, reply = call(api_url(self.outputs(), state), "POST", "/workers/import", body)
        if status not in (200, 201, 409):  # 409: a `make up` before this one has imported it
            raise Failure(f"The import was answered {status}: {reply}")
        return ids

    def greet(self, state):
        url = api_url(self.outputs(), state)
        first = "" if self.name == "cloud" else f"--name {self.name} "
        signed = "--aws-sigv4 aws:amz:us-east-1:execute-api --user test:test"
        say(
            f"""
The local cloud is running.

  API        {url}
             curl -s {url}/health
             curl -s {signed} {url}/workers
  EC2        http://127.0.0.1:{state['ports'][1]}    (aws ec2 describe-instances --endpoint-url ...; any credentials)
  the rest   http://127.0.0.1:{state['ports'][0]}    (DynamoDB, SNS, EventBridge, Lambda, CloudWatch, ...)
  logs       make logs F=act      (one of act api collect drift notify poll)
  stack      {shown(self.outputs_file)}
  stop       make down {first}""".rstrip()
        )

    # -------------------------------------------------------------------------------------------------------------- logs

    def logs(self, function, once):
        import boto3

        if not function:
            raise Failure("Whose log? make logs F=act (or api, collect, drift, notify, poll)")
        state = self.running()
        if not state:
            raise Failure("The local cloud is not running: make up")
        client = boto3.client("logs", endpoint_url=f"http://127.0.0.1:{state['ports'][0]}", region_name=REGION, **CREDENTIALS)
        group = f"/aws/lambda/{STACK}-{function}"
        seen = set()  # streams: MiniStack writes one for each invocation, when it is over
        while True:
            try:
                pages = client.get_paginator("filter_log_events").paginate(logGroupName=group)
                events = [event for page in pages for event in page["events"] if event["logStreamName"] not in seen]
            except client.exceptions.ResourceNotFoundException:
                raise Failure(f"There is no function '{function}' here; there are act, api, collect, drift, notify, poll.") from None
            for event in sorted(events, key=lambda event: event["timestamp"]):
                seen.add(event["logStreamName"])
                say(event["message"].rstrip())
            if once:
                return
            time.sleep(1)


# ------------------------------------------------------------------------------------------------------------------ helpers


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


def quietly(command, environment, log, what):
    """Runs a command with its output in a file; shows the end of it if it fails."""
    with open(log, "wb") as out:
        code = subprocess.run(
            [str(part) for part in command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        ).returncode
    if code:
        say("".join(f"  | {line}\n" for line in log.read_text(errors="replace").splitlines()[-20:]))
        raise Failure(f"{what}; the end of its output is above, all of it in {shown(log)}.")


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def api_url(outputs, state):
    # The path form: names under .localhost do not resolve everywhere, and MiniStack keeps /health of every host to itself.
    return f"http://127.0.0.1:{state['ports'][0]}/_aws/execute-api/{outputs['HttpApiId']}"


def call(url, method, path, body=None):
    """One signed request to the API."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    data = json.dumps(body).encode() if body is not None else None
    request = AWSRequest(method, url + path, data=data, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url + path, data=data, method=method, headers=dict(request.headers)), timeout=30
        ) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


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


def shown(path):
    return os.path.relpath(path, ROOT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="cloud", help="which local cloud (default: cloud)")
    parser.add_argument("--ports", default="4566", help="the first of three ports that follow each other, or `free`")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start, build, deploy, seed")
    commands.add_parser("down", help="stop")
    deploy = commands.add_parser("deploy", help="deploy the same build to the running cloud again, with other parameters")
    deploy.add_argument("parameters", nargs="+", metavar="NAME=VALUE")
    logs = commands.add_parser("logs", help="follow the log of one function")
    logs.add_argument("function")
    logs.add_argument("--once", action="store_true")
    run = commands.add_parser("run", help="run a command against a fresh cloud, which is stopped afterwards")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    # The command that a cloud is made for listens here, if it wants to hear of its workers.
    webhooks = ",".join(f"http://127.0.0.1:{port}/webhook" for port in free_ports(2)) if args.command == "run" else ""
    cloud = Cloud(args.name, args.ports, webhooks)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if args.command == "up":
            cloud.greet(cloud.up(seed=True))
        elif args.command == "down":
            cloud.down()
        elif args.command == "deploy":
            state = cloud.running()
            if not state:
                raise Failure("The local cloud is not running: make up")
            cloud.deploy(state, args.parameters)
        elif args.command == "logs":
            cloud.logs(args.function, args.once)
        else:
            argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
            cloud.down(quiet=True)
            try:
                state = cloud.up(seed=False)
                return subprocess.run(argv, cwd=ROOT, env={**cloud.variables(state), **cloud.laws(state)}).returncode
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
