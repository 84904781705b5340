//! Sorting what was found by how far it is from a node.

use lictor_model::coordinate::Coordinate;
use lictor_model::ids::fold;
use lictor_model::query::{Answer, Instance};

use crate::snapshot::Snapshot;

/// Puts what is nearest to a node first. What is as far stays in its order, and what has no
/// coordinate comes last. Nothing changes if the node has none itself.
pub fn sort_by_distance(snapshot: &Snapshot, from: &str, answer: &mut Answer) {
    let Some(far) = distances(snapshot, from) else { return };
    match answer {
        Answer::Nodes(nodes) => sort(nodes, |node| far(node.name.as_str())),
        Answer::Instances(instances) => sort(instances, |instance| far(instance.node.name.as_str())),
        Answer::Checks(checks) => sort(checks, |check| far(check.node.as_str())),
        _ => {}
    }
}

/// The same for the instances that a prepared query comes to.
pub fn sort_instances_by_distance(snapshot: &Snapshot, from: &str, instances: &mut [Instance]) {
    if let Some(far) = distances(snapshot, from) {
        sort(instances, |instance| far(instance.node.name.as_str()));
    }
}

/// How far nodes are from one; absent if that cannot be said.
fn distances<'s>(snapshot: &'s Snapshot, from: &str) -> Option<impl Fn(&str) -> f64 + 's> {
    let point = |node: &str| snapshot.coordinates.get(&fold(node)).map(|found| &found.coord);
    let here = point(from).filter(|_| !from.is_empty())?;
    Some(move |node: &str| point(node).map_or(f64::INFINITY, |there: &Coordinate| here.distance(there)))
}

fn sort<T>(rows: &mut [T], far: impl Fn(&T) -> f64) {
    rows.sort_by(|a, b| far(a).total_cmp(&far(b)));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lictor_model::coordinate::NodeCoordinate;
    use lictor_model::node::Node;

    use super::*;

    #[test]
    fn what_is_near_comes_first_and_what_is_nowhere_last() {
        let mut snapshot = Snapshot::default();
        for (name, x) in [("near", 0.01), ("mid", 0.05), ("far", 0.5)] {
            let coord = Coordinate { vec: vec![x; 8], ..Coordinate::default() };
            let coordinate = NodeCoordinate { node: name.into(), segment: String::new(), coord };
            snapshot.coordinates.insert(fold(name), Arc::new(coordinate));
        }
        let sorted = |from: &str| {
            let nodes = ["far", "mid", "near", "nowhere"];
            let node = |name: &&str| Arc::new(Node { name: (*name).into(), ..Node::default() });
            let mut answer = Answer::Nodes(nodes.iter().map(node).collect());
            sort_by_distance(&snapshot, from, &mut answer);
            let Answer::Nodes(nodes) = answer else { panic!("{answer:?}") };
            nodes.iter().map(|node| node.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(sorted("NEAR"), ["near", "mid", "far", "nowhere"]);
        assert_eq!(sorted("mid"), ["mid", "near", "far", "nowhere"]);
        for unknown in ["", "nowhere", "nobody"] {
            assert_eq!(sorted(unknown), ["far", "mid", "near", "nowhere"]);
        }
    }
}
