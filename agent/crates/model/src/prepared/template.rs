//! Templates: queries that are made for the name they are asked by.

use std::fmt;
use std::sync::Arc;

use regex::{Captures, Regex};

use super::interpolation::{Scope, Text};
use super::{PreparedQuery, ServiceQuery};
use crate::ids::CheckId;
use crate::pattern;

/// The one type of templates there is: for names that begin with the query's.
const NAME_PREFIX_MATCH: &str = "name_prefix_match";
/// How much memory a compiled expression may take, in bytes.
const MAX_REGEX: usize = 256 * 1024;
/// How long the texts of a query that a template makes may be together, in bytes.
pub const MAX_RENDERED: usize = 64 * 1024;

/// A template that was read once and for all.
#[derive(Clone, Debug)]
pub struct CompiledTemplate {
    query: Arc<PreparedQuery>,
    /// The texts of its service, in the order of [`visit`].
    texts: Vec<Text>,
    regex: Option<Regex>,
}

impl CompiledTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it: its type, its expression, one of its texts, or what it makes of its
    /// own name.
    pub fn compile(query: Arc<PreparedQuery>) -> Result<Self, String> {
        if query.template.kind != NAME_PREFIX_MATCH {
            return Err(format!("Bad Template.Type '{}'", query.template.kind));
        }
        let mut texts = Vec::new();
        visit(&mut query.service.clone(), &mut |field, source| {
            let text = Text::parse(source)
                .map_err(|error| format!("Bad format '{source}' in Service{field}: {error}"))?;
            texts.push(text);
            Ok(())
        })?;
        let regex = match query.template.regexp.as_str() {
            "" => None,
            source => {
                let regex = pattern::compile_within(source, MAX_REGEX);
                Some(regex.map_err(|error| format!("Bad Regexp: {error}"))?)
            }
        };
        let template = Self { query, texts, regex };
        template.render(&template.query.name, "")?;
        Ok(template)
    }

    /// The query for a name, asked by an agent in a network segment.
    ///
    /// # Errors
    /// If one of its texts makes no sense for the name, or all together become too long.
    pub fn render(&self, name: &str, segment: &str) -> Result<PreparedQuery, String> {
        let mut query = self.query.as_ref().clone();
        let prefix = query.name.clone();
        let asked = Asked {
            name,
            prefix: &prefix,
            suffix: name.strip_prefix(&prefix).unwrap_or(name),
            segment,
            groups: self.regex.as_ref().and_then(|regex| regex.captures(name)),
        };
        let mut texts = self.texts.iter();
        let mut room = MAX_RENDERED;
        visit(&mut query.service, &mut |field, source| {
            // There is one for each field.
            let Some(text) = texts.next() else { return Ok(()) };
            *source = text
                .render(&asked, &mut room)
                .map_err(|error| format!("Bad evaluation for '{source}' in Service{field}: {error}"))?;
            Ok(())
        })?;
        if query.template.remove_empty_tags {
            query.service.tags.get_or_insert_default().retain(|tag| !tag.is_empty());
        }
        Ok(query)
    }
}

/// What a template's texts can refer to.
struct Asked<'a> {
    name: &'a str,
    prefix: &'a str,
    suffix: &'a str,
    segment: &'a str,
    groups: Option<Captures<'a>>,
}

impl Scope for Asked<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        match name {
            "name.full" => Some(self.name),
            "name.prefix" => Some(self.prefix),
            "name.suffix" => Some(self.suffix),
            "agent.segment" => Some(self.segment),
            _ => None,
        }
    }

    fn group(&self, number: i64) -> &str {
        let number = usize::try_from(number).ok();
        let found = number.and_then(|number| self.groups.as_ref()?.get(number));
        found.map_or("", |found| found.as_str())
    }
}

type Visitor<'v> = dyn FnMut(fmt::Arguments<'_>, &mut String) -> Result<(), String> + 'v;

