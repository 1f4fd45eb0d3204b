//! How the functions are wired: read from `template.yaml`, so that what is simulated is what is deployed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use tests::pattern::matches;
use tests::template::{Resource, Template, target};
use tests::world::Kept;

use crate::world::SECOND;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Function {
    Api,
    Poll,
    Collect,
    Drift,
    Act,
    Notify,
}

impl Function {
    pub(crate) const ALL: [Self; 6] =
        [Self::Api, Self::Poll, Self::Collect, Self::Drift, Self::Act, Self::Notify];

    const fn resource(self) -> &'static str {
        match self {
            Self::Api => "ApiFunction",
            Self::Poll => "PollFunction",
            Self::Collect => "CollectFunction",
            Self::Drift => "DriftFunction",
            Self::Act => "ActFunction",
            Self::Notify => "NotifyFunction",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Api => "api",
            Self::Poll => "poll",
            Self::Collect => "collect",
            Self::Drift => "drift",
            Self::Act => "act",
            Self::Notify => "notify",
        })
    }
}

/// How one function is invoked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long it may run, in milliseconds.
    pub(crate) timeout: i64,
    /// How often Lambda tries an asynchronous call again.
    pub(crate) retries: u32,
    /// How old an asynchronous call may get, in milliseconds.
    pub(crate) max_age: i64,
}

/// How the stream reaches a function.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub(crate) function: Function,
    pub(crate) batch: usize,
    pub(crate) retries: u32,
    pub(crate) bisects: bool,
    pub(crate) reports_items: bool,
    pub(crate) max_age: i64,
    /// Which records it takes.
    filter: Value,
}

impl Mapping {
    /// Whether it takes a record; one that no filter lets through is passed over.
    pub(crate) fn takes(&self, record: &Value) -> bool {
        matches(&self.filter, record).expect("a filter in a form that we know")
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Wiring {
    functions: BTreeMap<Function, Settings>,
    pub(crate) mappings: Vec<Arc<Mapping>>,
    /// For how long things are kept, unless somebody says otherwise.
    pub(crate) kept: Kept,
    /// Which functions the minute's schedule invokes.
    pub(crate) every_minute: Vec<Function>,
    by_detail_type: BTreeMap<String, Vec<Function>>,
}

impl Wiring {
    pub(crate) fn read() -> Self {
        let template = Template::read();
        let days = |name: &str| whole(&template.section("Parameters")[name]["Default"]).expect("days") as u32;
        let mut wiring = Self {
            functions: BTreeMap::new(),
            mappings: Vec::new(),
            kept: Kept { events: days("EventRetentionDays"), telemetry: days("TelemetryRetentionDays") },
            every_minute: Vec::new(),
            by_detail_type: BTreeMap::new(),
        };
        for function in Function::ALL {
            let resource = template
                .functions()
                .into_iter()
                .find(|resource| resource.name == function.resource())
                .unwrap_or_else(|| panic!("template.yaml has no {}", function.resource()));
            wiring.add(function, &resource);
        }
        assert_eq!(wiring.mappings.len(), 2, "act and notify read the stream");
        wiring
    }

    fn add(&mut self, function: Function, resource: &Resource<'_>) {
        let config = resource.property("EventInvokeConfig");
        let settings = Settings {
            timeout: whole(resource.property("Timeout")).expect("a timeout") * SECOND,
            retries: whole(&config["MaximumRetryAttempts"]).map_or(2, |n| n as u32),
            max_age: whole(&config["MaximumEventAgeInSeconds"]).unwrap_or(21_600) * SECOND,
        };
        self.functions.insert(function, settings);
        for event in resource.property("Events").as_object().into_iter().flat_map(|events| events.values()) {
            let properties = &event["Properties"];
            match event["Type"].as_str() {
                // Off, unless a parameter says otherwise.
                Some("Schedule") if properties["State"]["Fn::If"][2] == "DISABLED" => {}
                Some("Schedule") => {
                    assert_eq!(properties["Schedule"], "rate(1 minute)");
                    self.every_minute.push(function);
                }
                Some("EventBridgeRule") => {
                    let kinds = properties["Pattern"]["detail-type"].as_array().expect("a detail type");
                    for kind in kinds {
                        let kind = kind.as_str().expect("a text").to_owned();
                        self.by_detail_type.entry(kind).or_default().push(function);
                    }
                }
                Some("DynamoDB") => {
                    assert_eq!(target(&properties["Stream"]), Some("FleetTable"));
                    self.mappings.push(Arc::new(mapping(function, properties)));
                }
                other => panic!("{function} is invoked by {other:?}, which the simulator does not know"),
            }
        }
    }

    pub(crate) fn of(&self, function: Function) -> &Settings {
        &self.functions[&function]
    }

    /// How the stream reaches a function that it reaches.
    pub(crate) fn mapping(&self, function: Function) -> Arc<Mapping> {
        let mapping = self.mappings.iter().find(|mapping| mapping.function == function);
        Arc::clone(mapping.expect("a function that reads the stream"))
    }

    /// The functions an event of this detail type reaches.
    pub(crate) fn targets(&self, detail_type: &str) -> &[Function] {
        self.by_detail_type.get(detail_type).map_or(&[], Vec::as_slice)
    }
}

fn mapping(function: Function, properties: &Value) -> Mapping {
    let number = |name: &str| whole(&properties[name]).unwrap_or_else(|| panic!("{function}: no {name}"));
    let filters = properties["FilterCriteria"]["Filters"].as_array().expect("filters");
    let [filter] = filters.as_slice() else { panic!("{function}: one filter") };
    let filter = filter["Pattern"].as_str().expect("a pattern");
    assert!(!filter.contains("OldImage"), "{function}: what has expired comes without its image here");
    Mapping {
        function,
        filter: serde_json::from_str(filter).expect("JSON"),
        batch: number("BatchSize") as usize,
        retries: number("MaximumRetryAttempts") as u32,
        bisects: properties["BisectBatchOnFunctionError"] == true,
        reports_items: properties["FunctionResponseTypes"]
            .as_array()
            .is_some_and(|types| types.iter().any(|kind| kind == "ReportBatchItemFailures")),
        max_age: number("MaximumRecordAgeInSeconds") * SECOND,
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64()
}
