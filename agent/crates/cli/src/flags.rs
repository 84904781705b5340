//! Flags as Go's parser reads them: one dash or two, `-name=value` or `-name value`, up to the
//! first argument that is no flag.

use std::collections::BTreeMap;

/// A flag of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its name without dashes.
    pub name: &'static str,
    /// What it takes; absent for flags of yes and no.
    pub takes: Option<&'static str>,
    /// What it does, for the help.
    pub help: &'static str,
}

/// A flag that takes a value.
pub(crate) const fn value(name: &'static str, takes: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Some(takes), help }
}

/// A flag of yes and no.
pub(crate) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: None, help }
}

/// The flags that every command has which asks the agent.
pub(crate) const HTTP: &[Flag] = &[
    value("http-addr", "address", "The agent's address; also CONSUL_HTTP_ADDR. Default 127.0.0.1:8500."),
    value("token", "secret", "The token to use; also CONSUL_HTTP_TOKEN."),
    value("token-file", "path", "A file that holds the token; also CONSUL_HTTP_TOKEN_FILE."),
    value("ca-file", "path", "Authorities to trust for https; also CONSUL_CACERT."),
    value("ca-path", "path", "A directory of such files; also CONSUL_CAPATH."),
    value("client-cert", "path", "The certificate to show for https; also CONSUL_CLIENT_CERT."),
    value("client-key", "path", "Its key; also CONSUL_CLIENT_KEY."),
    value(
        "tls-server-name",
        "name",
        "The name that the agent's certificate must have; also CONSUL_TLS_SERVER_NAME.",
    ),
    value("namespace", "name", "Nothing but \"default\"; also CONSUL_NAMESPACE."),
    value("partition", "name", "Nothing but \"default\"; also CONSUL_PARTITION."),
    value("datacenter", "name", "The datacenter to ask instead of the agent's own."),
    switch("stale", "Take an answer of any server, which may be a little old."),
];

/// What was given on a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    values: BTreeMap<String, Vec<String>>,
    /// The arguments after the flags.
    pub arguments: Vec<String>,
    /// Whether the help was asked for.
    pub help: bool,
}

impl Parsed {
    /// The last value of a flag; empty if it was not given.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).and_then(|values| values.last()).map_or("", String::as_str)
    }

    /// All values of a flag.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Whether a flag was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Whether a flag of yes and no is set.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == "true"
    }
}

/// Reads a command line.
///
/// # Errors
/// A message that names the flag and what is wrong with it.
pub fn parse(arguments: &[String], known: &[&[Flag]]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let is_flag = argument.starts_with('-') && argument != "-" && argument != "--";
        if !is_flag {
            if argument != "--" {
                parsed.arguments.push(argument.clone());
            }
            parsed.arguments.extend(rest.cloned());
            return Ok(parsed);
        }
        let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')).unwrap_or(argument);
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        if matches!(name, "h" | "help") {
            parsed.help = true;
            return Ok(parsed);
        }
        let Some(known) = known.iter().copied().flatten().find(|known| known.name == name) else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match (inline, known.takes) {
            (Some(value), Some(_)) => value.to_owned(),
            (Some(value), None) => boolean(name, value)?,
            (None, None) => "true".to_owned(),
            (None, Some(_)) => {
                rest.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?
            }
        };
        parsed.values.entry(name.to_owned()).or_default().push(value);
    }
    Ok(parsed)
}

fn boolean(name: &str, value: &str) -> Result<String, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".to_owned()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok("false".to_owned()),
        _ => Err(format!("invalid boolean value {value:?} for -{name}: parse error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Parsed, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, &[&[value("name", "text", ""), switch("yes", "")]])
    }

    #[test]
    fn both_dashes_and_both_forms_until_the_first_argument() {
        let all = parsed("--name=a -name b -yes key -name c").unwrap();
        assert_eq!(all.all("name").collect::<Vec<_>>(), ["a", "b"]);
        assert!(all.is_set("yes"));
        assert_eq!(all.arguments, ["key", "-name", "c"]);
        assert_eq!(parsed("-").unwrap().arguments, ["-"]);
        assert!(!parsed("-yes=false").unwrap().is_set("yes"));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(parsed("-bogus x").unwrap_err(), "flag provided but not defined: -bogus");
        assert_eq!(parsed("-name").unwrap_err(), "flag needs an argument: -name");
    }
}
