//! EventBridge: rules, the bus and the schedule, which deliver at least once, late, in any order and sometimes never.

use std::sync::Arc;

use app::ports::Request;
use domain::{InstanceId, Observed};
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::listeners::holds_secret;
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::{Call, Due, From, Inner, MINUTE, time};

/// How long an event takes at most as a rule, in milliseconds.
const USUAL: i64 = 400;

impl Inner {
    /// EC2 tells that an instance got into a state.
    pub(crate) fn emit(&mut self, id: &InstanceId, observed: Observed) {
        const KIND: &str = "EC2 Instance State-change Notification";
        let event = json!({
            "version": "0", "id": self.id().to_string(), "detail-type": KIND, "source": "aws.ec2",
            "account": "123456789012", "time": second(self.now), "region": "us-east-1",
            "resources": [format!("arn:aws:ec2:us-east-1:123456789012:instance/{id}")],
            "detail": { "instance-id": id.as_str(), "state": observed.as_str() },
        });
        self.deliver(KIND, event);
    }

    /// One of our functions asks another for something.
    pub(crate) fn put(&mut self, request: &Request) {
        let (kind, detail) = (request.detail_type(), json!(request));
        if holds_secret(&detail) {
            self.violated(format!("a secret is in a request: {detail}"));
        }
        let event = json!({
            "version": "0", "id": self.id().to_string(), "detail-type": kind, "source": "cml-fleet",
            "account": "123456789012", "time": second(self.now), "region": "us-east-1", "resources": [],
            "detail": detail,
        });
        self.deliver(kind, event);
    }

    fn deliver(&mut self, kind: &str, event: Value) {
        let event = Arc::new(event);
        for function in self.wiring.clone().targets(kind).iter().copied() {
            if self.faults.strikes(Fault::EventDropped, Some(function), &mut self.chance) {
                self.step(Step::Struck(Fault::EventDropped, Some(function)));
                continue;
            }
            let twice = self.faults.strikes(Fault::EventDuplicated, Some(function), &mut self.chance);
            for _ in 0..=u8::from(twice) {
                let late = self.faults.strikes(Fault::EventDelayed, Some(function), &mut self.chance);
                let (least, most) = if late { (USUAL, 10 * MINUTE) } else { (50, USUAL) };
                let delay = self.chance.between(least, most);
                self.call_in(delay, function, Arc::clone(&event));
            }
        }
    }

    /// The minute's schedule fires, and is set for the next one.
    pub(crate) fn tick(&mut self) {
        let next = self.now - self.now.rem_euclid(MINUTE) + MINUTE;
        self.at(next, Due::Tick);
        self.trouble_consumers();
        let event = Arc::new(json!({
            "version": "0", "id": self.id().to_string(), "detail-type": "Scheduled Event", "source": "aws.events",
            "account": "123456789012", "time": second(self.now), "region": "us-east-1", "resources": [],
            "detail": {},
        }));
        for function in self.wiring.clone().every_minute.iter().copied() {
            if self.faults.strikes(Fault::TickSkipped, Some(function), &mut self.chance) {
                continue;
            }
            let twice = self.faults.strikes(Fault::TickDuplicated, Some(function), &mut self.chance);
            for _ in 0..=u8::from(twice) {
                let late = self.faults.strikes(Fault::TickDelayed, Some(function), &mut self.chance);
                let most = if late { 10 * MINUTE } else { 3_000 };
                let delay = self.chance.between(10, most);
                self.call_in(delay, function, Arc::clone(&event));
            }
        }
    }

    fn call_in(&mut self, millis: i64, function: Function, event: Arc<Value>) {
        let since = self.now + millis;
        self.after(millis, Due::Invoke(Call { function, event, from: From::Rule { tries: 0, since } }));
    }
}

/// A time as events carry it: to the second.
fn second(millis: i64) -> String {
    time(millis.div_euclid(1000) * 1000).to_string()
}
