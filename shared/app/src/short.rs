//! Short names for long things.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The first 64 bits of a text's SHA-256, in hexadecimal: enough to tell texts apart, and too little to guess one from.
pub(crate) fn hash(text: &str) -> String {
    let mut short = String::new();
    for byte in Sha256::digest(text.as_bytes()).iter().take(8) {
        let _ = write!(short, "{byte:02x}");
    }
    short
}
