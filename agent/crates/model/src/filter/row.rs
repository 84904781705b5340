//! What expressions can see of the rows they select.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::Check;
use crate::ids::{CheckId, ServiceId};
use crate::local::Member;
use crate::node::Node;
use crate::query::Instance;
use crate::service::{Service, ServiceAddress};

/// The kind of a field.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Bool,
    /// A list of texts.
    List,
    /// A map from text to text, whose keys are selectors too.
    Map,
    /// A map whose values have fields of their own.
    MapOf(Box<Self>),
    /// Fields by name.
    Fields(Vec<(&'static str, Self)>),
    /// Rows with fields of their own; a match holds if it holds for any of them.
    Rows(Box<Self>),
}

impl Shape {
    /// The shape that a selector leads to.
    #[must_use]
    pub fn at(&self, selector: &[String]) -> Option<&Self> {
        let Some((first, rest)) = selector.split_first() else { return Some(self) };
        match self {
            Self::Fields(fields) => {
                fields.iter().find(|(name, _)| name == first).and_then(|(_, shape)| shape.at(rest))
            }
            Self::Map => rest.is_empty().then_some(&Self::Text),
            Self::MapOf(shape) => shape.at(rest),
            Self::Rows(shape) => shape.at(selector),
            _ => None,
        }
    }
}

/// A field's value in one row.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A whole number.
    Number(i64),
    /// True or false.
    Bool(bool),
    /// A list of texts.
    List(&'a [String]),
    /// A map from text to text.
    Map(&'a BTreeMap<String, String>),
    /// How many rows there are.
    Count(usize),
    /// The same field of several rows.
    AnyOf(Vec<Self>),
    /// The row has no such field.
    Absent,
}

/// Something that can be selected by an expression.
pub trait Row {
    /// Its fields.
    fn shape() -> Shape;
    /// The field a selector leads to; [`Value::Absent`] if the selector does not fit the shape.
    fn value<'a>(&'a self, selector: &[String]) -> Value<'a>;
}

impl<R: Row> Row for Arc<R> {
    fn shape() -> Shape {
        R::shape()
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        R::value(self, selector)
    }
}

/// The selector's first part, and its second if there is one.
fn head(selector: &[String]) -> (&str, Option<&str>) {
    (selector.first().map_or("", String::as_str), selector.get(1).map(String::as_str))
}

fn entry<'a>(map: &'a BTreeMap<String, String>, key: Option<&str>) -> Value<'a> {
    match key {
        None => Value::Map(map),
        Some(key) => map.get(key).map_or(Value::Absent, |text| Value::Text(text)),
    }
}

fn tagged<'a>(map: &'a BTreeMap<String, ServiceAddress>, selector: &[String]) -> Value<'a> {
    let Some(address) = selector.first().and_then(|audience| map.get(audience)) else {
        return if selector.is_empty() { Value::Count(map.len()) } else { Value::Absent };
    };
    match selector.get(1).map(String::as_str) {
        Some("Address") => Value::Text(&address.address),
        Some("Port") => Value::Number(i64::from(address.port)),
        _ => Value::Absent,
    }
}

fn tagged_shape() -> Shape {
    Shape::MapOf(Box::new(Shape::Fields(vec![("Address", Shape::Text), ("Port", Shape::Number)])))
}

fn weights_shape() -> Shape {
    Shape::Fields(vec![("Passing", Shape::Number), ("Warning", Shape::Number)])
}

impl Row for Member {
    fn shape() -> Shape {
        Shape::Fields(vec![
            ("Name", Shape::Text),
            ("Addr", Shape::Text),
            ("Port", Shape::Number),
            ("Tags", Shape::Map),
            ("Status", Shape::Number),
            ("ProtocolMin", Shape::Number),
            ("ProtocolMax", Shape::Number),
            ("ProtocolCur", Shape::Number),
            ("DelegateMin", Shape::Number),
            ("DelegateMax", Shape::Number),
            ("DelegateCur", Shape::Number),
        ])
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        let number = |number: u8| Value::Number(number.into());
        match head(selector) {
            ("Name", _) => Value::Text(&self.name),
            ("Addr", _) => Value::Text(&self.addr),
            ("Port", _) => Value::Number(self.port.into()),
            ("Tags", key) => entry(&self.tags, key),
            ("Status", _) => number(self.status.into()),
            ("ProtocolMin", _) => number(self.protocol_min),
            ("ProtocolMax", _) => number(self.protocol_max),
            ("ProtocolCur", _) => number(self.protocol_cur),
            ("DelegateMin", _) => number(self.delegate_min),
            ("DelegateMax", _) => number(self.delegate_max),
            ("DelegateCur", _) => number(self.delegate_cur),
            _ => Value::Absent,
        }
    }
}

impl Row for Node {
    fn shape() -> Shape {
        Shape::Fields(vec![
            ("ID", Shape::Text),
            ("Node", Shape::Text),
            ("Address", Shape::Text),
            ("Datacenter", Shape::Text),
            ("TaggedAddresses", Shape::Map),
            ("Meta", Shape::Map),
        ])
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        match head(selector) {
            ("ID", _) => Value::Text(self.id.as_str()),
            ("Node", _) => Value::Text(self.name.as_str()),
            ("Address", _) => Value::Text(&self.address),
            ("Datacenter", _) => Value::Text(self.datacenter.as_str()),
            ("TaggedAddresses", key) => entry(&self.tagged_addresses, key),
            ("Meta", key) => entry(&self.meta, key),
            _ => Value::Absent,
        }
    }
}

