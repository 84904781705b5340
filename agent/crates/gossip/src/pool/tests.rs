//! What one pool does about what it is told, looked at from within.

use std::time::Duration;

use foca::BroadcastHandler as _;

use super::*;
use crate::keyring::KeyRequest;
use crate::options::Admission;
use crate::record::Notice;
use crate::talk::KeyReport;

const BORN: u64 = 1_000_000;
const KEYS: [&str; 2] = ["pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=", "cg8StVXbQJ0gPvMd9o7yrg=="];

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 8301))
}

fn pool(set: impl FnOnce(&mut Options)) -> Pool {
    let mut options = Options::new("node-0", "id-of-0", at(1));
    options.admission = Admission::Datacenter("dc1".to_owned());
    options.tags = [("dc".to_owned(), "dc1".to_owned())].into();
    set(&mut options);
    let mut pool = Pool::new(&options, BORN, 1, Moment::default()).unwrap();
    pool.start();
    pool
}

fn record(name: &str, last: u8, datacenter: &str) -> Record {
    Record {
        id: Id { address: at(last), key: key_of(name), birth: BORN },
        version: BORN,
        name: name.to_owned(),
        tags: BTreeMap::from([("dc".to_owned(), datacenter.to_owned())]).into(),
        leaving: false,
        pruned: false,
        protocols: Protocols::default(),
    }
}

fn tell(pool: &mut Pool, record: &Record) -> Vec<Output> {
    let packet = Packet::Tell(record.encode().unwrap().into());
    let data = pool.seal.close_packet(&packet, &mut pool.chance);
    pool.handle(Input::Packet { from: at(2), data }, Moment::default()).unwrap()
}

/// Has foca hand over what came beside its own news.
fn spread(pool: &mut Pool, news: &[u8]) -> Vec<Output> {
    let from = record("node-1", 2, "dc1").id;
    Records::new(Arc::clone(&pool.inbox)).receive_item(news, Some(&from)).unwrap();
    pool.settle(Moment::default());
    std::mem::take(&mut pool.outputs)
}

fn reports(outputs: &[Output]) -> Vec<&KeyReport> {
    let reports = outputs.iter().map(|output| match output {
        Output::Keys { report, .. } => Some(report),
        _ => None,
    });
    reports.flatten().collect()
}

#[test]
fn what_an_earlier_life_said_is_refuted_and_what_no_life_can_have_said_is_not() {
    let mut pool = pool(|_| {});
    let mut said = pool.me.clone();
    said.version += 5;
    tell(&mut pool, &said);
    assert_eq!(pool.me.version, BORN + 6);
    for version in [u64::MAX, u64::MAX - 1, pool.me.version + FARTHEST_VERSION + 1] {
        said.version = version;
        tell(&mut pool, &said);
        assert_eq!(pool.me.version, BORN + 6);
    }
    pool.handle(Input::SetTags(BTreeMap::new()), Moment::default()).unwrap();
    assert_eq!(pool.me.version, BORN + 7, "and it can go on saying things");
}

#[test]
fn the_last_version_of_all_is_no_end() {
    let mut pool = pool(|_| {});
    pool.me.version = u64::MAX;
    pool.handle(Input::SetTags(BTreeMap::new()), Moment::default()).unwrap();
    pool.handle(Input::Leave, Moment::default()).unwrap();
    assert!(pool.left);
}

#[test]
fn records_of_those_who_may_not_take_part_are_not_taken_whichever_way_they_come() {
    let mut pool = pool(|options| options.allowed = vec!["10.0.0.0/28".parse().unwrap()]);
    let refused = [record("foreign", 2, "dc2"), record("outside", 99, "dc1")];
    for record in &refused {
        let encoded = record.encode().unwrap();
        tell(&mut pool, record);
        spread(&mut pool, &encoded);
        pool.take(&[encoded.into()]);
        pool.settle(Moment::default());
        assert!(pool.table.record_of(record.id.key).is_none(), "{}", record.name);
    }
    let welcome = record("welcome", 3, "dc1");
    tell(&mut pool, &welcome);
    assert!(pool.table.record_of(welcome.id.key).is_some());
}

#[test]
fn a_notice_sends_nobody_to_an_address_of_its_own() {
    let mut pool = pool(|_| {});
    let known = record("known", 3, "dc1");
    pool.table.up(known.id);
    let asked = |outputs: &[Output]| -> Vec<SocketAddr> {
        let to = |output: &Output| if let Output::Ask { to, .. } = output { Some(*to) } else { None };
        outputs.iter().filter_map(to).collect()
    };
    let notice = |record: &Record, address| {
        let mut said = record.clone();
        said.id.address = address;
        said.tags = BTreeMap::from([("long".to_owned(), "x".repeat(2000))]).into();
        let news = said.spread(&said.encode().unwrap()).unwrap();
        assert!(matches!(crate::record::News::decode(&news), Some(crate::record::News::Notice(_))));
        news
    };
    let outputs = spread(&mut pool, &notice(&record("stranger", 4, "dc1"), at(66)));
    assert_eq!(asked(&outputs), []);
    let outputs = spread(&mut pool, &notice(&known, at(66)));
    assert_eq!(asked(&outputs), [at(3)]);
    pool.ask_for_record(&Notice { id: record("other", 5, "dc1").id, version: 1 });
    assert_eq!(asked(&pool.outputs), []);
}

#[test]
fn news_brings_comparing_everything_forward_and_never_puts_it_off() {
    let mut pool = pool(|_| {});
    let usual = pool.next_sync;
    let mut now = Moment::default();
    pool.sync_soon(now);
    let soon = pool.next_sync;
    assert!(soon < usual);
    while now < soon {
        assert_eq!(pool.next_sync, soon);
        now = now + Duration::from_millis(100);
        pool.sync_soon(now);
        pool.handle(Input::Wake, now).unwrap();
    }
    assert!(pool.next_sync > now, "it was done, and is planned again");
}

#[test]
fn nobody_is_told_of_new_keys_before_they_are_on_disk() {
    let mut pool = pool(|options| options.keys = vec![KEYS[0].to_owned()]);
    let mut handle = |input| pool.handle(input, Moment::default()).unwrap();
    let install = |round| Input::Keys { round, request: KeyRequest::Install(KEYS[1].to_owned()) };
    let kept = |revision, outcome| Input::KeysKept { revision, outcome };
    let outputs = handle(install(1));
    assert!(reports(&outputs).is_empty());
    assert!(matches!(&outputs[..], [Output::KeysChanged { revision: 1, keys }] if keys == &KEYS));
    let outputs = handle(kept(1, Err("disk full".to_owned())));
    assert!(reports(&outputs)[0].errors["node-0"].ends_with("disk full"));
    let outputs = handle(install(2));
    assert!(reports(&outputs).is_empty(), "it is still not there");
    assert!(matches!(&outputs[..], [Output::KeysChanged { revision: 2, .. }]));
    assert!(reports(&handle(kept(1, Ok(())))).is_empty(), "an older one");
    assert!(reports(&handle(kept(2, Ok(()))))[0].errors.is_empty());
    assert!(reports(&handle(install(3)))[0].errors.is_empty(), "there is nothing to write");
}
