//! Printing: a table for people, JSON for programs.

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

/// Prints rows under a header; columns named in `right` are aligned to the right.
pub fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) {
    let mut t = Table::new();
    t.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    t.set_header(header);
    let align = |i| if right.contains(&i) { CellAlignment::Right } else { CellAlignment::Left };
    for row in rows {
        t.add_row(row.iter().enumerate().map(|(i, c)| Cell::new(c).set_alignment(align(i))));
    }
    println!("{t}");
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Lets warnings of the driver and the device appear on stderr; `VINCI_LOG` asks for more or less.
pub fn start_log() {
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("VINCI_LOG", "warn"))
        .format_timestamp(None)
        .init();
}
