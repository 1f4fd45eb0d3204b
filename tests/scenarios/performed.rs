//! Nothing is acknowledged that no code will do: each request of the API that changes something, and what EC2 was brought to.

use std::cell::Cell;

use axum::Router;
use domain::{BulkKind, InstanceId, Observed, WORKER_TAG, WorkerId};
use serde_json::{Value, json};
use tests::repo;
use tests::world::region;

use crate::stack::Stack;
use crate::stack::http::{api, ask};

/// A fleet with a worker that runs, and one that is stopped.
struct Scene {
    stack: Stack,
    api: Router,
    running: (WorkerId, InstanceId),
    stopped: (WorkerId, InstanceId),
    asked: Cell<u32>,
}

impl Scene {
    async fn new() -> Self {
        let stack = Stack::default();
        let running = stack.adopted(Observed::Running).await;
        let stopped = stack.adopted(Observed::Stopped).await;
        stack.settle().await;
        stack.world.pass(1);
        let api = api(&stack.world, vec![region()]);
        Self { stack, api, running, stopped, asked: Cell::new(0) }
    }

    /// What the API acknowledged, once everybody has done what follows from it.
    async fn ask(&self, method: &str, target: &str, body: Value) -> Value {
        let key = format!("key-{}", self.asked.replace(self.asked.get() + 1));
        let (status, answer) = ask(&self.api, method, target, &key, &body).await;
        assert!((200..300).contains(&status), "{method} {target}: {answer}");
        self.stack.settle().await;
        self.stack.deliver().await;
        self.stack.settle().await;
        answer
    }

    /// Where EC2 has an instance, or takes it.
    fn state(&self, instance: &InstanceId) -> Observed {
        let machine = &self.stack.world.state().machines[instance];
        machine.next.unwrap_or(machine.observed)
    }

    fn tag(&self, instance: &InstanceId, key: &str) -> Option<String> {
        self.stack.world.state().machines[instance].tags.get(key).cloned()
    }

    /// Asks for one operation, and looks for what became of it in EC2.
    async fn perform(&self, operation: &str) {
        let ((running, its), (stopped, others)) = (&self.running, &self.stopped);
        let of = |worker: &WorkerId, what: &str| format!("/workers/{worker}{what}");
        let none = || json!({});
        match operation {
            "createWorker" => {
                let spec = json!({ "image": "ami-0123456789abcdef0", "instance_type": "c5.large" });
                let body = json!({ "name": "lab-1", "region": "us-east-1", "spec": spec });
                let id = self.ask("POST", "/workers", body).await["id"].as_str().expect("an id").to_owned();
                let state = self.stack.world.state();
                let owned =
                    state.machines.values().filter(|machine| machine.tags.get(WORKER_TAG) == Some(&id));
                assert_eq!(owned.count(), 1, "it is launched");
            }
            "importInstance" => {
                let instance = self.stack.world.state().launch(Observed::Running);
                let body = json!({ "instance_id": instance.as_str(), "region": "us-east-1" });
                let id = self.ask("POST", "/workers/import", body).await["id"].clone();
                assert_eq!(self.tag(&instance, WORKER_TAG).map(Value::from), Some(id), "it is adopted");

                let found = self.stack.world.state().launch(Observed::Running);
                let tags = [("batch".to_owned(), "exam".to_owned())];
                self.stack.world.state().machines.get_mut(&found).expect("launched").tags.extend(tags);
                let body = json!({ "find": { "tags": { "batch": "exam" } } });
                let (status, answer) = ask(&self.api, "POST", "/workers/import", "many", &body).await;
                assert_eq!((status, &answer["counts"]["imported"]), (200, &json!(1)), "{answer}");
                self.stack.settle().await;
                assert!(self.tag(&found, WORKER_TAG).is_some(), "so is what was found");
            }
            "patchWorker" => {
                self.ask("PATCH", &of(running, ""), json!({ "tags": { "team": "net" } })).await;
                assert_eq!(self.tag(its, "team").as_deref(), Some("net"));
                self.ask("PATCH", &of(running, ""), json!({ "name": "lab-9" })).await;
                assert_eq!(self.tag(its, "Name").as_deref(), Some("lab-9"));
                // What changes nothing in EC2 by itself: as who holds it asks for, a tag waits.
                self.ask("PATCH", &of(running, ""), json!({ "held": "cabling" })).await;
                self.ask("PATCH", &of(running, ""), json!({ "tags": { "team": "lab" } })).await;
                assert_eq!(self.tag(its, "team").as_deref(), Some("net"));
                self.ask("PATCH", &of(running, ""), json!({ "held": null })).await;
                assert_eq!(self.tag(its, "team").as_deref(), Some("lab"));
            }
            "startWorker" => {
                self.ask("POST", &of(stopped, "/start"), none()).await;
                assert_eq!(self.state(others), Observed::Running);
            }
            "stopWorker" => {
                self.ask("POST", &of(running, "/stop"), none()).await;
                assert_eq!(self.state(its), Observed::Stopped);
            }
            "rebootWorker" => {
                self.ask("POST", &of(running, "/reboot"), none()).await;
                assert_eq!(self.stack.world.called("reboot"), 1);
            }
            "syncWorker" => {
                self.ask("POST", &of(running, "/sync"), none()).await;
                assert_eq!(self.stack.world.called("statuses"), 1, "it is looked at");
            }
            "endWorker" => {
                self.ask("DELETE", &of(running, ""), none()).await;
                assert_eq!(self.state(its), Observed::Terminated);
            }
            "createCommand" => self.perform_for_many().await,
            "cancelCommand" => {
                let body = json!({ "action": "stop", "filter": {} });
                let (_, command) = ask(&self.api, "POST", "/commands", "stop", &body).await;
                let id = command["id"].as_str().expect("an id");
                self.ask("POST", &format!("/commands/{id}/cancel"), none()).await;
                assert_eq!(self.state(its), Observed::Running, "nobody is stopped any more");
                assert_eq!(self.stack.world.called("stop"), 0);
            }
            other => panic!("nothing here shows that {other} is performed: add what becomes of it"),
        }
    }
}

