//! From a name to a probe: what is refused and how it is said, and the cache.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use common::*;
use lictor_model::check::Status;
use lictor_sandbox::{Limits, PluginState, Sandbox, SandboxConfig};
use serde_json::{Value, json};

#[tokio::test]
async fn a_configuration_is_refused_with_the_field_named() {
    let sandbox = Sandbox::new(config());
    for (config, complaint) in [
        (json!({}), "check config: field \"url\" is required by http_check.wasm"),
        (Value::Null, "check config: field \"url\" is required by http_check.wasm"),
        (json!({"url": 5}), "check config: field \"url\" must be of type string for http_check.wasm"),
        (
            json!({"url": "http://a/", "header": {"A": "b"}}),
            "check config: field \"header.A\" must be of type array for http_check.wasm",
        ),
        (json!([]), "check config: must be an object"),
    ] {
        assert_eq!(refusal(&sandbox, &program("http_check", config)).await, complaint);
    }
    let unknown = refusal(&sandbox, &program("http_check", json!({"url": "http://a/", "uri": ""}))).await;
    assert!(unknown.starts_with("check config: field \"uri\" is not known to http_check.wasm"), "{unknown}");
}

#[tokio::test]
async fn what_is_no_health_check_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
    let whole = fs::read(fixtures().join("hostile.wasm")).unwrap();
    put("text.wasm", b"not at all");
    put("core.wasm", b"\0asm\x01\0\0\0");
    put("empty.wasm", b"\0asm\x0d\0\x01\0");
    put("torn.wasm", &whole[..whole.len() / 2]);
    put("handler.wasm", &fs::read(fixtures().join("handler.wasm")).unwrap());
    let sandbox = Sandbox::new(SandboxConfig { plugin_dir: Some(directory.path().to_owned()), ..config() });
    for (name, complaint) in [
        ("text.wasm", "plugin text.wasm: is not a WebAssembly component"),
        ("core.wasm", "plugin core.wasm: is a core WebAssembly module, not a component"),
        ("empty.wasm", "plugin empty.wasm: is not a health check: it exports nothing"),
        ("torn.wasm", "plugin torn.wasm: is not a valid component"),
        ("handler.wasm", "plugin handler.wasm: is an event handler, not a health check"),
        ("missing.wasm", "there is no plugin \"missing.wasm\"; built in are grpc_check.wasm, "),
    ] {
        let refused = refusal(&sandbox, &program(name, json!({}))).await;
        assert!(refused.starts_with(complaint), "{refused}");
    }
}

#[tokio::test]
async fn compiled_code_is_kept_for_the_agent_alone_and_made_anew_when_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let config = SandboxConfig { cache_dir: Some(cache.clone()), ..config() };
    let web = web().await;
    let url = format!("http://{web}/status/200");
    let check = async || {
        let sandbox = Sandbox::new(config.clone());
        assert_eq!(verdict(http(&sandbox, &url).await).status, Status::Passing);
        sandbox.shutdown().await;
    };
    check().await;
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let mut entries: Vec<_> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    assert_eq!(entries.len(), 2);
    let code = entries.iter().find(|path| path.extension().unwrap() == "cwasm").unwrap();

    let whole = fs::read(code).unwrap();
    let mut rotten = whole.clone();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 0xff;
    for damaged in [rotten, whole[..middle].to_vec(), Vec::new()] {
        fs::write(code, damaged).unwrap();
        check().await;
        assert_eq!(fs::read(code).unwrap().len(), whole.len());
    }
}

#[tokio::test]
async fn a_probe_says_what_it_is_and_what_it_may() {
    let sandbox = Sandbox::new(config());
    let probe = prepare(&sandbox, "http_check.wasm", json!({"url": "https://Web.Example/health"})).await;
    let facts = probe.facts();
    assert_eq!((facts.plugin.as_str(), facts.version.as_str()), ("http_check", "0.1.0"));
    assert_eq!(facts.digest.len(), 64);
    assert_eq!(facts.grants, ["http web.example:443"]);
}

#[tokio::test]
async fn an_idle_sandbox_has_nothing_to_show_or_end() {
    let sandbox = Sandbox::new(config());
    assert!(sandbox.figures().is_empty());
    sandbox.shutdown().await;
}

