//! Examples of requests and answers. `functions/api/tests/document.rs` sends the requests, and holds all of them to their schemas.

use serde_json::{Value, json};

use crate::problem::{Fault, Kind, Problem};

/// Requests: the operation, what the example shows, and its body.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "createWorker",
            "The least that is needed",
            json!({
                "name": "lab-1", "region": "us-east-1",
                "spec": { "image": "ami-0123456789abcdef0", "instance_type": "m5zn.metal" },
            }),
        ),
        (
            "createWorker",
            "The newest image of a name, and what to launch where EC2 has no room",
            json!({
                "name": "lab-2", "region": "us-east-1",
                "spec": {
                    "image": { "name": "cml2-worker-*", "owner": "self" }, "instance_type": "m5zn.metal",
                    "subnet": "subnet-0a1b2c3d", "security_groups": ["sg-0a1b2c3d"], "key_name": "ops",
                    "instance_profile": "cml-worker", "root_volume_gib": 200, "root_volume_type": "gp3",
                    "user_data": "#!/bin/sh\necho hello\n",
                    "alternatives": [{ "instance_type": "c5.metal" }, { "subnet": "subnet-0a1b2c3e" }],
                },
                "tags": { "team": "net lab" }, "settings": { "interval": 60, "drift": "revert" }, "protected": true,
            }),
        ),
        (
            "createWorker",
            "From a launch template",
            json!({
                "name": "lab-3", "region": "us-east-1",
                "spec": { "launch_template": { "name": "cml", "version": "$Latest" } },
            }),
        ),
        (
            "importInstance",
            "An instance that runs already",
            json!({
                "instance_id": "i-0123456789abcdef0", "region": "us-east-1", "name": "lab-4",
                "held": "its disk is swapped by hand",
            }),
        ),
        (
            "importInstance",
            "What would come of importing all instances with a tag",
            json!({ "find": { "tags": { "team": "net lab" } }, "regions": ["us-east-1"], "dry_run": true }),
        ),
        (
            "importInstance",
            "All instances with a tag and from images of such a name, in all regions, by the page",
            json!({
                "find": { "tags": { "team": "net lab" }, "image_name": "cml2-worker-*" }, "limit": 100,
                "tags": { "team": "net lab" }, "settings": { "drift": "alert" },
            }),
        ),
        (
            "importInstance",
            "Instances by their ids, also those that a fleet which is gone has left its tag on",
            json!({
                "instance_ids": ["i-0123456789abcdef0", "i-0123456789abcdef1"], "adopt_orphans": true,
                "held": "nobody has looked at it yet", "protected": true,
            }),
        ),
        (
            "patchWorker",
            "Another name, one tag more and one less, and a setting that follows the fleet again",
            json!({
                "name": "lab-5", "tags": { "team": "net lab", "owner": null }, "settings": { "interval": null },
            }),
        ),
        ("patchWorker", "Hands off", json!({ "held": "its disk is swapped by hand" })),
        (
            "createCommand",
            "What it would do to start every stopped worker of a team",
            json!({
                "action": "start", "filter": { "status": "stopped", "tags": { "team": "net lab" } }, "dry_run": true,
            }),
        ),
        (
            "createCommand",
            "Tags of those that are named so",
            json!({
                "action": "tag", "filter": { "region": "us-east-1", "name": "lab-*" }, "tags": { "shift": "late", "owner": null },
            }),
        ),
        (
            "createCommand",
            "An end, confirmed by its number",
            json!({
                "action": "terminate", "workers": ["01890a5d-ac96-774b-bcce-b302099a8057"], "confirm": 1,
            }),
        ),
        ("cancelCommand", "Nothing has to be said", json!({})),
        ("startWorker", "Nothing has to be said", json!({})),
        ("stopWorker", "Nothing has to be said", json!({})),
        ("rebootWorker", "Nothing has to be said", json!({})),
        ("syncWorker", "Nothing has to be said", json!({})),
    ]
}

/// Gives an operation its examples of requests.
pub(super) fn add_requests(operation: &mut Value, id: &str) {
    let of_this = requests().into_iter().filter(|(of, ..)| *of == id);
    for (index, (_, summary, value)) in of_this.enumerate() {
        operation["requestBody"]["content"]["application/json"]["examples"]
            [format!("example-{}", index + 1)] = json!({ "summary": summary, "value": value });
    }
}

