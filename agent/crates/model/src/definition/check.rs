//! The definition of a check.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration::GoDuration;

/// A check as a user defines it: exactly one of its kinds is to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckDefinition {
    /// Identifier, as files and `/v1/agent/check/register` call it.
    pub id: String,
    /// Identifier, as checks within a service call it.
    #[serde(rename = "checkid")]
    pub check_id: String,
    /// Name for people.
    pub name: String,
    /// Free text.
    pub notes: String,
    /// The service it speaks for, where it is not defined within one.
    #[serde(rename = "serviceid")]
    pub service_id: String,
    /// The token to register it with.
    #[serde(skip_serializing)]
    pub token: String,
    /// The status until the first run.
    pub status: String,

    /// Kind: run a WebAssembly component, by the name of its file.
    pub wasm: String,
    /// The component's configuration.
    pub config: Value,
    /// What the component may do beyond its default grant.
    pub allow: Value,
    /// What a run that could not look does to the status.
    #[serde(rename = "unknownas")]
    pub unknown_as: UnknownPolicy,

    /// Kind: wait for the service to report within this time.
    pub ttl: GoDuration,
    /// Kind: request this URL.
    pub http: String,
    /// The request's headers.
    pub header: BTreeMap<String, Vec<String>>,
    /// The request's method; GET if empty.
    pub method: String,
    /// The request's body.
    pub body: String,
    /// Do not follow redirects.
    #[serde(rename = "disableredirects")]
    pub disable_redirects: bool,
    /// What the answer must look like beyond the usual, as `http_check` describes it.
    pub expect: Value,
    /// Kind: connect to this host and port.
    pub tcp: String,
    /// Speak TLS after connecting.
    #[serde(rename = "tcpusetls")]
    pub tcp_use_tls: bool,
    /// Kind: exchange a datagram with this host and port.
    pub udp: String,
    /// Kind: ask this gRPC server for its health.
    pub grpc: String,
    /// Speak TLS with the gRPC server.
    #[serde(rename = "grpcusetls")]
    pub grpc_use_tls: bool,
    /// Kind: send an HTTP/2 ping to this URL.
    pub h2ping: String,
    /// Speak TLS for the HTTP/2 ping; the default.
    #[serde(rename = "h2pingusetls")]
    pub h2ping_use_tls: Option<bool>,
    /// Kind: run this command.
    #[serde(alias = "scriptargs")]
    pub args: Vec<String>,
    /// Kind: run a command in this Docker container.
    #[serde(rename = "dockercontainerid")]
    pub docker_container_id: String,
    /// The shell for the Docker container's command.
    pub shell: String,
    /// Kind: ask the operating system about this service.
    #[serde(rename = "osservice")]
    pub os_service: String,
    /// Kind: be as healthy as this service.
    #[serde(rename = "aliasservice")]
    pub alias_service: String,
    /// Kind: be as healthy as this node, or look for the service there.
    #[serde(rename = "aliasnode")]
    pub alias_node: String,

    /// Do not verify the server's certificate.
    #[serde(rename = "tlsskipverify")]
    pub tls_skip_verify: bool,
    /// The name to expect in the server's certificate.
    #[serde(rename = "tlsservername")]
    pub tls_server_name: String,
    /// How often to run.
    pub interval: GoDuration,
    /// How long a run may take.
    pub timeout: GoDuration,
    /// How many bytes of output to keep.
    #[serde(rename = "outputmaxsize")]
    pub output_max_size: Option<u32>,
    /// How many runs must pass in a row before the status does.
    #[serde(rename = "successbeforepassing")]
    pub success_before_passing: u32,
    /// How many runs must fail in a row before the status warns.
    #[serde(rename = "failuresbeforewarning")]
    pub failures_before_warning: Option<u32>,
    /// How many runs must fail in a row before the status is critical.
    #[serde(rename = "failuresbeforecritical")]
    pub failures_before_critical: u32,
    /// Remove the service after it has been critical for this long.
    #[serde(rename = "deregistercriticalserviceafter")]
    pub deregister_critical_service_after: GoDuration,
}

/// What a run that could not look does to the status of its check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownPolicy {
    /// It counts as a failed run.
    #[default]
    Critical,
    /// It counts as a run with a warning.
    Warning,
    /// It changes nothing but the output.
    KeepLast,
}

/// How many equal results in a row it takes to change a check's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Runs that must pass before the status does.
    pub success_before_passing: u32,
    /// Runs that must fail before the status warns.
    pub failures_before_warning: u32,
    /// Runs that must fail before the status is critical.
    pub failures_before_critical: u32,
}

impl CheckDefinition {
    /// The identifier the user gave, if any.
    #[must_use]
    pub fn given_id(&self) -> &str {
        if self.check_id.is_empty() { &self.id } else { &self.check_id }
    }

    /// The words for the kinds it asks for, as the HTTP API shows them; a valid definition has one.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        let in_docker = !self.docker_container_id.is_empty();
        let given = [
            ("wasm", !self.wasm.is_empty()),
            ("http", !self.http.is_empty()),
            ("tcp", !self.tcp.is_empty()),
            ("ttl", !self.ttl.is_zero()),
            ("udp", !self.udp.is_empty()),
            ("grpc", !self.grpc.is_empty()),
            ("h2ping", !self.h2ping.is_empty()),
            ("docker", in_docker),
            ("script", !self.args.is_empty() && !in_docker),
            ("os_service", !self.os_service.is_empty()),
            ("alias", !self.alias_service.is_empty() || !self.alias_node.is_empty()),
        ];
        given.into_iter().filter(|(_, is_given)| *is_given).map(|(word, _)| word).collect()
    }

    /// The thresholds, with the ones that follow from others filled in.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        Thresholds {
            success_before_passing: self.success_before_passing,
            failures_before_warning: self.failures_before_warning.unwrap_or(self.failures_before_critical),
            failures_before_critical: self.failures_before_critical,
        }
    }
}
