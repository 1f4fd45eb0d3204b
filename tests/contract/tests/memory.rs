//! The laws on the account in memory, each on one of its own.

use contract::Subject;
use domain::{AccountId, InstanceId, Metric, Observed, Region};
use tests::world::{World, account, region};

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
async fn a_law_that_is_broken_is_told_from_one_that_holds() {
    use contract::actuator::a_launch_with_the_same_token_is_the_same_launch as law;
    let memory = Memory::default();
    assert!(contract::holds(law(&memory)).await);
    memory.0.state().broken.insert("locate");
    assert!(!contract::holds(law(&memory)).await);
}

/// A law that no list names is never tried. All public functions of the modules are laws but `running`, which the emulators' subject
/// needs, and `holds`.
#[test]
fn every_law_is_tried() {
    let list = include_str!("../src/lib.rs");
    let folder = tests::repo::root().join("tests/contract/src");
    let mut laws = 0;
    for file in std::fs::read_dir(folder).expect("the sources") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let functions = text.split("\npub async fn ").skip(1);
        for rest in functions.filter(|rest| !rest.starts_with("running(") && !rest.starts_with("holds(")) {
            let name = rest.split('(').next().expect("a name");
            assert!(list.contains(&format!("            {name},\n")), "{name} is in no list of `every_law!`");
            laws += 1;
        }
    }
    assert!(laws >= 83, "{laws}");
}