/// Shows all texts of a service to a visitor with the name of their field, always in the same order.
fn visit(service: &mut ServiceQuery, visitor: &mut Visitor<'_>) -> Result<(), String> {
    visitor(format_args!(".Service"), &mut service.service)?;
    visitor(format_args!(".SamenessGroup"), &mut service.sameness_group)?;
    for (position, name) in service.failover.datacenters.iter_mut().flatten().enumerate() {
        visitor(format_args!(".Failover.Datacenters[{position}]"), name)?;
    }
    for (position, target) in service.failover.targets.iter_mut().flatten().enumerate() {
        visitor(format_args!(".Failover.Targets[{position}].Peer"), &mut target.peer)?;
        visitor(format_args!(".Failover.Targets[{position}].Datacenter"), &mut target.datacenter)?;
    }
    for (position, id) in service.ignore_check_ids.iter_mut().flatten().enumerate() {
        let mut text = id.as_str().to_owned();
        visitor(format_args!(".IgnoreCheckIDs[{position}]"), &mut text)?;
        *id = CheckId::from(text);
    }
    visitor(format_args!(".Near"), &mut service.near)?;
    for (position, tag) in service.tags.iter_mut().flatten().enumerate() {
        visitor(format_args!(".Tags[{position}]"), tag)?;
    }
    for (key, value) in service.node_meta.iter_mut().flatten() {
        visitor(format_args!(".NodeMeta[{key}]"), value)?;
    }
    for (key, value) in service.service_meta.iter_mut().flatten() {
        visitor(format_args!(".ServiceMeta[{key}]"), value)?;
    }
    visitor(format_args!(".Peer"), &mut service.peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepared::{FailoverTarget, TemplateOptions};
    use proptest::prelude::*;

    fn template(name: &str, service: ServiceQuery) -> PreparedQuery {
        let template = TemplateOptions { kind: NAME_PREFIX_MATCH.to_owned(), ..TemplateOptions::default() };
        PreparedQuery { name: name.to_owned(), template, service, ..PreparedQuery::default() }
    }

    fn named(service: &str) -> ServiceQuery {
        ServiceQuery { service: service.to_owned(), ..ServiceQuery::default() }
    }

    fn compiled(query: PreparedQuery) -> Result<CompiledTemplate, String> {
        CompiledTemplate::compile(Arc::new(query))
    }

    #[test]
    fn every_text_of_the_service_is_made_for_the_name() {
        let text = || "${name.suffix}".to_owned();
        let mut query = template(
            "geo-",
            ServiceQuery {
                service: "${match(1)}-${match(2)}${match(3)}".to_owned(),
                near: "${agent.segment}".to_owned(),
                tags: Some(vec!["${name.prefix}".to_owned(), "${match(7)}".to_owned()]),
                ignore_check_ids: Some(vec![text().into()]),
                node_meta: Some([("${name.full}".to_owned(), "${name.full}".to_owned())].into()),
                service_meta: Some([("k".to_owned(), text())].into()),
                peer: text(),
                ..ServiceQuery::default()
            },
        );
        query.service.failover.datacenters = Some(vec![text()]);
        query.service.failover.targets = Some(vec![FailoverTarget { peer: text(), datacenter: text() }]);
        query.template.regexp = "^geo-(.*?)-([^-]+?)(x)?$".to_owned();
        let template = compiled(query.clone()).unwrap();
        let service = template.render("geo-db-master", "alpha").unwrap().service;
        assert_eq!((service.service.as_str(), service.near.as_str()), ("db-master", "alpha"));
        assert_eq!(service.tags, Some(vec!["geo-".to_owned(), String::new()]));
        assert_eq!(service.ignore_check_ids, Some(vec!["db-master".into()]));
        assert_eq!(service.node_meta, Some([("${name.full}".to_owned(), "geo-db-master".to_owned())].into()));
        assert_eq!(service.service_meta, Some([("k".to_owned(), "db-master".to_owned())].into()));
        assert_eq!(service.peer, "db-master");
        assert_eq!(service.failover.datacenters, Some(vec!["db-master".to_owned()]));
        query.template.remove_empty_tags = true;
        let service = compiled(query).unwrap().render("nothing", "").unwrap().service;
        // The expression does not match, and the name does not begin with the template's.
        assert_eq!((service.service.as_str(), service.peer.as_str()), ("-", "nothing"));
        assert_eq!(service.tags, Some(vec!["geo-".to_owned()]));
    }

    #[test]
    fn mistakes_show_when_a_template_is_read() {
        let error = |query: PreparedQuery| compiled(query).unwrap_err();
        let mut query = template("", named("web"));
        query.template.kind = "nope".to_owned();
        assert_eq!(error(query), "Bad Template.Type 'nope'");
        assert_eq!(
            error(template("", named("${name.full"))),
            "Bad format '${name.full' in Service.Service: parse error at 1:12: expected \"}\" but found end of string"
        );
        assert_eq!(
            error(template("", named("${nope}"))),
            "Bad evaluation for '${nope}' in Service.Service: 1:3: unknown variable accessed: nope"
        );
        for (regexp, why) in [
            ("a(bc", "missing closing ): `a(bc`"),
            ("a)", "unexpected ): `a)`"),
            ("a[bc", "missing closing ]: `[bc`"),
            ("[b-a]", "invalid character class range: `b-a`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("\\1", "invalid escape sequence: `\\1`"),
            ("a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
        ] {
            let mut query = template("", named("web"));
            query.template.regexp = regexp.to_owned();
            assert_eq!(error(query), format!("Bad Regexp: error parsing regexp: {why}"));
        }
    }

    #[test]
    fn expressions_and_what_they_make_are_bounded() {
        let mut query = template("", named(&"${name.full}".repeat(100)));
        query.template.regexp = "(a{1000}){1000}".to_owned();
        assert!(compiled(query.clone()).unwrap_err().starts_with("Bad Regexp: "));
        query.template.regexp = r"^(\w+)-(\w+)-([^-]+)-(?i:[a-zé]{1,20})-(.*?)$".to_owned();
        assert!(compiled(query.clone()).is_ok());
        query.template.regexp.clear();
        let template = compiled(query).unwrap();
        assert_eq!(template.render(&"a".repeat(600), "").unwrap().service.service.len(), 60_000);
        let error = template.render(&"a".repeat(700), "").unwrap_err();
        assert!(error.ends_with("it becomes too long"), "{error}");
    }

    proptest! {
        #[test]
        fn any_name_is_rendered_within_bounds(
            service in "([$][{](name[.](full|suffix|prefix)|match[(][0-9][)])[}]|[a-z-]){0,8}",
            regexp in "([(]|[)]|[.]|[*]|[?]|a|-){0,8}",
            name in "\\PC{0,40}"
        ) {
            let mut query = template("a", named(&service));
            query.template.regexp = regexp;
            if let Ok(template) = compiled(query) {
                let rendered = template.render(&name, "").unwrap();
                prop_assert!(rendered.service.service.len() <= MAX_RENDERED);
            }
        }
    }
}
