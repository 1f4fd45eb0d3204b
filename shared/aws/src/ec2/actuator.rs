//! Changing EC2. The only code in the program that does.

mod retry;

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{Accepted, Actuator, Instance};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification, Image,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceState, InstanceStateChange,
    InstanceType, LaunchTemplateSpecification, ResourceType, Tag, TagSpecification, VolumeType,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{
    Action, ActionKind, Failure, FailureKind, InstanceId, LaunchSpec, LaunchTemplate, MANAGED_TAG, Region,
    UserData, WorkerId,
};

use super::read;
use crate::call::{Report, report};
use crate::clients::Regional;

/// EC2's mutating calls.
#[derive(Debug)]
pub struct Ec2Actuator {
    clients: Regional<Client>,
}

impl Ec2Actuator {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self { clients: Regional::new(config, retry::client) }
    }

    /// Launches one instance: encrypted volumes, IMDSv2 only, tagged from its first moment, and the same one however
    /// often it is called.
    async fn launch(
        client: &Client,
        token: &str,
        spec: &LaunchSpec,
        tags: &[Tag],
        user_data: Option<&UserData>,
    ) -> Result<Accepted, Failure> {
        // Without an image of its own the launch takes its volumes from the template, and IAM sees to it that they are
        // encrypted.
        let volumes = match &spec.image {
            Some(id) => {
                let images = client.describe_images().image_ids(id).send().await.map_err(failure)?;
                let [image] = images.images() else {
                    return Err(invalid(format!("there is no image {id}")));
                };
                Some(encrypted(image, spec))
            }
            None => None,
        };
        let tagged =
            |kind| TagSpecification::builder().resource_type(kind).set_tags(Some(tags.to_vec())).build();
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_endpoint(InstanceMetadataEndpointState::Enabled)
            .http_tokens(HttpTokensState::Required)
            .build();
        let profile = spec
            .instance_profile
            .as_ref()
            .map(|name| IamInstanceProfileSpecification::builder().name(name).build());
        let groups = Some(spec.security_groups.clone()).filter(|groups| !groups.is_empty());
        let answer = client
            .run_instances()
            .client_token(token)
            .min_count(1)
            .max_count(1)
            .set_image_id(spec.image.clone())
            .set_instance_type(spec.instance_type.as_deref().map(InstanceType::from))
            .set_launch_template(spec.launch_template.as_ref().map(template))
            .set_subnet_id(spec.subnet.clone())
            .set_security_group_ids(groups)
            .set_key_name(spec.key_name.clone())
            .set_iam_instance_profile(profile)
            .set_block_device_mappings(volumes)
            .metadata_options(metadata)
            .set_user_data(user_data.map(|data| STANDARD.encode(data.expose())))
            .tag_specifications(tagged(ResourceType::Instance))
            .tag_specifications(tagged(ResourceType::Volume))
            .send()
            .await
            .map_err(failure)?;
        let launched = answer.instances().first().and_then(|first| read::instance(first, answer.owner_id()));
        let launched: Instance =
            launched.ok_or_else(|| other("EC2's answer names no instance".to_owned()))?;
        Ok(Accepted {
            instance: launched.instance.clone(),
            observed: Some(launched.observed),
            launched: Some(launched),
        })
    }

    /// Removes tags first, and so makes room for those to set: EC2 takes 50 for an instance, others' included. But of an instance that
    /// is not ours yet the role of `act` may remove none until it carries the tag that makes it ours.
    async fn retag(
        client: &Client,
        instance: &InstanceId,
        set: &BTreeMap<String, String>,
        remove: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        if set.contains_key(MANAGED_TAG) {
            Self::tag(client, instance, set).await?;
            return Self::untag(client, instance, remove).await;
        }
        Self::untag(client, instance, remove).await?;
        Self::tag(client, instance, set).await
    }

    async fn tag(
        client: &Client,
        instance: &InstanceId,
        set: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        if set.is_empty() {
            return Ok(());
        }
        let tags = set.iter().map(|(key, value)| tag(key).value(value).build()).collect();
        let request = client.create_tags().resources(instance.as_str()).set_tags(Some(tags));
        request.send().await.map(drop).map_err(failure)
    }

    async fn untag(client: &Client, instance: &InstanceId, remove: &BTreeSet<String>) -> Result<(), Failure> {
        if remove.is_empty() {
            return Ok(());
        }
        // Without a value the tag goes whatever its value is.
        let tags = remove.iter().map(|key| tag(key).build()).collect();
        let request = client.delete_tags().resources(instance.as_str()).set_tags(Some(tags));
        request.send().await.map(drop).map_err(failure)
    }
}

impl Actuator for Ec2Actuator {
    async fn call(&self, region: &Region, _: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        let client = self.clients.at(region.as_str());
        let instance = match action {
            Action::Launch { spec, token, tags, user_data } => {
                let tags: Vec<Tag> = tags.iter().map(|(key, value)| tag(key).value(value).build()).collect();
                return Self::launch(&client, token, spec, &tags, user_data.as_ref()).await;
            }
            Action::Tag { instance, set, remove } => {
                Self::retag(&client, instance, set, remove).await?;
                return Ok(Accepted { instance: instance.clone(), observed: None, launched: None });
            }
            Action::Locate => return Err(invalid("to locate is to read, not to act".to_owned())),
            Action::Start(instance)
            | Action::Stop(instance)
            | Action::Reboot(instance)
            | Action::Terminate(instance) => instance,
        };
        let accepted = self.call_many(region, action.kind(), std::slice::from_ref(instance)).await?;
        let unsaid = Accepted { instance: instance.clone(), observed: None, launched: None };
        Ok(accepted.into_iter().next().unwrap_or(unsaid))
    }

