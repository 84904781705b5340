//! From a struct to the JSON Schema of its JSON form.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Lit, LitStr, Meta, Result};

/// What the attributes of a field say about it.
#[derive(Default)]
struct FieldInfo {
    name: String,
    description: String,
    defaulted: bool,
    keywords: String,
}

/// Escapes text for a JSON string.
fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if u32::from(control) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn json_literal(expression: &Expr) -> Result<String> {
    match expression {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => Ok(json_string(&text.value())),
            Lit::Bool(value) => Ok(value.value.to_string()),
            Lit::Int(value) => Ok(value.base10_digits().to_owned()),
            Lit::Float(value) => Ok(value.base10_digits().to_owned()),
            _ => Err(Error::new_spanned(expression, "expected a string, number or boolean")),
        },
        Expr::Array(array) => {
            let items = array.elems.iter().map(json_literal).collect::<Result<Vec<_>>>()?;
            Ok(format!("[{}]", items.join(",")))
        }
        _ => Err(Error::new_spanned(expression, "expected a literal")),
    }
}

/// The text of the comments on an item, joined to one line.
fn comment(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn read_field(field: &Field) -> Result<FieldInfo> {
    let mut info = FieldInfo { description: comment(&field.attrs), ..FieldInfo::default() };
    if let Some(ident) = &field.ident {
        info.name = ident.to_string().trim_start_matches("r#").to_owned();
    }
    for attribute in &field.attrs {
        if attribute.path().is_ident("serde") {
            attribute.parse_nested_meta(|meta| {
                let value = if meta.input.peek(syn::Token![=]) {
                    Some(meta.value()?.parse::<LitStr>()?)
                } else {
                    None
                };
                if meta.path.is_ident("default") {
                    info.defaulted = true;
                } else if let (true, Some(name)) = (meta.path.is_ident("rename"), value) {
                    info.name = name.value();
                }
                Ok(())
            })?;
        } else if attribute.path().is_ident("schema") {
            attribute.parse_nested_meta(|meta| {
                let keyword = if meta.path.is_ident("default") {
                    "default"
                } else if meta.path.is_ident("min_length") {
                    "minLength"
                } else if meta.path.is_ident("one_of") {
                    "enum"
                } else {
                    return Err(meta.error("known are default, min_length and one_of"));
                };
                let value = json_literal(&meta.value()?.parse()?)?;
                info.keywords.push_str(&format!(",\"{keyword}\":{value}"));
                Ok(())
            })?;
        }
    }
    Ok(info)
}

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a schema can be derived for structs only"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(&input.ident, "the fields need names"));
    };

    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let description = comment(&input.attrs);
    let mut head = String::from("\"type\":\"object\"");
    if !description.is_empty() {
        head.push_str(&format!(",\"description\":{}", json_string(&description)));
    }
    head.push_str(",\"additionalProperties\":false,\"properties\":{");

    let mut properties = Vec::new();
    let mut required = Vec::new();
    for (position, field) in fields.named.iter().enumerate() {
        let info = read_field(field)?;
        let key = json_string(&info.name);
        let comma = if position == 0 { "" } else { "," };
        let before = format!("{comma}{key}:{{");
        let mut after = info.keywords.clone();
        if !info.description.is_empty() {
            after.push_str(&format!(",\"description\":{}", json_string(&info.description)));
        }
        after.push('}');
        let field_type = &field.ty;
        properties.push(quote! {
            out.push_str(#before);
            <#field_type as ::lictor_plugin_sdk::schema::Schema>::write_keywords(out);
            out.push_str(#after);
        });
        if !info.defaulted {
            required.push(quote! {
                if !<#field_type as ::lictor_plugin_sdk::schema::Schema>::OPTIONAL {
                    if !first {
                        out.push(',');
                    }
                    first = false;
                    out.push_str(#key);
                }
            });
        }
    }

    Ok(quote! {
        impl #impl_generics ::lictor_plugin_sdk::schema::Schema for #ident #type_generics #where_clause {
            #[allow(unused_assignments, unused_mut, unused_variables, reason = "not every struct has required fields")]
            fn write_keywords(out: &mut ::std::string::String) {
                out.push_str(#head);
                #(#properties)*
                out.push_str("},\"required\":[");
                let mut first = true;
                #(#required)*
                out.push(']');
            }
        }
    })
}
