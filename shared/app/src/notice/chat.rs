//! Notices in the custom schema of Amazon Q Developer in chat applications (AWS Chatbot before), version 1.0: the only
//! form it shows; anything else it drops without a word (administrator guide, "Custom notifications").

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::{chat, shortened};
use super::topic::unlisted;
use super::{Notice, Severity};

/// Slack shows at most 3,000 characters of a section; escapes count as what they stand for.
const LONGEST: usize = 2500;
/// The longest next step Amazon Q shows.
const LONGEST_STEP: usize = 350;
/// How many notices a digest lists in a chat.
const LISTED: usize = 15;

/// One notice, in the thread of its worker.
pub(super) fn one(notice: &Notice) -> Value {
    let worker = &notice.worker;
    let mut description = String::new();
    for (label, what) in [
        ("", Some(&notice.happened).filter(|happened| !happened.is_empty())),
        ("*Why:* ", notice.why.as_ref()),
        ("*cml-fleet:* ", notice.response.as_ref()),
    ] {
        if let Some(what) = what {
            let _ = writeln!(description, "{label}{}", chat(what));
        }
    }
    let _ =
        write!(description, "{} in {}", worker.instance.as_deref().unwrap_or("no instance"), worker.region);
    let mut content = json!({
        "textType": "client-markdown",
        "title": title(notice.severity, &notice.title),
        "description": shortened(&description, LONGEST),
        "keywords": [notice.severity, notice.fact, worker.region],
    });
    if let Some(advice) = &notice.advice {
        content["nextSteps"] = json!([shortened(&chat(advice), LONGEST_STEP)]);
    }
    json!({
        "version": "1.0",
        "source": "custom",
        "id": notice.id,
        "content": content,
        "metadata": {
            "threadId": worker.id,
            "summary": chat(&notice.title),
            "eventType": notice.event["type"],
            "relatedResources": worker.instance.iter().collect::<Vec<_>>(),
            "additionalContext": {
                "worker_id": worker.id,
                "worker_name": worker.name,
                "region": worker.region,
                "severity": notice.severity,
                "fact": notice.fact,
            },
        },
    })
}

/// A digest, in no thread.
pub(super) fn several(about: &str, notices: &[&Notice]) -> Value {
    let severity = notices.first().map_or(Severity::Info, |notice| notice.severity);
    let listed = &notices[..notices.len().min(LISTED)];
    let mut description = String::new();
    for notice in listed {
        let _ = writeln!(description, "{} {}", emoji(notice.severity), chat(&shortened(&notice.title, 150)));
    }
    description.push_str(&unlisted(notices.len(), listed.len()).unwrap_or_default());
    json!({
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": title(severity, about),
            "description": shortened(description.trim_end(), LONGEST),
            "keywords": [severity, "digest"],
        },
        "metadata": { "summary": about, "eventType": "cml.digest.v1" },
    })
}

fn title(severity: Severity, text: &str) -> String {
    format!("{} {}", emoji(severity), chat(&shortened(text, 200)))
}

const fn emoji(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => ":information_source:",
        Severity::Warning => ":warning:",
        Severity::Critical => ":rotating_light:",
    }
}
