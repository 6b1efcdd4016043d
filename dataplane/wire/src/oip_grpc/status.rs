//! [`Fault`] to a gRPC status.

use std::collections::HashMap;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::errors::retry_after;
use serin_core::fault::Fault;

/// The domain of the reasons of statuses (`google.rpc.ErrorInfo`).
const DOMAIN: &str = "serin.dev";

/// The status of a fault: its code and the member at fault as `ErrorInfo`; if a retry may help, the
/// delay as `RetryInfo` and as `grpc-retry-pushback-ms`.
pub fn status(fault: &Fault) -> Status {
    let mut details = ErrorDetails::new();
    let param = fault.param.clone().map(|param| ("param".to_owned(), param));
    details.set_error_info(
        fault.code,
        DOMAIN,
        param.into_iter().collect::<HashMap<_, _>>(),
    );
    let retry_after = retry_after(fault);
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    let code = Code::from_i32(fault.kind.grpc_code());
    let mut status = Status::with_error_details(code, fault.message.clone(), details);
    if let Some(delay) = retry_after {
        let millis = delay.as_millis().to_string();
        if let Ok(value) = MetadataValue::try_from(millis) {
            status
                .metadata_mut()
                .insert("grpc-retry-pushback-ms", value);
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use serin_core::fault::FaultKind;

    #[test]
    fn a_status_carries_the_code_and_the_member_at_fault() {
        let fault = Fault::new(FaultKind::BadTensor, "shape_mismatch", "no").with_param("x");
        let status = status(&fault);
        assert_eq!(status.code(), Code::InvalidArgument);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("shape_mismatch", DOMAIN)
        );
        assert_eq!(info.metadata["param"], "x");
        assert!(status.get_details_retry_info().is_none());
        assert!(status.metadata().get("grpc-retry-pushback-ms").is_none());
    }

    #[test]
    fn who_may_come_back_is_told_when_as_over_rest() {
        let busy = Fault::new(FaultKind::Overloaded, "overloaded", "busy");
        for (fault, seconds) in [
            (busy.clone(), 1),
            (busy.retry_after(Duration::from_secs(3)), 3),
        ] {
            let status = status(&fault);
            let told = status.get_details_retry_info().unwrap().retry_delay;
            assert_eq!(told, Some(Duration::from_secs(seconds)));
            let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
            assert_eq!(pushback.to_str().unwrap(), (seconds * 1000).to_string());
        }
    }
}
