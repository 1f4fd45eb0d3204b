//! Tokens instead of signatures: `OidcIssuer`, set as an operator sets it, and people who log in for real.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Answer, answer};
use crate::scenarios::access::problem;
use crate::world::World;

const ORIGIN: &str = "https://fleet.example.com";

pub(crate) async fn people_who_log_in_may_do_what_their_role_is_for(world: &World) -> Result<()> {
    let (worker, _) = world.worker("tokens").await?;
    let parameters = format!("{} CorsAllowedOrigins={ORIGIN}", world.cloud.oidc);
    world.cloud.deploy(&parameters).await?;
    let users = Users::of(world)?;
    let (vera, oscar, ada) = (
        users.token(&users.client, "vera").await?,
        users.token(&users.client, "oscar").await?,
        users.token(&users.client, "ada").await?,
    );

    // Reads, drives, decides: what each is told, 403 where it is not for that role.
    let stop = format!("/workers/{worker}/stop");
    let table = [
        ("GET", "/workers", 200, 200, 200),
        // The second time it is asked for already.
        ("POST", stop.as_str(), 403, 202, 200),
        ("PATCH", &format!("/workers/{worker}?x=1"), 403, 400, 400),
        ("POST", "/workers", 403, 403, 400),
        ("POST", "/workers/import", 403, 403, 400),
        ("DELETE", &format!("/workers/{worker}?x=1"), 403, 403, 400),
    ];
    for (method, path, viewer, operator, admin) in table {
        for (who, token, expected) in
            [("vera", &vera, viewer), ("oscar", &oscar, operator), ("ada", &ada, admin)]
        {
            let answer = ask(world, method, path, Some(token), &[]).await?;
            ensure!(
                answer.status == expected,
                "{who}: {method} {path} was answered {}: {}",
                answer.status,
                answer.text
            );
            if expected == 403 {
                problem(&answer, 403, "")?;
            }
        }
    }
    let facts = ask(world, "GET", &format!("/workers/{worker}/events"), Some(&vera), &[]).await?.json();
    let by = facts.to_string();
    ensure!(by.contains("oscar@example.com ("), "nobody knows that oscar did it: {facts}");
    doors_that_stay_shut(world, &users, &vera, &ada).await?;
    what_http_promises(world, &vera).await
}

/// No token, or not one that counts.
async fn doors_that_stay_shut(world: &World, users: &Users<'_>, vera: &str, ada: &str) -> Result<()> {
    let parts: Vec<&str> = ada.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { anyhow::bail!("a token has three parts") };
    let mut unsigned: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
    unsigned["alg"] = json!("none");
    let unsigned = URL_SAFE_NO_PAD.encode(unsigned.to_string());
    let veras: Vec<&str> = vera.split('.').collect();
    let other_client = users.new_client("another").await?;
    let (other_pool, its_client) = users.another_pool().await?;
    let forged = [
        ("no token", None),
        ("something else", Some("nonsense".to_owned())),
        ("alg=none", Some(format!("{unsigned}.{claims}."))),
        ("alg=none with a signature", Some(format!("{unsigned}.{claims}.{signature}"))),
        ("vera's signature under ada's claims", Some(format!("{header}.{claims}.{}", veras[2]))),
        ("another audience", Some(users.token(&other_client, "ada").await?)),
        ("another issuer", Some(other_pool.token(&its_client, "ada").await?)),
        ("an expired token", Some(users.expired_token("ada").await?)),
    ];
    for (what, token) in forged {
        let answer = ask(world, "GET", "/workers", token.as_deref(), &[]).await?;
        ensure!(answer.status == 401, "{what} was answered {}: {}", answer.status, answer.text);
    }
    let signed = world.api.send("GET", "/workers", None, &[]).await?;
    ensure!(signed.status == 401, "a signature instead of a token was answered {}", signed.status);
    Ok(())
}

