//! From a function to a component.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, FnArg, ItemFn, LitStr, Result, Token, Type, parenthesized};

/// Which world the component is for.
#[derive(Clone, Copy)]
pub(crate) enum World {
    /// `health-check`.
    Check,
    /// `event-handler`.
    Event,
}

#[derive(Default)]
struct Attributes {
    name: Option<Expr>,
    summary: Option<Expr>,
    version: Option<Expr>,
    needs: Vec<LitStr>,
}

impl Parse for Attributes {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut attributes = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if key == "needs" {
                let content;
                parenthesized!(content in input);
                attributes.needs =
                    Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?.into_iter().collect();
            } else {
                input.parse::<Token![=]>()?;
                let value: Expr = input.parse()?;
                match key.to_string().as_str() {
                    "name" => attributes.name = Some(value),
                    "summary" => attributes.summary = Some(value),
                    "version" => attributes.version = Some(value),
                    _ => return Err(Error::new(key.span(), "known are name, summary, version and needs")),
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(attributes)
    }
}

/// The type of the configuration: the last argument's.
fn config_type(function: &ItemFn, arguments: usize) -> Result<Type> {
    let inputs = &function.sig.inputs;
    match inputs.last() {
        Some(FnArg::Typed(argument)) if inputs.len() == arguments => Ok((*argument.ty).clone()),
        _ => Err(Error::new_spanned(
            &function.sig,
            format!("a plugin's function takes {arguments} arguments, the configuration last"),
        )),
    }
}

pub(crate) fn expand(attributes: TokenStream, item: TokenStream, world: World) -> Result<TokenStream> {
    let attributes: Attributes = syn::parse2(attributes)?;
    let function: ItemFn = syn::parse2(item)?;
    let ident = &function.sig.ident;
    let fallback = ident.to_string();
    let name = attributes.name.map_or_else(|| quote!(#fallback), |value| quote!(#value));
    let summary = attributes.summary.map_or_else(|| quote!(#fallback), |value| quote!(#value));
    let version =
        attributes.version.map_or_else(|| quote!(env!("CARGO_PKG_VERSION")), |value| quote!(#value));
    let needs = attributes.needs;
    let config = config_type(&function, if matches!(world, World::Check) { 2 } else { 3 })?;
    let plugin = format_ident!("Plugin");

    let descriptor = quote! {
        fn descriptor() -> ::lictor_plugin_sdk::Descriptor {
            ::lictor_plugin_sdk::Descriptor {
                name: #name,
                version: #version,
                summary: #summary,
                config_schema: <#config as ::lictor_plugin_sdk::Schema>::schema(),
                needs: &[#(#needs),*],
            }
        }
    };
    let parse = quote! {
        let config = ::lictor_plugin_sdk::private::serde_json::from_str::<#config>(config)
            .map_err(|error| ::lictor_plugin_sdk::Fault::InvalidConfig(::std::string::ToString::to_string(&error)))?;
    };
    let implementation = match world {
        World::Check => quote! {
            impl ::lictor_plugin_sdk::CheckPlugin for #plugin {
                #descriptor

                fn check(
                    ctx: &::lictor_plugin_sdk::Ctx<'_>,
                    config: &str,
                ) -> ::std::result::Result<::lictor_plugin_sdk::Verdict, ::lictor_plugin_sdk::Fault> {
                    #parse
                    #ident(ctx, config)
                }
            }

            #[cfg(target_family = "wasm")]
            ::lictor_plugin_sdk::guest::export_check!(#plugin);
        },
        World::Event => quote! {
            impl ::lictor_plugin_sdk::EventPlugin for #plugin {
                #descriptor

                fn on_event(
                    ctx: &::lictor_plugin_sdk::Ctx<'_>,
                    event: &::lictor_plugin_sdk::Event,
                    config: &str,
                ) -> ::std::result::Result<(), ::lictor_plugin_sdk::Fault> {
                    #parse
                    #ident(ctx, event, config)
                }
            }

            #[cfg(target_family = "wasm")]
            ::lictor_plugin_sdk::guest::export_handler!(#plugin);
        },
    };
    Ok(quote! {
        #[allow(clippy::needless_pass_by_value, reason = "the configuration is made for this one call")]
        #function

        /// This crate's plugin, as the host sees it.
        pub struct #plugin;

        #implementation
    })
}
