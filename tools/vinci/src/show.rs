//! Printing: a table for people, JSON for programs.

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};
use serde::Serialize;

/// Ends this process, as other tools end, when who reads its output has read enough (`npu-smi info | head`).
/// Rust ignores the signal instead, and printing panics.
pub fn end_with_the_reader() {
    // SAFETY: the default action is always allowed, and no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Prints rows under a header, no wider than the terminal; columns named in `right` are aligned to the right.
pub fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) {
    let mut t = Table::new();
    t.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    for between_rows in [
        TableComponent::HorizontalLines,
        TableComponent::MiddleIntersections,
        TableComponent::LeftBorderIntersections,
        TableComponent::RightBorderIntersections,
    ] {
        t.remove_style(between_rows);
    }
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

/// Lets what the driver and the device have to say appear on stderr from a level on; `VINCI_LOG` asks for more or
/// less.
pub fn start_log(default: &str) {
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("VINCI_LOG", default))
        .format_timestamp(None)
        .init();
}