/// HEAD, 404, 405, and what a browser asks.
async fn what_http_promises(world: &World, token: &str) -> Result<()> {
    let head = ask(world, "HEAD", "/workers", Some(token), &[]).await?;
    ensure!(head.status == 200 && head.text.is_empty(), "HEAD was answered {}: {}", head.status, head.text);
    ensure!(ask(world, "HEAD", "/health", None, &[]).await?.status == 200, "HEAD /health is not open");
    let put = ask(world, "PUT", "/workers", Some(token), &[]).await?;
    problem(&put, 405, "")?;
    ensure!(put.header("allow") == "GET,HEAD,POST", "Allow is {}", put.header("allow"));
    problem(&ask(world, "GET", "/nowhere", Some(token), &[]).await?, 404, "")?;
    ensure!(ask(world, "GET", "/nowhere", None, &[]).await?.status == 401, "what is nowhere is open");

    let from = [("origin", ORIGIN), ("access-control-request-method", "POST")];
    let preflight = ask(world, "OPTIONS", "/workers", None, &from).await?;
    ensure!(
        preflight.status == 204 && preflight.header("access-control-allow-origin") == ORIGIN,
        "the browser's question was answered {}: {:?}",
        preflight.status,
        preflight.headers
    );
    let read = ask(world, "GET", "/workers", Some(token), &from[..1]).await?;
    ensure!(read.header("access-control-allow-origin") == ORIGIN, "a page may not read: {:?}", read.headers);
    let stranger = [("origin", "https://evil.example.com")];
    let read = ask(world, "GET", "/workers", Some(token), &stranger).await?;
    ensure!(read.header("access-control-allow-origin").is_empty(), "any page may read: {:?}", read.headers);
    Ok(())
}

/// A request with a token, or without one.
async fn ask(
    world: &World,
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<Answer> {
    let method = Method::from_bytes(method.as_bytes())?;
    let mut request = world.cloud.http.request(method, format!("{}{path}", world.cloud.api));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

/// A user pool of the local cloud.
struct Users<'a> {
    world: &'a World,
    pool: String,
    client: String,
}

impl<'a> Users<'a> {
    /// The pool whose tokens the stack accepts.
    fn of(world: &'a World) -> Result<Self> {
        let value = |name: &str| {
            let found = world.cloud.oidc.split(' ').find_map(|pair| pair.strip_prefix(name));
            found.with_context(|| format!("{name} is not in OIDC_PARAMETERS"))
        };
        let issuer = value("OidcIssuer=")?;
        let pool = issuer.rsplit('/').next().context("an issuer ends in its pool")?.to_owned();
        Ok(Self { world, pool, client: value("OidcAudience=")?.to_owned() })
    }

    async fn call(&self, action: &str, body: Value) -> Result<Value> {
        let target = format!("AWSCognitoIdentityProviderService.{action}");
        self.world.cloud.json("cognito-idp", &target, &body).await
    }

    async fn token(&self, client: &str, name: &str) -> Result<String> {
        let body = json!({
            "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": name, "PASSWORD": self.world.cloud.oidc_password },
        });
        let answer = self.call("InitiateAuth", body).await?;
        Ok(answer["AuthenticationResult"]["IdToken"].as_str().context("a login gives a token")?.to_owned())
    }

    async fn new_client(&self, name: &str) -> Result<String> {
        let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
        let body = json!({ "UserPoolId": self.pool, "ClientName": name, "ExplicitAuthFlows": flows });
        let made = self.call("CreateUserPoolClient", body).await?;
        Ok(made["UserPoolClient"]["ClientId"].as_str().context("a client has an id")?.to_owned())
    }

    /// Another pool, in which ada is an admin as well.
    async fn another_pool(&self) -> Result<(Self, String)> {
        let made = self.call("CreateUserPool", json!({ "PoolName": "another" })).await?;
        let pool = made["UserPool"]["Id"].as_str().context("a pool has an id")?.to_owned();
        let other = Self { world: self.world, pool: pool.clone(), client: String::new() };
        let client = other.new_client("another").await?;
        let user = json!({ "UserPoolId": pool, "Username": "ada" });
        let with = |more: Value| {
            let mut body = user.clone();
            body.as_object_mut()
                .into_iter()
                .for_each(|body| body.extend(more.as_object().cloned().unwrap_or_default()));
            body
        };
        other.call("CreateGroup", json!({ "UserPoolId": pool, "GroupName": "admin" })).await?;
        other.call("AdminCreateUser", with(json!({ "MessageAction": "SUPPRESS" }))).await?;
        let password = json!({ "Password": self.world.cloud.oidc_password, "Permanent": true });
        other.call("AdminSetUserPassword", with(password)).await?;
        other.call("AdminAddUserToGroup", with(json!({ "GroupName": "admin" }))).await?;
        Ok((other, client))
    }

    /// A token of the right client that was good for a second. Cognito's least is five minutes; the emulator takes what it is told.
    async fn expired_token(&self, name: &str) -> Result<String> {
        let client = json!({
            "UserPoolId": self.pool, "ClientId": self.client,
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            "IdTokenValidity": 1, "TokenValidityUnits": { "IdToken": "seconds" },
        });
        self.call("UpdateUserPoolClient", client).await?;
        let token = self.token(&self.client, name).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(token)
    }
}
