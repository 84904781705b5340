//! The endpoints of the service mesh that clients of the reference use without one.
//!
//! The mesh itself is not part of this agent: the root certificate, for which test harnesses wait, is
//! a fixed self-signed one whose key is nowhere; there never are intentions to delete; and no
//! instance of any service is in the mesh.

use axum::body::Body;
use axum::http::Response;
use lictor_model::query::{Query, ServiceSelector};
use serde_json::json;

use crate::call::Call;
use crate::failure::Failure;
use crate::respond;

const ROOT: &str = include_str!("connect/root.pem");
const ROOT_ID: &str = "6c:69:63:74:6f:72:2d:6e:6f:2d:6d:65:73:68:00:01";

pub(crate) async fn roots(call: Call) -> Result<Response<Body>, Failure> {
    let document = json!({
        "ActiveRootID": ROOT_ID,
        "TrustDomain": "11111111-2222-3333-4444-555555555555.consul",
        "Roots": [{
            "ID": ROOT_ID,
            "Name": "Lictor has no service mesh",
            "SerialNumber": 1,
            "SigningKeyID": ROOT_ID,
            "ExternalTrustDomain": "11111111-2222-3333-4444-555555555555",
            "NotBefore": "2024-01-01T00:00:00Z",
            "NotAfter": "2124-01-01T00:00:00Z",
            "RootCert": ROOT,
            "IntermediateCerts": null,
            "Active": true,
            "PrivateKeyType": "ec",
            "PrivateKeyBits": 256,
            "CreateIndex": 1,
            "ModifyIndex": 1,
        }],
    });
    respond::json(&call, &document)
}

/// The instances of a service that are in the mesh: none, as fresh as the request wants them.
pub(crate) async fn instances(call: Call) -> Result<Response<Body>, Failure> {
    let options = call.cached_read_options()?;
    let selector = ServiceSelector {
        service: call.named("service name")?.into(),
        tags: Vec::new(),
        passing_only: false,
        selector: call.params.node_selector(),
    };
    let reply = call.read(Query::ServiceNodes(selector), options).await.map_err(Failure::with_empty_meta)?;
    respond::json_with_meta(&call, &reply.meta, &json!([]))
}

pub(crate) async fn delete_intentions(call: Call) -> Result<Response<Body>, Failure> {
    call.named("config entry name")?;
    respond::json(&call, &json!({}))
}
