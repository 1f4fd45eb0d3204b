//! Is the simulator any good? Each mutant of `sim/mutants.toml` is the real code with one line changed for the worse, and
//! must be noticed within a thousand seeds, those of `sim/seeds.txt` first, as they notice what others seldom do: `make mutants`. The
//! same seeds must find nothing in the code as it is. It works on a copy of the tree, in the target folder.
#![expect(clippy::expect_used, reason = "all of this is a test")]
#![expect(clippy::disallowed_methods, reason = "it is told by the environment which mutants to try")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use tests::repo;

#[derive(Debug, Deserialize)]
struct Mutants {
    mutant: Vec<Mutant>,
}

#[derive(Debug, Deserialize)]
struct Mutant {
    name: String,
    file: String,
    find: String,
    replace: String,
}

fn mutants() -> Vec<Mutant> {
    let text = repo::text("tests/sim/mutants.toml");
    toml::from_str::<Mutants>(&text).expect("the form of a mutant").mutant
}

#[test]
fn each_mutant_changes_one_place_that_exists() {
    let mutants = mutants();
    assert!(mutants.len() >= 69);
    for Mutant { name, file, find, replace } in &mutants {
        let text = repo::text(file);
        assert_eq!(text.matches(find.as_str()).count(), 1, "{name}: what {file} must have exactly once");
        assert_ne!(find, replace, "{name}");
    }
}

#[test]
#[ignore = "it takes minutes: make mutants"]
fn the_simulator_notices_each_mutant() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let folder = repo::root().join("target/mutants");
    let tree = folder.join("tree");
    let selected: Vec<Mutant> = mutants().into_iter().filter(|mutant| mutant.name.contains(&only)).collect();
    assert!(!selected.is_empty(), "no mutant is called {only:?}");
    copy(&tree);
    // Else every mutant would be noticed.
    let (broken, well) = simulate(&tree, &folder.join("build"));
    assert!(well, "the code as it is does not hold: {broken:?}");
    let mut missed = Vec::new();
    for mutant in selected {
        copy(&tree);
        let file = tree.join(&mutant.file);
        let text = fs::read_to_string(&file).expect("the copy");
        fs::write(&file, text.replacen(&mutant.find, &mutant.replace, 1)).expect("written");
        match simulate(&tree, &folder.join("build")).0 {
            Some(by) => println!("noticed  {}\n         {by}", mutant.name),
            None => {
                println!("MISSED   {}", mutant.name);
                missed.push(mutant.name);
            }
        }
    }
    assert!(missed.is_empty(), "missed: {missed:?}");
}

/// Brings a copy of the tree up to date; only what differs is written, so that only that is compiled again.
fn copy(tree: &Path) {
    for repo::File { path, text } in repo::files() {
        let to = tree.join(&path);
        if fs::read_to_string(&to).is_ok_and(|there| there == text) {
            continue;
        }
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::write(to, text).expect("written");
    }
}

/// The first law that the simulator found broken, by which seed, and whether the run of all of them was in order.
fn simulate(tree: &Path, build: &Path) -> (Option<String>, bool) {
    let mut cargo = Command::new(env!("CARGO"));
    // What is said to this test is not said to the simulator.
    for name in ["SEED", "FROM", "WORKERS", "FAULTS", "COVERAGE"] {
        cargo.env_remove(name);
    }
    let output = cargo
        .args([
            "test",
            "--profile",
            "mutants",
            "-p",
            "tests",
            "--no-default-features",
            "--test",
            "sim",
            "--quiet",
        ])
        .args(["--", "the_fleet_survives", "--nocapture"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", build)
        .envs([("SEEDS", "1000"), ("HOURS", "3"), ("UNTIL_BROKEN", "1")])
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("could not compile"), "it does not compile:\n{errors}");
    let well = output.status.success();
    let Some(law) = text.lines().find_map(|line| line.trim().strip_prefix("BROKEN: ")) else {
        return (None, well);
    };
    assert!(!well, "a law was broken and the run succeeded:\n{text}");
    let seed = text.lines().find(|line| line.starts_with("seed ")).and_then(|line| line.split(':').next());
    let law: String = law.chars().take(160).collect();
    (Some(format!("{}: {law}", seed.expect("its seed"))), well)
}
