//! Which components there are, and where they come from and go to.

/// One committed component.
pub(crate) struct Component {
    /// The package's name.
    pub(crate) name: &'static str,
    /// The folder of its sources, from the top of the repository.
    pub(crate) source: &'static str,
    /// The folder of the component.
    pub(crate) destination: &'static str,
}

impl Component {
    /// The component's file, from the top of the repository.
    pub(crate) fn output(&self) -> String {
        format!("{}/{}.wasm", self.destination, self.name)
    }
}

/// Where the sandbox's tests look for components.
const FIXTURES: &str = "agent/crates/sandbox/tests/fixtures";

/// All of them.
pub(crate) const COMPONENTS: &[Component] = &[
    Component { name: "grpc_check", source: "plugins/grpc_check", destination: "plugins/grpc_check" },
    Component { name: "h2ping_check", source: "plugins/h2ping_check", destination: "plugins/h2ping_check" },
    Component { name: "http_check", source: "plugins/http_check", destination: "plugins/http_check" },
    Component { name: "script_check", source: "plugins/script_check", destination: "plugins/script_check" },
    Component { name: "udp_check", source: "plugins/udp_check", destination: "plugins/udp_check" },
    Component { name: "tcp_check", source: "plugins/tcp_check", destination: "plugins/tcp_check" },
    Component { name: "hostile", source: "plugins/fixtures/hostile", destination: FIXTURES },
    Component { name: "wasi", source: "plugins/fixtures/wasi", destination: FIXTURES },
    Component { name: "handler", source: "plugins/fixtures/handler", destination: FIXTURES },
];
