//! Opaque positions in a listing, as text that survives a URL. A position belongs to the query it was handed out for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::bad_cursor;
use crate::problem::Problem;

/// What a caller gets, before it is made opaque.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor<T> {
    of: String,
    at: T,
}

/// A listing: its path, and the parameters that say what is in it.
#[derive(Debug)]
pub(crate) struct Query(String);

impl Query {
    /// The listing with this name and these filters, each by its own name.
    pub(crate) fn new(listing: &str, filters: &[(&str, Option<&str>)]) -> Self {
        let mut hash = Sha256::new();
        for (name, value) in [("", Some(listing))].iter().chain(filters) {
            // The length tells where a value ends, whatever is in it.
            hash.update(format!("{name} {:?} ", value.map(str::len)));
            hash.update(value.unwrap_or_default());
        }
        // Nobody is kept from making up a cursor; this only tells one query from another.
        Self(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }

    /// A position as a caller gets it.
    pub(crate) fn cursor<T: Serialize>(&self, at: T) -> String {
        let cursor = Cursor { of: self.0.clone(), at };
        // Positions are plain structs of strings and numbers, which always serialise.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }

    /// The position a caller gave back.
    pub(crate) fn position<T: DeserializeOwned>(&self, cursor: &str) -> Result<T, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad_cursor())?;
        let cursor: Cursor<T> = serde_json::from_slice(&bytes).map_err(|_| bad_cursor())?;
        if cursor.of == self.0 { Ok(cursor.at) } else { Err(bad_cursor()) }
    }
}
