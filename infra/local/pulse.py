"""The emulated EC2 (moto), and its pulse.

moto answers calls and does nothing else. This process serves it and adds what AWS does by itself: instances take a moment to change
state, EventBridge hears of each change, CloudWatch gets metrics. It also mends three answers of moto's EC2 that the functions
depend on: a ClientToken is good for one launch, and an instance in the wrong state can be neither started nor stopped nor rebooted.

Neither AWS nor MiniStack lets anyone put `aws.*` events on a bus, so drift is invoked with them, as the rule would do.

Control, on its own loopback port:
  GET  /           what it sees and what it has sent
  PUT  /events     {"enabled": false}  lose the EC2 events, so that only polling can find a change
  PUT  /metrics    {"instance": "i-...", "cpu": 97.5, "memory": 40, "disk": 12}  what that instance reports from now on, at once
  GET  /memory     peak memory of each function's process, in KiB
"""

import argparse
import copy
import datetime
import glob
import json
import os
import re
import sys
import threading
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.ec2 import ec2_backends
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

ACCOUNT = "000000000000"
# What CloudWatch has of an instance that ran before anybody here answered for it, in minutes: only minutes that are over are read.
HISTORY = 5
NEXT = {"pending": ("running", 16), "stopping": ("stopped", 80), "shutting-down": ("terminated", 48)}


def mend_instances(settle):
    """Gives moto's instances EC2's states in between, and its refusals."""
    start, stop, terminate, run = Instance.start, Instance.stop, Instance.terminate, InstanceBackend.run_instances
    launched = {}
    lock = threading.Lock()

    def pass_through(instance, name, code):
        instance._state.name, instance._state.code = name, code
        final = NEXT[name]

        def arrive():
            if instance._state.name == name:  # not overtaken by another call
                instance._state.name, instance._state.code = final

        # EC2 stamps its events to the second, and no start is faster than that: within one second nobody could tell
        # "stopped, then running" from "running, then stopped".
        timer = threading.Timer(max(settle, 1.2) if name == "pending" else settle, arrive)
        timer.daemon = True
        timer.start()

    def refuse(instance, *states):
        if instance._state.name in states:
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be brought to the one asked for.",
            )

    def mended_start(self):
        refuse(self, "stopping", "shutting-down", "terminated")
        if self._state.name in ("pending", "running"):
            return start_nothing(self)
        before = start(self)
        pass_through(self, "pending", 0)
        return before

    def mended_stop(self, *args, **kwargs):
        refuse(self, "pending", "shutting-down", "terminated")
        if self._state.name in ("stopping", "stopped"):
            return start_nothing(self)
        before = stop(self, *args, **kwargs)
        pass_through(self, "stopping", 64)
        return before

    def mended_terminate(self, *args, **kwargs):
        if self._state.name in ("shutting-down", "terminated"):
            return start_nothing(self)
        before = terminate(self, *args, **kwargs)
        pass_through(self, "shutting-down", 32)
        return before

    def mended_reboot(self):
        refuse(self, "pending", "stopping", "stopped", "shutting-down", "terminated")

    def start_nothing(self):
        return type(self._state)(self._state.name, self._state.code)

    def mended_run(self, *args, **kwargs):
        key = self.region_name, kwargs.get("client_token")
        asked = copy.deepcopy((args, kwargs))
        with lock:
            if key in launched:
                before, reservation = launched[key]
                if before == asked:
                    return reservation
                # EC2 API reference, "Ensuring idempotency in Amazon EC2 API requests"
                raise EC2ClientError(
                    "IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
                )
            reservation = run(self, *args, **kwargs)
            if key[1] not in (None, "", "ABCDE"):  # moto's words for no token
                launched[key] = asked, reservation
        for instance in reservation.instances:
            pass_through(instance, "pending", 0)
        return reservation

    Instance.start, Instance.stop, Instance.terminate, Instance.reboot = mended_start, mended_stop, mended_terminate, mended_reboot
    InstanceBackend.run_instances = mended_run


