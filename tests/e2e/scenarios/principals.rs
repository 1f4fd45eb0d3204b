//! Roles of those who sign: `AdminPrincipals` and its like, set as an operator sets them.

use anyhow::{Result, ensure};
use reqwest::Method;

use crate::cloud::Call;
use crate::ec2::first;
use crate::scenarios::access::problem;
use crate::world::World;

pub(crate) async fn who_signs_may_do_what_the_role_of_the_principal_is_for(world: &World) -> Result<()> {
    let (worker, _) = world.worker("principals").await?;
    let name = world.name("vera");
    let (arn, key) = user(world, &name).await?;
    let root = format!("arn:aws:iam::{}:root", world.cloud.account);
    world.cloud.deploy(&format!("AdminPrincipals={root} ViewerPrincipals={arn}")).await?;
    let stop = format!("/workers/{worker}/stop");
    for (method, path, viewer, admin) in [("GET", "/workers", 200, 200), ("POST", stop.as_str(), 403, 202)] {
        let call = Call {
            service: "execute-api",
            region: &world.cloud.region,
            method: Method::from_bytes(method.as_bytes())?,
            url: format!("{}{path}", world.cloud.api),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let answer = world.cloud.signed_by(&key, call).await?;
        ensure!(
            answer.status == viewer,
            "a viewer's {method} was answered {}: {}",
            answer.status,
            answer.text
        );
        if viewer == 403 {
            problem(&answer, 403, "")?;
        }
        let answer = world.api.send(method, path, None, &[]).await?;
        ensure!(
            answer.status == admin,
            "an admin's {method} was answered {}: {}",
            answer.status,
            answer.text
        );
    }
    Ok(())
}

/// A new IAM user: its ARN, and the id of its access key.
async fn user(world: &World, name: &str) -> Result<(String, String)> {
    let iam = async |action: &str| {
        let parameters = [("Action", action), ("Version", "2010-05-08"), ("UserName", name)];
        let base = world.cloud.ministack.clone();
        let answer = world.cloud.query("iam", &base, &world.cloud.region, &parameters).await?;
        anyhow::Ok(answer.ok(action)?.text)
    };
    let arn = first(&iam("CreateUser").await?, "Arn")?;
    let key = first(&iam("CreateAccessKey").await?, "AccessKeyId")?;
    Ok((arn, key))
}
