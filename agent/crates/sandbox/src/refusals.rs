//! Files that are of no use, so that nobody has to compile one again only to learn that.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lictor_model::{Code, Error};

/// How many are remembered.
const KEPT: usize = 256;

/// Why files were refused, by their names, which the reasons contain, and their digests.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<(String, String), Error>>);

impl Refusals {
    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a file was refused, if it was.
    pub(crate) fn get(&self, file: &str, digest: &str) -> Option<Error> {
        self.known().get(&(file.to_owned(), digest.to_owned())).cloned()
    }

    /// Remembers why a file was refused, if the file is the reason: what comes of other work at the
    /// same time, or of the end of the agent, may be different next time.
    pub(crate) fn note(&self, file: &str, digest: &str, error: &Error) {
        if error.code != Code::InvalidArgument {
            return;
        }
        let mut known = self.known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert((file.to_owned(), digest.to_owned()), error.clone());
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        self.known().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_remembered_and_only_what_the_file_is_to_blame_for() {
        let refusals = Refusals::default();
        refusals.note("a", "1", &Error::invalid("broken"));
        refusals.note("a", "2", &Error::new(Code::Overloaded, "others are compiled"));
        refusals.note("a", "3", &Error::stopping());
        assert_eq!(refusals.get("a", "1"), Some(Error::invalid("broken")));
        assert_eq!(
            [refusals.get("a", "2"), refusals.get("a", "3"), refusals.get("b", "1")],
            [None, None, None]
        );
        for number in 0..KEPT * 3 {
            refusals.note("b", &number.to_string(), &Error::invalid("broken"));
            assert!(refusals.known().len() <= KEPT);
        }
        refusals.clear();
        assert_eq!(refusals.get("b", "0"), None);
    }
}
