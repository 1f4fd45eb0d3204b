//! What to launch: whether it can be meant, and whether this deployment allows it. EC2 has the last word on what exists.

mod body;
pub(crate) mod format;

use std::fmt::Display;

use app::config::Allowed;
use app::ports::{ImageQuery, WantedImage};
use domain::{Alternative, ImageOwner, LaunchSpec, LaunchTemplate, OutOfRange, UserData};

use crate::body::Object;
use crate::input::Faults;
use body::{AlternativeBody, ImageBody, TemplateBody};
use format::{
    Format, IMAGE, IMAGE_NAME, INSTANCE_PROFILE, INSTANCE_TYPE, KEY_NAME, SECURITY_GROUP, SUBNET,
    TEMPLATE_ID, TEMPLATE_NAME, TEMPLATE_VERSION,
};

#[cfg(test)]
pub(crate) use body::NewestBody;
pub(crate) use body::SpecBody;

/// The size of a root volume in GiB (gp2 and gp3: EBS user guide, "Volume types"). No image of CML fits in less.
pub(crate) const ROOT_VOLUME: OutOfRange = OutOfRange { min: 8, max: 16_384 };

/// The most security groups a network interface can be given (Amazon VPC quotas).
pub(crate) const MAX_SECURITY_GROUPS: usize = 16;

/// The most alternatives: with each of them EC2 is asked once more in a row.
pub(crate) const MAX_ALTERNATIVES: usize = 5;

/// What to launch, as far as a body tells.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// What to launch; the image may still have to be found.
    pub(crate) spec: LaunchSpec,
    /// The image to ask EC2 for: one that has to be found, or that must be of certain owners.
    pub(crate) image: Option<ImageQuery>,
    /// The user data, which is not part of the record.
    pub(crate) user_data: Option<UserData>,
}

