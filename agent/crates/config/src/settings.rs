//! The page that lists every flag, key and variable with what becomes of it: `docs/settings.md`.

use std::fmt::Write as _;

use crate::flags::{FLAGS, Kind};
use crate::keys::{self, Class};

/// The environment variables of the reference's commands, and what becomes of them here.
pub const VARIABLES: &[(&str, Class)] = &[
    ("CONSUL_CACERT", Class::Silent),
    ("CONSUL_CAPATH", Class::Silent),
    ("CONSUL_CLIENT_CERT", Class::Silent),
    ("CONSUL_CLIENT_KEY", Class::Silent),
    ("CONSUL_GRPC_ADDR", Class::Silent),
    ("CONSUL_GRPC_CACERT", Class::Silent),
    ("CONSUL_GRPC_CAPATH", Class::Silent),
    ("CONSUL_HTTP_ADDR", Class::Works),
    ("CONSUL_HTTP_AUTH", Class::Silent),
    ("CONSUL_HTTP_SSL", Class::Silent),
    ("CONSUL_HTTP_SSL_VERIFY", Class::Silent),
    ("CONSUL_HTTP_TOKEN", Class::Works),
    ("CONSUL_HTTP_TOKEN_FILE", Class::Works),
    ("CONSUL_LICENSE", Class::Silent),
    ("CONSUL_LICENSE_PATH", Class::Silent),
    ("CONSUL_NAMESPACE", Class::Silent),
    ("CONSUL_PARTITION", Class::Silent),
    ("CONSUL_TLS_SERVER_NAME", Class::Silent),
    ("NOTIFY_SOCKET", Class::Works),
];

const INTRODUCTION: &str = "\
# Flags, configuration keys, environment variables

Everything the reference (Consul 1.20) knows, and what becomes of it here. A key that is in no table is an
error wherever it stands. This page is written from the program's own tables, and a test holds it against
them: `LICTOR_WRITE_DOCS=1 cargo test -p lictor-config settings` writes it anew.

- **works**: it does what it does there.
- **silent**: accepted; there is nothing to do, since what it asks for is always so, never so, or part of a
  feature that is not here.
- **warns**: accepted without effect; the agent's log says so at the start when it is set to something.
- **refused**: it promises what this build cannot keep. Such a configuration is valid (`validate` says so), but
  an agent that is told so does not start. A service that asks for such a thing is an error itself.

";

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let classes = keys::listed();
    let class_of = |key: &str| classes.iter().find(|(name, _)| name == key).map(|(_, class)| *class);
    page.push_str("## Flags of the agent\n\n| flag | takes | key | |\n|---|---|---|---|\n");
    for (flag, kind, key) in FLAGS {
        let takes = match kind {
            Kind::Switch => "yes or no",
            Kind::Text => "a text",
            Kind::Number => "a number",
            Kind::List => "a text, several times",
            Kind::Pair => "`key:value`, several times",
        };
        let word = class_of(key).map_or_else(|| "works".to_owned(), word);
        let key = if key.is_empty() { String::new() } else { format!("`{key}`") };
        // Writing to a text never fails.
        let _ = writeln!(page, "| `-{flag}` | {takes} | {key} | {word} |");
    }
    page.push_str("\n## Keys of configuration files\n\n`[]` stands for the place in a list, `{}` for a name of your own.\n\n| key | |\n|---|---|\n");
    for (key, class) in &classes {
        let _ = writeln!(page, "| `{key}` | {} |", word(*class));
    }
    page.push_str("\n## Environment variables\n\n| variable | |\n|---|---|\n");
    for (variable, class) in VARIABLES {
        let _ = writeln!(page, "| `{variable}` | {} |", word(*class));
    }
    page
}

fn word(class: Class) -> String {
    match class {
        Class::Works => "works".to_owned(),
        Class::Silent => "silent".to_owned(),
        Class::Warns => "warns".to_owned(),
        Class::Refused(why) => format!("refused: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_tables_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/settings.md");
        if std::env::var_os("LICTOR_WRITE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert!(
            written == page(),
            "docs/settings.md differs from the tables; its first lines say how to write it"
        );
    }

    /// The flags that people have written down.
    #[test]
    fn every_flag_of_the_reference_is_there() {
        let known = "advertise advertise-wan allow-write-http-from alt-domain auto-reload-config bind bootstrap \
            bootstrap-expect check_output_max_size client config-dir config-file config-format data-dir datacenter \
            default-query-time dev disable-host-node-id disable-keyring-file dns-port domain \
            enable-local-script-checks enable-script-checks encrypt grpc-port grpc-tls-port hcl http-port https-port \
            join join-wan log-file log-json log-level log-rotate-bytes log-rotate-duration log-rotate-max-files \
            max-query-time node node-id node-meta non-voting-server pid-file primary-gateway protocol raft-protocol \
            read-replica recursor rejoin retry-interval retry-interval-wan retry-join retry-join-wan retry-max \
            retry-max-wan segment serf-lan-allowed-cidrs serf-lan-bind serf-lan-port serf-wan-allowed-cidrs \
            serf-wan-bind serf-wan-port server server-port syslog ui ui-content-path ui-dir";
        for flag in known.split_whitespace() {
            assert!(FLAGS.iter().any(|(name, ..)| *name == flag), "-{flag}");
        }
    }
}
