//! The attribute macros of the plugin SDK.
//!
//! They only generate code that refers to `lictor_plugin_sdk`; use them through that crate.

mod plugin;
mod schema;

use proc_macro::TokenStream;

/// Turns a function into a health check component.
///
/// The function takes `&Ctx` and a configuration that implements `Deserialize` and `Schema`, and
/// returns `Result<Verdict, Fault>`. The attribute takes `name`, `summary` (both default to the
/// function's name), `version` (the crate's by default) and `needs("…", …)`.
#[proc_macro_attribute]
pub fn check(attributes: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(attributes.into(), item.into(), plugin::World::Check)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Turns a function into an event handler component.
///
/// The function takes `&Ctx`, `&Event` and a configuration, and returns `Result<(), Fault>`. The
/// attribute takes what `check` takes.
#[proc_macro_attribute]
pub fn on_event(attributes: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(attributes.into(), item.into(), plugin::World::Event)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Derives the JSON Schema of a struct of named fields.
///
/// A field is required unless it is an `Option` or has `#[serde(default)]`. Comments become
/// descriptions, `#[schema(default = …)]` names a default, `#[schema(min_length = 1)]` and
/// `#[schema(one_of = ["a", "b"])]` restrict strings. Other properties are not allowed.
#[proc_macro_derive(Schema, attributes(schema, serde))]
pub fn derive_schema(item: TokenStream) -> TokenStream {
    schema::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
