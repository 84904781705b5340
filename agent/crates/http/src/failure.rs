//! Every failure as an HTTP answer. This is the only place that maps codes to statuses.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use lictor_model::query::Meta;
use lictor_model::{Code, Error, RaftIndex};

use crate::respond;

/// An answer that says what went wrong, as plain text.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    message: String,
    /// Endpoints that report freshness even when they fail.
    meta: Option<Meta>,
    /// The methods that would have been allowed.
    allow: Option<HeaderValue>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), meta: None, allow: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(crate) fn method_not_allowed(method: &str, allow: HeaderValue) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("method {method} not allowed"))
        }
    }

    /// The backend answered with something that the request cannot have.
    pub(crate) fn mismatch() -> Self {
        Error::mismatch().into()
    }

    /// Adds the freshness headers of an answer of which nothing is known.
    pub(crate) fn with_empty_meta(mut self) -> Self {
        self.meta = Some(Meta { index: RaftIndex(1), ..Meta::default() });
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.message));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, respond::TEXT_UTF8);
        if let Some(meta) = &self.meta {
            respond::add_meta(response.headers_mut(), meta);
        }
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.code {
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            // Clients of the reference expect 500 for everything that is the cluster's fault.
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.message)
    }
}