impl Scene {
    /// Asks for one of each kind of command for many, and looks for what became of it in EC2.
    async fn perform_for_many(&self) {
        for kind in BulkKind::ALL {
            let scene = Self::new().await;
            let (its, others) = (&scene.running.1, &scene.stopped.1);
            let looks = scene.stack.world.called("statuses");
            let mut body = json!({ "action": kind.as_str(), "filter": {} });
            if *kind == BulkKind::Tag {
                body["tags"] = json!({ "team": "net" });
            }
            scene.ask("POST", "/commands", body).await;
            // What `act` put on the bus in turn.
            scene.stack.deliver().await;
            match kind {
                BulkKind::Start => assert_eq!(scene.state(others), Observed::Running),
                BulkKind::Stop => assert_eq!(scene.state(its), Observed::Stopped),
                BulkKind::Reboot => assert_eq!(scene.stack.world.called("reboot"), 1),
                BulkKind::Terminate => {
                    assert_eq!([its, others].map(|id| scene.state(id)), [Observed::Terminated; 2]);
                }
                BulkKind::Tag => {
                    assert_eq!(
                        [its, others].map(|id| scene.tag(id, "team")),
                        ["net"; 2].map(|t| Some(t.into()))
                    );
                }
                BulkKind::Sync => assert!(scene.stack.world.called("statuses") > looks, "they are looked at"),
            }
        }
    }
}

/// The operations that are not only reading.
fn changes() -> Vec<String> {
    let document: Value = serde_json::from_str(&repo::text("functions/api/openapi.json")).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").values();
    let operations = paths.flat_map(|path| path.as_object().expect("operations"));
    let changing = operations.filter(|(method, _)| *method != "get");
    changing.map(|(_, operation)| operation["operationId"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn every_request_for_a_change_is_performed() {
    let changes = changes();
    assert!(changes.len() >= 10, "{changes:?}");
    for operation in changes {
        println!("{operation}");
        Scene::new().await.perform(&operation).await;
    }
}
