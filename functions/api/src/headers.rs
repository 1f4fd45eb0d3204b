//! The headers that change what a request means: `If-Match` and `Idempotency-Key`.

use axum::http::{HeaderMap, HeaderName};

use crate::input::Faults;
use crate::problem::{Kind, Problem};

const IF_MATCH: &str = "If-Match";
pub(crate) const ETAG: &str = "a version in quotes, such as \"7\"";
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
pub(crate) const KEY: &str = "1 to 255 printable ASCII characters; in double quotes if there are spaces";

/// The longest idempotency key, in characters.
pub(crate) const MAX_KEY: usize = 255;

/// The version the caller expects the worker to be at: one strong ETag, as `GET /workers/{id}` gave it.
pub(crate) fn expected_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(text) = single(headers, IF_MATCH, ETAG)? else { return Ok(None) };
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or("");
    let canonical =
        digits.len() < 20 && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse::<u64>() {
        Ok(version) if canonical => Ok(Some(version)),
        _ => Err(invalid(IF_MATCH, "must be one ETag of the worker", ETAG)),
    }
}

/// The caller's idempotency key: a quoted string (draft-ietf-httpapi-idempotency-key-header) or the bare text.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(text) = single(headers, IDEMPOTENCY_KEY, KEY)? else { return Ok(None) };
    let key = match text.strip_prefix('"') {
        Some(rest) => unquote(rest),
        None => text.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b'"').then(|| text.to_owned()),
    };
    match key {
        Some(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key)),
        _ => Err(invalid(IDEMPOTENCY_KEY, "must be one key", KEY)),
    }
}

/// The text of a structured-field string (RFC 8941, 3.3.3) after its opening quote.
fn unquote(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c if matches!(c, ' '..='~') => text.push(c),
            _ => return None,
        }
    }
}

/// The text of a header that may be given once.
fn single<'a>(headers: &'a HeaderMap, name: &'static str, allowed: &str) -> Result<Option<&'a str>, Problem> {
    let Ok(key) = HeaderName::from_bytes(name.as_bytes()) else { return Ok(None) };
    let mut values = headers.get_all(key).iter();
    let Some(first) = values.next() else { return Ok(None) };
    match (first.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text.trim())),
        (_, Some(_)) => Err(invalid(name, "is given twice", allowed)),
        (Err(_), None) => Err(invalid(name, "must be printable ASCII", allowed)),
    }
}

/// The caller left out a key that this request must have.
pub(crate) fn missing_key() -> Problem {
    invalid(
        IDEMPOTENCY_KEY,
        "is required: a text of your own, new for each new request, the same when it is repeated",
        KEY,
    )
}

fn invalid(header: &str, detail: &str, allowed: &str) -> Problem {
    let mut faults = Faults::default();
    faults.add(header, detail, Some(allowed.to_owned()));
    faults.problem(Kind::InvalidHeader)
}

/// A header that has no meaning for this request.
pub(crate) fn unconditional(expected: Option<u64>) -> Result<(), Problem> {
    match expected {
        None => Ok(()),
        Some(_) => {
            Err(invalid(IF_MATCH, "has no meaning here, for it is about one worker that exists", "absent"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(name: &str, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        let read = |text: &str| idempotency_key(&headers("idempotency-key", &[text.as_bytes()]));
        assert_eq!(read("8e03978e-40d5").expect("bare"), Some("8e03978e-40d5".into()));
        assert_eq!(read("\"8e03978e-40d5\"").expect("quoted"), Some("8e03978e-40d5".into()));
        assert_eq!(read(r#""a \"b\" \\ c""#).expect("escaped"), Some(r#"a "b" \ c"#.into()));
        assert_eq!(read(&"k".repeat(255)).expect("the longest"), Some("k".repeat(255)));
        assert_eq!(idempotency_key(&HeaderMap::new()).expect("none"), None);
    }

    #[test]
    fn anything_else_is_no_key() {
        let long = "k".repeat(256);
        let bad: [&[u8]; 9] =
            [b"", b"\"\"", b"a b", b"\"a", b"\"a\"b", b"a\"b", b"\"a\\b\"", b"caf\xc3\xa9", long.as_bytes()];
        for value in bad {
            assert!(idempotency_key(&headers("idempotency-key", &[value])).is_err(), "{value:?}");
        }
        assert!(idempotency_key(&headers("idempotency-key", &[b"a", b"a"])).is_err());
    }

    #[test]
    fn only_one_strong_etag_is_a_version() {
        let read = |text: &str| expected_version(&headers("if-match", &[text.as_bytes()]));
        assert_eq!(read("\"7\"").expect("an ETag"), Some(7));
        for bad in [
            "7",
            "\"abc\"",
            "*",
            "\"-1\"",
            "\"\"",
            "\"0\"",
            "\"07\"",
            "W/\"7\"",
            "\"7\", \"8\"",
            "\"+7\"",
            "\"10000000000000000000\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
