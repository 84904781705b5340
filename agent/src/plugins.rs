//! What `/v1/agent/plugins` shows.

use std::time::Duration;

use lictor_sandbox::{BUCKETS, PluginDescription, PluginEntry, PluginFigures, PluginState};
use serde_json::{Map, Value, json};

/// Everything there is, in the order given.
pub(crate) fn document(entries: Vec<PluginEntry>) -> Value {
    let rows = entries.into_iter().map(|PluginEntry { file, state }| match state {
        PluginState::Loaded(plugin) => row(&file, &plugin),
        PluginState::Refused(why) => json!({"File": file, "Loaded": false, "Error": why}),
        PluginState::NotRead => json!({"File": file, "Loaded": false}),
    });
    Value::Array(rows.collect())
}

fn row(file: &str, plugin: &PluginDescription) -> Value {
    // It was understood when the component was loaded; an empty text is no schema.
    let schema = serde_json::from_str(&plugin.schema).unwrap_or(Value::Null);
    json!({
        "File": file,
        "Loaded": true,
        "BuiltIn": plugin.built_in,
        "Name": plugin.name,
        "Version": plugin.version,
        "Summary": plugin.summary,
        "World": plugin.world,
        "Digest": plugin.digest,
        "Bytes": plugin.size,
        "Schema": schema,
        "CompileMilliseconds": millis(plugin.compile_time),
        "Figures": figures(&plugin.figures),
    })
}

fn figures(figures: &PluginFigures) -> Value {
    let ends = BUCKETS.iter().map(u64::to_string).chain(["+Inf".to_owned()]);
    let buckets: Map<String, Value> = ends.zip(figures.buckets.iter().map(|count| json!(count))).collect();
    json!({
        "Runs": figures.runs,
        "Verdicts": figures.verdicts,
        "Unknown": figures.unknown,
        "Late": figures.late,
        "TotalMilliseconds": millis(figures.total_time),
        "LongestMilliseconds": millis(figures.longest),
        "RunsByMilliseconds": buckets,
    })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
