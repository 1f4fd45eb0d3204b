//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// What is made here and not committed: the entries of `.gitignore` at the root.
const NOT_OURS: &[&str] = &["target", ".aws-sam", ".local", ".git"];

/// One text file of the tree.
#[derive(Debug)]
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl File {
    /// Whether its name ends like this.
    pub fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The text of the file at this path from the root.
///
/// # Panics
/// If there is none.
#[expect(clippy::expect_used, reason = "a test that reads a missing file is wrong")]
pub fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// Every text file of the tree, in the order of their paths. Files that are not UTF-8 are left out.
pub fn files() -> Vec<File> {
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    paths.sort();
    let relative = |path: &Path| {
        path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
    };
    paths
        .iter()
        .filter_map(|path| Some(File { path: relative(path), text: fs::read_to_string(path).ok()? }))
        .collect()
}

/// The names of the folders directly below `folder`, in order.
pub fn folders(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        // Folders of caches (`__pycache__`, which `.gitignore` has as well, and the like) are nobody's either.
        let skipped = NOT_OURS.iter().any(|other| name == *other) || name.to_string_lossy().contains("cache");
        // In a second working tree `.git` is a file.
        if path.is_dir() && !skipped {
            walk(&path, into);
        } else if path.is_file() && !skipped {
            into.push(path);
        }
    }
}
