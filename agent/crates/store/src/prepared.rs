//! The table of prepared queries, and which of them a name stands for.

use std::ops::Bound;
use std::sync::Arc;

use lictor_model::ids::fold;
use lictor_model::prepared::{CompiledTemplate, MAX_NAME, PreparedQuery, looks_like_id};
use lictor_model::{Code, Error, PreparedQueryId, Result, SessionId, Token};

use crate::snapshot::Snapshot;

/// A prepared query with what was read out of it.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) query: Arc<PreparedQuery>,
    /// What makes the query for a name, or why it cannot; absent if it is no template.
    template: Option<Result<CompiledTemplate, String>>,
}

impl Prepared {
    pub(crate) fn new(query: Arc<PreparedQuery>) -> Self {
        let template = query.is_template().then(|| CompiledTemplate::compile(Arc::clone(&query)));
        Self { query, template }
    }

    /// The query for a name.
    fn for_name(&self, name: &str) -> Result<Arc<PreparedQuery>> {
        // Network segments are not part of this build.
        const SEGMENT: &str = "";
        match &self.template {
            None => Ok(Arc::clone(&self.query)),
            Some(Ok(template)) => template.render(name, SEGMENT).map(Arc::new).map_err(Error::failed),
            Some(Err(mistake)) => Err(Error::failed(format!("failed compiling template: {mistake}"))),
        }
    }
}

impl Snapshot {
    /// A prepared query by its id.
    #[must_use]
    pub fn prepared_query(&self, id: &PreparedQueryId) -> Option<&Arc<PreparedQuery>> {
        self.prepared.get(id).map(|prepared| &prepared.query)
    }

    /// On whose behalf the query is to be asked that an id or a name stands for, if it says so.
    #[must_use]
    pub fn token_of_prepared(&self, name: &str) -> Option<&Token> {
        let token = &self.find_prepared(name)?.query.token;
        (!token.is_anonymous()).then_some(token)
    }

    /// The query that an id or a name stands for, made for that name if it is a template.
    pub(crate) fn resolve_prepared(&self, name: &str) -> Result<Option<Arc<PreparedQuery>>> {
        if name.is_empty() {
            return Err(Error::failed("Missing Query ID"));
        }
        if name.len() > MAX_NAME {
            let why =
                format!("the name of the query has {} bytes; at most {MAX_NAME} are accepted", name.len());
            return Err(Error::new(Code::TooLarge, why));
        }
        let Some(found) = self.find_prepared(name) else { return Ok(None) };
        if found.query.is_template() && *found.query.id.as_str() == *fold(name) {
            return Err(Error::failed("prepared query templates can only be resolved up by name, not by ID"));
        }
        found.for_name(name).map(Some)
    }

    /// By its id, its whole name, or the longest beginning of the name that a template answers for.
    fn find_prepared(&self, name: &str) -> Option<&Arc<Prepared>> {
        let name = fold(name);
        if looks_like_id(&name)
            && let Some(found) = self.prepared.get(&*name)
        {
            return Some(found);
        }
        let id = self.prepared_by_name.get(&name).or_else(|| self.template_for(&name))?;
        self.prepared.get(id)
    }

    fn template_for(&self, name: &str) -> Option<&PreparedQueryId> {
        let mut name = name;
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(name));
            let (prefix, id) = self.prepared_templates.range::<_, str>(up_to).next_back()?;
            if name.starts_with(&**prefix) {
                return Some(id);
            }
            // Whatever answers for the name comes before this one, and both begin with it.
            let common = name.char_indices().zip(prefix.chars()).find(|((_, one), other)| one != other);
            name = common.and_then(|((end, _), _)| name.get(..end))?;
        }
    }

    pub(crate) fn put_prepared(&mut self, prepared: Prepared) {
        let query = Arc::clone(&prepared.query);
        self.remove_prepared(&query.id);
        let name = fold(&query.name);
        if query.is_template() {
            self.prepared_templates.insert(Arc::clone(&name), query.id.clone());
        }
        if !name.is_empty() {
            self.prepared_by_name.insert(name, query.id.clone());
        }
        if !query.session.is_empty() {
            self.prepared_by_session.insert((session_of(&query), query.id.clone()));
        }
        self.prepared.insert(query.id.clone(), Arc::new(prepared));
    }

    pub(crate) fn remove_prepared(&mut self, id: &PreparedQueryId) -> bool {
        let Some(removed) = self.prepared.remove(id) else { return false };
        let query = &removed.query;
        let name = fold(&query.name);
        if query.is_template() {
            self.prepared_templates.remove(&name);
        }
        self.prepared_by_name.remove(&name);
        self.prepared_by_session.remove(&(session_of(query), id.clone()));
        true
    }

    pub(crate) fn prepared_of_session(&self, session: &SessionId) -> Vec<PreparedQueryId> {
        let start = (session.clone(), PreparedQueryId::default());
        self.prepared_by_session
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(|(owner, _)| owner == session)
            .map(|(_, id)| id.clone())
            .collect()
    }
}

/// The session that a query ends with, as sessions are keyed.
pub(crate) fn session_of(query: &PreparedQuery) -> SessionId {
    SessionId::from(fold(query.session.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_model::prepared::{ServiceQuery, TemplateOptions};
    use proptest::prelude::*;

    fn with(names: &[String]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (position, name) in names.iter().enumerate() {
            snapshot.put_prepared(Prepared::new(Arc::new(PreparedQuery {
                id: format!("{position}").into(),
                name: name.clone(),
                template: TemplateOptions {
                    kind: "name_prefix_match".to_owned(),
                    ..TemplateOptions::default()
                },
                service: ServiceQuery { service: "${name.full}".to_owned(), ..ServiceQuery::default() },
                ..PreparedQuery::default()
            })));
        }
        snapshot
    }

    proptest! {
        #[test]
        fn the_template_with_the_longest_beginning_answers(
            names in prop::collection::btree_set("[abé]{0,4}", 0..8), asked in "[abcé]{1,6}"
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let snapshot = with(&names);
            let longest = names.iter().filter(|name| asked.starts_with(name.as_str())).max_by_key(|name| name.len());
            let found = snapshot.find_prepared(&asked).map(|found| found.query.name.clone());
            prop_assert_eq!(found.as_ref(), longest);
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_nothing_stays_of_what_is_gone() {
        let mut snapshot = with(&["Geo-".to_owned(), String::new()]);
        let service = |snapshot: &Snapshot, name: &str| {
            snapshot.resolve_prepared(name).unwrap().map(|query| query.service.service.clone())
        };
        assert_eq!(service(&snapshot, "gEO-x").as_deref(), Some("gEO-x"));
        assert_eq!(snapshot.find_prepared("geo-x").unwrap().query.name, "Geo-");
        assert_eq!(snapshot.find_prepared("geo").unwrap().query.name, "");
        for id in ["0", "1"] {
            assert!(snapshot.remove_prepared(&id.into()));
        }
        assert_eq!(service(&snapshot, "geo-x"), None);
        assert!(snapshot.prepared_by_name.is_empty() && snapshot.prepared_templates.is_empty());
        assert_eq!(snapshot.resolve_prepared("").unwrap_err().message, "Missing Query ID");
        let too_long = "a".repeat(MAX_NAME + 1);
        assert_eq!(snapshot.resolve_prepared(&too_long).unwrap_err().code, Code::TooLarge);
    }
}
