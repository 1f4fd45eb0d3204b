//! The manifests keep the rules of ARCHITECTURE.md: who may depend on whom, and on what. Every manifest is read, so that a crate that is
//! new has to keep them, too.

use std::collections::BTreeSet;

use tests::hold;
use tests::repo;

/// The crates of `shared/`.
const SHARED: [&str; 3] = ["domain", "app", "aws"];
/// The command line: a client of the API, which knows its answers and signs its requests.
const CLI: &str = "functions/api/cli/Cargo.toml";
/// The laws of the ports.
const CONTRACT: &str = "tests/contract/Cargo.toml";
/// What a client needs to sign.
const SIGNING: [&str; 2] = ["aws-credential-types", "aws-sigv4"];
/// All that the core may be made of: time, error types, identities.
const CORE_CRATES: [&str; 3] = ["jiff", "thiserror", "uuid"];

/// The manifest of every crate.
fn manifests() -> Vec<(String, toml::Table)> {
    let manifests = repo::files().into_iter().filter(|file| file.is("/Cargo.toml"));
    manifests.map(|file| (file.path.clone(), file.text.parse().expect(&file.path))).collect()
}

/// What a manifest depends on: name, how, and in which table.
fn dependencies(manifest: &toml::Table) -> Vec<(&str, &toml::Value, &'static str)> {
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let targets = targets.filter_map(|(_, target)| target.as_table());
    let mut all = Vec::new();
    for tables in [manifest].into_iter().chain(targets) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let named = tables.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
            all.extend(named.map(|(name, how)| (name.as_str(), how, kind)));
        }
    }
    all
}

/// What a list of texts has, under a key of a manifest.
fn texts(list: Option<&toml::Value>) -> Vec<&str> {
    let list = list.and_then(toml::Value::as_array).into_iter().flatten();
    list.filter_map(toml::Value::as_str).collect()
}

#[test]
fn the_core_depends_on_next_to_nothing() {
    let allowed: BTreeSet<&str> = CORE_CRATES.into_iter().collect();
    let (_, core) =
        manifests().into_iter().find(|(path, _)| path == "shared/domain/Cargo.toml").expect("a core");
    let faults: Vec<String> = dependencies(&core)
        .into_iter()
        .filter(|(name, _, kind)| *kind == "dependencies" && !allowed.contains(name))
        .map(|(name, ..)| format!("shared/domain depends on {name}"))
        .collect();
    hold(
        "domain is pure: formats belong to app, services to aws. Move what needs this crate there.",
        &faults,
    );
}

#[test]
fn arrows_point_from_the_outside_in() {
    let manifests = manifests();
    let name = |manifest: &toml::Table| manifest["package"]["name"].as_str().map(str::to_owned);
    let ours: BTreeSet<String> = manifests.iter().filter_map(|(_, manifest)| name(manifest)).collect();
    let mut faults = Vec::new();
    for (path, manifest) in &manifests {
        let allowed: &[&str] = match path.as_str() {
            "shared/domain/Cargo.toml" => &[],
            "shared/app/Cargo.toml" => &SHARED[..1],
            "shared/aws/Cargo.toml" => &SHARED[..2],
            CLI => &["domain", "app", "api"],
            // What tries all of them knows all of them.
            "tests/Cargo.toml" | "tests/fuzz/Cargo.toml" => continue,
            _ => &SHARED,
        };
        for (name, ..) in dependencies(manifest) {
            if ours.contains(name) && !allowed.contains(&name) {
                faults.push(format!("{path} depends on {name}"));
            }
        }
    }
    hold(
        "domain <- app <- aws <- functions: what two crates share moves inwards, and no function knows another.",
        &faults,
    );
}

#[test]
fn only_one_crate_knows_the_aws_sdks() {
    let banned = |name: &str| name.starts_with("aws-") || name == "aws" || name.starts_with("lambda_");
    let mut faults = Vec::new();
    for (path, manifest) in manifests().into_iter().filter(|(path, _)| path != "shared/aws/Cargo.toml") {
        let may_have_adapters = path.starts_with("functions/") && path != CLI || path == CONTRACT;
        for (name, how, kind) in dependencies(&manifest) {
            let optional = how.get("optional").and_then(toml::Value::as_bool) == Some(true);
            let allowed = may_have_adapters && name == "aws" && optional && kind == "dependencies"
                || path == CLI && SIGNING.contains(&name);
            if banned(name) && !allowed {
                faults.push(format!("{path}: {name} in [{kind}]"));
            }
        }
    }
    hold(
        "The SDKs take 12 minutes to compile: only shared/aws has them, and a function or the contract has shared/aws only \
         as an optional dependency behind a feature. The command line signs without one.",
        &faults,
    );
}

#[test]
fn what_a_client_reads_is_no_part_of_what_is_deployed() {
    let mut faults = Vec::new();
    let root: toml::Table = repo::text("Cargo.toml").parse().expect("a manifest");
    let shared = root["workspace"].as_table().expect("a workspace").clone();
    let all = manifests().into_iter().chain([("Cargo.toml".to_owned(), shared)]);
    for (path, manifest) in all.filter(|(path, _)| path != CLI) {
        for (feature, turns_on) in
            manifest.get("features").and_then(toml::Value::as_table).into_iter().flatten()
        {
            if texts(Some(turns_on)).iter().any(|on| ["client", "api/client", "api?/client"].contains(on)) {
                faults.push(format!("{path}: {feature} turns on client"));
            }
        }
        for (name, how, kind) in dependencies(&manifest) {
            if name == "api" && texts(how.get("features")).contains(&"client") {
                faults.push(format!("{path}: client is turned on in [{kind}]"));
            }
        }
    }
    hold("Only the command line turns on the feature client of the API.", &faults);
}

#[test]
fn every_crate_obeys_the_workspace() {
    let mut faults = Vec::new();
    for (path, manifest) in manifests() {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) {
            faults.push(format!("{path}: [lints] workspace = true is missing"));
        }
    }
    hold("Lints are one set for the whole workspace.", &faults);
}
