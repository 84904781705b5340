//! What happens to members.

use lictor_model::local::Member;

/// A change in the pool, with the member as it is after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberEvent {
    /// It came, or came back.
    Join(Member),
    /// It left as it had announced.
    Leave(Member),
    /// It does not answer any more.
    Failed(Member),
    /// It says something else of itself.
    Update(Member),
    /// It has been away for so long that it is forgotten.
    Reap(Member),
}

impl MemberEvent {
    /// Whom it is about.
    #[must_use]
    pub fn member(&self) -> &Member {
        match self {
            Self::Join(member)
            | Self::Leave(member)
            | Self::Failed(member)
            | Self::Update(member)
            | Self::Reap(member) => member,
        }
    }
}
