//! Prepared queries: what is kept, what ends with a session, and what one selects.

use std::collections::BTreeSet;

use lictor_model::PreparedQueryId;
use lictor_model::command::PreparedChange;
use lictor_model::prepared::{
    Executed, Execution, Failover, FailoverTarget, PreparedQuery, ServiceQuery, TemplateOptions,
};
use lictor_model::session::Session;

use super::*;

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

pub(super) fn prepared_command() -> impl Strategy<Value = Command> {
    let id = || prop::sample::select(vec![FIRST, SECOND]).prop_map(PreparedQueryId::from);
    let query = (id(), "[xy]?", "[pq]?", prop::bool::ANY, "[wd]").prop_map(
        |(id, name, session, is_template, service)| {
            let kind = if is_template { "name_prefix_match" } else { "" };
            Box::new(PreparedQuery {
                id,
                name,
                session: session.into(),
                template: TemplateOptions { kind: kind.to_owned(), ..TemplateOptions::default() },
                service: ServiceQuery { service, ..ServiceQuery::default() },
                ..PreparedQuery::default()
            })
        },
    );
    let change = prop_oneof![
        3 => query.clone().prop_map(PreparedChange::Create),
        2 => query.prop_map(PreparedChange::Update),
        1 => id().prop_map(PreparedChange::Delete),
    ];
    change.prop_map(Command::Prepared)
}

fn named(id: &str, name: &str) -> PreparedQuery {
    let service = ServiceQuery { service: "web".to_owned(), ..ServiceQuery::default() };
    PreparedQuery { id: id.into(), name: name.to_owned(), service, ..PreparedQuery::default() }
}

fn template(id: &str, name: &str) -> PreparedQuery {
    let kind = "name_prefix_match".to_owned();
    PreparedQuery { template: TemplateOptions { kind, ..TemplateOptions::default() }, ..named(id, name) }
}

fn create(store: &Store, index: u64, query: PreparedQuery) -> Result<(), String> {
    let command = Command::Prepared(PreparedChange::Create(Box::new(query)));
    match store.apply([(RaftIndex(index), command)]).unwrap().remove(0) {
        Outcome::PreparedQuery(_) => Ok(()),
        Outcome::Refused(error) => Err(error.message),
        other => panic!("{other:?}"),
    }
}

