//! Clients of the API: they create, import and command workers at random, and ask again with the same key until they
//! have an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use app::ports::RequestKey;
use app::record::Stored;
use domain::{ActionKind, InstanceId, WorkerId};
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::listeners::holds_secret;
use crate::orders::{CREATION, MANY};
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::{Call, Due, From, Inner, SECOND};

/// How often somebody who asks for something has launched an instance by hand, in a million; it is imported later.
const ONE_MORE: u64 = 30_000;

/// The number of a sender that is none of the people.
const SCRIPT: usize = usize::MAX;

/// What people see of a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) id: WorkerId,
    pub(crate) is_over: bool,
    /// The last try to launch it failed, or nobody knows what came of it.
    pub(crate) in_vain: bool,
}

impl Seen {
    pub(crate) fn of(Stored { worker, .. }: &Stored) -> Self {
        let state = worker.state();
        let launch = state.attempt.as_ref().filter(|attempt| attempt.action == ActionKind::Launch);
        let in_vain = state.instance.is_none() && launch.is_some_and(|attempt| attempt.failed.is_some());
        Self { id: worker.id(), is_over: worker.is_over(), in_vain }
    }
}

/// Somebody with a caller's identity of their own.
#[derive(Debug, Default)]
struct Person {
    /// What they ask for, until they have its answer.
    asking: Option<Ask>,
    /// How many requests they have thought of.
    asked: u64,
    /// The number of the request on its way, so that a late answer to an earlier one is not taken for it.
    sent: usize,
    /// When they do something next.
    next: i64,
    /// No answer to it has come yet.
    waiting: bool,
    /// The worker they commanded last, while they are not done with it.
    busy_with: Option<WorkerId>,
}

#[derive(Debug, Clone)]
struct Ask {
    what: &'static str,
    event: Arc<Value>,
}

