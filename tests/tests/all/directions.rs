//! Which room may enter which: the dependencies that manifests state, against the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use lictor_testkit::repository;
use serde_json::Value;

/// The rooms of the agent, and which others each may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &[]),
    ("config", &["model"]),
    ("acl", &["model"]),
    ("archive", &[]),
    ("store", &["model", "acl"]),
    ("consensus", &["model", "store", "rpc", "sys"]),
    ("gossip", &["model", "sys"]),
    ("rpc", &["model", "sys"]),
    ("server", &["model", "acl", "archive", "store", "consensus", "gossip", "rpc", "sys"]),
    ("local", &["model", "sys"]),
    ("checks", &["model", "sys"]),
    ("sandbox", &["model", "sys"]),
    ("watch", &["model", "sys"]),
    ("telemetry", &["model"]),
    ("dns", &["model", "telemetry", "sys"]),
    ("http", &["model", "telemetry", "sys"]),
    ("client", &["model"]),
    ("cli", &["model", "archive", "client", "config", "sandbox"]),
];

/// Large libraries, and the only room that may know each.
const SOLE_USERS: &[(&str, &str)] = &[
    ("wasmtime", "sandbox"),
    ("openraft", "consensus"),
    ("foca", "gossip"),
    ("hickory", "dns"),
    ("axum", "http"),
    ("redb", "consensus"),
];

struct Package {
    name: String,
    /// Its folder, seen from the root.
    folder: String,
    /// What it needs, tests included.
    needs: BTreeSet<String>,
    /// What it needs, tests left out.
    needs_to_run: BTreeSet<String>,
}

fn packages(workspace: &Path) -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let folder = manifest.parent().unwrap().strip_prefix(repository()).unwrap();
            let dependencies = package["dependencies"].as_array().unwrap();
            let names = |tests: bool| {
                let wanted = dependencies.iter().filter(|dependency| tests || dependency["kind"] != "dev");
                wanted.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
            };
            Package {
                name: package["name"].as_str().unwrap().to_owned(),
                folder: folder.to_str().unwrap().to_owned(),
                needs: names(true),
                needs_to_run: names(false),
            }
        })
        .collect()
}

fn own(needs: &BTreeSet<String>) -> BTreeSet<&str> {
    needs.iter().filter(|name| *name == "lictor" || name.starts_with("lictor-")).map(String::as_str).collect()
}

#[test]
fn rooms_use_only_the_rooms_they_may() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for package in packages(repository()) {
        let Some(room) = package.folder.strip_prefix("agent/crates/") else { continue };
        assert_eq!(package.name, format!("lictor-{room}"), "packages are named after their folder");
        let may = allowed.get(room).unwrap_or_else(|| panic!("{room} is a room that is not in the plan"));
        let mut may: BTreeSet<String> = may.iter().map(|other| format!("lictor-{other}")).collect();
        let needed = own(&package.needs_to_run);
        let forbidden: Vec<_> = needed.iter().filter(|name| !may.contains(**name)).collect();
        assert!(forbidden.is_empty(), "{room} may not use {forbidden:?}");
        // Its tests may use what tests share.
        may.insert("lictor-testkit".to_owned());
        let needed = own(&package.needs);
        let forbidden: Vec<_> = needed.iter().filter(|name| !may.contains(**name)).collect();
        assert!(forbidden.is_empty(), "the tests of {room} may not use {forbidden:?}");
        seen.insert(room.to_owned());
    }
    for (room, _) in ROOMS {
        assert!(seen.contains(*room), "{room} is in the plan and has no crate");
    }
}

#[test]
fn large_libraries_have_one_user_each() {
    let packages = packages(repository());
    for (library, room) in SOLE_USERS {
        let family = format!("{library}-");
        let is_it = |name: &String| name == library || name.starts_with(&family);
        let users: Vec<&str> = packages
            .iter()
            .filter(|package| package.needs.iter().any(is_it))
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(users, [format!("lictor-{room}")], "{library}");
    }
}

#[test]
fn plugins_know_nothing_of_the_agent() {
    let sdk = ["lictor-plugin-sdk", "lictor-plugin-sdk-macros"];
    for package in packages(repository()) {
        let needed = own(&package.needs);
        if package.folder.starts_with("plugin-sdk") {
            assert!(needed.iter().all(|name| sdk.contains(name)), "{} uses {needed:?}", package.name);
        } else if package.folder.starts_with("agent") {
            assert!(needed.iter().all(|name| !sdk.contains(name)), "{} uses {needed:?}", package.name);
        }
    }
    for package in packages(&repository().join("plugins")) {
        if package.folder.starts_with("plugins/") {
            let needed = own(&package.needs);
            assert!(needed.iter().all(|name| sdk.contains(name)), "{} uses {needed:?}", package.name);
        }
    }
}
