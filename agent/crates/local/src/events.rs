//! Events that users fired and that are meant for this node, the newest of them.

use std::collections::VecDeque;
use std::sync::Arc;

use lictor_model::event::{UserEvent, VERSION};
use lictor_model::pattern;
use lictor_model::service::Service;

/// How many are kept.
const KEPT: usize = 256;

/// The newest events, in the order in which they came.
#[derive(Debug, Default)]
pub struct Events(VecDeque<Arc<UserEvent>>);

impl Events {
    /// Adds one; the oldest goes if there are too many.
    pub fn add(&mut self, event: UserEvent) {
        while self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Arc::new(event));
    }

    /// Those that are wanted by their name, and their index: it is another one whenever the last of
    /// them is.
    #[must_use]
    pub fn list(&self, wanted: impl Fn(&str) -> bool) -> (Vec<Arc<UserEvent>>, u64) {
        let events: Vec<_> = self.0.iter().filter(|event| wanted(&event.name)).cloned().collect();
        let index = events.last().map_or(1, |event| event.index());
        (events, index)
    }
}

/// Whether an event is meant for the node of this name with these services. What makes no sense is
/// meant for nobody.
pub fn is_for<'s>(event: &UserEvent, node: &str, services: impl Iterator<Item = &'s Arc<Service>>) -> bool {
    let matches = |filter: &str, text: &str| {
        filter.is_empty() || pattern::compile(filter).is_ok_and(|filter| filter.is_match(text))
    };
    if event.version > VERSION || !matches(&event.node_filter, node) {
        return false;
    }
    if event.service_filter.is_empty() {
        return true;
    }
    let Ok(name) = pattern::compile(&event.service_filter) else { return false };
    let Ok(tag) = pattern::compile(&event.tag_filter) else { return false };
    let is_meant = |service: &Arc<Service>| {
        (name.is_match(service.name.as_str()) || name.is_match(service.id.as_str()))
            && (event.tag_filter.is_empty() || service.tags.iter().any(|own| tag.is_match(own)))
    };
    services.into_iter().any(is_meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, id: u64) -> UserEvent {
        let id = format!("00000000-0000-0000-0000-{id:012x}");
        UserEvent { id, name: name.to_owned(), version: VERSION, ..UserEvent::default() }
    }

    #[test]
    fn the_newest_are_kept_and_listed_by_name() {
        let mut events = Events::default();
        assert_eq!(events.list(|_| true), (vec![], 1));
        for number in 0..KEPT as u64 + 10 {
            events.add(named(if number % 2 == 0 { "even" } else { "odd" }, number + 100));
        }
        let (all, index) = events.list(|_| true);
        assert_eq!((all.len(), index), (KEPT, KEPT as u64 + 109));
        assert_eq!(all[0].index(), 110);
        let (even, index) = events.list(|name| name == "even");
        assert_eq!((even.len(), index), (KEPT / 2, KEPT as u64 + 108), "the last one of this name");
        assert_eq!(events.list(|name| name == "other"), (vec![], 1));
    }

    #[test]
    fn filters_say_who_is_meant() {
        let service = |id: &str, name: &str, tags: &[&str]| {
            Arc::new(Service {
                id: id.into(),
                name: name.into(),
                tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
                ..Service::default()
            })
        };
        let services = [service("web-1", "web", &["v1", "blue"]), service("db", "db", &[])];
        let meant = |node: &str, service: &str, tag: &str| {
            let event = UserEvent {
                node_filter: node.to_owned(),
                service_filter: service.to_owned(),
                tag_filter: tag.to_owned(),
                ..named("e", 1)
            };
            is_for(&event, "c1", services.iter())
        };
        assert!(meant("", "", ""));
        assert!(meant("^c", "", "") && !meant("^s", "", ""));
        assert!(meant("", "^web$", "") && meant("", "web-1", "") && !meant("", "api", ""));
        assert!(meant("", "we", "^v1$") && !meant("", "we", "v2"));
        assert!(!meant("", "db", "v1"), "the tag has to be of that service");
        assert!(meant("c", "web", "blue") && !meant("x", "web", "blue"));
        assert!(!meant("[", "", "") && !meant("", "[", "") && !meant("", "web", "["));
        let newer = UserEvent { version: VERSION + 1, ..named("e", 1) };
        assert!(!is_for(&newer, "c1", services.iter()));
    }
}
