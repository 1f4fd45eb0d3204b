"""MiniStack, with what our functions need and it lacks.

Streams. MiniStack 1.5.33 hands stream records over one mapping at a time, takes a partial batch failure for success (so the record is
lost), and repeats a failing batch for ever. AWS does none of that, and the functions are written for AWS. This replaces its
polling of DynamoDB streams by one that keeps each mapping's promises: one worker per mapping, ReportBatchItemFailures,
BisectBatchOnFunctionError, MaximumRetryAttempts, MaximumRecordAgeInSeconds and the on-failure destination.

Secrets. Its CloudFormation ignores ExcludePunctuation, and a signing secret must be base64.

Updates. It ends the processes of a function that is deployed again, in the middle of their work if need be.

CORS. Its CloudFormation stores an HTTP API's configuration under names its gateway does not read.

Speed. Its Runtime API writes headers and body apart on a socket with Nagle's algorithm, which costs 40 ms for every invocation.
"""

import atexit
import logging
import socketserver
import string
import threading
import time
from collections import deque

from ministack.app import main
from ministack.core import lambda_runtime
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.concurrency import esm_wake
from ministack.core.responses import _request_account_id, _request_region
from ministack.services import apigateway, dynamodb, lambda_svc
from ministack.services.cloudformation import provisioners

log = logging.getLogger("streams")


class Mapping:
    """What one event source mapping has taken from its stream and not finished yet."""

    def __init__(self):
        self.work = deque()  # (records, failed attempts), oldest first
        self.busy = False
        self.not_before = 0.0


mappings: dict[str, Mapping] = {}


def poll():
    """One pass over all mappings: starts what has work and is not at work already."""
    started = False
    for account, region, esm in lambda_svc._iter_all_esms():
        mapping = mappings.setdefault(esm["UUID"], Mapping())
        if mapping.busy or mapping.not_before > time.time() or not esm.get("Enabled", True):
            continue
        tokens = _request_account_id.set(account), _request_region.set(region)
        try:
            if mapping.work or fetch(esm, mapping):
                mapping.busy = started = True
                threading.Thread(target=deliver, args=(account, region, esm, mapping), daemon=True).start()
        finally:
            _request_account_id.reset(tokens[0])
            _request_region.reset(tokens[1])
    return started


def fetch(esm, mapping):
    """Takes the next batch that passes the filter from the stream."""
    try:
        arn = parse_arn(esm["EventSourceArn"])
    except ArnParseError:
        return False
    source = lambda_svc._dynamodb_stream_table_from_arn_spec(arn) if arn.service == "dynamodb" else None
    table = dynamodb._tables.get(source[0]) if source else None
    if not table or table.get("LatestStreamArn") != esm["EventSourceArn"]:
        return False
    size = int(esm.get("BatchSize", 100))
    while True:
        with lambda_svc._dynamodb_stream_positions_lock:
            horizon = dynamodb.stream_start_position(source[0])
            at = max(lambda_svc._dynamodb_stream_positions.get(esm["UUID"], horizon), horizon)
            records = dynamodb.stream_records_since(source[0], at, size)
            lambda_svc._dynamodb_stream_positions[esm["UUID"]] = at + len(records)
        if not records:
            return False
        records = lambda_svc._apply_filter_criteria(records, esm)
        if records:
            mapping.work.append((records, 0))
            return True


