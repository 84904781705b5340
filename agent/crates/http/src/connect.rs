//! The two endpoints of the service mesh that test harnesses of the reference wait for.
//!
//! The mesh itself is not part of this agent: the root certificate is a fixed self-signed one
//! whose key is nowhere, and there never are intentions to delete.

use axum::body::Body;
use axum::http::Response;
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

pub(crate) async fn delete_intentions(call: Call) -> Result<Response<Body>, Failure> {
    call.named("config entry name")?;
    respond::json(&call, &json!({}))
}
