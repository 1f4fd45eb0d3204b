"""People who may use the API of the local cloud with a token: a Cognito user pool with three of them, one for each role."""

import os

from ground import REGION, Failure, client

PASSWORD = "Local-cloud-1"
PEOPLE = {"vera": "viewer", "oscar": "operator", "ada": "admin"}
POOL = "cml-fleet"


def wanted():
    """Whether the API is to accept tokens of the pool, instead of signatures."""
    return os.environ.get("OIDC") == "true"


def pool(state):
    """The pool, which is made if there is none: its id, and that of the one client whose tokens the API accepts."""
    cognito = client("cognito-idp", state["ports"][0])
    for found in cognito.list_user_pools(MaxResults=60)["UserPools"]:
        if found["Name"] == POOL:
            apps = cognito.list_user_pool_clients(UserPoolId=found["Id"], MaxResults=60)["UserPoolClients"]
            for app in apps:
                if app["ClientName"] == POOL:
                    return found["Id"], app["ClientId"]
            # An earlier `make up` was interrupted before it got to the client, which is made last.
            cognito.delete_user_pool(UserPoolId=found["Id"])
    made = cognito.create_user_pool(PoolName=POOL)["UserPool"]["Id"]
    for name, role in PEOPLE.items():
        cognito.create_group(UserPoolId=made, GroupName=role)
        email = [{"Name": "email", "Value": f"{name}@example.com"}, {"Name": "email_verified", "Value": "true"}]
        cognito.admin_create_user(UserPoolId=made, Username=name, UserAttributes=email, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(UserPoolId=made, Username=name, Password=PASSWORD, Permanent=True)
        cognito.admin_add_user_to_group(UserPoolId=made, Username=name, GroupName=role)
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    app = cognito.create_user_pool_client(UserPoolId=made, ClientName=POOL, ExplicitAuthFlows=flows)
    return made, app["UserPoolClient"]["ClientId"]


def parameters(state):
    """The parameters of the stack that make the API accept the pool's tokens."""
    made, app = pool(state)
    return {"OidcIssuer": f"https://cognito-idp.{REGION}.amazonaws.com/{made}", "OidcAudience": app}


def token(state, name):
    """Logs somebody in."""
    if name not in PEOPLE:
        people = ", ".join(f"{person} ({role})" for person, role in PEOPLE.items())
        raise Failure(f"Whose token? make token AS=ada; there are {people}.")
    _, app = pool(state)
    answer = client("cognito-idp", state["ports"][0]).initiate_auth(
        ClientId=app,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD},
    )
    return answer["AuthenticationResult"]["IdToken"]
