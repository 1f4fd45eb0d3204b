//! EC2 on the wire: what is asked, and what the answers mean.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{Accepted, Actuator, Answered, Compute};
use domain::{
    Action, ActionKind, CheckStatus, Failure, FailureKind, InstanceId, LaunchSpec, MANAGED_TAG, Observed,
    Region, VolumeType, WorkerId,
};

use super::{Ec2Actuator, Ec2Compute};
use crate::wire::{Reply, Wire};

mod launching;
mod retrying;
mod searching;

const WORKER: &str = "0192aaaa-0000-7000-8000-000000000001";

fn region() -> Region {
    "eu-west-1".parse().expect("a region")
}

fn worker() -> WorkerId {
    WORKER.parse().expect("a worker id")
}

fn id(number: usize) -> InstanceId {
    format!("i-{number:017x}").parse().expect("an instance id")
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<InstanceId> {
    numbers.into_iter().map(id).collect()
}

fn statuses(numbers: impl IntoIterator<Item = usize>) -> Reply {
    let item = |number| {
        format!(
            "<item><instanceId>{}</instanceId><availabilityZone>eu-west-1a</availabilityZone>
             <instanceState><code>16</code><name>running</name></instanceState>
             <systemStatus><status>ok</status></systemStatus>
             <instanceStatus><status>impaired</status></instanceStatus>
             <attachedEbsStatus><status>insufficient-data</status></attachedEbsStatus></item>",
            id(number)
        )
    };
    let items: String = numbers.into_iter().map(item).collect();
    Reply::ok(format!(
        "<DescribeInstanceStatusResponse><instanceStatusSet>{items}</instanceStatusSet></DescribeInstanceStatusResponse>"
    ))
}

fn instance(number: usize, state: &str, more: &str) -> String {
    format!(
        "<item><instanceId>{}</instanceId><instanceState><name>{state}</name></instanceState>{more}</item>",
        id(number)
    )
}

fn reservations(instances: &str, next: &str) -> Reply {
    Reply::ok(format!(
        "<DescribeInstancesResponse><reservationSet><item><ownerId>123456789012</ownerId>
         <instancesSet>{instances}</instancesSet></item></reservationSet>{next}</DescribeInstancesResponse>"
    ))
}

#[tokio::test]
async fn statuses_are_asked_by_id_stopped_instances_included() {
    let wire = Wire::new([statuses([1])]);
    let answer = Ec2Compute::new(&wire.config()).statuses(&region(), &ids([1])).await.expect("answered");
    assert_eq!(
        wire.only().fields(),
        ["Action=DescribeInstanceStatus", "InstanceId.1=i-00000000000000001", "IncludeAllInstances=true"]
    );
    let [status] = answer.found.as_slice() else { panic!("one: {answer:?}") };
    assert_eq!(status.observed, Observed::Running);
    assert_eq!(
        [status.system, status.reachability, status.ebs],
        [CheckStatus::Ok, CheckStatus::Impaired, CheckStatus::InsufficientData]
    );
    assert_eq!(status.zone.as_ref().map(|zone| zone.as_str()), Some("eu-west-1a"));
}

#[tokio::test]
async fn no_ids_is_no_call_for_it_would_ask_for_the_whole_region() {
    let wire = Wire::new([]);
    let compute = Ec2Compute::new(&wire.config());
    assert!(compute.statuses(&region(), &[]).await.expect("nothing").found.is_empty());
    assert!(compute.describe(&region(), &[]).await.expect("nothing").found.is_empty());
    assert_eq!(
        Ec2Actuator::new(&wire.config()).call_many(&region(), ActionKind::Stop, &[]).await,
        Ok(vec![])
    );
    assert_eq!(wire.sent().len(), 0);
}

#[tokio::test]
async fn ids_that_ec2_does_not_know_are_taken_out_and_the_others_asked_again() {
    let message = format!("The instance IDs '{}, {}' do not exist", id(2), id(3));
    let wire = Wire::new([Reply::ec2("InvalidInstanceID.NotFound", &message), statuses([1, 4])]);
    let answer = Ec2Compute::new(&wire.config()).statuses(&region(), &ids(1..=4)).await.expect("answered");
    assert_eq!(answer.unknown, ids([2, 3]));
    assert_eq!(answer.found.into_iter().map(|status| status.instance).collect::<Vec<_>>(), ids([1, 4]));
    let again = wire.sent()[1].fields();
    assert_eq!(again[1..3], ["InstanceId.1=i-00000000000000001", "InstanceId.2=i-00000000000000004"]);
}

#[tokio::test]
async fn a_malformed_id_is_taken_out_too() {
    let message = format!("Invalid id: \"{}\"", id(1));
    let wire = Wire::new([Reply::ec2("InvalidInstanceID.Malformed", &message), statuses([2])]);
    let answer = Ec2Compute::new(&wire.config()).statuses(&region(), &ids(1..=2)).await.expect("answered");
    assert_eq!((answer.unknown, answer.found.len()), (ids([1]), 1));
}

#[tokio::test]
async fn an_error_that_names_no_id_is_narrowed_down_by_halves() {
    let unnamed = || Reply::ec2("InvalidInstanceID.NotFound", "Some instance does not exist");
    // 1-4 fail, 3-4 fail, 4 is fine, 3 fails alone, 1-2 are fine.
    let wire = Wire::new([unnamed(), unnamed(), statuses([4]), unnamed(), statuses([1, 2])]);
    let answer = Ec2Compute::new(&wire.config()).statuses(&region(), &ids(1..=4)).await.expect("answered");
    assert_eq!(answer.unknown, ids([3]));
    assert_eq!(answer.found.len(), 3);
}

#[tokio::test]
async fn the_search_for_unknown_ids_is_bounded_and_the_rest_is_left_open() {
    let unnamed = || Reply::ec2("InvalidInstanceID.NotFound", "Some instance does not exist");
    let wire = Wire::new(std::iter::repeat_with(unnamed).take(16));
    let answer = Ec2Compute::new(&wire.config()).statuses(&region(), &ids(1..=100)).await.expect("answered");
    assert_eq!(wire.sent().len(), 16);
    assert!(answer.found.is_empty() && answer.unknown.len() < 16, "{:?}", answer.unknown);
}

#[tokio::test]
async fn an_answer_about_others_is_not_taken_for_ours() {
    let wire = Wire::new([statuses([1, 7])]);
    let answer = Ec2Compute::new(&wire.config()).statuses(&region(), &ids([1])).await.expect("answered");
    assert_eq!(answer.found.len(), 1);
}

#[tokio::test]
async fn a_failed_call_is_an_error_and_not_an_empty_answer() {
    let wire = Wire::new([Reply::ec2("RequestLimitExceeded", "Request limit exceeded.")]);
    let error = Ec2Compute::new(&wire.config()).statuses(&region(), &ids([1])).await.expect_err("throttled");
    assert_eq!(error.message, "EC2 DescribeInstanceStatus: RequestLimitExceeded");
    assert!(error.retryable);
}

#[tokio::test]
async fn a_description_says_all_that_ec2_says_and_no_more() {
    let told = instance(
        1,
        "stopped",
        "<reason>User initiated (2026-01-01 00:00:00 GMT)</reason>
         <stateReason><code>Client.UserInitiatedShutdown</code>
           <message>Client.UserInitiatedShutdown: User initiated shutdown</message></stateReason>
         <placement><availabilityZone>eu-west-1b</availabilityZone></placement><instanceType>m5zn.metal</instanceType>
         <privateIpAddress>10.0.0.1</privateIpAddress><ipAddress>52.1.2.3</ipAddress>
         <tagSet><item><key>Name</key><value>lab</value></item></tagSet>",
    );
    let silent = instance(2, "running", "");
    let odd = instance(3, "hibernating", "");
    let wire = Wire::new([reservations(&format!("{told}{silent}{odd}"), "")]);
    let answer = Ec2Compute::new(&wire.config()).describe(&region(), &ids(1..=3)).await.expect("answered");
    let Answered { found, unknown } = answer;
    let [told, silent] = found.as_slice() else { panic!("two: {found:?}") };
    assert_eq!(unknown, []);
    assert_eq!(told.account.as_str(), "123456789012");
    assert_eq!(told.state_reason.as_deref(), Some("Client.UserInitiatedShutdown: User initiated shutdown"));
    assert_eq!(told.zone.as_ref().map(|zone| zone.as_str()), Some("eu-west-1b"));
    assert_eq!(told.instance_type.as_deref(), Some("m5zn.metal"));
    assert_eq!(told.private_ip, Some([10, 0, 0, 1].into()));
    assert_eq!(told.public_ip, Some([52, 1, 2, 3].into()));
    assert_eq!(told.tags.get("Name").map(String::as_str), Some("lab"));
    assert_eq!((&silent.state_reason, &silent.zone, &silent.private_ip), (&None, &None, &None));
}

#[tokio::test]
async fn a_launch_is_looked_for_by_its_tag_on_every_page() {
    let tag = format!("<tagSet><item><key>cml-fleet:worker-id</key><value>{WORKER}</value></item></tagSet>");
    let wire = Wire::new([
        reservations(&instance(1, "running", &tag), "<nextToken>more</nextToken>"),
        reservations(&format!("{}{}", instance(2, "running", ""), instance(3, "terminated", &tag)), ""),
    ]);
    let found = Ec2Compute::new(&wire.config()).locate(&region(), worker()).await.expect("answered");
    assert_eq!(found.into_iter().map(|instance| instance.instance).collect::<Vec<_>>(), ids([1, 3]));
    let [first, second] = wire.sent().try_into().expect("two pages");
    let wanted = [
        "Action=DescribeInstances",
        "Filter.1.Name=tag:cml-fleet:worker-id",
        "Filter.1.Value.1=0192aaaa-0000-7000-8000-000000000001",
        "MaxResults=1000",
    ];
    assert!(wanted.iter().all(|field| first.fields().contains(&(*field).to_owned())), "{:?}", first.fields());
    assert!(second.fields().contains(&"NextToken=more".to_owned()));
}

fn launch() -> Action {
    let spec = LaunchSpec {
        image: Some("ami-1".to_owned()),
        instance_type: Some("m5zn.metal".to_owned()),
        subnet: Some("subnet-1".to_owned()),
        security_groups: vec!["sg-1".to_owned()],
        key_name: Some("key".to_owned()),
        instance_profile: Some("cml".to_owned()),
        root_volume_gib: Some(64),
        root_volume_type: Some(VolumeType::Gp3),
        ..LaunchSpec::default()
    };
    let tags = BTreeMap::from([("cml-fleet:worker-id".to_owned(), WORKER.to_owned())]);
    Action::Launch { spec: Box::new(spec), token: WORKER.to_owned(), tags, user_data: None }
}

fn image() -> Reply {
    Reply::ok(
        "<DescribeImagesResponse><imagesSet><item><imageId>ami-1</imageId><rootDeviceName>/dev/sda1</rootDeviceName>
         <blockDeviceMapping><item><deviceName>/dev/sda1</deviceName><ebs><snapshotId>snap-1</snapshotId></ebs></item>
         <item><deviceName>/dev/sdb</deviceName><virtualName>ephemeral0</virtualName></item>
         <item><deviceName>/dev/sdf</deviceName><ebs><snapshotId>snap-2</snapshotId></ebs></item></blockDeviceMapping>
         </item></imagesSet></DescribeImagesResponse>",
    )
}

#[tokio::test]
async fn a_launch_is_repeatable_tagged_encrypted_and_imdsv2_only() {
    let launched = format!(
        "<RunInstancesResponse><ownerId>123456789012</ownerId><instancesSet>{}</instancesSet></RunInstancesResponse>",
        instance(5, "pending", "")
    );
    let wire = Wire::new([image(), Reply::ok(launched)]);
    let accepted =
        Ec2Actuator::new(&wire.config()).call(&region(), worker(), &launch()).await.expect("accepted");
    assert_eq!((accepted.instance, accepted.observed), (id(5), Some(Observed::Pending)));
    assert_eq!(accepted.launched.expect("described").account.as_str(), "123456789012");
    let sent: BTreeSet<String> = wire.sent()[1].fields().into_iter().collect();
    let wanted: BTreeSet<String> = [
        "Action=RunInstances",
        "ClientToken=0192aaaa-0000-7000-8000-000000000001",
        "ImageId=ami-1",
        "InstanceType=m5zn.metal",
        "MinCount=1",
        "MaxCount=1",
        "SubnetId=subnet-1",
        "SecurityGroupId.1=sg-1",
        "KeyName=key",
        "IamInstanceProfile.Name=cml",
        "BlockDeviceMapping.1.DeviceName=/dev/sda1",
        "BlockDeviceMapping.1.Ebs.Encrypted=true",
        "BlockDeviceMapping.1.Ebs.VolumeSize=64",
        "BlockDeviceMapping.1.Ebs.VolumeType=gp3",
        "BlockDeviceMapping.2.DeviceName=/dev/sdf",
        "BlockDeviceMapping.2.Ebs.Encrypted=true",
        "MetadataOptions.HttpEndpoint=enabled",
        "MetadataOptions.HttpTokens=required",
        "TagSpecification.1.ResourceType=instance",
        "TagSpecification.1.Tag.1.Key=cml-fleet:worker-id",
        "TagSpecification.1.Tag.1.Value=0192aaaa-0000-7000-8000-000000000001",
        "TagSpecification.2.ResourceType=volume",
        "TagSpecification.2.Tag.1.Key=cml-fleet:worker-id",
        "TagSpecification.2.Tag.1.Value=0192aaaa-0000-7000-8000-000000000001",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(sent, wanted);
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_not_launched() {
    let wire = Wire::new([Reply::ok("<DescribeImagesResponse><imagesSet/></DescribeImagesResponse>")]);
    let failure =
        Ec2Actuator::new(&wire.config()).call(&region(), worker(), &launch()).await.expect_err("refused");
    assert_eq!(
        failure,
        Failure { kind: FailureKind::Invalid, message: "there is no image ami-1".to_owned() }
    );
    assert_eq!(wire.sent().len(), 1);
}

fn changed(operation: &str, set: &str) -> Reply {
    Reply::ok(format!(
        "<{operation}Response><instancesSet><item><instanceId>{}</instanceId><currentState><name>{set}</name>
         </currentState></item></instancesSet></{operation}Response>",
        id(1)
    ))
}

#[tokio::test]
async fn each_action_is_its_own_call_and_its_answer_a_state() {
    let accepted = |observed| Accepted { instance: id(1), observed, launched: None };
    let cases = [
        (Action::Start(id(1)), "StartInstances", "pending", Some(Observed::Pending)),
        (Action::Stop(id(1)), "StopInstances", "stopping", Some(Observed::Stopping)),
        (Action::Terminate(id(1)), "TerminateInstances", "shutting-down", Some(Observed::ShuttingDown)),
        (Action::Reboot(id(1)), "RebootInstances", "", None),
    ];
    for (action, operation, state, observed) in cases {
        let wire = Wire::new([changed(operation, state)]);
        let answer = Ec2Actuator::new(&wire.config()).call(&region(), worker(), &action).await;
        assert_eq!(answer, Ok(accepted(observed)), "{operation}");
        let wanted = [format!("Action={operation}"), "InstanceId.1=i-00000000000000001".to_owned()];
        assert_eq!(wire.only().fields(), wanted);
    }
}

#[tokio::test]
async fn many_are_one_call_and_one_that_is_not_in_the_answer_has_no_state() {
    let wire = Wire::new([changed("StopInstances", "stopping")]);
    let actuator = Ec2Actuator::new(&wire.config());
    let answer = actuator.call_many(&region(), ActionKind::Stop, &ids([1, 2])).await.expect("accepted");
    let states: Vec<_> = answer.into_iter().map(|accepted| (accepted.instance, accepted.observed)).collect();
    assert_eq!(states, [(id(1), Some(Observed::Stopping)), (id(2), None)]);
    assert_eq!(wire.only().fields().len(), 3);
}

#[tokio::test]
async fn tags_are_removed_whatever_their_value_before_others_are_set() {
    let wire = Wire::new([Reply::ok("<DeleteTagsResponse/>"), Reply::ok("<CreateTagsResponse/>")]);
    let action = Action::Tag {
        instance: id(1),
        set: BTreeMap::from([("team".to_owned(), "core".to_owned())]),
        remove: BTreeSet::from(["old".to_owned()]),
    };
    Ec2Actuator::new(&wire.config()).call(&region(), worker(), &action).await.expect("accepted");
    let sent: Vec<_> = wire.sent().iter().map(crate::wire::Sent::fields).collect();
    assert_eq!(sent[0], ["Action=DeleteTags", "ResourceId.1=i-00000000000000001", "Tag.1.Key=old"]);
    assert_eq!(
        sent[1],
        ["Action=CreateTags", "ResourceId.1=i-00000000000000001", "Tag.1.Key=team", "Tag.1.Value=core"]
    );
}

#[tokio::test]
async fn an_instance_is_made_ours_before_tags_of_it_are_removed() {
    let wire = Wire::new([Reply::ok("<CreateTagsResponse/>"), Reply::ok("<DeleteTagsResponse/>")]);
    let action = Action::Tag {
        instance: id(1),
        set: BTreeMap::from([(MANAGED_TAG.to_owned(), "true".to_owned())]),
        remove: BTreeSet::from(["old".to_owned()]),
    };
    Ec2Actuator::new(&wire.config()).call(&region(), worker(), &action).await.expect("accepted");
    let sent: Vec<_> = wire.sent().iter().map(|sent| sent.fields()[0].clone()).collect();
    assert_eq!(sent, ["Action=CreateTags", "Action=DeleteTags"]);
}

#[tokio::test]
async fn error_codes_are_told_apart() {
    let cases = [
        ("RequestLimitExceeded", FailureKind::Throttled),
        ("InsufficientInstanceCapacity", FailureKind::Capacity),
        ("InsufficientHostCapacity", FailureKind::Capacity),
        ("InstanceLimitExceeded", FailureKind::Quota),
        ("VcpuLimitExceeded", FailureKind::Quota),
        ("MaxSpotInstanceCountExceeded", FailureKind::Quota),
        ("Unsupported", FailureKind::Unsupported),
        ("UnauthorizedOperation", FailureKind::Denied),
        ("OperationNotPermitted", FailureKind::Denied),
        ("InvalidInstanceID.NotFound", FailureKind::NotFound),
        ("IncorrectInstanceState", FailureKind::IncorrectState),
        ("InvalidAMIID.NotFound", FailureKind::Invalid),
        ("UnsupportedOperation", FailureKind::Invalid),
        ("IdempotentParameterMismatch", FailureKind::AlreadyLaunched),
        ("IdempotentInstanceTerminated", FailureKind::AlreadyLaunched),
        ("InternalError", FailureKind::Other),
        // One that is in no table: it was answered, so nothing was done.
        ("ExpiredToken", FailureKind::Refused),
        ("PendingVerification", FailureKind::Refused),
    ];
    for (code, kind) in cases {
        let wire = Wire::new([Reply::ec2(code, "said EC2")]);
        let answer = Ec2Actuator::new(&wire.config()).call(&region(), worker(), &Action::Stop(id(1))).await;
        assert_eq!(answer, Err(Failure { kind, message: format!("{code}: said EC2") }));
    }
}