/// The same component with other bytes: a custom section at its end, which means nothing.
fn with_mark(component: &[u8], mark: u8) -> Vec<u8> {
    [component, &[0, 2, 1, mark]].concat()
}

#[tokio::test]
async fn a_changed_file_is_taken_up_by_a_refresh_and_by_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.wasm");
    let whole = fs::read(fixtures().join("hostile.wasm")).unwrap();
    fs::write(&path, with_mark(&whole, b'a')).unwrap();
    let sandbox = Sandbox::new(SandboxConfig { plugin_dir: Some(directory.path().to_owned()), ..config() });
    let mine = async || prepare(&sandbox, "mine.wasm", json!({"mode": "none"})).await;
    let first = mine().await;
    let digest = first.facts().digest.clone();

    fs::write(&path, with_mark(&whole, b'b')).unwrap();
    assert_eq!(mine().await.facts().digest, digest);
    assert_eq!(sandbox.refresh().await, BTreeSet::from([digest.clone()]));
    let second = mine().await;
    assert_ne!(second.facts().digest, digest);
    assert!(sandbox.refresh().await.is_empty(), "nothing has changed since");

    // What is broken now is not used, and what was loaded before goes on.
    fs::write(&path, b"broken").unwrap();
    assert!(sandbox.refresh().await.is_empty());
    assert_eq!(mine().await.facts().digest, second.facts().digest);

    let loaded = || sandbox.figures().iter().filter(|figures| figures.plugin == "hostile").count();
    assert_eq!(loaded(), 2);
    drop(first);
    sandbox.evict();
    assert_eq!(loaded(), 1, "only what a check uses is kept");
    drop(second);
    sandbox.evict();
    assert_eq!(loaded(), 0);
    // Nobody uses it any more: whoever wants it gets what is there.
    assert!(
        refusal(&sandbox, &program("mine.wasm", json!({}))).await.contains("is not a WebAssembly component")
    );
}

#[tokio::test]
async fn the_inventory_describes_everything_or_says_why_it_is_of_no_use() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["hostile.wasm", "handler.wasm"] {
        fs::copy(fixtures().join(file), directory.path().join(file)).unwrap();
    }
    fs::write(directory.path().join("broken.wasm"), b"broken").unwrap();
    // However busy the machine is.
    let limits = Limits { inventory_time: SECOND * 120, ..config().limits };
    let plugin_dir = Some(directory.path().to_owned());
    let sandbox = Sandbox::new(SandboxConfig { plugin_dir, limits, ..config() });
    let entries = sandbox.inventory().await.unwrap();
    let state = |file: &str| &entries.iter().find(|entry| entry.file == file).unwrap().state;
    let PluginState::Loaded(built_in) = state("grpc_check.wasm") else { panic!("loaded") };
    assert!(built_in.built_in && built_in.name == "grpc_check");
    let PluginState::Loaded(mine) = state("hostile.wasm") else { panic!("loaded") };
    assert!(!mine.built_in && mine.name == "hostile" && mine.schema.contains("mode"));
    let PluginState::Refused(why) = state("handler.wasm") else { panic!("another world") };
    assert!(why.contains("event handler"), "{why}");
    let PluginState::Refused(why) = state("broken.wasm") else { panic!("no component") };
    assert!(why.contains("is not a WebAssembly component"), "{why}");
    assert!(sandbox.figures().iter().all(|figures| figures.plugin != "hostile"), "no check uses it");
}

#[tokio::test]
async fn an_inventory_that_would_take_too_long_names_what_it_did_not_read() {
    let limits = Limits { inventory_time: Duration::ZERO, ..config().limits };
    let sandbox = Sandbox::new(SandboxConfig { limits, ..config() });
    let entries = sandbox.inventory().await.unwrap();
    assert!(entries.iter().any(|entry| entry.file == "grpc_check.wasm"));
    assert!(entries.iter().any(|entry| entry.file == "hostile.wasm"));
    assert!(entries.iter().all(|entry| matches!(entry.state, PluginState::NotRead)));
}
