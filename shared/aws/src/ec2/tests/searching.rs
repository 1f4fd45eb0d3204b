//! What is searched for: instances by tag and image, and the images of a name.

use app::ports::{Compute, InstanceQuery, Page};

use super::{ids, instance, region, reservations};
use crate::ec2::Ec2Compute;
use crate::wire::{Reply, Wire};

fn images(ids: &[&str], next: &str) -> Reply {
    let items: String = ids.iter().map(|id| format!("<item><imageId>{id}</imageId></item>")).collect();
    Reply::ok(format!(
        "<DescribeImagesResponse><imagesSet>{items}</imagesSet>{next}</DescribeImagesResponse>"
    ))
}

fn marked(images: &[&str]) -> InstanceQuery {
    let tags = [("Name", "a b"), ("cml", "yes")]
        .map(|(key, value)| (key.parse().expect("a key"), value.parse().expect("a value")));
    InstanceQuery { tags: tags.into(), images: images.iter().map(|id| (*id).to_owned()).collect() }
}

#[tokio::test]
async fn a_search_is_for_living_instances_with_all_tags_and_one_of_the_images() {
    let found = format!("{}{}", instance(1, "running", ""), instance(2, "stopped", ""));
    let wire = Wire::new([reservations(&found, "<nextToken>more</nextToken>")]);
    let page = Ec2Compute::new(&wire.config())
        .search(&region(), &marked(&["ami-1", "ami-2"]), Some("here"), 5)
        .await
        .expect("answered");
    let Page { items, next } = page.expect("a page");
    assert_eq!(items.into_iter().map(|instance| instance.instance).collect::<Vec<_>>(), ids([1, 2]));
    assert_eq!(next.as_deref(), Some("more"));
    let mut sent = wire.only().fields();
    let mut expected = [
        "Action=DescribeInstances",
        "Filter.1.Name=instance-state-name",
        "Filter.1.Value.1=pending",
        "Filter.1.Value.2=running",
        "Filter.1.Value.3=stopping",
        "Filter.1.Value.4=stopped",
        "Filter.2.Name=tag:Name",
        "Filter.2.Value.1=a b",
        "Filter.3.Name=tag:cml",
        "Filter.3.Value.1=yes",
        "Filter.4.Name=image-id",
        "Filter.4.Value.1=ami-1",
        "Filter.4.Value.2=ami-2",
        "MaxResults=5",
        "NextToken=here",
    ];
    sent.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn without_images_there_is_no_filter_for_them_and_an_empty_token_is_the_end() {
    let wire = Wire::new([reservations("", "<nextToken></nextToken>")]);
    let page = Ec2Compute::new(&wire.config()).search(&region(), &marked(&[]), None, 500).await;
    assert_eq!(page.expect("answered"), Some(Page { items: Vec::new(), next: None }));
    let sent = wire.only().fields();
    assert!(!sent.iter().any(|field| field.contains("image-id") || field.contains("NextToken")), "{sent:?}");
}

#[tokio::test]
async fn a_position_that_ec2_does_not_take_is_none_and_every_other_refusal_is_a_failure() {
    for (code, after, known) in [
        ("InvalidNextToken", Some("old"), true),
        ("InvalidParameterValue", Some("made-up"), true),
        ("InvalidParameterValue", None, false),
        ("UnauthorizedOperation", Some("old"), false),
    ] {
        let wire = Wire::new([Reply::ec2(code, "No.")]);
        let answer = Ec2Compute::new(&wire.config()).search(&region(), &marked(&[]), after, 5).await;
        assert_eq!(answer.is_ok_and(|page| page.is_none()), known, "{code} {after:?}");
    }
}

#[tokio::test]
async fn all_images_of_a_name_are_asked_for_also_the_old_ones_until_there_are_too_many() {
    let pages = [images(&["ami-1", "ami-2"], "<nextToken>more</nextToken>"), images(&["ami-3"], "")];
    let wire = Wire::new(pages.clone());
    let found = Ec2Compute::new(&wire.config()).images(&region(), "cml-2.*", 3).await.expect("answered");
    assert_eq!(found, Some(["ami-1", "ami-2", "ami-3"].map(str::to_owned).to_vec()));
    let [first, second] = wire.sent().try_into().expect("two pages");
    let mut sent = first.fields();
    let mut expected = [
        "Action=DescribeImages",
        "Filter.1.Name=name",
        "Filter.1.Value.1=cml-2.*",
        "IncludeDeprecated=true",
        "IncludeDisabled=true",
        "MaxResults=1000",
    ];
    sent.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sent, expected);
    assert!(second.fields().contains(&"NextToken=more".to_owned()));
    let wire = Wire::new(pages);
    let found = Ec2Compute::new(&wire.config()).images(&region(), "cml-2.*", 2).await.expect("answered");
    assert_eq!(found, None);
}
