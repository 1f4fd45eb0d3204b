//! What the SDK may repeat of a call that changes EC2. A token was drawn for one call: one that EC2 refuses for want of room, or
//! to slow us down, is for `act` to repeat, which counts its calls and knows the alternatives.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Builder;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::operation::create_tags::CreateTagsError;
use aws_sdk_ec2::operation::delete_tags::DeleteTagsError;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;
use aws_sdk_ec2::operation::start_instances::StartInstancesError;
use aws_sdk_ec2::operation::stop_instances::StopInstancesError;
use aws_sdk_ec2::operation::terminate_instances::TerminateInstancesError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_types::SdkConfig;

use super::kind;
use crate::call::is_throttle;

/// A client that leaves to `act` what is for `act` to repeat. What it only reads it tries again as any other does, and a
/// reboot it never does, whatever came of it.
pub(super) fn client(config: &SdkConfig) -> Client {
    let config = Builder::from(config)
        .retry_classifier(LeftToAct::<CreateTagsError>::new())
        .retry_classifier(LeftToAct::<DeleteTagsError>::new())
        .retry_classifier(LeftToAct::<RunInstancesError>::new())
        .retry_classifier(LeftToAct::<StartInstancesError>::new())
        .retry_classifier(LeftToAct::<StopInstancesError>::new())
        .retry_classifier(LeftToAct::<TerminateInstancesError>::new());
    Client::from_conf(config.build())
}

/// Forbids the SDK to repeat the operation whose error is `E`, by the code that EC2 gives. The status does not tell: a
/// lack of room is a 500, a throttle a 503.
struct LeftToAct<E>(PhantomData<fn() -> E>);

impl<E> LeftToAct<E> {
    const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> fmt::Debug for LeftToAct<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeftToAct")
    }
}

impl<E: ProvideErrorMetadata + Error + Send + Sync + 'static> ClassifyRetry for LeftToAct<E> {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let failed = context.output_or_error().and_then(|outcome| outcome.err());
        let error = failed.and_then(|error| error.as_operation_error()?.downcast_ref::<E>());
        match error.and_then(ProvideErrorMetadata::code) {
            Some(code) if is_left_to_act(code) => RetryAction::RetryForbidden,
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "left to act"
    }
}

/// EC2 has no room, the account no more quota, or too much was asked for at once.
fn is_left_to_act(code: &str) -> bool {
    is_throttle(code) || code.starts_with("ResourceCountLimit") || kind(code, 0).is_elsewhere()
}
