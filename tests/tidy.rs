//! The code keeps the rules of ARCHITECTURE.md: who may depend on whom, what the core must not know, how files look.
//! Each test collects everything that is wrong and says what to do about it. The template's rules are in `template`.
#![expect(clippy::expect_used, reason = "all of this is a test")]

#[path = "tidy/manifests.rs"]
mod manifests;

use std::collections::BTreeSet;

use tests::hold;
use tests::repo::{self, File};

/// The longest a source file may be.
const MOST_LINES: usize = 400;
/// What source files are called, and what they open with.
const OPENINGS: [(&str, &str); 2] = [(".rs", "//!"), (".py", "\"\"\"")];

/// Rust sources below one of these folders.
fn sources(folders: &[&str]) -> Vec<File> {
    let within = |file: &File| folders.iter().any(|folder| file.path.starts_with(folder));
    repo::files().into_iter().filter(|file| file.is(".rs") && within(file)).collect()
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Every place where one of these words stands in code (not in comments).
fn uses(files: &[File], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| code(line).contains(**word)) {
                found.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    found
}

#[test]
fn a_function_is_a_library_without_aws_and_a_binary_that_wires_it() {
    let mut faults = Vec::new();
    for function in repo::folders("functions") {
        let folder = format!("functions/{function}/src/");
        let library: Vec<File> =
            sources(&[&folder]).into_iter().filter(|file| !file.is("src/main.rs")).collect();
        if !library.iter().any(|file| file.is("src/lib.rs")) {
            faults.push(format!("{folder}lib.rs is missing"));
        }
        let services = ["aws::", "aws_sdk_", "aws_config", "aws_smithy", "lambda_runtime", "lambda_http"];
        faults.extend(uses(&library, &services));
        faults.extend(uses(&library, &["env::var", "std::env"]));
    }
    hold(
        "functions/*/src/lib.rs decodes, asks a use case and encodes; main.rs alone knows aws and the environment.",
        &faults,
    );
}

#[test]
fn the_core_is_pure() {
    let impure = [
        "async ",
        ".await",
        "Timestamp::now",
        "SystemTime",
        "Instant::",
        "serde",
        "tracing",
        "std::env",
        "std::fs",
        "std::net::Tcp",
        "std::thread",
        "println!",
        "now_v7",
        "new_v4",
    ];
    let faults = uses(&sources(&["shared/domain/src/"]), &impure);
    hold("domain is a set of functions: time and identities come in as arguments, facts come out.", &faults);
}

#[test]
fn clock_chance_and_environment_have_one_way_in() {
    let outside = [
        "Timestamp::now",
        "SystemTime::now",
        "Instant::now",
        "now_v7",
        "new_v4",
        "env::var",
        "tokio::time::sleep",
    ];
    let inner: Vec<File> = sources(&["shared/app/src/", "functions/"])
        .into_iter()
        .filter(|file| !file.is("src/main.rs") && !file.path.contains("/tests"))
        .collect();
    hold("Time, chance and settings come through app::ports and app::config.", &uses(&inner, &outside));
}

#[test]
fn every_source_file_says_what_it_is_for_and_stays_short() {
    let mut faults = Vec::new();
    for file in repo::files() {
        let Some((_, opening)) = OPENINGS.iter().find(|(ending, _)| file.is(ending)) else { continue };
        if !file.text.starts_with(opening) {
            faults.push(format!(
                "{} does not open with `{opening}` and a sentence on what it is for",
                file.path
            ));
        }
        let lines = file.text.lines().count();
        if lines > MOST_LINES {
            faults.push(format!("{} has {lines} lines: split it along its ideas", file.path));
        }
    }
    hold(&format!("A file says what it is for and has at most {MOST_LINES} lines."), &faults);
}

#[test]
fn nothing_is_left_for_later() {
    // Written in halves, so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
    ];
    let mut faults = Vec::new();
    for file in repo::files() {
        for (number, line) in file.text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| line.contains(**mark)) {
                faults.push(format!("{}:{}: {mark}", file.path, number + 1));
            }
        }
    }
    hold("What is to be done is an issue, not a mark in a file.", &faults);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let homes = [
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/ro", "ot/"),
        concat!("/tmp/", "cml"),
    ];
    let mut faults = Vec::new();
    for file in repo::files().iter().filter(|file| !file.is("Cargo.lock")) {
        for (number, line) in file.text.lines().enumerate() {
            for home in homes.iter().filter(|home| line.contains(**home)) {
                faults.push(format!("{}:{}: {home}", file.path, number + 1));
            }
        }
    }
    hold("Paths are relative to the repository.", &faults);
}