class Pulse:
    """Sees each change of state once, and tells drift and CloudWatch."""

    def __init__(self, args):
        # Retries are the sender's here: a lost event is an event lost, as on AWS.
        quick = Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 0})
        own = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "config": quick}
        self.function = f"{args.stack}-drift"
        self.prefix = f"{args.stack}-"
        self.regions, self.home = args.regions.split(","), args.stack_region
        self.lambdas = boto3.client("lambda", endpoint_url=args.ministack, region_name=args.stack_region, **own)
        self.metrics = {
            region: boto3.client("cloudwatch", endpoint_url=args.ministack, region_name=region, **own)
            for region in self.regions
        }
        self.events = True
        self.sent = self.suppressed = self.failed = 0
        self.states = {}
        self.reported = {}
        self.reporting = set()
        self.overrides = {}
        self.kick = threading.Event()

    def instances(self):
        for region in self.regions:
            for reservation in list(ec2_backends[ACCOUNT][region].reservations.values()):
                for instance in list(reservation.instances):
                    yield region, instance

    def watch(self):
        while True:
            for region, instance in self.instances():
                state = instance._state.name
                if self.states.get(instance.id) != state:
                    self.states[instance.id] = state
                    if region == self.home:  # the stack's rule hears of its own region only
                        self.changed(region, instance.id, state)
                    if state == "running":
                        self.kick.set()
            time.sleep(0.02)

    def changed(self, region, instance, state):
        if not self.events:
            self.suppressed += 1
            print(f"{instance} {state}: event suppressed", flush=True)
            return
        now = datetime.datetime.now(datetime.timezone.utc)
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "EC2 Instance State-change Notification",
            "source": "aws.ec2",
            "account": ACCOUNT,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": [f"arn:aws:ec2:{region}:{ACCOUNT}:instance/{instance}"],
            "detail": {"instance-id": instance, "state": state},
        }
        try:
            self.lambdas.invoke(FunctionName=self.function, InvocationType="Event", Payload=json.dumps(event))
            self.sent += 1
            print(f"{instance} {state}: told drift", flush=True)
        except (BotoCoreError, ClientError) as error:
            self.failed += 1
            print(f"{instance} {state}: drift not told: {error}", flush=True)

    def report(self, period=60):
        """Publishes what a running instance reports, at once when it starts or is changed, then every minute.

        One that was not launched by the functions, which tag theirs, has been around: it comes with the minutes before.
        """
        while True:
            self.kick.wait(timeout=1)
            self.kick.clear()
            for region, instance in self.instances():
                due = time.time() - self.reported.get(instance.id, 0) >= period
                if instance._state.name != "running" or not due:
                    continue
                self.reported[instance.id] = time.time()
                ours = any(tag["key"] == "cml-fleet:managed" for tag in instance.get_tags())
                minutes = HISTORY if instance.id not in self.reporting and not ours else 0
                try:
                    self.publish(region, instance, minutes)
                    self.reporting.add(instance.id)
                except (BotoCoreError, ClientError) as error:
                    print(f"{instance.id}: metrics not published: {error}", flush=True)

    def publish(self, region, instance, history=0):
        """Publishes the values of now, and of so many minutes before."""
        now = time.time()
        self.put(region, instance, "AWS/EC2", [("CPUUtilization", "cpu")], now, history)
        # As the CloudWatch agent publishes them with `append_dimensions: InstanceId` and `aggregation_dimensions: [[InstanceId]]`.
        self.put(region, instance, "CWAgent", [("mem_used_percent", "memory"), ("disk_used_percent", "disk")], now, history)

    def put(self, region, instance, namespace, metrics, now, history):
        own = [{"Name": "InstanceId", "Value": instance.id}]
        data = []
        for at in (now - 60 * minute for minute in range(history, -1, -1)):
            values = self.values(instance, at)
            at = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
            data += [
                {"MetricName": name, "Dimensions": own, "Value": values[value], "Timestamp": at, "Unit": "Percent"}
                for name, value in metrics
            ]
        self.metrics[region].put_metric_data(Namespace=namespace, MetricData=data)

    def values(self, instance, at):
        # A slow wave, different for each instance: enough to see that it lives.
        phase = (at / 600 + int(instance.id[-4:], 16) / 65536) % 1
        return {"cpu": 10 + 30 * abs(phase - 0.5), "memory": 35 + 10 * phase, "disk": 21.5, **self.overrides.get(instance.id, {})}

    def memory(self):
        """Peak resident memory of every function process, by function."""
        peaks = {}
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                environ = open(f"{folder}/environ", "rb").read()
                name = re.search(rb"(?:^|\0)AWS_LAMBDA_FUNCTION_NAME=([^\0]*)", environ)
                if name and name[1].decode().startswith(self.prefix) and b"AWS_LAMBDA_RUNTIME_API=" in environ:
                    peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"{folder}/status").read())[1])
                    peaks[name[1].decode()] = max(peak, peaks.get(name[1].decode(), 0))
            except (OSError, TypeError):
                continue
        return peaks

    def handle(self, method, path, body):
        if (method, path) == ("GET", "/"):
            counts = {"sent": self.sent, "suppressed": self.suppressed, "failed": self.failed}
            return {"events": self.events, **counts, "instances": self.states, "reporting": sorted(self.reporting)}
        if (method, path) == ("PUT", "/events"):
            self.events = bool(body["enabled"])
            return {"events": self.events}
        if (method, path) == ("PUT", "/metrics"):
            values = {key: float(body[key]) for key in ("cpu", "memory", "disk") if key in body}
            self.overrides.setdefault(body["instance"], {}).update(values)
            self.reported.pop(body["instance"], None)
            self.kick.set()
            return {"instance": body["instance"], **self.overrides[body["instance"]]}
        if (method, path) == ("GET", "/memory"):
            return self.memory()
        return None


def control(pulse):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                reply = pulse.handle(self.command, self.path, json.loads(body or b"{}"))
                status = 404 if reply is None else 200
            except (ValueError, KeyError, TypeError) as error:
                status, reply = 400, {"error": repr(error)}
            reply = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_PUT = answer

        def log_message(self, *args):
            pass

    return Handler


def alive(work):
    """A thread that dies takes the process with it: a pulse that only half beats would make tests lie."""

    def run():
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=run, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--moto-port", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ministack", required=True)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--stack-region", required=True)
    parser.add_argument("--regions", required=True)
    parser.add_argument("--settle", type=float, default=0.15, help="seconds that an instance spends between two states")
    args = parser.parse_args()

    os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
    mend_instances(args.settle)
    ThreadedMotoServer("127.0.0.1", args.moto_port, verbose=False).start()
    pulse = Pulse(args)
    alive(pulse.watch)
    alive(pulse.report)
    ThreadingHTTPServer(("127.0.0.1", args.port), control(pulse)).serve_forever()


if __name__ == "__main__":
    sys.exit(main())