impl Row for Service {
    fn shape() -> Shape {
        Shape::Fields(vec![
            ("ID", Shape::Text),
            ("Service", Shape::Text),
            ("Tags", Shape::List),
            ("Address", Shape::Text),
            ("TaggedAddresses", tagged_shape()),
            ("Meta", Shape::Map),
            ("Port", Shape::Number),
            ("Weights", weights_shape()),
            ("EnableTagOverride", Shape::Bool),
        ])
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        match head(selector) {
            ("ID", _) => Value::Text(self.id.as_str()),
            ("Service", _) => Value::Text(self.name.as_str()),
            ("Tags", _) => Value::List(&self.tags),
            ("Address", _) => Value::Text(&self.address),
            ("TaggedAddresses", _) => tagged(&self.tagged_addresses, selector.get(1..).unwrap_or_default()),
            ("Meta", key) => entry(&self.meta, key),
            ("Port", _) => Value::Number(i64::from(self.port)),
            ("Weights", Some("Passing")) => Value::Number(i64::from(self.weights.passing)),
            ("Weights", Some("Warning")) => Value::Number(i64::from(self.weights.warning)),
            ("EnableTagOverride", _) => Value::Bool(self.enable_tag_override),
            _ => Value::Absent,
        }
    }
}

impl Row for Check {
    fn shape() -> Shape {
        Shape::Fields(vec![
            ("Node", Shape::Text),
            ("CheckID", Shape::Text),
            ("Name", Shape::Text),
            ("Status", Shape::Text),
            ("Notes", Shape::Text),
            ("Output", Shape::Text),
            ("ServiceID", Shape::Text),
            ("ServiceName", Shape::Text),
            ("ServiceTags", Shape::List),
            ("Type", Shape::Text),
            ("Interval", Shape::Text),
            ("Timeout", Shape::Text),
        ])
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        match head(selector).0 {
            "Node" => Value::Text(self.node.as_str()),
            "CheckID" => Value::Text(self.id.as_str()),
            "Name" => Value::Text(&self.name),
            "Status" => Value::Text(self.status.as_str()),
            "Notes" => Value::Text(&self.notes),
            "Output" => Value::Text(&self.output),
            "ServiceID" => Value::Text(self.service_id.as_str()),
            "ServiceName" => Value::Text(self.service_name.as_str()),
            "ServiceTags" => Value::List(&self.service_tags),
            "Type" => Value::Text(&self.kind),
            "Interval" => Value::Text(&self.interval),
            "Timeout" => Value::Text(&self.timeout),
            _ => Value::Absent,
        }
    }
}

/// Health queries see nodes, services and checks as nested objects.
impl Row for Instance {
    fn shape() -> Shape {
        Shape::Fields(vec![
            ("Node", Node::shape()),
            ("Service", Service::shape()),
            ("Checks", Shape::Rows(Box::new(Check::shape()))),
        ])
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        let rest = selector.get(1..).unwrap_or_default();
        match head(selector) {
            ("Node", _) => self.node.value(rest),
            ("Service", _) => self.service.value(rest),
            ("Checks", None) => Value::Count(self.checks.len()),
            ("Checks", _) => Value::AnyOf(self.checks.iter().map(|check| check.value(rest)).collect()),
            _ => Value::Absent,
        }
    }
}

/// The flat row of catalog queries: a node and a service in one object.
#[derive(Clone, Copy, Debug)]
pub struct FlatInstance<'i>(pub &'i Instance);

impl Row for FlatInstance<'_> {
    fn shape() -> Shape {
        Shape::Fields(vec![
            ("ID", Shape::Text),
            ("Node", Shape::Text),
            ("Address", Shape::Text),
            ("Datacenter", Shape::Text),
            ("TaggedAddresses", Shape::Map),
            ("NodeMeta", Shape::Map),
            ("ServiceID", Shape::Text),
            ("ServiceName", Shape::Text),
            ("ServiceTags", Shape::List),
            ("ServiceAddress", Shape::Text),
            ("ServiceTaggedAddresses", tagged_shape()),
            ("ServiceWeights", weights_shape()),
            ("ServiceMeta", Shape::Map),
            ("ServicePort", Shape::Number),
            ("ServiceEnableTagOverride", Shape::Bool),
        ])
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        let (field, _) = head(selector);
        let of_service = match field {
            "ServiceName" => Some("Service"),
            "NodeMeta" => None,
            _ => field.strip_prefix("Service"),
        };
        let mut renamed: Vec<String> = selector.to_vec();
        let target = of_service.unwrap_or(if field == "NodeMeta" { "Meta" } else { field });
        if let Some(first) = renamed.first_mut() {
            target.clone_into(first);
        }
        if of_service.is_some() { self.0.service.value(&renamed) } else { self.0.node.value(&renamed) }
    }
}

/// Maps from an identifier to a row, as the agent's own endpoints return them, filter their rows.
impl Row for (&ServiceId, &Arc<Service>) {
    fn shape() -> Shape {
        Service::shape()
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        self.1.value(selector)
    }
}

impl Row for (&CheckId, &Check) {
    fn shape() -> Shape {
        Check::shape()
    }

    fn value<'a>(&'a self, selector: &[String]) -> Value<'a> {
        self.1.value(selector)
    }
}
