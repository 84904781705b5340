//! One source laid over another: values are replaced, lists grow, objects merge.

use serde_json::Value;

/// Lays `over` over `under`.
#[must_use]
pub fn merge(under: Value, over: Value) -> Value {
    match (under, over) {
        (under, Value::Null) => under,
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let merged = merge(under.remove(&key).unwrap_or(Value::Null), value);
                under.insert(key, merged);
            }
            Value::Object(under)
        }
        (Value::Array(mut under), Value::Array(over)) => {
            under.extend(over);
            Value::Array(under)
        }
        (_, over) => over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn later_sources_win_and_lists_grow() {
        let under = json!({"a": 1, "list": [1], "map": {"x": 1, "y": 1}});
        let over = json!({"a": 2, "list": [2], "map": {"y": 2}, "new": true, "list2": null});
        let merged = json!({"a": 2, "list": [1, 2], "map": {"x": 1, "y": 2}, "new": true, "list2": null});
        assert_eq!(merge(under, over), merged);
    }
}
