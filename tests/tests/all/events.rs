//! Events that users fire.

use lictor_testkit::{Agent, eventually};
use serde_json::{Value, json};

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|event| event["Name"].as_str().unwrap()).collect()
}

#[test]
fn an_event_is_listed_by_name_and_wakes_who_waits() {
    let agent = Agent::start();
    let http = agent.http();
    let fired = http.put("/v1/event/fire/deploy", "1.4").ok().json();
    assert_eq!(
        (&fired["Name"], &fired["Payload"], &fired["Version"]),
        (&json!("deploy"), &json!("MS40"), &json!(1))
    );
    let listed = eventually("the event comes back", || {
        let answer = http.get("/v1/event/list?name=deploy").ok();
        if names(&answer.json()).len() == 1 { Ok(answer) } else { Err(answer.text()) }
    });
    assert_eq!(listed.json()[0]["ID"], fired["ID"]);
    assert!(listed.json()[0]["LTime"].as_u64() > Some(0));
    let index = listed.index();
    let waiting = {
        let http = agent.http();
        std::thread::spawn(move || {
            http.get(&format!("/v1/event/list?name=deploy&index={index}&wait=30s")).ok()
        })
    };
    http.put("/v1/event/fire/other", "").ok();
    http.put("/v1/event/fire/deploy", "").ok();
    let woken = waiting.join().unwrap();
    assert_eq!(names(&woken.json()), ["deploy", "deploy"]);
    assert_eq!(woken.json()[1]["Payload"], Value::Null);
    assert_ne!(woken.index(), index);
}

#[test]
fn only_the_newest_are_kept() {
    let agent = Agent::start();
    let http = agent.http();
    for number in 0..300 {
        http.put(&format!("/v1/event/fire/e{number}"), "").ok();
    }
    let listed = eventually("the last one", || {
        let list = http.json("/v1/event/list");
        if names(&list).last() == Some(&"e299") { Ok(list) } else { Err(list.to_string()) }
    });
    assert_eq!(names(&listed).len(), 256);
    assert_eq!(names(&listed)[0], "e44");
}

#[test]
fn who_is_meant_is_said_by_expressions() {
    let agent = Agent::start();
    let http = agent.http();
    let service = json!({"ID": "web-1", "Name": "web", "Port": 80, "Tags": ["v1"]});
    http.put_json("/v1/agent/service/register", &service).ok();
    for (number, (query, _)) in FILTERS.iter().enumerate() {
        http.put(&format!("/v1/event/fire/e{number}?{query}"), "").ok();
    }
    http.put("/v1/event/fire/last", "").ok();
    let list = eventually("the last one", || {
        let list = http.json("/v1/event/list");
        if names(&list).last() == Some(&"last") { Ok(list) } else { Err(list.to_string()) }
    });
    for (number, (query, is_meant)) in FILTERS.iter().enumerate() {
        assert_eq!(names(&list).contains(&format!("e{number}").as_str()), *is_meant, "{query}");
    }
    for (query, why) in [
        ("tag=x", "Cannot provide tag filter without service filter"),
        ("node=a(b", "Invalid node filter: error parsing regexp: missing closing ): `a(b`"),
        (
            "service=web&tag=*",
            "Invalid tag filter: error parsing regexp: missing argument to repetition operator: `*`",
        ),
    ] {
        let refused = http.put(&format!("/v1/event/fire/x?{query}"), "");
        assert_eq!((refused.status, refused.text().as_str()), (500, why));
    }
}

/// Filters, and whether they mean the node `n1` with its one service.
const FILTERS: &[(&str, bool)] = &[
    ("node=n1", true),
    ("node=^n", true),
    ("node=^x", false),
    ("service=web", true),
    ("service=db", false),
    ("service=web&tag=v1", true),
    ("service=web&tag=v2", false),
    ("node=n1&service=db", false),
];

#[test]
fn the_command_fires_and_says_what_is_wrong() {
    let agent = Agent::start();
    let cli = agent.cli();
    let printed = cli.run(["event", "-name=deploy", "-service=consul|web", "now"]).ok();
    assert!(
        printed.starts_with("Event ID: ") && printed.trim().len() == "Event ID: ".len() + 36,
        "{printed}"
    );
    for (arguments, why) in [
        (&["event"][..], "Event name must be specified"),
        (&["event", "-name=x", "-tag=t"], "Cannot provide tag filter without service filter."),
        (&["event", "-name=x", "-node=["], "Failed to compile node filter regexp: error parsing regexp"),
        (&["event", "-name=x", "a", "b"], "Too many command line arguments."),
    ] {
        let refused = cli.run(arguments);
        assert!(refused.code == 1 && refused.stderr.starts_with(why), "{arguments:?}: {}", refused.stderr);
    }
    let large = "x".repeat(600);
    let refused = cli.run(["event", "-name=x", &large]);
    assert!(
        refused.stderr.starts_with("Error firing event: Unexpected response code: 500"),
        "{}",
        refused.stderr
    );
}
