//! Who asks, and under which request id: what API Gateway vouches for, and nothing a client says about itself.

use std::collections::HashMap;

use app::config::{Access, Role, role_of_session};
use aws_lambda_events::apigw::{ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequestContext};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use domain::Actor;

use crate::problem::{Kind, Problem};

/// Claims that tell people who somebody is, the best first. What an issuer puts there may be changed by the user, so it
/// never stands alone.
const NAMES: [&str; 4] = ["email", "preferred_username", "cognito:username", "username"];

/// The longest name that facts repeat, in bytes.
const MAX_NAME: usize = 128;

/// The caller the authorizer identified. An extension of the request, put there by the edge of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Who it is, whatever it calls itself today: the ARN of an IAM user or role, or the issuer and the subject of a token.
    pub(crate) id: String,
    /// Who it is in words people know.
    name: String,
    /// What it may do.
    role: Option<Role>,
}

impl Caller {
    /// The caller in API Gateway's context, if an authorizer put one there.
    pub(crate) fn vouched_for(context: &ApiGatewayV2httpRequestContext, access: &Access) -> Option<Self> {
        let ApiGatewayRequestAuthorizer { iam, jwt, .. } = context.authorizer.as_ref()?;
        let of_token = || Self::of_token(&jwt.as_ref()?.claims, access);
        let arn = iam.as_ref().and_then(|iam| iam.user_arn.clone()).filter(|arn| !arn.is_empty());
        let of_arn = |arn: String| Self {
            // Sessions of one role come and go: who tries again after a restart has another one.
            id: role_of_session(&arn).unwrap_or_else(|| arn.clone()),
            role: access.of_principal(&arn),
            name: arn,
        };
        arn.map(of_arn).or_else(of_token)
    }

    fn of_token(claims: &HashMap<String, String>, access: &Access) -> Option<Self> {
        let claim = |name: &str| claims.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let (issuer, subject) = (claim("iss")?, claim("sub")?);
        let mail_is_theirs = claim("email_verified") == Some("true");
        let names = NAMES.iter().filter(|name| **name != "email" || mail_is_theirs);
        let name = names.filter_map(|name| claim(name)).find(|name| is_presentable(name));
        Some(Self {
            id: format!("{issuer} {subject}"),
            name: name.map_or_else(|| subject.to_owned(), |name| format!("{name} ({subject})")),
            role: claim(&access.claim).and_then(Role::in_claim),
        })
    }

    /// Fails unless it has at least this role.
    pub(crate) fn needs(&self, role: Role) -> Result<(), Problem> {
        if self.role >= Some(role) { Ok(()) } else { Err(forbidden(role, self.role)) }
    }

    /// The caller as facts name it.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Caller(self.name.clone())
    }
}

/// Nothing that turns text around, breaks lines, or looks like the subject that we put behind it.
fn is_presentable(name: &str) -> bool {
    name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"()".contains(&byte))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unauthenticated)
    }
}

/// Lets nobody through whom the authorizer did not identify, a second lock behind API Gateway's own, and nobody who has
/// not at least this role.
pub(crate) async fn at_least(
    State(role): State<Role>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match request.extensions().get::<Caller>() {
        None => return Err(unauthenticated()),
        Some(caller) => caller.needs(role)?,
    }
    Ok(next.run(request).await)
}

fn unauthenticated() -> Problem {
    Problem::new(
        Kind::Unauthenticated,
        "send a token of this deployment's issuer (Authorization: Bearer ...), or, if it has none, sign the request with \
         AWS Signature Version 4 (service execute-api)",
    )
}

fn forbidden(needed: Role, has: Option<Role>) -> Problem {
    let has = has.map_or_else(|| "none".to_owned(), |role| format!("the role {role}"));
    Problem::new(
        Kind::Forbidden,
        format!("this needs the role {needed}, and you have {has}; ask whoever runs this deployment for it"),
    )
}

/// The id under which a request is found in every log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// API Gateway's id, or else the client's own `x-request-id` if it is a harmless one.
    pub(crate) fn of(context: Option<&ApiGatewayV2httpRequestContext>, headers: &HeaderMap) -> Option<Self> {
        let given = || headers.get("x-request-id").and_then(|value| value.to_str().ok());
        let id = context.and_then(|context| context.request_id.as_deref()).or_else(given)?;
        let harmless = |b: u8| b.is_ascii_alphanumeric() || b"-_.=+/:".contains(&b);
        ((1..=128).contains(&id.len()) && id.bytes().all(harmless)).then(|| Self(id.to_owned()))
    }

    /// The text of the id.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
