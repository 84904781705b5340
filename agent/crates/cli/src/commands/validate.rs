//! `validate`.

use lictor_config::{Sources, load};

use crate::commands::Ran;
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(super) const FLAGS: &[Flag] = &[
    flags::value("config-format", "hcl|json", "The format of files without a telling extension."),
    flags::switch("quiet", "Say nothing if the configuration is valid."),
];

pub(super) async fn validate(_context: &Context, parsed: Parsed) -> Ran {
    let format = match parsed.get("config-format") {
        "" => None,
        name => Some(lictor_config::flags::format(name).map_err(|why| Output::error(why, 1))?),
    };
    if parsed.arguments.is_empty() {
        return Err(Output::error("Must specify at least one config file or directory", 1));
    }
    let paths = parsed.arguments.iter().map(Into::into).collect();
    let config = load(&Sources { paths, format, ..Sources::default() })
        .map_err(|problems| Output::error(format!("Config validation failed: {problems}"), 1))?;
    let mut output =
        if parsed.is_set("quiet") { Output::default() } else { Output::text("Configuration is valid!") };
    for warning in config.warnings {
        output.stderr.push_str(&warning);
        output.stderr.push('\n');
    }
    Ok(output)
}