impl Ask {
    /// The caller and the key, by which the request is known.
    fn name(&self) -> (String, String) {
        let text = |name: &str| self.event[name].as_str().unwrap_or_default().to_owned();
        (text("caller"), text("key"))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct People {
    people: Vec<Person>,
    /// Who sent which request, and its name: caller and key.
    sent: Vec<(usize, (String, String))>,
    /// How requests were answered since they were carried out last: once and for all.
    answers: BTreeMap<(String, String), Value>,
    /// How many workers they want altogether.
    wanted: usize,
    pub(crate) begun: usize,
    /// Commands for many workers that they were told the ids of.
    pub(crate) commands: Vec<String>,
    /// How many commands for many workers they have asked for, each under a key of its own.
    pub(crate) many: usize,
    /// Instances that exist and that nobody imported yet.
    pub(crate) strangers: Vec<InstanceId>,
    /// What was to be launched, by the name of the worker it is for.
    pub(crate) ordered: BTreeMap<String, Value>,
    /// Requests, by caller and key, that failed and that their clients did not ask for again.
    left: BTreeSet<(String, String)>,
    /// Requests whose last answer reached the client and not the table.
    unstored: BTreeSet<(String, String)>,
}

impl People {
    /// Nobody waits for an answer.
    pub(crate) fn are_content(&self) -> bool {
        self.people.iter().all(|person| person.asking.is_none())
    }

    /// A request is carried out, for the first time or once more. `false` if it was answered for good before, and the answer
    /// was stored.
    pub(crate) fn carried_out(&mut self, key: &RequestKey) -> bool {
        let request = (key.caller.clone(), key.key.clone());
        let unstored = self.unstored.remove(&request);
        self.answers.remove(&request).is_none() || unstored
    }

    /// The answer to a request could not be stored.
    pub(crate) fn answer_unstored(&mut self, key: &RequestKey) {
        self.unstored.insert((key.caller.clone(), key.key.clone()));
    }

    /// Whether it is clear why a request has no stored answer when everybody is content: nobody will ask for it again.
    pub(crate) fn is_closed(&self, request: &(String, String)) -> bool {
        self.left.contains(request) || self.unstored.contains(request)
    }
}

impl Inner {
    /// Brings people in, who want so many workers: half of them new, half of them instances that exist.
    pub(crate) fn populate(&mut self, people: usize, workers: usize) {
        for person in 0..people {
            self.people.people.push(Person::default());
            let soon = self.chance.between(0, 20 * SECOND);
            self.wake(person, soon);
        }
        self.people.wanted = workers;
        (0..workers / 2).for_each(|_| self.launch_by_hand());
    }

    /// Somebody launches an instance that nobody imported yet.
    fn launch_by_hand(&mut self) {
        let tags = [("team".to_owned(), "lab".to_owned())];
        let id = self.launch(None, "c5.2xlarge", tags.into(), None);
        self.people.strangers.push(id);
    }

    /// Somebody does something next, or asks again.
    pub(crate) fn act_as(&mut self, person: usize, workers: &[Seen]) {
        let healed = self.faults.healed;
        if self.people.people[person].next != self.now {
            return;
        }
        if self.people.people[person].asking.is_none() {
            if healed {
                return;
            }
            let ask = self.think(person, workers);
            self.people.people[person].asking = Some(ask);
        }
        if self.people.people[person].waiting {
            self.faults.count(Fault::ClientGivesUp, Some(Function::Api));
        }
        let twice = self.faults.strikes(Fault::ClientRepeats, Some(Function::Api), &mut self.chance);
        for _ in 0..=u8::from(twice) {
            self.send(person);
        }
        // It counts if no answer comes before.
        if self.faults.hits(Fault::ClientGivesUp, &mut self.chance) {
            let soon = self.chance.between(1, 40) * SECOND / 10;
            self.wake(person, soon);
        }
    }

    fn send(&mut self, person: usize) {
        let Some(ask) = self.people.people[person].asking.clone() else { return };
        let number = self.people.sent.len();
        self.people.sent.push((person, ask.name()));
        self.people.people[person].sent = number;
        self.people.people[person].waiting = true;
        let delay = self.chance.between(5, 60);
        let from = From::Person(number);
        self.after(delay, Due::Invoke(Call { function: Function::Api, event: ask.event, from }));
    }

    /// A script changes all of these workers, and does not wait for the answers: every third is stopped, the others get a tag.
    pub(crate) fn change_all(&mut self, workers: impl IntoIterator<Item = WorkerId>) {
        const CALLER: &str = "arn:aws:iam::123456789012:user/script";
        for (number, worker) in workers.into_iter().enumerate() {
            let (method, target, body) = match number % 3 {
                2 => ("POST", format!("/workers/{worker}/stop"), Value::Null),
                _ => ("PATCH", format!("/workers/{worker}"), json!({ "tags": { "owner": "script" } })),
            };
            let key = format!("script-{number}");
            let event =
                json!({ "method": method, "target": target, "body": body, "caller": CALLER, "key": key });
            let from = From::Person(self.people.sent.len());
            self.people.sent.push((SCRIPT, (CALLER.to_owned(), key)));
            self.after(20, Due::Invoke(Call { function: Function::Api, event: event.into(), from }));
        }
    }

    /// A request got its answer; none if the function died over it, which the gateway makes a 500.
    pub(crate) fn answered(&mut self, number: usize, answer: Option<&Value>) {
        let (person, request) = self.people.sent[number].clone();
        let status = answer.and_then(|answer| answer["status"].as_u64()).unwrap_or(500) as u16;
        if answer.is_some_and(holds_secret) {
            self.violated(format!("a secret is in the answer to {request:?}"));
        }
        let kind = answer.and_then(|answer| answer["body"]["type"].as_str()).unwrap_or_default();
        let open = status >= 500 || kind.ends_with("request-in-progress");
        // A dry run does nothing, and is done afresh each time.
        let dry_run = answer.is_some_and(|answer| answer["body"]["dry_run"] == true);
        if let Some(answer) = answer.filter(|_| !open && !dry_run && !request.1.is_empty()) {
            let first = self.people.answers.entry(request.clone()).or_insert_with(|| answer.clone());
            if first != answer {
                let message =
                    format!("the request {request:?} is answered with {first}, and then with {answer}");
                self.violated(message);
            }
        }
        let Some(ask) = self.people.people.get(person).and_then(|person| person.asking.clone()) else {
            return;
        };
        if let Some(id) = answer.and_then(|answer| answer["body"]["id"].as_str()).filter(|_| ask.what == MANY)
        {
            self.people.commands.push(id.to_owned());
        }
        self.step(Step::Asked(person, ask.what.to_owned(), status));
        if self.people.people[person].sent != number {
            return;
        }
        self.people.people[person].waiting = false;
        let leaves =
            status >= 500 && self.faults.strikes(Fault::ClientLeaves, Some(Function::Api), &mut self.chance);
        let again = open && !leaves;
        if leaves {
            self.people.left.insert(request);
        }
        if !again {
            self.people.people[person].asking = None;
            // Some go on at once with what they have just begun, or think better of it.
            if ask.what == CREATION && self.chance.hits(150_000) {
                let begun = answer.and_then(|answer| answer["body"]["id"].as_str());
                self.people.people[person].busy_with = begun.and_then(|id| id.parse().ok());
            }
            // Nothing came of it.
            self.people.many -= usize::from(ask.what == MANY && (400..500).contains(&status));
            // An instance EC2 does not know yet cannot be imported yet.
            let unknown = kind.ends_with("no-such-instance");
            let senseless =
                matches!(status, 400..=405 | 413 | 415) || (status == 422 && ask.what == CREATION);
            if senseless && ask.what != "anything" && !unknown {
                let body = answer.map(|answer| answer["body"].to_string()).unwrap_or_default();
                self.violated(format!("{} is refused with {status}: {body}", ask.what));
            }
        }
        let wait = if again { self.chance.between(1, 8) * SECOND } else { self.pause(person) };
        self.wake(person, wait);
    }

    /// Somebody does something next after so long, and nothing before.
    fn wake(&mut self, person: usize, millis: i64) {
        let at = self.now + millis;
        self.people.people[person].next = at;
        self.at(at, Due::Person(person));
    }

    /// Until somebody thinks of something next.
    fn pause(&mut self, person: usize) -> i64 {
        if self.people.people[person].busy_with.is_some() {
            // Half of the time at once: mostly before what was asked for has been carried out.
            let most = if self.chance.hits(500_000) { 500 } else { 3 * SECOND };
            self.chance.between(0, most)
        } else if self.people.begun < self.people.wanted {
            // Most use a script that goes on at once: launches come faster than EC2 takes them.
            if self.chance.hits(700_000) {
                self.chance.between(20, 400)
            } else {
                self.chance.between(1, 20) * SECOND
            }
        } else {
            self.chance.between(10, 20 * 60) * SECOND
        }
    }

    /// What somebody asks for.
    fn think(&mut self, person: usize, workers: &[Seen]) -> Ask {
        self.people.people[person].asked += 1;
        let number = self.people.people[person].asked;
        let name = format!("worker-{person}-{number}");
        let alive: Vec<WorkerId> = workers.iter().filter(|seen| !seen.is_over).map(|seen| seen.id).collect();
        if self.chance.hits(ONE_MORE) {
            self.launch_by_hand();
        }
        let same = self.people.people[person].busy_with.filter(|worker| alive.contains(worker));
        self.people.people[person].busy_with = same;
        let short = self.people.begun < self.people.wanted
            || alive.len() * 2 < self.people.wanted
            || (!self.people.strangers.is_empty() && self.chance.hits(10 * ONE_MORE));
        let vain: Vec<WorkerId> =
            workers.iter().filter(|seen| seen.in_vain && !seen.is_over).map(|seen| seen.id).collect();
        let vain = self.chance.one(&vain).copied().filter(|_| self.chance.hits(100_000));
        let (what, method, target, body) = if let Some(worker) = vain {
            // Who sees that it is not launched wants it no more.
            ("anything", "DELETE", format!("/workers/{worker}"), Value::Null)
        } else if short && same.is_none() {
            self.people.begun += 1;
            self.begin(&name)
        } else {
            match same.or_else(|| self.chance.one(&alive).copied()) {
                Some(worker) => {
                    // Who changes their mind does so at once, while the first wish is being carried out.
                    let again = self.chance.hits(400_000);
                    self.people.people[person].busy_with = again.then_some(worker);
                    if same.is_some() && self.chance.hits(300_000) {
                        // While what they asked for before is being carried out.
                        let forget = if self.chance.hits(500_000) { "?forget=true" } else { "" };
                        ("anything", "DELETE", format!("/workers/{worker}{forget}"), Value::Null)
                    } else if same.is_some() && self.chance.hits(200_000) {
                        self.change_shift(person, worker)
                    } else if self.chance.hits(25_000) {
                        self.command_many(&alive, &name)
                    } else {
                        self.command(person, worker, &name)
                    }
                }
                None => ("listing", "GET", "/workers".to_owned(), Value::Null),
            }
        };
        let event = json!({
            "method": method, "target": target, "body": body,
            "caller": format!("arn:aws:iam::123456789012:user/person-{person}"),
            "key": if method == "GET" { String::new() } else { format!("key-{number}") },
        });
        Ask { what, event: Arc::new(event) }
    }

    /// A tag gets the other of two values: there and back again may be sooner than EC2 answers.
    fn change_shift(
        &mut self,
        person: usize,
        worker: WorkerId,
    ) -> (&'static str, &'static str, String, Value) {
        let shift = if self.people.people[person].asked.is_multiple_of(2) { "day" } else { "night" };
        let tags = json!({ "tags": { "shift": shift, "team": null } });
        ("anything", "PATCH", format!("/workers/{worker}"), tags)
    }

    fn command(
        &mut self,
        person: usize,
        worker: WorkerId,
        name: &str,
    ) -> (&'static str, &'static str, String, Value) {
        let path = format!("/workers/{worker}");
        let post = |what: &'static str| ("anything", "POST", format!("{path}/{what}"), Value::Null);
        match self.chance.below(31) {
            0..=4 => post("start"),
            5..=9 => post("stop"),
            10..=11 => post("reboot"),
            12..=13 => post("sync"),
            14 => ("anything", "DELETE", path, Value::Null),
            15 => ("anything", "DELETE", format!("{path}?forget=true"), Value::Null),
            16 => ("anything", "PATCH", path, json!({ "name": format!("re{name}") })),
            17 => self.change_shift(person, worker),
            18..=19 => {
                let drift = ["alert", "revert", "adopt"][self.chance.below(3) as usize];
                ("anything", "PATCH", path, json!({ "settings": { "drift": drift } }))
            }
            20 => {
                let interval = [60, 300, 900][self.chance.below(3) as usize];
                ("anything", "PATCH", path, json!({ "settings": { "interval": interval } }))
            }
            21 => {
                let on = self.chance.below(4) > 0;
                ("anything", "PATCH", path, json!({ "settings": { "monitoring": on } }))
            }
            22 => ("anything", "GET", path, Value::Null),
            23 => ("anything", "GET", format!("{path}/events"), Value::Null),
            24 => ("anything", "GET", format!("{path}/telemetry"), Value::Null),
            25 => ("anything", "PATCH", path, json!({ "held": format!("by hand, {name}") })),
            26..=27 => ("anything", "PATCH", path, json!({ "held": null })),
            28 => {
                let on = self.chance.hits(500_000);
                ("anything", "PATCH", path, json!({ "protected": on }))
            }
            // A name it may have or not.
            29 => ("anything", "DELETE", format!("{path}?confirm={name}"), Value::Null),
            _ => ("listing", "GET", "/workers".to_owned(), Value::Null),
        }
    }
}
