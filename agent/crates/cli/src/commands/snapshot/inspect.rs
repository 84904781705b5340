//! `snapshot inspect`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use lictor_archive::Meta;
use serde::Serialize;

use crate::commands::snapshot::tables::{self, Amount, Amounts, Keys};
use crate::commands::snapshot::{file, open};
use crate::commands::{Ran, failed, invalid_value};
use crate::flags::{self, Flag, Parsed};
use crate::{Context, Output};

pub(in crate::commands) const FLAGS: &[Flag] = &[
    flags::switch("kvdetails", "Show sizes by prefix of keys."),
    flags::value("kvdepth", "number", "How deep prefixes go. Default 2."),
    flags::value("kvfilter", "prefix", "Only keys below this prefix."),
];

/// How deep the beginnings of keys go by themselves.
const DEPTH: usize = 2;

/// What stands in a file, as the reference writes it in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    meta: Description,
    stats: Vec<Line>,
    #[serde(rename = "StatsKV")]
    stats_kv: Option<Vec<Line>>,
    total_size: u64,
    #[serde(rename = "TotalSizeKV")]
    total_size_kv: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(rename = "ID")]
    id: String,
    size: u64,
    index: u64,
    term: u64,
    version: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    name: String,
    sum: u64,
    count: u64,
}

pub(in crate::commands) async fn inspect(_context: &Context, parsed: Parsed) -> Ran {
    let path = Path::new(file(&parsed)?);
    let depth = match parsed.get("kvdepth") {
        "" => DEPTH,
        text => text.parse().map_err(|_| invalid_value("kvdepth", text, "parse error"))?,
    };
    let keys = Keys { depth, prefix: parsed.get("kvfilter") };
    let opened = open(path).map_err(|why| failed("Error opening snapshot file", why))?;
    let (meta, amounts) = lictor_archive::read(opened, u64::MAX, |_, state| tables::count(state, &keys))
        .map_err(|error| failed("Error reading snapshot", error))?;
    let contents = contents(meta, amounts, parsed.is_set("kvdetails"));
    Ok(Output::formatted(&parsed, &contents, || Output::text(written(&contents))))
}

fn contents(meta: Meta, amounts: Amounts, details: bool) -> Contents {
    let Meta { version, id, index, term, size, .. } = meta;
    let sum = |amounts: &BTreeMap<String, Amount>| amounts.values().map(|amount| amount.bytes).sum();
    Contents {
        meta: Description { id, size, index, term, version },
        total_size: sum(&amounts.types),
        total_size_kv: if details { sum(&amounts.keys) } else { 0 },
        stats: largest_first(amounts.types),
        stats_kv: details.then(|| largest_first(amounts.keys)),
    }
}

fn largest_first(amounts: BTreeMap<String, Amount>) -> Vec<Line> {
    let mut lines: Vec<Line> = amounts
        .into_iter()
        .map(|(name, amount)| Line { name, sum: amount.bytes, count: amount.count })
        .collect();
    lines.sort_by_key(|line| Reverse(line.sum));
    lines
}

fn written(contents: &Contents) -> String {
    let Description { id, size, index, term, version } = &contents.meta;
    let described = [
        [" ID".to_owned(), id.clone()],
        [" Size".to_owned(), size.to_string()],
        [" Index".to_owned(), index.to_string()],
        [" Term".to_owned(), term.to_string()],
        [" Version".to_owned(), version.to_string()],
    ];
    let mut blocks = vec![block(&described), list("Type", &contents.stats, contents.total_size)];
    if let Some(lines) = &contents.stats_kv {
        blocks.push(list("Key Name", lines, contents.total_size_kv));
    }
    blocks.join("\n")
}

fn list(title: &str, lines: &[Line], total: u64) -> String {
    let row = |cells: [&str; 3]| [format!(" {}", cells[0]), cells[1].to_owned(), cells[2].to_owned()];
    let rule = row(["----"; 3]);
    let mut rows = vec![row([title, "Count", "Size"]), rule.clone()];
    rows.extend(lines.iter().map(|line| row([&line.name, &line.count.to_string(), &bytes(line.sum)])));
    rows.extend([rule, row(["Total", "", &bytes(total)])]);
    block(&rows)
}

/// Rows whose columns line up as the reference's do.
fn block<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    const PADDING: usize = 6;
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().saturating_add(PADDING).max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}

/// A number of bytes for people.
fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| number >= *unit) else {
        return if number == 0 { "0".to_owned() } else { format!("{number}B") };
    };
    #[allow(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let value = format!("{:.1}", number as f64 / unit as f64);
    format!("{}{name}", value.strip_suffix(".0").unwrap_or(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(details: bool) -> Contents {
        let amounts = Amounts {
            types: [
                ("KVS".to_owned(), Amount { count: 5, bytes: 300 }),
                ("Register".to_owned(), Amount { count: 3, bytes: 1843 }),
            ]
            .into(),
            keys: [("a/b".to_owned(), Amount { count: 5, bytes: 300 })].into(),
        };
        let meta = Meta { size: 2200, ..Meta::new(9, 2, 1) };
        contents(meta, amounts, details)
    }

    #[test]
    fn the_table_is_the_references() {
        let text = written(&sample(true));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], " ID           2-9-1");
        assert_eq!(lines[5], "");
        assert_eq!(lines[6], " Type          Count      Size");
        assert_eq!(lines[8], " Register      3          1.8KB", "the largest comes first");
        assert_eq!(lines[11], " Total                    2.1KB");
        assert_eq!(lines[13], " Key Name      Count      Size");
        assert!(!written(&sample(false)).contains("Key Name"));
    }

    #[test]
    fn sizes_are_for_people() {
        let of = [0, 1, 1023, 1024, 1536, 5 << 20, 3 << 30].map(bytes);
        assert_eq!(of, ["0", "1B", "1023B", "1KB", "1.5KB", "5MB", "3GB"]);
    }
}