def deliver(account, region, esm, mapping):
    """Hands one batch over and decides, as Lambda does, what becomes of it."""
    _request_account_id.set(account)
    _request_region.set(region)
    try:
        records, attempts = mapping.work.popleft()
        function, _ = lambda_svc._get_func_record_for_qualifier(esm["FunctionName"], esm.get("Qualifier"))
        if function is None:
            mapping.work.appendleft((records, attempts))
            mapping.not_before = time.time() + 1
            return
        result = lambda_svc._execute_function(function, {"Records": records})
        failed = first_failure(result, records, esm)
        if failed is None:
            return
        attempts += 1
        rest = records[failed:]
        condition = given_up(esm, rest, attempts)
        bisect = str(esm.get("BisectBatchOnFunctionError", False)).lower() == "true"
        if bisect and len(rest) > 1:
            # A failure inside the batch splits it there; a failure of the whole splits it in the middle. Splitting costs no attempt.
            middle = 1 if failed else len(rest) // 2
            mapping.work.extendleft([(rest[middle:], attempts - 1), (rest[:middle], attempts - 1)])
        elif condition:
            log.warning("%s: %s, %d records dropped", esm["FunctionName"], condition, len(rest))
            lambda_svc._send_ddb_stream_failure_record(esm, function, rest, esm["EventSourceArn"], result, condition)
            return
        else:
            mapping.work.appendleft((rest, attempts))
        mapping.not_before = time.time() + min(0.1 * 2**attempts, 5)
    except Exception:
        log.exception("delivery to %s failed", esm["FunctionName"])
    finally:
        mapping.busy = False
        esm_wake.set()


def first_failure(result, records, esm):
    """The index of the first record that must be delivered again, or None."""
    if result.get("error"):
        return 0
    if "ReportBatchItemFailures" not in (esm.get("FunctionResponseTypes") or []):
        return None
    body = result.get("body")
    failures = (body or {}).get("batchItemFailures") if isinstance(body, dict) else None
    if not failures:
        return None
    numbers = [str(record["dynamodb"]["SequenceNumber"]) for record in records]
    try:
        return min(numbers.index(str(failure["itemIdentifier"])) for failure in failures)
    except (KeyError, TypeError, ValueError):
        return 0  # an identifier that is not in the batch fails all of it


def given_up(esm, records, attempts):
    """Why these records are delivered no more, if so."""
    oldest = min(float(record["dynamodb"].get("ApproximateCreationDateTime", time.time())) for record in records)
    age, tries = int(esm.get("MaximumRecordAgeInSeconds", -1)), int(esm.get("MaximumRetryAttempts", -1))
    if 0 <= age < time.time() - oldest:
        return "MaxRecordAgeExceeded"
    if 0 <= tries < attempts:
        return "RetryAttemptsExhausted"
    return None


def mend_secrets(generate=provisioners._sm_secret_string):
    def generate_without_punctuation(props):
        how = props.get("GenerateSecretString") or {}
        if str(how.get("ExcludePunctuation", False)).lower() == "true":
            excluded = how.get("ExcludeCharacters", "") + string.punctuation
            props = {**props, "GenerateSecretString": {**how, "ExcludeCharacters": excluded}}
        return generate(props)

    provisioners._sm_secret_string = generate_without_punctuation


def mend_updates(update=lambda_svc._update_config):
    def update_around_the_busy(name, data):
        busy = []
        with lambda_runtime._lock:
            for key, workers in lambda_runtime._workers.items():
                if key.split(":")[-2] == name:
                    busy += [worker for worker in workers if worker.in_use]
                    workers[:] = [worker for worker in workers if not worker.in_use]
        threading.Thread(target=end_when_idle, args=(busy,), daemon=True).start()
        return update(name, data)

    def end_when_idle(workers):
        while any(worker.in_use for worker in workers):
            time.sleep(0.05)
        lambda_runtime.kill_workers(workers)

    lambda_svc._update_config = update_around_the_busy


def mend_cors():
    def read(answer):
        return lambda cors, origin: answer({key[0].lower() + key[1:]: value for key, value in (cors or {}).items()}, origin)

    # The preflight's answer calls the other one by its name, which is mended as well: reading twice changes nothing.
    apigateway._cors_response_headers = read(apigateway._cors_response_headers)
    apigateway._cors_preflight_response = read(apigateway._cors_preflight_response)


if __name__ == "__main__":
    mend_cors()
    mend_secrets()
    mend_updates()
    atexit.register(lambda_runtime.reset)  # the functions' processes end with it
    lambda_svc._poll_dynamodb_streams = poll
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    main()
