//! What is launched: images that are looked up, and what a launch asks for.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{Actuator, Compute, ImageFound, ImageQuery, WantedImage};
use domain::{Action, LaunchSpec, LaunchTemplate};

use super::{id, instance, region, worker};
use crate::ec2::{Ec2Actuator, Ec2Compute};
use crate::wire::{Reply, Sent, Wire};

fn images(items: &[(&str, &str)], next: &str) -> Reply {
    let item = |(id, created): &(&str, &str)| {
        format!("<item><imageId>{id}</imageId><creationDate>{created}</creationDate></item>")
    };
    let items: String = items.iter().map(item).collect();
    Reply::ok(format!(
        "<DescribeImagesResponse><imagesSet>{items}</imagesSet>{next}</DescribeImagesResponse>"
    ))
}

fn query(image: WantedImage, owners: &[&str]) -> ImageQuery {
    ImageQuery { image, owners: owners.iter().map(|owner| owner.parse().expect("an owner")).collect() }
}

fn fields(sent: &Sent) -> BTreeSet<String> {
    sent.fields().into_iter().collect()
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

#[tokio::test]
async fn of_the_images_of_a_name_the_newest_is_meant_on_whatever_page_it_is() {
    let wire = Wire::new([
        images(
            &[("ami-1", "2026-01-02T00:00:00.000Z"), ("ami-2", "2025-12-31T23:59:59.000Z")],
            "<nextToken>more</nextToken>",
        ),
        images(&[("ami-3", "2026-01-02T00:00:01.000Z"), ("ami-4", "2024-01-01T00:00:00.000Z")], ""),
    ]);
    let wanted = query(WantedImage::Newest("cml-2.?-*".to_owned()), &["self"]);
    let found = Ec2Compute::new(&wire.config()).image(&region(), &wanted).await.expect("answered");
    assert_eq!(found, ImageFound::One("ami-3".to_owned()));
    let [first, second] = wire.sent().try_into().expect("two pages");
    let asked = set([
        "Action=DescribeImages",
        "Owner.1=self",
        "Filter.1.Name=state",
        "Filter.1.Value.1=available",
        "Filter.2.Name=name",
        "Filter.2.Value.1=cml-2.?-*",
        "MaxResults=1000",
    ]);
    assert_eq!(fields(&first), asked);
    assert!(second.fields().contains(&"NextToken=more".to_owned()));
}

#[tokio::test]
async fn of_too_many_images_of_a_name_none_is_said_to_be_the_newest() {
    let page = |number: u32| {
        let created = format!("2026-01-0{number}T00:00:00.000Z");
        images(&[("ami-1", created.as_str())], "<nextToken>more</nextToken>")
    };
    let wire = Wire::new([page(1), page(2), page(3)]);
    let wanted = query(WantedImage::Newest("ami*".to_owned()), &["amazon"]);
    let found = Ec2Compute::new(&wire.config()).image(&region(), &wanted).await.expect("answered");
    assert_eq!((found, wire.sent().len()), (ImageFound::TooMany, 3));
}

#[tokio::test]
async fn an_image_by_id_is_one_that_is_available_and_of_an_allowed_owner() {
    let wanted = query(WantedImage::Id("ami-1".to_owned()), &["self", "210987654321"]);
    let wire = Wire::new([images(&[("ami-1", "2026-01-02T00:00:00.000Z")], "")]);
    let found = Ec2Compute::new(&wire.config()).image(&region(), &wanted).await.expect("answered");
    assert_eq!(found, ImageFound::One("ami-1".to_owned()));
    let asked = set([
        "Action=DescribeImages",
        "ImageId.1=ami-1",
        "Owner.1=self",
        "Owner.2=210987654321",
        "Filter.1.Name=state",
        "Filter.1.Value.1=available",
    ]);
    assert_eq!(fields(&wire.only()), asked);
    for nothing in [images(&[], ""), Reply::ec2("InvalidAMIID.NotFound", "The image id does not exist")] {
        let wire = Wire::new([nothing]);
        let found = Ec2Compute::new(&wire.config()).image(&region(), &wanted).await.expect("answered");
        assert_eq!(found, ImageFound::None);
    }
    let wire = Wire::new([Reply::ec2("UnauthorizedOperation", "You may not.")]);
    let error = Ec2Compute::new(&wire.config()).image(&region(), &wanted).await.expect_err("refused");
    assert_eq!(
        (error.message.as_str(), error.retryable),
        ("EC2 DescribeImages: UnauthorizedOperation", false)
    );
}

/// The one call that a launch of this comes to, when it has no image to be looked at.
async fn sent(action: &Action) -> BTreeSet<String> {
    let launched = format!(
        "<RunInstancesResponse><ownerId>123456789012</ownerId><instancesSet>{}</instancesSet></RunInstancesResponse>",
        instance(5, "pending", "")
    );
    let wire = Wire::new([Reply::ok(launched)]);
    let accepted =
        Ec2Actuator::new(&wire.config()).call(&region(), worker(), action).await.expect("accepted");
    assert_eq!(accepted.instance, id(5));
    fields(&wire.only())
}

#[tokio::test]
async fn a_launch_template_says_what_is_not_given_and_nothing_of_ours_is_left_to_it() {
    let template = LaunchTemplate::Name { name: "cml/worker".to_owned(), version: "$Latest".to_owned() };
    let spec = LaunchSpec { launch_template: Some(template), ..LaunchSpec::default() };
    let tags = BTreeMap::from([("Name".to_owned(), "lab".to_owned())]);
    let asked =
        sent(&Action::Launch { spec: Box::new(spec), token: "token-2".to_owned(), tags, user_data: None })
            .await;
    let expected = set([
        "Action=RunInstances",
        "ClientToken=token-2",
        "LaunchTemplate.LaunchTemplateName=cml/worker",
        "LaunchTemplate.Version=$Latest",
        "MinCount=1",
        "MaxCount=1",
        "MetadataOptions.HttpEndpoint=enabled",
        "MetadataOptions.HttpTokens=required",
        "TagSpecification.1.ResourceType=instance",
        "TagSpecification.1.Tag.1.Key=Name",
        "TagSpecification.1.Tag.1.Value=lab",
        "TagSpecification.2.ResourceType=volume",
        "TagSpecification.2.Tag.1.Key=Name",
        "TagSpecification.2.Tag.1.Value=lab",
    ]);
    assert_eq!(asked, expected);
    let template = LaunchTemplate::Id { id: "lt-1".to_owned(), version: "7".to_owned() };
    let spec = LaunchSpec { launch_template: Some(template), ..LaunchSpec::default() };
    let token = "token-1".to_owned();
    let user_data = "#!/bin/sh\n".parse().ok();
    let action = Action::Launch { spec: Box::new(spec), token, tags: BTreeMap::new(), user_data };
    let asked = sent(&action).await;
    assert!(asked.is_superset(&set([
        "LaunchTemplate.LaunchTemplateId=lt-1",
        "LaunchTemplate.Version=7",
        "UserData=IyEvYmluL3NoCg=="
    ])));
}
