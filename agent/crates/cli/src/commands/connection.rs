//! How to reach the agent: flags first, then the environment.

use lictor_client::{Client, Options};

use crate::flags::Parsed;
use crate::{Context, Output};

/// A client as flags and environment say.
pub(crate) fn client(context: &Context, parsed: &Parsed) -> Result<Client, Output> {
    options(context.env, parsed)
        .and_then(|options| Client::new(options).map_err(|error| error.to_string()))
        .map_err(|why| Output::error(format!("Error connecting to Consul agent: {why}"), 1))
}

fn options(env: impl Fn(&str) -> Option<String>, parsed: &Parsed) -> Result<Options, String> {
    let given = |flag: &str, variable: &str| {
        if parsed.has(flag) { parsed.get(flag).to_owned() } else { env(variable).unwrap_or_default() }
    };
    for (flag, variable) in [("namespace", "CONSUL_NAMESPACE"), ("partition", "CONSUL_PARTITION")] {
        let name = given(flag, variable);
        if !matches!(name.as_str(), "" | "default") {
            return Err(format!(
                "-{flag} or {variable} is {name:?}: namespaces and partitions are Enterprise features, \
                 there is only \"default\""
            ));
        }
    }
    let mut token = given("token", "CONSUL_HTTP_TOKEN");
    let token_file = given("token-file", "CONSUL_HTTP_TOKEN_FILE");
    if token.is_empty() && !token_file.is_empty() {
        token = std::fs::read_to_string(&token_file)
            .map_err(|error| format!("token file {token_file}: {error}"))?
            .trim()
            .to_owned();
    }
    let mut address = given("http-addr", "CONSUL_HTTP_ADDR");
    if address.is_empty() {
        address = "127.0.0.1:8500".to_owned();
    }
    check_tls(given, &env, &address)?;
    Ok(Options {
        address,
        token,
        basic_auth: env("CONSUL_HTTP_AUTH").unwrap_or_default(),
        datacenter: parsed.get("datacenter").to_owned(),
        stale: parsed.is_set("stale"),
    })
}

/// Speaking plainly where https was asked for would give the token away.
fn check_tls(
    given: impl Fn(&str, &str) -> String,
    env: &impl Fn(&str) -> Option<String>,
    address: &str,
) -> Result<(), String> {
    let wanted = env("CONSUL_HTTP_SSL").unwrap_or_default();
    let wants = match wanted.as_str() {
        "" => false,
        text => truth(text).ok_or_else(|| format!("CONSUL_HTTP_SSL is neither true nor false: {text:?}"))?,
    };
    let verify = env("CONSUL_HTTP_SSL_VERIFY").unwrap_or_default();
    if !verify.is_empty() && truth(&verify).is_none() {
        return Err(format!("CONSUL_HTTP_SSL_VERIFY is neither true nor false: {verify:?}"));
    }
    if wants && !address.contains("://") {
        return Err("CONSUL_HTTP_SSL asks for https, which this build's commands do not speak; \
                    use http://host:port or unix:///path"
            .to_owned());
    }
    // Certificates mean something for https only, where the address is refused already; half a
    // pair is a mistake anywhere.
    let certificate = given("client-cert", "CONSUL_CLIENT_CERT");
    let key = given("client-key", "CONSUL_CLIENT_KEY");
    if certificate.is_empty() != key.is_empty() {
        return Err("a client certificate and its key belong together".to_owned());
    }
    Ok(())
}

/// Truth as Go reads it.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags;

    fn with(line: &str, environment: &[(&str, &str)]) -> Result<Options, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let parsed = flags::parse(&words, &[flags::HTTP]).unwrap();
        let find = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        options(find, &parsed)
    }

    #[test]
    fn flags_outrank_the_environment() {
        let environment = [("CONSUL_HTTP_ADDR", "10.0.0.1:80"), ("CONSUL_HTTP_TOKEN", "from-env")];
        let options = with("-token=given -stale", &environment).unwrap();
        assert_eq!((options.address.as_str(), options.token.as_str()), ("10.0.0.1:80", "given"));
        assert!(options.stale);
        let options = with("", &[("CONSUL_HTTP_AUTH", "me:pw")]).unwrap();
        assert_eq!((options.address.as_str(), options.basic_auth.as_str()), ("127.0.0.1:8500", "me:pw"));
    }

    #[test]
    fn a_token_is_read_from_a_file() {
        let file = std::env::temp_dir().join(format!("lictor-token-{}", std::process::id()));
        std::fs::write(&file, "secret\n").unwrap();
        let options = with("", &[("CONSUL_HTTP_TOKEN_FILE", file.to_str().unwrap())]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(options.token, "secret");
        assert!(with("-token-file=/nonexistent", &[]).unwrap_err().starts_with("token file /nonexistent: "));
    }

    #[test]
    fn what_cannot_be_done_is_said_in_a_line() {
        for (line, environment, what) in [
            ("", [("CONSUL_HTTP_SSL", "true")], "CONSUL_HTTP_SSL"),
            ("", [("CONSUL_HTTP_SSL", "maybe")], "CONSUL_HTTP_SSL"),
            ("", [("CONSUL_HTTP_SSL_VERIFY", "maybe")], "CONSUL_HTTP_SSL_VERIFY"),
            ("", [("CONSUL_NAMESPACE", "team")], "CONSUL_NAMESPACE"),
            ("-partition=team", [("", "")], "-partition"),
            ("-client-key=k.pem", [("", "")], "certificate"),
        ] {
            let why = with(line, &environment).unwrap_err();
            assert!(why.contains(what) && why.lines().count() == 1, "{why}");
        }
        for harmless in ["CONSUL_CACERT", "CONSUL_CAPATH", "CONSUL_TLS_SERVER_NAME"] {
            assert!(with("", &[(harmless, "x")]).is_ok());
        }
        assert!(with("", &[("CONSUL_NAMESPACE", "default"), ("CONSUL_HTTP_SSL", "false")]).is_ok());
    }
}
