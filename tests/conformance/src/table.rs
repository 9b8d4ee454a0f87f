//! What came out: a line for each program, a column for each home.

use std::fmt::Write;
use std::time::Duration;
use std::{env, fs};

/// What came of a program in a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Pass,
    /// It did not.
    Fail,
    /// It was not tried.
    Skip,
}

/// A program in a home.
pub struct Cell {
    /// See there.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
    /// One line about it, or all that is known of a failure.
    pub detail: String,
}

/// A program, or another thing that was tried, in each home.
pub struct Line {
    /// What.
    pub name: String,
    /// By home; what does not depend on the home has the first only.
    pub cells: Vec<Cell>,
}

/// Where the results are written, as lines of `name, home, pass or FAIL or skip, milliseconds` between tabs: for
/// `cargo xtask conformance`, which adds the kernel's.
const RESULTS: &str = "VINCI_CONFORMANCE_RESULTS";

impl Verdict {
    /// As the table has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        }
    }
}

impl Line {
    /// A line for what runs in the embedded home only.
    pub fn once(
        name: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
        time: Duration,
    ) -> Self {
        Self { name: name.into(), cells: vec![Cell { verdict, time, detail: detail.into() }] }
    }

    /// A line for what does not depend on the home.
    pub fn alone(name: impl Into<String>, failure: Option<String>, detail: impl Into<String>) -> Self {
        let cell = Cell {
            verdict: if failure.is_some() { Verdict::Fail } else { Verdict::Pass },
            time: Duration::ZERO,
            detail: failure.unwrap_or_else(|| detail.into()),
        };
        Self { name: name.into(), cells: vec![cell] }
    }
}

/// Prints the table; true if nothing failed.
pub fn report(title: &str, homes: &[&str], lines: &[Line]) -> bool {
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let columns: String = homes.iter().map(|home| format!("  {home:<14}")).collect();
    println!("\n{:<width$}  {columns}", title, width = width + 2);
    for Line { name, cells } in lines {
        let mut row = format!("  {name:width$}  ");
        for Cell { verdict, time, .. } in cells {
            let _ = write!(row, "  {}{:>7} ms", verdict.word(), time.as_millis());
        }
        // The homes of a program that passed say the same about it.
        let detail =
            cells.first().filter(|cell| cell.verdict != Verdict::Fail).map_or("", |cell| &cell.detail);
        println!("{:<1$}  {detail}", row, width + 4 + homes.len() * 16);
        for (cell, home) in cells.iter().zip(homes).filter(|(cell, _)| cell.verdict == Verdict::Fail) {
            println!("    {home}: {}", cell.detail.replace('\n', "\n    "));
        }
    }
    let cells = || lines.iter().flat_map(|line| &line.cells);
    let count = |wanted| cells().filter(|cell| cell.verdict == wanted).count();
    let (passed, failed, skipped) = (count(Verdict::Pass), count(Verdict::Fail), count(Verdict::Skip));
    write_results(homes, lines);
    // In the words of libtest, for those who count.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out\n"
    );
    failed == 0
}

fn write_results(homes: &[&str], lines: &[Line]) {
    let Some(path) = env::var_os(RESULTS) else { return };
    let mut text = String::new();
    for Line { name, cells } in lines {
        for (cell, home) in cells.iter().zip(homes) {
            let (verdict, ms) = (cell.verdict.word(), cell.time.as_millis());
            let _ = writeln!(text, "{name}\t{home}\t{verdict}\t{ms}");
        }
    }
    fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
