//! The simulated services are held to the laws of every port, with no fault about: what the handlers live with is what the
//! wire code was seen to do. Time passes when nobody can go on.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Waker};

use app::ports::{WebhookAnswer, WebhookRequest};
use contract::Subject;
use domain::{AccountId, InstanceId, Observed, Region};
use tests::world::{SECRET, account, region};

use crate::chance::Chance;
use crate::deployment::Deployment;
use crate::ec2::Phase;
use crate::faults::Faults;
use crate::outside::{Environment, Outside};
use crate::wiring::{Function, Wiring};
use crate::world::{Due, MINUTE, World};

/// How long an instance has run whose processor use is read.
const RUNS: i64 = 10 * MINUTE;

/// A world without faults, seen from `act`.
fn calm() -> Outside {
    let mut chance = Chance::new(1);
    let deployment = Deployment::by(&mut chance);
    let world = World::new(chance, Faults::only(&[]), Arc::new(Wiring::read()), deployment);
    world.inner().ec2.tame = true;
    let environment =
        Environment { function: Function::Act, number: 0, skew: 0, invocation: AtomicU64::new(0) };
    Outside { world: Arc::new(world), environment: Arc::new(environment) }
}

/// Lets a law and the world go on until the law has come to its end.
fn hold(outside: &Outside, law: impl Future<Output = ()>) {
    let mut law = pin!(law);
    let mut context = Context::from_waker(Waker::noop());
    while law.as_mut().poll(&mut context).is_pending() {
        match outside.world.next(i64::MAX).expect("the law waits for something") {
            Due::Wake(waker) => waker.wake(),
            Due::Settle(instance, moves) => outside.world.inner().settle(&instance, moves),
            // Nobody of ours is there to be told.
            _ => {}
        }
    }
}

impl Subject for Outside {
    tests::lawful_ports!(Self;);

    fn account(&self) -> AccountId {
        account()
    }

    fn region(&self) -> Region {
        region()
    }

    fn image(&self) -> String {
        "ami-0123456789abcdef0".to_owned()
    }

    async fn measured(&self) -> InstanceId {
        let mut inner = self.world.inner();
        let (id, since) = (inner.launch(None, "c5.2xlarge", [].into(), None), inner.now - RUNS);
        let phase = Phase { since, observed: Observed::Running, reason: None, run: 1 };
        inner.ec2.machines.entry(id.clone()).and_modify(|machine| machine.phases = vec![phase]);
        id
    }

    fn receiver(&self, answer: Option<WebhookAnswer>) -> String {
        self.world.tables.state().receivers.open(answer)
    }

    fn received(&self, url: &str) -> Vec<WebhookRequest> {
        self.world.tables.state().receivers.got(url)
    }

    fn secret_as_put(&self) -> String {
        SECRET.to_owned()
    }

    fn secrets_without_one(&self) -> &Self {
        self.world.tables.state().secret = None;
        self
    }
}

macro_rules! simulated {
    ($module:ident: $($law:ident),+ $(,)?) => {
        mod $module {
            $(#[test]
            fn $law() {
                let outside = super::calm();
                super::hold(&outside, contract::$module::$law(&outside));
            })+
        }
    };
}

contract::every_law!(simulated);