/// A problem of each of these kinds.
pub(super) fn of_problems(kinds: &[Kind]) -> Value {
    let reference = |kind: &Kind| json!({ "$ref": format!("#/components/examples/{}", kind.slug()) });
    kinds.iter().map(|kind| (kind.slug().to_owned(), reference(kind))).collect()
}

fn problem(kind: Kind) -> Value {
    let fault = |field: &str, detail: &str, allowed: &str| Fault {
        field: field.to_owned(),
        detail: detail.to_owned(),
        allowed: Some(allowed.to_owned()),
    };
    let problem = match kind {
        Kind::InvalidParameter => Problem::with_faults(
            kind,
            vec![fault("limit", "must be a whole number from 1 to 100", "1 to 100")],
        ),
        Kind::InvalidValue => Problem::with_faults(
            kind,
            vec![fault("settings.interval", "must be a whole number from 60 to 3600", "60 to 3600")],
        ),
        Kind::MalformedBody => Problem::with_faults(
            kind,
            vec![fault(
                "nmae",
                "is not a field of this request",
                "name, region, spec, tags, settings, protected",
            )],
        ),
        Kind::Stale => {
            Problem::new(kind, "If-Match names another version than 7, which the worker is at; read it again")
                .at_version(7)
        }
        _ => Problem::new(kind, "what happened, in words for people"),
    };
    serde_json::from_str(&problem.to_json(Some("JKJaXmPLvHcESHA="))).expect("JSON")
}

/// What answers have in common.
pub(super) fn components() -> Value {
    let settings = json!({
        "own": { "interval": 60 },
        "in_force": {
            "monitoring": true, "interval": 60, "drift": "alert", "cpu": 90, "memory": 90, "disk": 90, "alert_duration": 600,
        },
    });
    let mut all = json!({ "Worker": { "summary": "A worker that is being stopped", "value": {
        "id": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "lab-1", "region": "us-east-1", "account": "123456789012",
        "zone": "us-east-1a", "instance_id": "i-0123456789abcdef0", "instance_type": "m5zn.metal",
        "status": "stopping", "desired": "stopped",
        "observed": {
            "state": "stopping", "source": "response", "at": "2026-03-01T12:00:01.000Z",
            "seen_at": "2026-03-01T12:00:01.250Z", "reason": null,
        },
        "health": { "system": "ok", "instance": "ok", "ebs": "ok", "at": "2026-03-01T11:59:00.000Z" },
        "addresses": { "private": "10.0.0.7", "public": null },
        "tags": { "team": "net lab" }, "settings": settings, "held": null, "protected": false, "drift": null,
        "attempt": {
            "action": "stop", "number": 1, "issued_at": "2026-03-01T12:00:00.900Z", "deadline": "2026-03-01T12:20:00.900Z",
            "alternative": null, "accepted": true, "failed": null,
        },
        "next": {
            "action": null, "reason": "in_transition", "text": "EC2 is still moving the instance (stopping)",
        },
        "gave_up": [], "alerts": [], "origin": "imported", "spec": null,
        "created_at": "2026-02-20T08:00:00.000Z", "updated_at": "2026-03-01T12:00:01.250Z",
        "terminated_at": null, "forgotten_at": null, "version": 7,
    } } });
    all["Discovered"] = discovered();
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::MethodNotAllowed) {
        all[kind.slug()] = json!({ "summary": kind.title(), "value": problem(*kind) });
    }
    all
}

fn discovered() -> Value {
    let item = |instance: &str, outcome: &str| json!({ "instance_id": instance, "region": "us-east-1", "outcome": outcome });
    let mut items = [
        item("i-0123456789abcdef0", "imported"),
        item("i-0123456789abcdef1", "known"),
        item("i-0123456789abcdef2", "refused"),
    ];
    items[0]["worker_id"] = "01890a5d-ac96-774b-bcce-b302099a8057".into();
    items[0]["name"] = "lab-1".into();
    items[1]["worker_id"] = "01890a5d-ac96-774b-bcce-b302099a8058".into();
    let why = problem(Kind::InstanceClaimed);
    items[2]["reason"] = json!({ "type": why["type"], "detail": why["detail"] });
    json!({ "summary": "A page of three instances, and there are more", "value": {
        "items": items,
        "next": "eyJvZiI6IjU1ZTBhZjcyMWY5YiIsImF0Ijp7fX0",
        "counts": { "imported": 1, "would_import": 0, "known": 1, "refused": 1, "failed": 0 },
    } })
}