fn listed(store: &Store) -> Vec<Arc<PreparedQuery>> {
    match ask(&store.snapshot(), &Query::PreparedQueries).answer {
        Answer::PreparedQueries(queries) => queries,
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Names are unique, every session that is named exists, and what is derived from the table is
    /// what a restored snapshot derives.
    #[test]
    fn no_query_outlives_its_session(commands in prop::collection::vec(command(), 1..80)) {
        let store = Store::new();
        for (command, index) in commands.into_iter().zip(2..) {
            store.apply([(RaftIndex(index), command)]).unwrap();
            let (state, queries) = (store.snapshot(), listed(&store));
            let mut names = BTreeSet::new();
            for query in &queries {
                prop_assert!(query.session.is_empty() || state.session(&query.session).is_some());
                prop_assert!(query.ruled_name().is_none_or(|name| names.insert(name.to_owned())));
                prop_assert!(query.create_index <= query.modify_index && query.modify_index <= RaftIndex(index));
            }
            let restored = Store::new();
            restored.restore(&state.encode()).unwrap();
            let again = restored.snapshot();
            prop_assert_eq!(&again.prepared_by_name, &state.prepared_by_name);
            prop_assert_eq!(&again.prepared_templates, &state.prepared_templates);
            prop_assert_eq!(&again.prepared_by_session, &state.prepared_by_session);
            prop_assert_eq!(listed(&restored), queries);
        }
    }
}

#[test]
fn a_query_ends_with_its_session_in_the_same_step_and_wakes_who_waits() {
    let store = Store::new();
    let session = Session { id: "p".into(), node: "n".into(), ..Session::default() };
    let created = Command::CreateSession(Box::new(session));
    store.apply([(RaftIndex(2), register("n", "web", Status::Passing)), (RaftIndex(3), created)]).unwrap();
    let bound = PreparedQuery { session: "p".into(), ..named(FIRST, "") };
    assert_eq!(create(&store, 4, bound), Ok(()));
    assert_eq!(create(&store, 5, named(SECOND, "q")), Ok(()));
    let one = |id: &str| Query::PreparedQuery(id.into());
    let [all, first, second] = [Query::PreparedQueries, one(FIRST), one(SECOND)].map(|query| {
        let found = ask(&store.snapshot(), &query);
        (found.index, store.watchers().register(found.watches))
    });
    assert_eq!([all.0, first.0, second.0].map(|index| index.0), [5, 4, 5]);
    store.apply([(RaftIndex(6), Command::EndSessions(vec!["p".into()]))]).unwrap();
    assert_eq!(listed(&store).iter().map(|query| query.name.as_str()).collect::<Vec<_>>(), ["q"]);
    assert_eq!([&all.1, &first.1, &second.1].map(is_woken), [true, true, false]);
    assert_eq!(ask(&store.snapshot(), &Query::PreparedQueries).index, RaftIndex(6));
    let gone = eval(&store.snapshot(), &one(FIRST), &Authorizer::agent()).unwrap_err();
    assert_eq!((gone.code, gone.message.as_str()), (lictor_model::Code::NotFound, "Query not found"));
}

#[test]
fn what_cannot_stand_beside_the_others_is_refused() {
    let store = Store::new();
    assert_eq!(create(&store, 2, template(FIRST, "")), Ok(()));
    let refused = |query| create(&store, 3, query).unwrap_err();
    assert_eq!(refused(template(SECOND, "")), "a query template with an empty name already exists");
    assert_eq!(refused(named(SECOND, FIRST)), format!("name '{FIRST}' aliases an existing query ID"));
    let bound = PreparedQuery { session: "p".into(), ..named(SECOND, "q") };
    assert_eq!(refused(bound), "invalid session \"p\"");
    assert_eq!(create(&store, 4, named(SECOND, "Q")), Ok(()));
    assert_eq!(
        refused(named("00000000-0000-4000-8000-000000000003", "q")),
        "name 'q' aliases an existing query name"
    );
    let explain = |name: &str| {
        let query = Query::ExplainPrepared { name: name.to_owned() };
        eval(&store.snapshot(), &query, &Authorizer::agent()).map(|found| found.answer)
    };
    assert_eq!(
        explain(FIRST).unwrap_err().message,
        "prepared query templates can only be resolved up by name, not by ID"
    );
    assert_eq!(explain(SECOND), explain("q"));
    // The same again changes nothing.
    let same = Command::Prepared(PreparedChange::Update(Box::new(named(SECOND, "Q"))));
    store.apply([(RaftIndex(9), same)]).unwrap();
    assert_eq!(ask(&store.snapshot(), &Query::PreparedQueries).index, RaftIndex(4));
}

#[test]
fn what_this_build_cannot_read_is_kept_and_told_to_whoever_asks() {
    let mut unknown = template(FIRST, "q");
    unknown.template.kind = "nope".to_owned();
    let mut large = template(FIRST, "q");
    large.template.regexp = "(a{1000}){1000}".to_owned();
    let mut long = template(FIRST, "q");
    long.service.service = format!("${{{}1}}", "1+".repeat(30_000));
    for (query, why) in
        [(unknown, "Bad Template.Type 'nope'"), (large, "Bad Regexp: "), (long, "Bad format ")]
    {
        let store = Store::new();
        assert_eq!(create(&store, 2, query.clone()), Ok(()));
        let restored = Store::new();
        restored.restore(&store.snapshot().encode()).unwrap();
        for store in [store, restored] {
            let [kept] = listed(&store).try_into().unwrap();
            assert!(kept.same_as(&query));
            let execute = Query::ExecutePrepared(Box::new(Execution {
                name: "q-1".to_owned(),
                ..Execution::default()
            }));
            let error = eval(&store.snapshot(), &execute, &Authorizer::agent()).unwrap_err();
            let told = error.message.strip_prefix("failed compiling template: ");
            assert!(told.is_some_and(|told| told.starts_with(why)), "{}", error.message);
        }
    }
}

#[test]
fn snapshots_of_before_there_were_queries_are_read() {
    let store = Store::new();
    let mut old = vec![1, 0x81, 0xa5];
    old.extend_from_slice(b"index");
    old.push(7);
    store.restore(&old).unwrap();
    assert_eq!((store.snapshot().index(), listed(&store).len()), (RaftIndex(7), 0));
}

/// Two nodes with a web server each: one good, with tags and metadata, and one with a warning.
fn with_instances() -> Store {
    let store = Store::new();
    let instance = |node: &str, address: &str, status| {
        let meta = BTreeMap::from([("on".to_owned(), node.to_owned())]);
        let service = Service {
            id: "web".into(),
            name: "web".into(),
            tags: vec!["Blue".to_owned(), node.to_owned()],
            meta: meta.clone(),
            ..Service::default()
        };
        Command::Register(Box::new(Registration {
            node: node.into(),
            address: address.to_owned(),
            node_meta: meta,
            service: Some(Arc::new(service)),
            checks: vec![Arc::new(Check {
                id: "c".into(),
                service_id: "web".into(),
                status,
                ..Check::default()
            })],
            ..Registration::default()
        }))
    };
    store
        .apply([
            (RaftIndex(2), instance("n1", "10.0.0.1", Status::Passing)),
            (RaftIndex(3), instance("n2", "10.0.0.2", Status::Warning)),
            (RaftIndex(4), instance("n3", "10.0.0.3", Status::Critical)),
        ])
        .unwrap();
    store
}

fn executed(change: fn(&mut ServiceQuery), execution: Execution) -> Executed {
    let store = with_instances();
    let mut query = named(FIRST, "q");
    change(&mut query.service);
    create(&store, 5, query).unwrap();
    let execution = Execution { name: "q".to_owned(), ..execution };
    match ask(&store.snapshot(), &Query::ExecutePrepared(Box::new(execution))).answer {
        Answer::Executed(executed) => executed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_query_selects_by_health_tags_and_metadata() {
    let nodes = |change: fn(&mut ServiceQuery)| {
        let found = executed(change, Execution::default()).instances;
        found.iter().map(|instance| instance.node.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(nodes(|_| {}), ["n1", "n2"]);
    assert_eq!(nodes(|query| query.only_passing = true), ["n1"]);
    assert_eq!(nodes(|query| query.ignore_check_ids = Some(vec!["c".into()])), ["n1", "n2", "n3"]);
    assert_eq!(nodes(|query| query.tags = Some(vec!["bLUE".to_owned(), "!N1".to_owned()])), ["n2"]);
    assert_eq!(nodes(|query| query.tags = Some(vec!["green".to_owned()])), Vec::<String>::new());
    assert_eq!(nodes(|query| query.node_meta = Some([("on".to_owned(), "n2".to_owned())].into())), ["n2"]);
    assert_eq!(nodes(|query| query.service_meta = Some([("on".to_owned(), "n1".to_owned())].into())), ["n1"]);
    assert_eq!(nodes(|query| query.connect = true), Vec::<String>::new());
    assert_eq!(nodes(|query| query.service = "WEB".to_owned()), ["n1", "n2"]);
}

#[test]
fn who_asks_may_be_told_apart_by_the_address_or_the_agent() {
    let near = |change: fn(&mut ServiceQuery), near: &str, from: Option<[u8; 4]>| {
        let execution = Execution {
            near: near.to_owned(),
            from: from.map(Into::into),
            agent: "n2".into(),
            ..Execution::default()
        };
        executed(change, execution).near.to_string()
    };
    let by_address: fn(&mut ServiceQuery) = |query| query.near = "_ip".to_owned();
    assert_eq!(near(by_address, "", Some([10, 0, 0, 3])), "n3");
    assert_eq!(near(by_address, "", Some([10, 0, 0, 9])), "");
    assert_eq!(near(by_address, "", None), "");
    assert_eq!(near(by_address, "_agent", Some([10, 0, 0, 3])), "n2");
    assert_eq!(near(|query| query.near = "n1".to_owned(), "", None), "n1");
    assert_eq!(near(|query| query.near = "n1".to_owned(), "n7", None), "n7");
}

#[test]
fn no_other_datacenter_is_asked_and_peers_have_nothing() {
    let found = executed(
        |query| {
            query.service = "none".to_owned();
            query.failover =
                Failover { nearest_n: 2, datacenters: Some(vec!["dc2".to_owned()]), targets: None };
        },
        Execution::default(),
    );
    assert_eq!((found.failovers, found.peer.as_str()), (0, ""));
    let found = executed(
        |query| {
            query.service = "none".to_owned();
            let target = |peer: &str, datacenter: &str| FailoverTarget {
                peer: peer.to_owned(),
                datacenter: datacenter.to_owned(),
            };
            query.failover.targets = Some(vec![target("", "dc2"), target("east", "")]);
        },
        Execution::default(),
    );
    assert_eq!((found.failovers, found.peer.as_str()), (1, "east"));
}
