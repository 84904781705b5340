//! `keygen`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::commands::Ran;
use crate::flags::Parsed;
use crate::{Context, Output};

pub(super) async fn keygen(context: &Context, _parsed: Parsed) -> Ran {
    Ok(Output::text(STANDARD.encode((context.secret)())))
}