    async fn call_many(
        &self,
        region: &Region,
        kind: ActionKind,
        instances: &[InstanceId],
    ) -> Result<Vec<Accepted>, Failure> {
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        let client = self.clients.at(region.as_str());
        let ids = Some(instances.iter().map(InstanceId::to_string).collect());
        let changes = match kind {
            ActionKind::Start => {
                client
                    .start_instances()
                    .set_instance_ids(ids)
                    .send()
                    .await
                    .map_err(failure)?
                    .starting_instances
            }
            ActionKind::Stop => {
                client
                    .stop_instances()
                    .set_instance_ids(ids)
                    .send()
                    .await
                    .map_err(failure)?
                    .stopping_instances
            }
            ActionKind::Terminate => {
                let request = client.terminate_instances().set_instance_ids(ids);
                request.send().await.map_err(failure)?.terminating_instances
            }
            ActionKind::Reboot => {
                // A try whose answer was lost may have rebooted them: whether to try again is not the SDK's to decide.
                let once = aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled());
                let request = client.reboot_instances().set_instance_ids(ids);
                request.customize().config_override(once).send().await.map_err(failure)?;
                None
            }
            ActionKind::Launch | ActionKind::Locate | ActionKind::Tag => {
                return Err(invalid(format!("{kind} is not for several instances at once")));
            }
        };
        let changes = changes.unwrap_or_default();
        let current = |id: &InstanceId| -> Option<&InstanceState> {
            let change = |change: &&InstanceStateChange| change.instance_id() == Some(id.as_str());
            changes.iter().find(change)?.current_state()
        };
        let accepted = |id: &InstanceId| Accepted {
            instance: id.clone(),
            observed: read::observed(current(id)),
            launched: None,
        };
        Ok(instances.iter().map(accepted).collect())
    }
}

fn template(template: &LaunchTemplate) -> LaunchTemplateSpecification {
    let builder = LaunchTemplateSpecification::builder();
    match template {
        LaunchTemplate::Id { id, version } => builder.launch_template_id(id).version(version).build(),
        LaunchTemplate::Name { name, version } => builder.launch_template_name(name).version(version).build(),
    }
}

/// The image's own volumes, each encrypted and as the image has it, but for the root one as it is asked for.
fn encrypted(image: &Image, spec: &LaunchSpec) -> Vec<BlockDeviceMapping> {
    let volumes = image.block_device_mappings().iter().filter(|mapping| mapping.ebs().is_some());
    let mapping = |mapping: &BlockDeviceMapping| {
        let root = mapping.device_name().is_some() && mapping.device_name() == image.root_device_name();
        let wanted = spec.root_volume_gib.filter(|_| root).and_then(|gib| i32::try_from(gib).ok());
        let size = wanted.or_else(|| mapping.ebs().and_then(EbsBlockDevice::volume_size));
        let kind = spec.root_volume_type.filter(|_| root).map(|kind| VolumeType::from(kind.as_str()));
        let volume =
            EbsBlockDevice::builder().encrypted(true).set_volume_size(size).set_volume_type(kind).build();
        BlockDeviceMapping::builder()
            .set_device_name(mapping.device_name().map(str::to_owned))
            .ebs(volume)
            .build()
    };
    volumes.map(mapping).collect()
}

fn tag(key: &str) -> aws_sdk_ec2::types::builders::TagBuilder {
    Tag::builder().key(key)
}

const fn invalid(message: String) -> Failure {
    Failure { kind: FailureKind::Invalid, message }
}

const fn other(message: String) -> Failure {
    Failure { kind: FailureKind::Other, message }
}

fn failure<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> Failure {
    let Report { code, text, throttled, .. } = report(&error);
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let kind = match code.as_deref() {
        _ if throttled => FailureKind::Throttled,
        None => FailureKind::Other,
        Some(code) => kind(code, status),
    };
    Failure { kind, message: text }
}

/// What an error code of EC2 means for the next try (EC2 API reference, "Error codes").
fn kind(code: &str, status: u16) -> FailureKind {
    match code {
        "InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed" => FailureKind::NotFound,
        "IncorrectInstanceState" | "IncorrectState" => FailureKind::IncorrectState,
        "HostLimitExceeded"
        | "InstanceLimitExceeded"
        | "MaxIOPSLimitExceeded"
        | "MaxSpotInstanceCountExceeded"
        | "VcpuLimitExceeded"
        | "VolumeLimitExceeded" => FailureKind::Quota,
        // Not in this zone, or not at all; `UnsupportedOperation` and others of that name are about something else.
        "Unsupported" => FailureKind::Unsupported,
        "UnfulfillableCapacity" => FailureKind::Capacity,
        // Termination and stop protection say `OperationNotPermitted`: somebody has to lift it first.
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "Blocked"
        | "InvalidClientTokenId"
        | "OperationNotPermitted"
        | "OptInRequired"
        | "SignatureDoesNotMatch"
        | "UnauthorizedOperation"
        | "UnrecognizedClientException" => FailureKind::Denied,
        // The token of this launch has launched something, be it with other tags or gone by now.
        "IdempotentInstanceTerminated" | "IdempotentParameterMismatch" => FailureKind::AlreadyLaunched,
        "MalformedQueryString"
        | "MissingParameter"
        | "TagLimitExceeded"
        | "UnknownParameter"
        | "VPCIdNotSpecified" => FailureKind::Invalid,
        _ if code.starts_with("Insufficient") => FailureKind::Capacity,
        _ if code.starts_with("Invalid") || code.starts_with("Unsupported") => FailureKind::Invalid,
        // Something broke on their side, maybe after it was done.
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" => FailureKind::Other,
        _ if status >= 500 => FailureKind::Other,
        _ => FailureKind::Refused,
    }
}
