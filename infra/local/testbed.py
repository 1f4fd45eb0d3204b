"""What a command that a local cloud was made for is told of it, in variables: `cloud.py run`."""

import shlex
import sys

import users
from ground import HERE, REGION, STACK, client, environment_of

ACCOUNT = "000000000000"
# A signing secret for the laws, as CloudFormation makes them: without the prefix that Standard Webhooks asks for.
LAWS_SECRET = "bGF3c2xhd3NsYXdzbGF3c2xhd3NsYXdz"


def variables(cloud, state):
    """What a test or a person needs to find this cloud."""
    urls = dict(zip(("MINISTACK_URL", "MOTO_URL", "PULSE_URL"), (f"http://127.0.0.1:{port}" for port in state["ports"])))
    return {
        **environment_of(0),
        **urls,
        "API_URL": cloud.stack.api_url(state),
        "STACK_NAME": STACK,
        "REGION": REGION,
        "ACCOUNT_ID": ACCOUNT,
        "OIDC_PARAMETERS": " ".join(f"{name}={value}" for name, value in users.parameters(state).items()),
        "OIDC_PASSWORD": users.PASSWORD,
        "OUTPUTS": str(cloud.stack.outputs_file),
        "NOTIFICATION_WEBHOOKS": cloud.emulators.webhooks,
        # For a test that changes a parameter of the stack it runs against; the parameters come after it.
        "DEPLOY": shlex.join([sys.executable, str(HERE / "cloud.py"), "--name", cloud.name, "deploy"]),
    }


def laws(cloud, state):
    """What the contract laws are tried on: empty copies of both tables, a topic, a secret and an image, which no function knows of."""
    ministack, moto, _ = state["ports"]
    outputs, dynamodb = cloud.stack.outputs(), client("dynamodb", ministack)
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
        "LAWS_SECRET": LAWS_SECRET,
        "LAWS_SECRET_ARN": client("secretsmanager", ministack).create_secret(Name="laws", SecretString=LAWS_SECRET)["ARN"],
        "LAWS_IMAGE_ID": image["ImageId"],
    }
