//! How single values are written: words and ids as text, times in one of two forms, checked numbers as numbers.

use domain::{AlertDuration, Percent, PollInterval, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_with::{DeserializeAs, SerializeAs};

/// A time for people and for other systems: RFC 3339, UTC, milliseconds.
pub(crate) struct Rfc3339;

impl SerializeAs<Timestamp> for Rfc3339 {
    fn serialize_as<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{at:.3}"))
    }
}

impl<'de> DeserializeAs<'de, Timestamp> for Rfc3339 {
    fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("must be an RFC 3339 time"))
    }
}

/// A time for the table, which compares and counts with it: milliseconds since the epoch.
pub(crate) struct Millis;

impl SerializeAs<Timestamp> for Millis {
    fn serialize_as<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        at.as_millisecond().serialize(serializer)
    }
}

impl<'de> DeserializeAs<'de, Timestamp> for Millis {
    fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let millis = i64::deserialize(deserializer)?;
        Timestamp::from_millisecond(millis).map_err(|_| {
            D::Error::custom("must be milliseconds since the epoch, within the years -9999 to 9999")
        })
    }
}

/// A number with a range of its own, checked again when it is read.
pub(crate) struct Ranged;

macro_rules! ranged {
    ($($number:ty),+) => {$(
        impl SerializeAs<$number> for Ranged {
            fn serialize_as<S: Serializer>(number: &$number, serializer: S) -> Result<S::Ok, S::Error> {
                number.get().serialize(serializer)
            }
        }

        impl<'de> DeserializeAs<'de, $number> for Ranged {
            fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<$number, D::Error> {
                <$number>::new(u32::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }
    )+};
}
ranged!(PollInterval, Percent, AlertDuration);

/// Lets a remote definition be used within options, lists and maps.
macro_rules! stands_for {
    ($($shape:ident => $type:ty),+ $(,)?) => {$(
        impl serde_with::SerializeAs<$type> for $shape {
            fn serialize_as<S: serde::Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(value, serializer)
            }
        }

        impl<'de> serde_with::DeserializeAs<'de, $type> for $shape {
            fn deserialize_as<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                Self::deserialize(deserializer)
            }
        }
    )+};
}
pub(crate) use stands_for;
