//! What an event handler is given.

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing, such as `event`, `key`, `service` or `checks`.
    pub kind: String,
    /// What it is about: the user event's name, the key, the service.
    pub name: String,
    /// An identifier that is the same each time the same event is delivered.
    pub id: String,
    /// The index or Lamport time it happened at.
    pub index: u64,
    /// The node this handler runs on.
    pub node: String,
    /// The datacenter this handler runs in.
    pub datacenter: String,
    /// What came with it: a user event's payload as it is, all else as JSON.
    pub payload: Vec<u8>,
    /// Further properties by name.
    pub attributes: Vec<(String, String)>,
}
