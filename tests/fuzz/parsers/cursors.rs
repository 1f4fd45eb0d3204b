//! The cursors of everything that is listed.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{COMMAND, FREE, INSTANCE, WORKER, ask, asked, keyed, wait};

/// Where a cursor is handed in.
enum Place {
    /// As a parameter of this target.
    Target(String),
    /// In this body of an import.
    Import(Value),
}

/// What is listed in pages of one.
struct Listing {
    place: Place,
    /// Its query, as its cursors have it.
    query: Value,
}

/// All of them. An import has positions of two kinds.
static LISTINGS: LazyLock<[Listing; 6]> = LazyLock::new(|| {
    [
        Place::Target("/workers?limit=1".to_owned()),
        Place::Target(format!("/workers/{WORKER}/events?limit=1")),
        Place::Target(format!("/workers/{WORKER}/telemetry?limit=1")),
        Place::Target(format!("/commands/{COMMAND}/workers?limit=1")),
        Place::Import(json!({ "instance_ids": [INSTANCE, FREE], "limit": 1 })),
        Place::Import(json!({ "find": { "image_name": "cml-*" }, "limit": 1 })),
    ]
    .map(Listing::new)
});

impl Place {
    /// The request for the first page, or for the one at this cursor.
    fn page(&self, cursor: Option<&[u8]>) -> Option<Request<Body>> {
        match self {
            Self::Target(target) => {
                let parameter = cursor.map(|cursor| format!("&cursor={}", escaped(cursor)));
                let target = format!("{target}{}", parameter.unwrap_or_default());
                asked(Method::GET, &target, HeaderMap::new(), Vec::new())
            }
            Self::Import(body) => {
                let mut body = body.clone();
                if let Some(cursor) = cursor {
                    body["cursor"] = String::from_utf8_lossy(cursor).into();
                }
                asked(Method::POST, "/workers/import", keyed(), body.to_string().into_bytes())
            }
        }
    }
}

impl Listing {
    fn new(place: Place) -> Self {
        let first = wait(ask(place.page(None).expect("a request"))).1;
        let next = first["next"].as_str().expect("more than a page");
        let real: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(next).expect("base64")).expect("JSON");
        let listing = Self { place, query: real["of"].clone() };
        wait(listing.follow(next.as_bytes().to_vec(), true));
        listing
    }

    /// A cursor at this position.
    fn at(&self, position: &[u8]) -> Vec<u8> {
        let start = format!("{{\"of\":{},\"at\":", self.query);
        URL_SAFE_NO_PAD.encode([start.as_bytes(), position, b"}"].concat()).into_bytes()
    }

    /// Asks for the page at this cursor, which may be one of `ours`, and for those after it.
    async fn follow(&self, mut cursor: Vec<u8>, mut ours: bool) {
        for _ in 0..5 {
            let Some(request) = self.place.page(Some(&cursor)) else { return };
            let (status, json) = ask(request).await;
            assert!(status == StatusCode::OK || !ours, "our own cursor was refused: {json}");
            let Some(next) = json["next"].as_str() else { return };
            ours = true;
            cursor = next.as_bytes().to_vec();
        }
    }
}

/// A cursor, as it is, as what is within one, and as the position within that. Whatever is taken leads on to cursors that
/// are taken as well.
pub(super) fn api_cursor(bytes: &[u8]) {
    for listing in &*LISTINGS {
        for cursor in [bytes.to_vec(), URL_SAFE_NO_PAD.encode(bytes).into_bytes(), listing.at(bytes)] {
            wait(listing.follow(cursor, false));
        }
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}
