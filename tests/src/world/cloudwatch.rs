//! CloudWatch.

use std::collections::BTreeMap;

use app::error::CallError;
use app::ports::Metrics;
use domain::{Datapoint, InstanceId, Metric, Region, Timestamp, Vitals};

use super::World;
use super::ec2::broken;

impl Metrics for World {
    async fn read(
        &self,
        _: &Region,
        wanted: &[(InstanceId, Metric)],
        from: Timestamp,
        to: Timestamp,
        _: u32,
    ) -> Result<BTreeMap<InstanceId, Vitals>, CallError> {
        let mut state = self.state();
        if !state.call("metrics") {
            return Err(broken("metrics"));
        }
        let mut answer = BTreeMap::new();
        for (id, metric) in wanted {
            let within = (id.clone(), *metric, from)..(id.clone(), *metric, to);
            let points: Vec<Datapoint> = state
                .measured
                .range(within)
                .filter_map(|((.., at), value)| Datapoint::new(*at, *value))
                .collect();
            if !points.is_empty() {
                answer.entry(id.clone()).or_insert_with(Vitals::default).insert(*metric, points);
            }
        }
        Ok(answer)
    }
}
