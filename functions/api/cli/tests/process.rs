//! The binary itself: arguments, environment, streams, exit code.

use std::process::{Command, Output, Stdio};

use crate::support::{ADMIN, Fleet};

async fn run(fleet: &Fleet, token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cml-fleet"));
    command.args(arguments).env_clear().env("CML_FLEET_URL", &fleet.url).env("CML_FLEET_TOKEN", token);
    // Nobody listens there: what is on this machine is not asked for through a proxy.
    command.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    command.stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("nobody panicked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_takes_its_address_and_token_from_the_environment() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let ran = run(&fleet, ADMIN, &["get", "lab-1"]).await;
    let out = String::from_utf8(ran.stdout).expect("UTF-8");
    assert_eq!((ran.status.code(), ran.stderr.as_slice()), (Some(0), b"".as_slice()));
    assert!(out.contains(&format!("\nid\t{id}\n")) && !out.contains('\u{1b}'), "{out}");
    assert_eq!(fleet.last().header("authorization"), format!("Bearer {ADMIN}"));

    let ran = run(&fleet, ADMIN, &["get", "lab-7"]).await;
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(4), b"".as_slice()));
    assert_eq!(run(&fleet, "viewer-x", &["stop", "lab-1"]).await.status.code(), Some(5));
    assert_eq!(run(&fleet, ADMIN, &["stop", "lab-1"]).await.status.code(), Some(0));
    let key = fleet.last().header("idempotency-key").to_owned();
    assert_eq!((key.len(), &key[14..15]), (36, "7"), "a UUID of version 7: {key}");
}
