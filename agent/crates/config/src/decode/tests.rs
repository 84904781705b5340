use serde_json::json;

use super::*;

fn complaints(tree: Value, format: Format) -> String {
    decode(tree, format).unwrap_err()
}

#[test]
fn values_are_what_they_have_to_be() {
    for (tree, why) in [
        (
            json!({"server": "maybe"}),
            "'server' expected type 'bool', got unconvertible type 'string', value: 'maybe'",
        ),
        (
            json!({"server": "true"}),
            "'server' expected type 'bool', got unconvertible type 'string', value: 'true'",
        ),
        (
            json!({"datacenter": 7}),
            "'datacenter' expected type 'string', got unconvertible type 'float64', value: '7'",
        ),
        (
            json!({"ports": {"dns": "x"}}),
            "'ports.dns' expected type 'int', got unconvertible type 'string', value: 'x'",
        ),
        (json!({"ports": 5}), "'ports' expected a map, got 'float64'"),
        (
            json!({"service": {"tags": "one"}}),
            "'service.tags': source data must be an array or slice, got string",
        ),
        (
            json!({"services": [{"name": "a"}, {"meta": {"k": 1}}]}),
            "'services[1].meta[k]' expected type 'string', got unconvertible type 'float64', value: '1'",
        ),
        (json!({"checks": {"name": "a"}}), "'checks': source data must be an array or slice, got map"),
        (
            json!({"recursors": ["9.9.9.9", true]}),
            "'recursors[1]' expected type 'string', got unconvertible type 'bool', value: 'true'",
        ),
        (
            json!({"limits": {"kv_max_value_size": -1}}),
            "cannot parse 'limits.kv_max_value_size', -1.000000 overflows uint",
        ),
        (
            json!({"domain": ["a", "b"]}),
            "'domain' expected type 'string', got unconvertible type '[]interface {}', value: '[a b]'",
        ),
    ] {
        assert_eq!(complaints(tree, Format::Json), format!("1 error(s) decoding:\n\n* {why}"));
    }
    let two = json!({"server": 1, "bootstrap": "x", "bogus": 1});
    let why = complaints(two, Format::Hcl);
    assert!(why.starts_with("2 error(s) decoding:\n\n* 'bootstrap' expected"), "{why}");
    assert!(
        why.ends_with("* 'server' expected type 'bool', got unconvertible type 'int', value: '1'"),
        "{why}"
    );
}

#[test]
fn unknown_keys_are_named_wherever_they_are() {
    for (tree, named) in [
        (json!({"bogus": 1}), "bogus"),
        (json!({"services": [{"name": "a"}, {"name": "b", "bogus": 1}]}), "services[1].bogus"),
        (json!({"service": {"check": {"bogus": 1}}}), "service.check.bogus"),
        (json!({"dns_config": {"soa": {"bogus": 1}}}), "dns_config.soa.bogus"),
        (
            json!({"service": {"tagged_addresses": {"lan": {"bogus": 1}}}}),
            "service.tagged_addresses[lan].bogus",
        ),
        (json!({"check": {"check_id": "x"}}), "check.check_id"),
    ] {
        let expected = format!("1 error occurred:\n\t* invalid config key {named}\n\n\n");
        assert_eq!(complaints(tree, Format::Json), expected);
    }
}

#[test]
fn keys_have_other_cases_and_names_and_lists_of_one_are_no_lists() {
    let given = json!({"Datacenter": ["dc9"], "non_voting_server": true, "service": [{"NAME": "a"}],
        "check": {"scriptargs": ["true"], "args": ["false"]}, "bootstrap_expect": 3.7, "segments": null});
    let expected = json!({"datacenter": "dc9", "read_replica": true, "services": [{"name": "a"}],
        "checks": [{"args": ["false"]}], "bootstrap_expect": 3, "segments": null});
    assert_eq!(decode(given, Format::Json).unwrap().tree, expected);
    let block = json!({"services": {"name": "a"}, "watches": {"type": "key"}});
    let expected = json!({"services": [{"name": "a"}], "watches": [{"type": "key"}]});
    assert_eq!(decode(block, Format::Hcl).unwrap().tree, expected);
}

#[test]
fn two_blocks_are_not_one() {
    let two = json!({"service": [{"name": "a"}, {"name": "b"}]});
    assert_eq!(
        complaints(two, Format::Hcl),
        "1 error(s) decoding:\n\n* 'service' expected a map, got 'slice'"
    );
}
