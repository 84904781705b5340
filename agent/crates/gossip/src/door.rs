//! Who may take part in a pool.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::options::{Admission, Options};
use crate::record::Record;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    admission: Admission,
    /// From where; empty for everywhere.
    allowed: Vec<IpNet>,
}

impl Door {
    pub(crate) fn of(options: &Options) -> Self {
        Self { admission: options.admission.clone(), allowed: options.allowed.clone() }
    }

    /// Whether anybody at this address may take part.
    pub(crate) fn is_open_to(&self, address: IpAddr) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|range| range.contains(&address))
    }

    /// Whether what this says of a member may be taken in, whichever way it came.
    pub(crate) fn admits(&self, record: &Record) -> bool {
        self.is_open_to(record.id.address.ip()) && self.admission.check(&record.name, &record.tags).is_ok()
    }
}
