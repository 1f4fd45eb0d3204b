//! The emulated EC2, called as anybody but cml-fleet would: behind its back.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

use crate::cloud::Cloud;

/// EC2 in one region.
#[derive(Debug, Clone)]
pub(crate) struct Ec2 {
    cloud: Cloud,
    region: String,
}

/// An instance as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Ec2 {
    pub(crate) fn new(cloud: &Cloud, region: &str) -> Self {
        Self { cloud: cloud.clone(), region: region.to_owned() }
    }

    async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let mut all = vec![("Action", action), ("Version", "2016-11-15")];
        all.extend_from_slice(parameters);
        let answer = self.cloud.query("ec2", &self.cloud.moto, &self.region, &all).await?;
        Ok(answer.ok(&format!("EC2 {action}"))?.text)
    }

    /// Registers an image; instances are started from it.
    pub(crate) async fn image(&self, name: &str) -> Result<String> {
        let parameters = [
            ("Name", name),
            ("RootDeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.VolumeSize", "32"),
        ];
        let xml = self.call("RegisterImage", &parameters).await?;
        first(&xml, "imageId")
    }

    /// Starts instances that nobody but us knows of; waits until they run.
    pub(crate) async fn launch(&self, image: &str, name: &str, count: usize) -> Result<Vec<String>> {
        let count = count.to_string();
        let parameters = [
            ("ImageId", image),
            ("InstanceType", "c5.2xlarge"),
            ("MinCount", &count),
            ("MaxCount", &count),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", name),
        ];
        let xml = self.call("RunInstances", &parameters).await?;
        let ids: Vec<String> = instances(&xml)?.into_iter().map(|instance| instance.id).collect();
        let last = ids.last().context("EC2 started nothing")?;
        self.wait_for(last, "running").await?;
        Ok(ids)
    }

    pub(crate) async fn stop(&self, id: &str) -> Result<()> {
        self.call("StopInstances", &[("InstanceId.1", id)]).await.map(drop)
    }

    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        self.call("StartInstances", &[("InstanceId.1", id)]).await.map(drop)
    }

    /// One instance, whatever its state.
    pub(crate) async fn instance(&self, id: &str) -> Result<Instance> {
        let xml = self.call("DescribeInstances", &[("InstanceId.1", id)]).await?;
        instances(&xml)?.into_iter().next().with_context(|| format!("EC2 does not know {id}"))
    }

    /// All instances with this tag, terminated ones included.
    pub(crate) async fn tagged(&self, key: &str, value: &str) -> Result<Vec<Instance>> {
        let filter = format!("tag:{key}");
        let parameters = [("Filter.1.Name", filter.as_str()), ("Filter.1.Value.1", value)];
        instances(&self.call("DescribeInstances", &parameters).await?)
    }

    /// Waits for a state.
    pub(crate) async fn wait_for(&self, id: &str, state: &str) -> Result<()> {
        use crate::wait::{eventually, seen};
        eventually(&format!("{id} is {state} in EC2"), std::time::Duration::from_secs(30), || async {
            let actual = self.instance(id).await?.state;
            Ok(seen(actual == state, actual))
        })
        .await
    }
}

pub(crate) fn first(xml: &str, name: &str) -> Result<String> {
    let document = roxmltree::Document::parse(xml)?;
    let found = document.descendants().find(|node| node.has_tag_name(name)).and_then(|node| node.text());
    Ok(found.with_context(|| format!("no {name} in {xml}"))?.to_owned())
}

fn instances(xml: &str) -> Result<Vec<Instance>> {
    let document = roxmltree::Document::parse(xml)?;
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name);
        child.and_then(|child| child.text()).unwrap_or_default().to_owned()
    };
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children().find(|child| child.tag_name().name() == name).map(|child| child.id())
    };
    let mut found = Vec::new();
    for set in document.descendants().filter(|node| node.tag_name().name() == "instancesSet") {
        for item in set.children().filter(|node| node.tag_name().name() == "item") {
            let part = |name| child(item, name).and_then(|id| document.get_node(id));
            let tags =
                part("tagSet").into_iter().flat_map(|set| set.children().filter(|node| node.is_element()));
            found.push(Instance {
                id: text(item, "instanceId"),
                state: part("instanceState").map(|state| text(state, "name")).unwrap_or_default(),
                tags: tags.map(|tag| (text(tag, "key"), text(tag, "value"))).collect(),
            });
        }
    }
    Ok(found)
}
