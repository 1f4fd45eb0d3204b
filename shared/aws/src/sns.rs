//! SNS: the people's topic.

use app::error::CallError;
use app::ports::{Topic, TopicMessage};
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_types::SdkConfig;

use crate::call::failed;

const WHAT: &str = "SNS Publish";

/// The topic.
#[derive(Debug)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    pub(crate) fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self { client: Client::new(config), arn: arn.into() }
    }
}

impl Topic for SnsTopic {
    async fn publish(&self, message: &TopicMessage) -> Result<(), CallError> {
        let refused =
            |text: &str, cause| CallError { message: format!("{WHAT}: {text}"), retryable: false, cause };
        let bodies = serde_json::to_string(&message.bodies)
            .map_err(|error| refused("the message cannot be written as JSON", Some(Box::new(error) as _)))?;
        // SNS refuses an empty attribute value.
        let filled = message.attributes.iter().filter(|(_, value)| !value.is_empty());
        let attribute = |(name, value): (&String, &String)| {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            Ok((
                name.clone(),
                value.map_err(|error| refused("an attribute has no type", Some(Box::new(error) as _)))?,
            ))
        };
        let attributes = filled.map(attribute).collect::<Result<_, CallError>>()?;
        let request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(&message.subject)
            .message(bodies)
            .message_structure("json")
            .set_message_attributes(Some(attributes));
        request.send().await.map(|_| ()).map_err(|error| failed(WHAT, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reply, Wire};
    use std::collections::BTreeMap;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn message() -> TopicMessage {
        TopicMessage {
            subject: "drift".to_owned(),
            bodies: texts(&[("default", "short"), ("email", "long")]),
            attributes: texts(&[("severity", "warning"), ("worker", "")]),
        }
    }

    #[tokio::test]
    async fn one_rendering_for_each_kind_of_subscriber_and_attributes_to_filter_by() {
        let wire = Wire::new([Reply::ok("<PublishResponse><PublishResult/></PublishResponse>")]);
        SnsTopic::new(&wire.config(), "arn:aws:sns:t").publish(&message()).await.expect("published");
        let mut sent = wire.only().fields();
        sent.sort();
        assert_eq!(
            sent,
            [
                "Action=Publish",
                r#"Message={"default":"short","email":"long"}"#,
                "MessageAttributes.entry.1.Name=severity",
                "MessageAttributes.entry.1.Value.DataType=String",
                "MessageAttributes.entry.1.Value.StringValue=warning",
                "MessageStructure=json",
                "Subject=drift",
                "TopicArn=arn:aws:sns:t",
            ]
        );
    }

    #[tokio::test]
    async fn a_refusal_is_told_apart_from_a_throttle() {
        let answer = |code: &'static str| async move {
            let body = format!(
                "<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
            );
            let wire = Wire::new([Reply::status(400, body)]);
            SnsTopic::new(&wire.config(), "arn").publish(&message()).await.expect_err("refused")
        };
        let throttled = answer("Throttling").await;
        assert_eq!((throttled.message.as_str(), throttled.retryable), ("SNS Publish: Throttling", true));
        assert!(!answer("AuthorizationError").await.retryable);
    }
}
