//! Who may do what: the [`Authorizer`] that every evaluation asks.
//!
//! A request carries its [`Token`] to the server that evaluates it; that server resolves it here,
//! once, and hands the result to the evaluation. Nothing else in the agent decides on permissions,
//! and nothing here does I/O. Tokens, policies and roles are not part of this build: every token
//! resolves to an authorizer that allows everything, and the agent says so with
//! `X-Consul-Default-Acl-Policy: allow`.

use lictor_model::Token;

/// What a request wants to do to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// See it.
    Read,
    /// See the names of everything below it.
    List,
    /// Create, change or remove it.
    Write,
}

/// Something that access is granted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// An entry of the key-value store, or a prefix of entries.
    Key(&'a str),
    /// A node of the catalog.
    Node(&'a str),
    /// A service of the catalog.
    Service(&'a str),
    /// The sessions of a node.
    Session(&'a str),
    /// An agent's own endpoints.
    Agent(&'a str),
    /// Events that users fire, by the beginning of their name.
    Event(&'a str),
    /// The cluster as a whole.
    Operator,
    /// Prepared queries by the beginning of their name.
    PreparedQuery(&'a str),
    /// Tokens and what they permit.
    Acl,
}

/// The permissions of one token.
#[derive(Clone, Debug)]
pub struct Authorizer {
    allow_all: bool,
}

impl Authorizer {
    /// The agent itself, which may do everything.
    #[must_use]
    pub fn agent() -> Self {
        Self { allow_all: true }
    }

    /// Whether the token's policies grant this access.
    #[must_use]
    pub fn allows(&self, _access: Access, _resource: Resource<'_>) -> bool {
        self.allow_all
    }
}

/// Turns tokens into permissions.
#[derive(Clone, Debug, Default)]
pub struct Resolver {}

impl Resolver {
    /// The permissions of a token.
    #[must_use]
    pub fn resolve(&self, _token: &Token) -> Authorizer {
        Authorizer::agent()
    }
}