#[test]
fn the_documents_name_only_files_that_exist() {
    let mut faults = Vec::new();
    for file in repo::files() {
        for (number, line) in file.text.lines().enumerate() {
            let prose = if file.is(".md") {
                line
            } else if file.is(".rs") {
                line.trim_start().strip_prefix("//").unwrap_or_default()
            } else {
                continue;
            };
            let names = quoted(prose).into_iter().chain(linked(prose));
            for name in names.filter(|name| is_path(name) && !exists(name, &file.path)) {
                faults.push(format!("{}:{}: {name}", file.path, number + 1));
            }
        }
    }
    hold("A document that names a file must name one that exists.", &faults);
}

/// How many kinds of faults the catalogue has.
const FAULTS: usize = 46;

#[test]
fn every_fault_is_proved_by_a_test_that_exists() {
    let document = repo::text("ARCHITECTURE.md");
    let section = document.split("\n## ").find(|section| section.starts_with("Faults ")).expect("the table");
    let tests: BTreeSet<String> = sources(&["functions/", "shared/", "tests/"])
        .iter()
        .flat_map(|file| test_names(&file.text))
        .map(str::to_owned)
        .collect();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    let mut faults = Vec::new();
    for row in &rows {
        let [fault, _, proofs] = row.as_slice() else { panic!("a row of three: {row:?}") };
        let names = quoted(proofs);
        if names.is_empty() {
            faults.push(format!("{fault}: proved by nothing"));
        }
        let missing = names.into_iter().filter(|name| !tests.contains(*name));
        faults.extend(missing.map(|name| format!("{fault}: there is no test {name}")));
    }
    if rows.len() != FAULTS {
        faults.push(format!("{} rows of {FAULTS}", rows.len()));
    }
    hold("Each fault of ARCHITECTURE.md names the tests that show what comes of it.", &faults);
}

/// The names of the tests in a source file.
fn test_names(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().map(str::trim_start).filter_map(move |line| {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
            return None;
        }
        let function = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
        std::mem::take(&mut is_test).then(|| function.split('(').next()).flatten()
    })
}

/// What stands between backticks.
fn quoted(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// Where links of Markdown lead, without their anchors.
fn linked(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
    targets.filter(|target| target.contains('.') && !target.contains("::")).collect()
}

/// Whether this is meant as a path in this repository: below one of its folders, or a document or manifest.
fn is_path(name: &str) -> bool {
    if name.contains("://") || name.contains([' ', '<', '{', '$', '(']) || name.starts_with(['-', '/', '.']) {
        return false;
    }
    let below = ["functions/", "shared/", "infra/", "tests/", ".ci/"].iter().any(|top| name.starts_with(top));
    let document = [".md", ".toml", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
    below || document
}

/// Whether the path exists, from the root or from the document's own folder. `*` and `x` stand for any folder.
fn exists(name: &str, document: &str) -> bool {
    let name = name.trim_end_matches('/');
    let here = document.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    [String::new(), here].into_iter().any(|base| any_exists(&base, name))
}

fn any_exists(base: &str, name: &str) -> bool {
    let Some((before, after)) =
        ["/*", "/x"].iter().find_map(|mark| split_at_folder(name, mark)).or_else(|| name.split_once("*"))
    else {
        return repo::root().join(base).join(name).exists();
    };
    let after = after.trim_start_matches('/');
    let folders = repo::folders(&format!("{base}{before}"));
    !folders.is_empty()
        && (after.is_empty() || folders.iter().any(|f| any_exists(&format!("{base}{before}/{f}/"), after)))
}

fn split_at_folder<'a>(name: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let (before, after) = name.split_once(mark)?;
    (after.is_empty() || after.starts_with('/')).then_some((before, after))
}
