//! The laws on the account in memory, each on one of its own.

use app::ports::{WebhookAnswer, WebhookRequest};
use contract::{Known, Subject, breach};
use domain::{AccountId, FailureKind, InstanceId, Metric, Observed, Region};
use tests::world::{SECRET, World, account, region};

/// A world is every port at once.
#[derive(Default)]
struct Memory(World);

impl Subject for Memory {
    tests::lawful_ports!();

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
        let mut state = self.0.state();
        let (id, now) = (state.launch(Observed::Running), state.time());
        state.measured.insert((id.clone(), Metric::Cpu, now), 12.5);
        id
    }

    fn receiver(&self, answer: Option<WebhookAnswer>) -> String {
        self.0.state().receivers.open(answer)
    }

    fn received(&self, url: &str) -> Vec<WebhookRequest> {
        self.0.state().receivers.got(url)
    }

    fn secret_as_put(&self) -> String {
        SECRET.to_owned()
    }

    fn secrets_without_one(&self) -> &World {
        self.0.state().secret = None;
        &self.0
    }
}

macro_rules! in_memory {
    ($module:ident: $($law:ident),+ $(,)?) => {
        mod $module {
            $(#[tokio::test]
            async fn $law() {
                contract::$module::$law(&super::Memory::default()).await;
            })+
        }
    };
}

contract::every_law!(in_memory);

#[tokio::test]
async fn a_law_that_is_known_to_be_broken_must_be_broken_in_just_that_way() {
    use contract::actuator::an_instance_nobody_knows_cannot_be_tagged as law;
    const KNOWN: Known = Known { law: "the law", says: "left: Other", reason: "EC2 cannot be reached" };
    let memory = Memory::default();
    assert_eq!(breach(law(&memory)).await, None);
    let said = breach(KNOWN.breaks(law(&memory))).await.expect("it holds");
    assert_eq!(said, "the law holds here: it is known no more (EC2 cannot be reached)");
    memory.0.state().refused.insert("tag", FailureKind::Other);
    KNOWN.breaks(law(&memory)).await;
    memory.0.state().refused.insert("tag", FailureKind::Quota);
    let said = breach(KNOWN.breaks(law(&memory))).await.expect("it is broken in another way");
    assert!(said.starts_with("the law is broken in another way than is known (left: Other): "), "{said}");
    assert!(said.contains("left: Quota"), "{said}");
}

/// A law that no list names is never tried. All public functions of the modules are laws but `running`, which the emulators' subject
/// needs, and `breach`.
#[test]
fn every_law_is_tried() {
    let list = include_str!("../src/lib.rs");
    let folder = tests::repo::root().join("tests/contract/src");
    let mut laws = 0;
    for file in std::fs::read_dir(folder).expect("the sources") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let functions = text.split("\npub async fn ").skip(1);
        for rest in functions.filter(|rest| !rest.starts_with("running(") && !rest.starts_with("breach(")) {
            let name = rest.split('(').next().expect("a name");
            assert!(list.contains(&format!("            {name},\n")), "{name} is in no list of `every_law!`");
            laws += 1;
        }
    }
    assert!(laws >= 90, "{laws}");
}
