//! Prepared queries are kept, changed and forgotten.

use std::sync::Arc;

use lictor_model::command::{Outcome, PreparedChange};
use lictor_model::ids::fold;
use lictor_model::prepared::{PreparedQuery, looks_like_id};
use lictor_model::{Error, PreparedQueryId, SessionId};

use super::Change;
use crate::prepared::{Prepared, session_of};
use crate::watch::Watch;

impl Change<'_> {
    pub(super) fn prepared(&mut self, change: PreparedChange) -> Outcome {
        match change {
            PreparedChange::Create(query) => self.create_prepared(*query),
            PreparedChange::Update(query) => self.update_prepared(*query),
            PreparedChange::Delete(id) => {
                self.forget_prepared(&id);
                Outcome::PreparedQuery(id)
            }
        }
    }

    fn create_prepared(&mut self, query: PreparedQuery) -> Outcome {
        if self.state.prepared.contains_key(&query.id) {
            return refused(format!("there is a prepared query {:?} already", query.id));
        }
        let create_index = self.index;
        self.keep_prepared(PreparedQuery { create_index, ..query })
    }

    fn update_prepared(&mut self, query: PreparedQuery) -> Outcome {
        let Some(existing) = self.state.prepared_query(&query.id) else {
            return refused(format!("Cannot modify non-existent prepared query: '{}'", query.id));
        };
        if existing.same_as(&query) {
            return Outcome::PreparedQuery(query.id);
        }
        let create_index = existing.create_index;
        self.keep_prepared(PreparedQuery { create_index, ..query })
    }

    fn keep_prepared(&mut self, query: PreparedQuery) -> Outcome {
        if let Some(why) = self.why_not(&query) {
            return refused(why);
        }
        let id = query.id.clone();
        // Whether a template can be read may depend on the build, and what becomes of a command must
        // not: it is kept either way, and what is wrong with it is told to whoever asks it.
        let prepared = Prepared::new(Arc::new(PreparedQuery { modify_index: self.index, ..query }));
        self.state.put_prepared(prepared);
        self.touch(Watch::PreparedQueries);
        self.touch(Watch::PreparedQuery(id.clone()));
        Outcome::PreparedQuery(id)
    }

    /// Why a query cannot stand beside the others.
    fn why_not(&self, query: &PreparedQuery) -> Option<String> {
        let name = fold(&query.name);
        let is_taken = |id: Option<&PreparedQueryId>| id.is_some_and(|id| *id != query.id);
        if !name.is_empty() && is_taken(self.state.prepared_by_name.get(&name)) {
            return Some(format!("name '{}' aliases an existing query name", query.name));
        }
        if name.is_empty() && query.is_template() && is_taken(self.state.prepared_templates.get(&name)) {
            return Some("a query template with an empty name already exists".to_owned());
        }
        if looks_like_id(&name) && self.state.prepared.contains_key(&*name) {
            return Some(format!("name '{}' aliases an existing query ID", query.name));
        }
        let is_bound = !query.session.is_empty();
        if is_bound && !self.state.sessions.contains_key(&session_of(query)) {
            return Some(format!("invalid session {:?}", query.session));
        }
        None
    }

    pub(super) fn forget_prepared_of(&mut self, session: &SessionId) {
        for id in self.state.prepared_of_session(session) {
            self.forget_prepared(&id);
        }
    }

    fn forget_prepared(&mut self, id: &PreparedQueryId) {
        if self.state.remove_prepared(id) {
            self.touch(Watch::PreparedQueries);
            self.bury(Watch::PreparedQuery(id.clone()));
        }
    }
}

fn refused(why: String) -> Outcome {
    Outcome::Refused(Error::failed(why))
}
