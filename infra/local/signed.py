"""What schemathesis is told beside its configuration: how requests are signed, and which of its requests are not for this API.

Its hooks, by the names it calls them by. Loaded through SCHEMATHESIS_HOOKS; see `make openapi`.
"""

import functools
import json
import os
import re
import uuid

import sample
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = os.environ["REGION"]
KEY = re.compile(r'[!#-~]{1,255}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}"')
# What is only worth asking of a worker that runs.
DRIVING = ("rebootWorker", "startWorker", "stopWorker", "syncWorker")
# API Gateway decodes a path before it looks for its route: what is written as %2F or %23 is a request for another path.
SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")


@schemathesis.auth()
class Signature:
    """AWS Signature Version 4, as `curl --aws-sigv4` makes it."""

    def get(self, case, context):
        return Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])

    def set(self, case, data, context):
        request = AWSRequest(method=case.method, url=os.environ["API_URL"] + case.formatted_path)
        SigV4Auth(data, "execute-api", REGION).add_auth(request)
        case.headers.update(request.headers.items())


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    return all(isinstance(value, str) and SEGMENT.fullmatch(value) for value in (path_parameters or {}).values())


@schemathesis.hook
def filter_headers(context, headers):
    """HTTP takes the blanks around a value away, and the local gateway a header without one: neither arrives as it was sent."""
    key = (headers or {}).get("Idempotency-Key")
    return not isinstance(key, str) or (key != "" and key == key.strip())


@schemathesis.hook
def filter_case(context, case):
    """The coverage phase fills If-Match with letters, and calls that valid: what it calls valid has to be a version. And nobody
    ends the one worker that runs, or puts it in a state in which it cannot be driven."""
    if case.method in ("DELETE", "PATCH") and (case.path_parameters or {}).get("id") == running():
        return False
    version = (case.headers or {}).get("If-Match")
    said_to_be_valid = case.meta is not None and case.meta.generation.mode.value == "positive"
    return not said_to_be_valid or version is None or re.fullmatch(r'"[1-9][0-9]{0,18}"', version) is not None


@functools.cache
def running():
    """The worker that has an instance."""
    api = os.environ["API_URL"]
    workers = json.loads(sample.call(api, None, "GET", "/workers")[1])["items"]
    worker = next(worker["id"] for worker in workers if worker["instance_id"])
    status, answer = sample.call(api, None, "PATCH", f"/workers/{worker}", {"protected": True})
    assert status == 200, answer
    return worker


@schemathesis.hook
def map_case(context, case):
    """Whatever is made up has no instance to drive: every other time it is the one that runs, at whatever version."""
    worker = (case.path_parameters or {}).get("id", "")
    valid = case.meta is not None and case.meta.generation.mode.value == "positive"
    if valid and context.operation.definition.raw.get("operationId") in DRIVING and worker[-1:] in "02468ace":
        case.path_parameters["id"] = running()
        case.headers.pop("If-Match", None)
    return case


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key stands for one request: schemathesis would try the same one with many."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and KEY.fullmatch(key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
