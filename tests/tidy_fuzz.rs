//! The package of the fuzz targets keeps step with the workspace, which leaves it out: it has a target for every parser, and tries
//! them with the same crates.
#![expect(clippy::expect_used, reason = "all of this is a test")]

use std::collections::BTreeSet;

use tests::hold;
use tests::repo;

/// What only a package of fuzz targets needs.
const ITS_OWN: &str = "libfuzzer-sys";

fn manifest(path: &str) -> toml::Table {
    repo::text(path).parse().expect(path)
}

/// The version that is asked for, in either way of writing it; none of a path.
fn version(dependency: &toml::Value) -> Option<&str> {
    dependency.as_str().or_else(|| dependency.get("version")?.as_str())
}

/// The parsers of `tests/fuzz/parsers.rs`, by name.
fn parsers() -> BTreeSet<String> {
    let source = repo::text("tests/fuzz/parsers.rs");
    let (_, list) = source.split_once("PARSERS: [Parser; ").expect("the list");
    let (list, _) = list.split_once("];").expect("its end");
    list.lines()
        .filter_map(|line| Some(line.trim().strip_prefix("(\"")?.split('"').next()?.to_owned()))
        .collect()
}

#[test]
fn every_parser_has_a_fuzz_target_and_every_target_its_parser() {
    let parsers = parsers();
    let files: BTreeSet<String> = repo::files()
        .into_iter()
        .filter_map(|file| {
            Some(file.path.strip_prefix("tests/fuzz/targets/")?.strip_suffix(".rs")?.to_owned())
        })
        .collect();
    let package = manifest("tests/fuzz/Cargo.toml");
    let bins = package["bin"].as_array().expect("targets");
    let named: BTreeSet<String> =
        bins.iter().filter_map(|bin| Some(bin["name"].as_str()?.to_owned())).collect();
    let mut faults = Vec::new();
    for name in parsers.union(&files).chain(&named).collect::<BTreeSet<_>>() {
        for (has, what) in [
            (parsers.contains(name), "an entry of PARSERS"),
            (files.contains(name), "a file in tests/fuzz/targets"),
            (named.contains(name), "a [[bin]] in tests/fuzz/Cargo.toml"),
        ] {
            if !has {
                faults.push(format!("{name} has not {what}"));
            }
        }
    }
    for name in &files {
        let path = format!("tests/fuzz/targets/{name}.rs");
        if !repo::text(&path).contains(&format!("parsers::named(\"{name}\")")) {
            faults.push(format!("{path} feeds another parser"));
        }
    }
    for bin in bins {
        let (name, path) = (bin["name"].as_str().expect("a name"), bin["path"].as_str().expect("a path"));
        if path != format!("targets/{name}.rs") {
            faults.push(format!("the [[bin]] {name} is made of {path}"));
        }
    }
    hold("A parser that meets strangers is fed by a bounded run and by a fuzz target of its name.", &faults);
}

#[test]
fn the_fuzz_targets_are_made_of_the_crates_of_the_workspace() {
    let (root, package) = (manifest("Cargo.toml"), manifest("tests/fuzz/Cargo.toml"));
    let ours = root["workspace"]["dependencies"].as_table().expect("dependencies");
    let mut faults = Vec::new();
    for (name, theirs) in package["dependencies"].as_table().expect("dependencies") {
        let Some(asked) = version(theirs).filter(|_| name != ITS_OWN) else { continue };
        match ours.get(name).and_then(version) {
            Some(version) if version == asked => {}
            Some(version) => faults.push(format!("{name} {asked}, in the workspace {version}")),
            None => faults.push(format!("{name} {asked}, which the workspace has not")),
        }
    }
    if package["package"]["edition"] != root["workspace"]["package"]["edition"] {
        faults.push("another edition".to_owned());
    }
    hold("tests/fuzz/Cargo.toml asks for what Cargo.toml asks for: change both.", &faults);
}
