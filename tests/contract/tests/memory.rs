//! The laws on the account in memory, each on one of its own.

use contract::Subject;
use domain::{AccountId, InstanceId, Metric, Observed, Region};
use tests::world::{World, account, region};

/// A world is every port at once.
#[derive(Default)]
struct Memory(World);

impl Subject for Memory {
    type Workers = World;
    type Samples = World;
    type Sweeps = World;
    type Idempotency = World;
    type UserData = World;
    type Deliveries = World;
    type Compute = World;
    type Actuator = World;
    type Metrics = World;
    type Bus = World;
    type Topic = World;
    type Clock = World;
    type Ids = World;

    fn workers(&self) -> &World {
        &self.0
    }

    fn samples(&self) -> &World {
        &self.0
    }

    fn sweeps(&self) -> &World {
        &self.0
    }

    fn idempotency(&self) -> &World {
        &self.0
    }

    fn user_data(&self) -> &World {
        &self.0
    }

    fn deliveries(&self) -> &World {
        &self.0
    }

    fn compute(&self) -> &World {
        &self.0
    }

    fn actuator(&self) -> &World {
        &self.0
    }

    fn metrics(&self) -> &World {
        &self.0
    }

    fn bus(&self) -> &World {
        &self.0
    }

    fn topic(&self) -> &World {
        &self.0
    }

    fn clock(&self) -> &World {
        &self.0
    }

    fn ids(&self) -> &World {
        &self.0
    }

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

/// A law that no list names is never tried. All public functions of the modules are laws but `running`, which the emulators' subject
/// needs.
#[test]
fn every_law_is_tried() {
    let list = include_str!("../src/lib.rs");
    let folder = tests::repo::root().join("tests/contract/src");
    let mut laws = 0;
    for file in std::fs::read_dir(folder).expect("the sources") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let functions = text.split("\npub async fn ").skip(1);
        for rest in functions.filter(|rest| !rest.starts_with("running(")) {
            let name = rest.split('(').next().expect("a name");
            assert!(list.contains(&format!("            {name},\n")), "{name} is in no list of `every_law!`");
            laws += 1;
        }
    }
    assert!(laws > 50, "{laws}");
}
