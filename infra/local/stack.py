"""The stack of one local cloud: template.yaml, built by the real `sam build` and deployed to the emulators by the real `sam deploy`."""

import json
import os
import subprocess

import users
from ground import ARCH, NOT_RUNNING, REGION, REGIONS, ROOT, STACK, VENV, Failure, client, environment_of, say, shown

BUCKET = "cml-fleet-artifacts"


class Stack:
    """What it says of itself is in outputs.json."""

    def __init__(self, folder):
        self.folder = folder
        self.outputs_file = folder / "outputs.json"

    def build(self):
        say("Building the functions (the first time takes about 12 minutes, most of it for the AWS SDKs) ...")
        log = self.folder / "build.log"
        # First what takes long, in full view; then SAM, which only copies.
        if subprocess.run(["make", "build"], cwd=ROOT).returncode:
            raise Failure("The functions do not compile; the errors are above.")
        command = [VENV / "bin" / "sam", "build", "--build-dir", self.folder / "build"]
        quietly(command, {**environment_of(0), "ARCH": ARCH}, log, "`sam build` failed")

    def deploy(self, state, changes=()):
        port = state["ports"][0]
        say("Deploying template.yaml with `sam deploy` ...")
        parameters = {
            "Architecture": ARCH,
            "Regions": REGIONS,
            "AllowPrivateWebhooks": "true",
            **({"NotificationWebhooks": state["webhooks"]} if state["webhooks"] else {}),
            "MetricsPollIntervalSeconds": "60",
            "MetricPeriodSeconds": "60",
            # `sam deploy` keeps what is not said, so that signatures count again is said too. An empty value wants its quotes.
            **(users.parameters(state) if users.wanted() else {"OidcIssuer": '""', "OidcAudience": '""'}),
            **dict(item.split("=", 1) for item in [*os.environ.get("PARAMETERS", "").split(), *changes]),
        }
        client("s3", port).create_bucket(Bucket=BUCKET)
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
        stack = client("cloudformation", port).describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.outputs_file.write_text(json.dumps(outputs, indent=2))

    def outputs(self):
        try:
            return json.loads(self.outputs_file.read_text())
        except (OSError, ValueError):
            raise Failure(NOT_RUNNING) from None

    def api_url(self, state):
        # The path form: names under .localhost do not resolve everywhere, and MiniStack keeps /health of every host to itself.
        return f"http://127.0.0.1:{state['ports'][0]}/_aws/execute-api/{self.outputs()['HttpApiId']}"

    def forget(self):
        self.outputs_file.unlink(missing_ok=True)


def quietly(command, environment, log, what):
    """Runs a command with its output in a file; shows the end of it if it fails."""
    with open(log, "wb") as out:
        code = subprocess.run(
            [str(part) for part in command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        ).returncode
    if code:
        say("".join(f"  | {line}\n" for line in log.read_text(errors="replace").splitlines()[-20:]))
        raise Failure(f"{what}; the end of its output is above, all of it in {shown(log)}.")
