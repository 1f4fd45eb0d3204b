//! What to launch, as a body has it.

use std::fmt;

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::body::Object;
#[cfg(test)]
use crate::openapi::is;

/// What to launch, in a body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Spec))]
pub(crate) struct SpecBody {
    #[cfg_attr(test, schema(value_type = Option<is::Image>))]
    pub(super) image: Option<ImageBody>,
    #[cfg_attr(test, schema(value_type = Option<is::InstanceType>))]
    pub(super) instance_type: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<TemplateBody>))]
    pub(super) launch_template: Option<Object<TemplateBody>>,
    #[cfg_attr(test, schema(value_type = Option<is::Subnet>))]
    pub(super) subnet: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::SecurityGroups>))]
    pub(super) security_groups: Option<Vec<String>>,
    #[cfg_attr(test, schema(value_type = Option<is::KeyName>))]
    pub(super) key_name: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::InstanceProfile>))]
    pub(super) instance_profile: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::RootVolumeSize>))]
    pub(super) root_volume_gib: Option<Number>,
    #[cfg_attr(test, schema(value_type = Option<is::VolumeType>))]
    pub(super) root_volume_type: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::UserData>))]
    pub(super) user_data: Option<SecretText>,
    #[cfg_attr(test, schema(value_type = Option<Vec<AlternativeBody>>))]
    pub(super) alternatives: Option<Vec<Object<AlternativeBody>>>,
}

/// A text that is not for logs.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct SecretText(pub(super) String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// What to launch instead.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Alternative))]
pub(super) struct AlternativeBody {
    #[cfg_attr(test, schema(value_type = Option<is::InstanceType>))]
    pub(super) instance_type: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Subnet>))]
    pub(super) subnet: Option<String>,
}

/// A launch template: by id or name, in one version.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Template))]
pub(super) struct TemplateBody {
    #[cfg_attr(test, schema(value_type = Option<is::TemplateId>))]
    pub(super) id: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::TemplateName>))]
    pub(super) name: Option<String>,
    #[cfg_attr(test, schema(required, value_type = is::TemplateVersion))]
    pub(super) version: Option<VersionBody>,
}

/// The newest image with a name like this.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewestImage))]
pub(crate) struct NewestBody {
    #[cfg_attr(test, schema(required, value_type = is::ImageName))]
    pub(super) name: Option<String>,
    #[cfg_attr(test, schema(required, value_type = is::ImageOwner))]
    pub(super) owner: Option<String>,
}

/// An image: its id, or what it is called and whose it is.
#[derive(Debug)]
pub(super) enum ImageBody {
    Id(String),
    Newest(NewestBody),
}

/// A version: a number or a word.
#[derive(Debug)]
pub(super) struct VersionBody(pub(super) String);

struct ImageVisitor;

impl<'de> Visitor<'de> for ImageVisitor {
    type Value = ImageBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an object")
    }

    fn visit_str<E>(self, text: &str) -> Result<ImageBody, E> {
        Ok(ImageBody::Id(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ImageBody, A::Error> {
        NewestBody::deserialize(MapAccessDeserializer::new(map)).map(ImageBody::Newest)
    }
}

impl<'de> Deserialize<'de> for ImageBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ImageVisitor)
    }
}

struct VersionVisitor;

impl Visitor<'_> for VersionVisitor {
    type Value = VersionBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a string")
    }

    fn visit_u64<E>(self, number: u64) -> Result<VersionBody, E> {
        Ok(VersionBody(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<VersionBody, E> {
        Ok(VersionBody(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<VersionBody, E> {
        Ok(VersionBody(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<VersionBody, E> {
        Ok(VersionBody(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for VersionBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VersionVisitor)
    }
}
