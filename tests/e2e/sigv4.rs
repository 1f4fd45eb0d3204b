//! AWS Signature Version 4, as far as plain requests need it. The API and the emulators are called the way AWS is.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Who signs, for what.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) region: String,
    pub(crate) service: &'static str,
}

/// A request, as far as it is signed. The path and the query are encoded already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
}

impl Signer {
    /// The `Authorization` header of a request that is sent at `at` (`YYYYMMDDTHHMMSSZ`, also its `X-Amz-Date`).
    pub(crate) fn authorization(&self, request: Unsigned<'_>, at: &str) -> String {
        let day = at.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let mut query: Vec<&str> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
        query.sort_unstable();
        let canonical = format!(
            "{}\n{}\n{}\nhost:{}\nx-amz-date:{at}\n\nhost;x-amz-date\n{}",
            request.method,
            // Every service but S3 encodes the path once more.
            request.path.replace('%', "%25"),
            query.join("&"),
            request.host,
            hex(&Sha256::digest(request.body)),
        );
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let key = [day, &self.region, self.service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", self.secret_key).into_bytes(), |key, part| mac(&key, part));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-date, Signature={}",
            self.access_key,
            hex(&mac(&key, &to_sign)),
        )
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(query: &str) -> String {
        let signer = Signer {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            region: "us-east-1".to_owned(),
            service: "service",
        };
        let request = Unsigned { method: "GET", host: "example.amazonaws.com", path: "/", query, body: b"" };
        let header = signer.authorization(request, "20150830T123600Z");
        header.rsplit('=').next().unwrap_or_default().to_owned()
    }

    /// `get-vanilla` and `get-vanilla-query-order-key-case` of AWS's test suite for Signature Version 4.
    #[test]
    fn it_signs_what_aws_publishes_the_way_aws_does() {
        assert_eq!(signature(""), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        let ordered = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        assert_eq!(signature("Param2=value2&Param1=value1"), ordered);
    }
}
