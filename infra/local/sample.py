"""The small fleet that `make up` starts, so that there is something to look at, and what it says of it."""

import json
import urllib.error
import urllib.request
import uuid

import users
from ground import REGION, Failure, client, say, shown


def seed(cloud, state):
    """Three instances in EC2, as an account would have them; one of them becomes a worker through the API."""
    ec2 = client("ec2", state["ports"][1])
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
    status, reply = call(cloud.stack.api_url(state), state, "POST", "/workers/import", body)
    if status not in (200, 201, 409):  # 409: a `make up` before this one has imported it
        raise Failure(f"The import was answered {status}: {reply}")
    return ids


def greet(cloud, state):
    url = cloud.stack.api_url(state)
    first = "" if cloud.name == "cloud" else f"--name {cloud.name} "
    # As curl has it.
    identity = "--aws-sigv4 aws:amz:us-east-1:execute-api --user test:test"
    if users.wanted():
        identity = '-H "Authorization: Bearer $(make -s token AS=ada)"'
    say(
        f"""
The local cloud is running.

  API        {url}
             curl -s {url}/health
             curl -s {identity} {url}/workers
  EC2        http://127.0.0.1:{state['ports'][1]}    (aws ec2 describe-instances --endpoint-url ...; any credentials)
  the rest   http://127.0.0.1:{state['ports'][0]}    (DynamoDB, SNS, EventBridge, Lambda, CloudWatch, ...)
  logs       make logs F=act      (one of act api collect drift notify poll)
  stack      {shown(cloud.stack.outputs_file)}
  stop       make down {first}""".rstrip()
    )


def call(url, state, method, path, body=None):
    """One request to the API, by somebody who may do everything."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    request = AWSRequest(method, url + path, data=data, headers=headers)
    if users.wanted():
        request.headers["Authorization"] = f"Bearer {users.token(state, 'ada')}"
    else:
        SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url + path, data=data, method=method, headers=dict(request.headers)), timeout=30
        ) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