/// What to launch, checked; `None` with its faults noted.
pub(crate) fn wanted(faults: &mut Faults, body: Option<&SpecBody>, allowed: &Allowed) -> Option<Wanted> {
    let Some(body) = body else {
        let allowed = "an object with image, instance_type and, if wanted, launch_template, subnet, security_groups, key_name, instance_profile, root_volume_gib, root_volume_type, user_data, alternatives";
        faults.add("spec", "is required", Some(allowed.to_owned()));
        return None;
    };
    let launch_template = body.launch_template.as_ref().map(|body| template(faults, &body.0));
    let templated = launch_template.is_some();
    let image = image(faults, body.image.as_ref(), templated, allowed);
    let instance_type = instance_type(faults, body.instance_type.as_deref(), templated, allowed);
    let subnet = optional(faults, "spec.subnet", body.subnet.as_deref(), &SUBNET);
    let key_name = optional(faults, "spec.key_name", body.key_name.as_deref(), &KEY_NAME);
    let profile = body.instance_profile.as_deref();
    let instance_profile = optional(faults, "spec.instance_profile", profile, &INSTANCE_PROFILE);
    let security_groups = groups(faults, body.security_groups.as_deref().unwrap_or_default());
    let root_volume_gib = body.root_volume_gib.as_ref().and_then(|size| {
        faults.whole("spec.root_volume_gib", size, |gib| {
            if (ROOT_VOLUME.min..=ROOT_VOLUME.max).contains(&gib) { Ok(gib) } else { Err(ROOT_VOLUME) }
        })
    });
    let volume_type = body.root_volume_type.as_deref();
    let root_volume_type = volume_type.and_then(|word| faults.parse("spec.root_volume_type", word));
    if templated && body.image.is_none() {
        let given = [
            ("spec.root_volume_gib", body.root_volume_gib.is_some()),
            ("spec.root_volume_type", body.root_volume_type.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            let allowed = "with spec.image, or in the launch template".to_owned();
            faults.add(
                field,
                "needs spec.image: only the image tells which volume is the root",
                Some(allowed),
            );
        }
    }
    let text = body.user_data.as_ref().map(|text| text.0.as_str());
    let user_data: Option<UserData> = text.and_then(|text| faults.parse("spec.user_data", text));
    let alternatives = alternatives(faults, body, allowed);
    let (image, query) = image?;
    Some(Wanted {
        spec: LaunchSpec {
            image,
            instance_type: instance_type?,
            launch_template: launch_template.map_or(Some(None), |known| known.map(Some))?,
            subnet,
            security_groups,
            key_name,
            instance_profile,
            root_volume_gib,
            root_volume_type,
            user_data: user_data.is_some(),
            alternatives,
        },
        image: query,
        user_data,
    })
}

/// The image's id, if it is given, and what EC2 has to be asked about it.
fn image(
    faults: &mut Faults,
    body: Option<&ImageBody>,
    templated: bool,
    allowed: &Allowed,
) -> Option<(Option<String>, Option<ImageQuery>)> {
    const FIELD: &str = "spec.image";
    let restricted = !allowed.image_owners.is_empty();
    match body {
        None if templated && !restricted => Some((None, None)),
        None if templated => {
            let owners = listed(&allowed.image_owners);
            let detail = "is required, also with a launch template: images must be of the owners this deployment allows";
            faults.add(FIELD, detail, Some(format!("{}; owners: {owners}", IMAGE.allowed)));
            None
        }
        None => require(faults, FIELD, None, &IMAGE).map(|id| (Some(id), None)),
        Some(ImageBody::Id(id)) => {
            let id = optional(faults, FIELD, Some(id), &IMAGE)?;
            let query =
                || ImageQuery { image: WantedImage::Id(id.clone()), owners: allowed.image_owners.clone() };
            let query = restricted.then(query);
            Some((Some(id), query))
        }
        Some(ImageBody::Newest(newest)) => {
            let name = require(faults, "spec.image.name", newest.name.as_deref(), &IMAGE_NAME);
            let owner: Option<ImageOwner> = faults.require("spec.image.owner", newest.owner.as_deref());
            if owner.as_ref().is_some_and(|owner| !allowed.image_owner(owner)) {
                let owners = listed(&allowed.image_owners);
                faults.add("spec.image.owner", "is not an owner this deployment allows", Some(owners));
                return None;
            }
            let query = ImageQuery { image: WantedImage::Newest(name?), owners: vec![owner?] };
            Some((None, Some(query)))
        }
    }
}

/// The instance type, if it is given; the outer `None` with a fault.
fn instance_type(
    faults: &mut Faults,
    name: Option<&str>,
    templated: bool,
    allowed: &Allowed,
) -> Option<Option<String>> {
    const FIELD: &str = "spec.instance_type";
    let restricted = !allowed.instance_types.is_empty();
    match name {
        None if templated && !restricted => Some(None),
        None if templated => {
            let detail = "is required, also with a launch template: only the instance types that this deployment allows can be launched";
            faults.add(FIELD, detail, Some(listed(&allowed.instance_types)));
            None
        }
        None => require(faults, FIELD, None, &INSTANCE_TYPE).map(Some),
        Some(name) => allowed_type(faults, FIELD, name, allowed).map(Some),
    }
}

/// An instance type that this deployment allows.
fn allowed_type(faults: &mut Faults, field: &str, name: &str, allowed: &Allowed) -> Option<String> {
    let name = optional(faults, field, Some(name), &INSTANCE_TYPE)?;
    if allowed.instance_type(&name) {
        return Some(name);
    }
    let types = listed(&allowed.instance_types);
    faults.add(field, "is not an instance type this deployment allows", Some(types));
    None
}

/// The alternatives, each of which is another instance type or another subnet.
fn alternatives(faults: &mut Faults, body: &SpecBody, allowed: &Allowed) -> Vec<Alternative> {
    const FIELD: &str = "spec.alternatives";
    let given: &[Object<AlternativeBody>] = body.alternatives.as_deref().unwrap_or_default();
    if given.len() > MAX_ALTERNATIVES {
        let allowed = Some(format!("at most {MAX_ALTERNATIVES}"));
        faults.add(FIELD, format!("must be at most {MAX_ALTERNATIVES} alternatives"), allowed);
        return Vec::new();
    }
    let mut known = vec![(body.instance_type.as_deref(), body.subnet.as_deref())];
    let mut all = Vec::new();
    for (index, Object(one)) in given.iter().enumerate() {
        let field = format!("{FIELD}[{index}]");
        let (name, subnet) = (one.instance_type.as_deref(), one.subnet.as_deref());
        let comes_to = (name.or(body.instance_type.as_deref()), subnet.or(body.subnet.as_deref()));
        if known.contains(&comes_to) {
            let allowed = Some("another instance_type or another subnet, or both".to_owned());
            faults.add(&field, "comes to the same as what is tried before it", allowed);
        }
        known.push(comes_to);
        all.push(Alternative {
            instance_type: name
                .and_then(|name| allowed_type(faults, &format!("{field}.instance_type"), name, allowed)),
            subnet: optional(faults, &format!("{field}.subnet"), subnet, &SUBNET),
        });
    }
    all
}

fn template(faults: &mut Faults, body: &TemplateBody) -> Option<LaunchTemplate> {
    const FIELD: &str = "spec.launch_template";
    let version = body.version.as_ref().map(|version| version.0.as_str());
    let version = require(faults, &format!("{FIELD}.version"), version, &TEMPLATE_VERSION);
    let id = optional(faults, &format!("{FIELD}.id"), body.id.as_deref(), &TEMPLATE_ID);
    let name = optional(faults, &format!("{FIELD}.name"), body.name.as_deref(), &TEMPLATE_NAME);
    match (&body.id, &body.name) {
        (Some(_), None) => Some(LaunchTemplate::Id { id: id?, version: version? }),
        (None, Some(_)) => Some(LaunchTemplate::Name { name: name?, version: version? }),
        (Some(_), Some(_)) | (None, None) => {
            faults.add(
                FIELD,
                "must have id or name, one of them",
                Some("id, version; or name, version".to_owned()),
            );
            None
        }
    }
}

fn listed(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn groups(faults: &mut Faults, groups: &[String]) -> Vec<String> {
    const FIELD: &str = "spec.security_groups";
    if groups.len() > MAX_SECURITY_GROUPS {
        let allowed = Some(format!("at most {MAX_SECURITY_GROUPS}"));
        faults.add(FIELD, format!("must be at most {MAX_SECURITY_GROUPS} security groups"), allowed);
        return Vec::new();
    }
    for (index, group) in groups.iter().enumerate() {
        if groups[..index].contains(group) {
            faults.add(format!("{FIELD}[{index}]"), "is given twice", None);
        }
        optional(faults, &format!("{FIELD}[{index}]"), Some(group), &SECURITY_GROUP);
    }
    groups.to_vec()
}

/// The name of an image, with wildcards.
pub(crate) fn image_name(faults: &mut Faults, field: &str, text: &str) -> Option<String> {
    optional(faults, field, Some(text), &IMAGE_NAME)
}

fn require(faults: &mut Faults, field: &str, text: Option<&str>, format: &Format) -> Option<String> {
    if text.is_none() {
        faults.add(field, "is required", Some(format.allowed.to_owned()));
    }
    optional(faults, field, text, format)
}

fn optional(faults: &mut Faults, field: &str, text: Option<&str>, format: &Format) -> Option<String> {
    let text = text?;
    if (format.valid)(text) {
        return Some(text.to_owned());
    }
    faults.add(field, format!("must be {}", format.allowed), Some(format.allowed.to_owned()));
    None
}
