//! The component's side of the WIT package: bindings, and conversions to the SDK's own types.
//!
//! Compiled for WebAssembly only. Nothing here is for plugin authors.

mod convert;

use crate::ctx::{Ctx, Host, Level};
use crate::outcome::{Fault, settle};
use crate::plugin::{CheckPlugin, Descriptor, EventPlugin};
use crate::probe::ProbeError;
use crate::{dns, exec, http, http2, tcp, tls, udp};

/// Bindings of the world `health-check`.
#[allow(
    missing_docs,
    unsafe_code,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod check_world {
    wit_bindgen::generate!({
        world: "health-check",
        path: "../wit/v1",
        pub_export_macro: true,
        export_macro_name: "export_health_check",
        default_bindings_module: "::lictor_plugin_sdk::guest::check_world",
        generate_all,
    });
}

/// Bindings of the world `event-handler`; all that both worlds share is in the other module.
#[allow(
    missing_docs,
    unsafe_code,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod event_world {
    wit_bindgen::generate!({
        world: "event-handler",
        path: "../wit/v1",
        pub_export_macro: true,
        export_macro_name: "export_event_handler",
        default_bindings_module: "::lictor_plugin_sdk::guest::event_world",
        with: {
            "lictor:plugin/types@1.0.0": super::check_world::lictor::plugin::types,
            "lictor:plugin/http@1.0.0": super::check_world::lictor::plugin::http,
            "lictor:plugin/http2@1.0.0": super::check_world::lictor::plugin::http2,
            "lictor:plugin/tcp@1.0.0": super::check_world::lictor::plugin::tcp,
            "lictor:plugin/udp@1.0.0": super::check_world::lictor::plugin::udp,
            "lictor:plugin/tls@1.0.0": super::check_world::lictor::plugin::tls,
            "lictor:plugin/dns@1.0.0": super::check_world::lictor::plugin::dns,
            "lictor:plugin/exec@1.0.0": super::check_world::lictor::plugin::exec,
            "lictor:plugin/log@1.0.0": super::check_world::lictor::plugin::log,
        },
    });
}

use check_world::lictor::plugin as wit;

/// The agent.
struct Agent;

impl Host for Agent {
    fn http(&self, request: &http::Request) -> Result<http::Response, ProbeError> {
        wit::http::send(&request.into()).map(Into::into).map_err(Into::into)
    }

    fn http2(&self, request: &http2::Request) -> Result<http2::Response, ProbeError> {
        wit::http2::ping(&request.into()).map(Into::into).map_err(Into::into)
    }

    fn tcp(&self, request: &tcp::Request) -> Result<tcp::Response, ProbeError> {
        wit::tcp::connect(&request.into()).map(Into::into).map_err(Into::into)
    }

    fn udp(&self, request: &udp::Request) -> Result<udp::Response, ProbeError> {
        wit::udp::exchange(&request.into()).map(Into::into).map_err(Into::into)
    }

    fn tls(&self, request: &tls::Request) -> Result<tls::Response, ProbeError> {
        wit::tls::inspect(&request.into()).map(Into::into).map_err(Into::into)
    }

    fn dns(&self, request: &dns::Request) -> Result<dns::Response, ProbeError> {
        wit::dns::lookup(&request.into()).map(Into::into).map_err(Into::into)
    }

    fn exec(&self, request: &exec::Request) -> Result<exec::Response, ProbeError> {
        wit::exec::run(&request.into()).map(Into::into).map_err(Into::into)
    }

    fn log(&self, level: Level, message: &str) {
        wit::log::write(level.into(), message);
    }
}

fn describe(descriptor: Descriptor) -> wit::types::Descriptor {
    wit::types::Descriptor {
        name: descriptor.name.to_owned(),
        version: descriptor.version.to_owned(),
        summary: descriptor.summary.to_owned(),
        config_schema: descriptor.config_schema,
        needs: descriptor.needs.iter().map(|need| (*need).to_owned()).collect(),
        annotations: Vec::new(),
    }
}

/// What `describe` answers for a check.
pub fn describe_check<P: CheckPlugin>() -> wit::types::Descriptor {
    describe(P::descriptor())
}

/// What `check` answers.
pub fn run_check<P: CheckPlugin>(
    target: wit::types::Target,
    config: &str,
) -> Result<wit::types::Verdict, wit::types::Fault> {
    let target = target.into();
    settle(P::check(&Ctx::new(&Agent, &target), config)).map(Into::into).map_err(Into::into)
}

/// What `describe` answers for an event handler.
pub fn describe_handler<P: EventPlugin>() -> wit::types::Descriptor {
    describe(P::descriptor())
}

/// What `on-event` answers.
pub fn run_handler<P: EventPlugin>(
    event: event_world::exports::lictor::plugin::handler::Event,
    config: &str,
) -> Result<(), wit::types::Fault> {
    let target = crate::Target {
        node: event.node.clone(),
        datacenter: event.datacenter.clone(),
        ..crate::Target::default()
    };
    P::on_event(&Ctx::new(&Agent, &target), &event.into(), config).map_err(|fault: Fault| fault.into())
}

/// Exports a [`CheckPlugin`] as the component's checker.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_check {
    ($plugin:ident) => {
        const _: () = {
            use $crate::guest::check_world::exports::lictor::plugin::checker;

            struct Component;

            impl checker::Guest for Component {
                fn describe() -> checker::Descriptor {
                    $crate::guest::describe_check::<$plugin>()
                }

                fn check(
                    target: checker::Target,
                    config: ::std::string::String,
                ) -> ::std::result::Result<checker::Verdict, checker::Fault> {
                    $crate::guest::run_check::<$plugin>(target, &config)
                }
            }

            $crate::guest::check_world::export_health_check!(
                Component with_types_in $crate::guest::check_world
            );
        };
    };
}

/// Exports an [`EventPlugin`] as the component's handler.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handler {
    ($plugin:ident) => {
        const _: () = {
            use $crate::guest::event_world::exports::lictor::plugin::handler;

            struct Component;

            impl handler::Guest for Component {
                fn describe() -> handler::Descriptor {
                    $crate::guest::describe_handler::<$plugin>()
                }

                fn on_event(
                    event: handler::Event,
                    config: ::std::string::String,
                ) -> ::std::result::Result<(), handler::Fault> {
                    $crate::guest::run_handler::<$plugin>(event, &config)
                }
            }

            $crate::guest::event_world::export_event_handler!(
                Component with_types_in $crate::guest::event_world
            );
        };
    };
}

pub use {__export_check as export_check, __export_handler as export_handler};
