//! JSON Schema of configurations, as text, without a JSON library in the component.

use std::collections::BTreeMap;

pub use lictor_plugin_sdk_macros::Schema;

/// A type whose JSON form has a schema. Derive it for structs of named fields.
pub trait Schema {
    /// Whether a field of this type may be left out of its object.
    const OPTIONAL: bool = false;

    /// Appends the keywords of the schema, without the braces around them, such as
    /// `"type":"string"`.
    fn write_keywords(out: &mut String);

    /// The whole schema.
    #[must_use]
    fn schema() -> String {
        let mut out = String::from("{");
        Self::write_keywords(&mut out);
        out.push('}');
        out
    }
}

macro_rules! plain {
    ($keywords:literal: $($type:ty),+) => {$(
        impl Schema for $type {
            fn write_keywords(out: &mut String) {
                out.push_str($keywords);
            }
        }
    )+};
}

plain!(r#""type":"string""#: String);
plain!(r#""type":"boolean""#: bool);
plain!(r#""type":"number""#: f32, f64);
plain!(r#""type":"integer""#: i8, i16, i32, i64);
plain!(r#""type":"integer","minimum":0,"maximum":255"#: u8);
plain!(r#""type":"integer","minimum":0,"maximum":65535"#: u16);
plain!(r#""type":"integer","minimum":0,"maximum":4294967295"#: u32);
plain!(r#""type":"integer","minimum":0"#: u64);

impl Schema for serde_json::Value {
    fn write_keywords(_out: &mut String) {}
}

impl<T: Schema> Schema for Option<T> {
    const OPTIONAL: bool = true;

    fn write_keywords(out: &mut String) {
        T::write_keywords(out);
    }
}

impl<T: Schema> Schema for Vec<T> {
    fn write_keywords(out: &mut String) {
        out.push_str(r#""type":"array","items":{"#);
        T::write_keywords(out);
        out.push('}');
    }
}

impl<T: Schema> Schema for BTreeMap<String, T> {
    fn write_keywords(out: &mut String) {
        out.push_str(r#""type":"object","additionalProperties":{"#);
        T::write_keywords(out);
        out.push('}');
    }
}
